"""Memory and time of what is measured on an image of 7680x4320, maps included, each in a process of its own on two cores.

``pytest -m full -s tests/metrics/test_memory_at_8k.py`` prints both; time is not asserted, because machines differ.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEASURE = """
import resource, sys, time
from pathlib import Path
import numpy as np, torch
from runtime.bootstrap import load_pack

load_pack()
from upscale8k.runtime.metrics import draw_fault_maps, measure_artifact_report
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.report import compare_images, measure_pair, write_report

what, width, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
tile = np.random.default_rng(1).random((135, 240, 3), np.float32)
image = np.tile(tile, (32, 32, 1))  # (4320, 7680, 3)
source = image if width == 7680 else np.array(image.reshape(1080, 4, 1920, 4, 3).mean((1, 3)))
start = time.perf_counter()
if what == "node":  # Artifacts, as on the canvas
    pair = torch.as_tensor(source)[None], torch.as_tensor(image)[None]
    _, report, _ = measure_artifact_report(*pair, 0, 0, "", lambda *_: SilentProgress())
    (shown,) = draw_fault_maps(*pair, report)
    assert shown.shape[1] == width
elif what == "measure":  # every number of the command measure
    values, _ = measure_pair(source, image)
    assert values["drift"] is not None
else:  # the whole image as a crop of the report: tables, maps, crops of faults, page and sheets
    write_report(compare_images(source, [("result", image)], "whole", "today"), lambda name: folder / name)
    assert (folder / "report.html").is_file()
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.full
@pytest.mark.parametrize("what", ["node", "measure", "report"])
@pytest.mark.parametrize("width", [1920, 7680])
def test_8k_is_measured_and_drawn_below_two_gigabytes(what: str, width: int, tmp_path: Path) -> None:
    cores = ["taskset", "-c", "0,1"] if sys.platform == "linux" else []
    command = [*cores, sys.executable, "-c", MEASURE, what, str(width), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr
    seconds, peak = map(float, done.stdout.splitlines()[-1].split())
    print(f"{what}, source {width} pixels wide: {seconds:.0f} s, {peak / 1e9:.2f} GB")
    assert peak < 2e9
