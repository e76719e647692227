"""Memory of steady, finished frames does not grow with the length of a video; in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

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
settings = TiledUpscaleSettings("4x", "cpu", backend="null", **look)
process, sizes = psutil.Process(), []
for index, _ in enumerate(upscale_video(VideoStream(info, frames, frames), model, settings, SilentProgress()).open()):
    if index in (40, 299):
        sizes.append(process.memory_info().rss)
assert index == 299
print((sizes[1] - sizes[0]) / 1e6)
"""


@pytest.mark.full
def test_three_hundred_frames_take_the_memory_of_forty() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr
    # A frame of the result takes 1.4 MB: 260 of them would be 360.
    assert float(done.stdout) < 15
