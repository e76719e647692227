"""Host memory holds one IMAGE, the result: its file is made from it in strips, whatever the depth."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIDE = 1024
CODE = """
import re, sys
from pathlib import Path
from runtime.bootstrap import load_pack
load_pack()
import torch
from upscale8k.runtime.comfyui.types.image import ImageSaveOptions, write_images
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.progress import open_silent_progress
from upscale8k.runtime.upscale.image_batch import upscale_batch
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings

bits, side = int(sys.argv[2]), int(sys.argv[3])
settings = TiledUpscaleSettings("model scale", "cpu", tile=64, backend="null")
model = load_model(find_model("realesr-animevideov3", ()))

def run(side):
    ramp = torch.linspace(0, 1, side)[None, :, None, None].expand(1, side, side, 3).contiguous()
    result = upscale_batch(ramp, model, settings, open_silent_progress)
    options = ImageSaveOptions(filename="out.tiff", suffix=None, bits=bits, quality=95, text={}, overwrite=True)
    (path,) = write_images(result, None, options, lambda stem, suffix, index, **size: Path(sys.argv[1]) / f"{side}{suffix}")
    return result.nbytes, path.stat().st_size

def measure(side):
    made = run(side)
    status = Path("/proc/self/status").read_text()  # getrusage begins with the peak of the process that started this one
    return (*made, int(re.search("VmHWM:\\s+(\\d+)", status)[1]) * 1024)

print(*measure(side // 2), *measure(side))  # what does not depend on the size is in both
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of a process from /proc: run it on Linux")
@pytest.mark.parametrize("bits", [8, 16])
def test_an_image_is_written_without_a_second_one_in_floats(bits: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(tmp_path), str(bits), str(SIDE)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    small_bytes, small_file, small_peak, nbytes, file, peak = map(int, found.stdout.split())
    assert nbytes == 4 * small_bytes == (4 * SIDE) ** 2 * 3 * 4
    assert file > small_file
    share = (peak - small_peak) / (nbytes - small_bytes)
    assert 0.8 < share < 1.25, f"{share:.2f} times the result"
