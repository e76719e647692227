"""Memory and time of the node Artifacts with its map on an image of 7680x4320, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEASURE = """
import resource, sys, time
import numpy as np, torch
from runtime.bootstrap import load_pack

load_pack()
from upscale8k.runtime.metrics import draw_fault_maps, measure_artifact_report
from upscale8k.runtime.progress import SilentProgress

width = int(sys.argv[1])
tile = np.random.default_rng(1).random((135, 240, 3), np.float32)
image = np.tile(tile, (32, 32, 1))  # (4320, 7680, 3)
source = image if width == 7680 else image.reshape(1080, 4, 1920, 4, 3).mean((1, 3))
image = torch.as_tensor(image)[None]
source = torch.as_tensor(np.array(source))[None]
start = time.perf_counter()
_, report, _ = measure_artifact_report(source, image, 0, 0, "", lambda *_: SilentProgress())
(shown,) = draw_fault_maps(source, image, report)
assert shown.shape[1] == width
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.full
@pytest.mark.parametrize("width", [1920, 7680])
def test_8k_is_measured_and_drawn_below_two_gigabytes(width: int) -> None:
    command = ["taskset", "-c", "0,1", sys.executable, "-c", MEASURE, str(width)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=800, check=True)
    seconds, peak = map(float, done.stdout.split())
    print(f"source {width} pixels wide: {seconds:.0f} s, {peak / 1e9:.2f} GB")
    assert peak < 2e9
