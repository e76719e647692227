"""Memory of steady, finished frames does not grow with the length of a video; in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from ...stages import write_models

ROOT = Path(__file__).parents[3]
SCRIPT = """
import sys
from fractions import Fraction
from pathlib import Path
import numpy as np, psutil
from runtime.bootstrap import load_pack
load_pack()
from upscale8k.runtime.media import Frame, Size, VideoStream
from upscale8k.runtime.media.video_stream import ColorInfo, VideoInfo
from upscale8k.runtime.models import chain_models, find_model, load_model
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale import TiledUpscaleSettings, upscale_video

def frames(first=0):
    rng = np.random.default_rng(first)
    for index in range(first, 300):
        pixels = rng.integers(60, 70, (90, 160, 3)).astype(np.uint8)
        pixels[:12] = pixels[-12:] = 0
        yield Frame(pixels, index, 1, Fraction(1, 25))

info = VideoInfo(Size(160, 90), Fraction(25), Fraction(1, 25), 300, "header", None, ColorInfo(), 8, identity="noise")
model = load_model(find_model("realesr-animevideov3", ()))
look = dict(strength=0.7, grain=0.5, steady=1.0, skip_borders=True)
backend, target, ahead = "null", "4x", 1
if sys.argv[1] == "networks":
    folder = Path(sys.argv[2])
    model = chain_models([load_model(find_model(name, (folder,))) for name in ("restore.pth", "double.pth")])
    networks = dict(steady_network=str(folder / "mean.onnx"), interpolation_network=str(folder / "flownet.pkl"))
    look |= networks | dict(frame_rate="11/10x")
    backend, target, ahead = "torch", "2x", 1.1
settings = TiledUpscaleSettings(target, "cpu", backend=backend, **look)
process, sizes, count = psutil.Process(), [], round(300 * ahead)
for index, _ in enumerate(upscale_video(VideoStream(info, frames, frames), model, settings, SilentProgress()).open()):
    if index in (count // 4, count - 1):
        sizes.append(process.memory_info().rss)
assert index == count - 1
print((sizes[1] - sizes[0]) / 1e6)
"""


@pytest.mark.full
@pytest.mark.parametrize("stages", ["averages", "networks"])
def test_three_hundred_frames_take_the_memory_of_the_first(tmp_path: Path, stages: str) -> None:
    write_models(tmp_path)
    command = [sys.executable, "-c", SCRIPT, stages, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr
    # A frame of the result takes 0.35 to 1.4 MB: 225 of them would be 78 to 310.
    assert float(done.stdout) < 15
