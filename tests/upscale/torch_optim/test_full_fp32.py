"""TF32 is off while fp32 is computed on a card, whatever the process has set; the switches themselves need no card."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from runtime.bootstrap import load_pack; load_pack()
import torch
from upscale8k.runtime.upscale.backends.torch import full_fp32
cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
exec(sys.argv[2])
def state():
    return [each.fp32_precision for each in (cudnn.conv, matmul)], cudnn.benchmark, cudnn.deterministic
before = state()
with full_fp32(torch.device("cuda")):
    inside = state()
with full_fp32(torch.device("cpu")):
    assert state() == before
print(inside, state() == before)
"""


@pytest.mark.parametrize(
    "setting",
    [
        "",
        "torch.backends.fp32_precision = 'tf32'",
        "matmul.allow_tf32 = True; cudnn.allow_tf32 = True",
        "torch.set_float32_matmul_precision('high'); cudnn.benchmark = True",
    ],
)
def test_fp32_is_fp32_and_the_settings_of_the_process_hold_again(root: Path, setting: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(root), setting]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    assert done.stdout.strip() == f"{(['ieee'] * 2, False, False)} True"
