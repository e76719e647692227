"""TF32 is off while fp32 is computed on a card, whatever the process has set; the switches themselves need no card."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# torch is imported once; each setting has a process of its own that begins with torch's defaults.
SCRIPT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from runtime.bootstrap import load_pack; load_pack()
import torch
from upscale8k.runtime.upscale.backends.torch import full_fp32
cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
def state():
    return [each.fp32_precision for each in (cudnn.conv, matmul)], cudnn.benchmark, cudnn.deterministic
for setting in sys.argv[2:]:
    if os.fork():
        assert os.wait()[1] == 0
        continue
    exec(setting)
    before = state()
    with full_fp32(torch.device("cuda")):
        inside = state()
    with full_fp32(torch.device("cpu")):
        assert state() == before
    print(inside, state() == before, flush=True)
    os._exit(0)
"""
SETTINGS = [
    "",
    "torch.backends.fp32_precision = 'tf32'",
    "matmul.allow_tf32 = True; cudnn.allow_tf32 = True",
    "torch.set_float32_matmul_precision('high'); cudnn.benchmark = True",
]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork: run it on Linux or macOS")
def test_fp32_is_fp32_and_the_settings_of_the_process_hold_again(root: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(root), *SETTINGS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"{(['ieee'] * 2, False, False)} True"] * len(SETTINGS)
