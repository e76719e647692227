"""Make the pictures in this folder from photographs that scikit-image carries: ``python workflows/media/make_samples.py``."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image
from skimage import data

HERE = Path(__file__).resolve().parent

# A cup of coffee, by Rachel Michetti, courtesy of Pikolo Espresso Bar, CC0: data.coffee(). Cut to 16:9, so that it becomes
# 7680 x 4320 exactly after two passes of a 4x model, the second of them over 1920 x 1080 pixels.
Image.fromarray(data.coffee()).crop((60, 65, 540, 335)).save(HERE / "sample.png", optimize=True)

# The same photograph as a film of half a second, 1920 x 1080 at 24 frames a second, slowly panning, every third frame repeated
# as films on threes have it; with a tone of 440 Hz.
FRAMES, RATE, SOUND = 12, 24, 48_000
with av.open(str(HERE / "sample.mp4"), "w") as container:
    video = container.add_stream("libx264", rate=RATE, options={"crf": "18", "preset": "slow"})
    video.width, video.height, video.pix_fmt = 1920, 1080, "yuv420p"
    video.color_range, video.colorspace, video.color_primaries, video.color_trc = 1, 1, 1, 1  # limited, BT.709
    sound = container.add_stream("aac", rate=SOUND, layout="mono")
    large = Image.fromarray(data.coffee()).resize((2160, 1440), Image.Resampling.LANCZOS)
    for index in range(FRAMES):
        shift = (index - (index % 3 == 2)) * 8
        image = np.asarray(large.crop((shift, 180, shift + 1920, 1260)))
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format="yuv420p", src_colorspace="ITU709", dst_colorspace="ITU709", src_color_range="JPEG", dst_color_range="MPEG"
        )
        frame.pts, frame.time_base = index, Fraction(1, RATE)
        container.mux(video.encode(frame))
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(SOUND * FRAMES // RATE) / SOUND, dtype=np.float32)
    for start in range(0, len(tone), 1024):
        samples = av.AudioFrame.from_ndarray(tone[None, start : start + 1024].copy(), format="fltp", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = SOUND, start, Fraction(1, SOUND)
        container.mux(sound.encode(samples))
    container.mux(video.encode(None))
    container.mux(sound.encode(None))

# And as four numbered pictures, small.
for number in range(1, 5):
    part = Image.open(HERE / "sample.png").crop((8 * number, 20, 8 * number + 384, 236))
    part.resize((192, 108), Image.Resampling.LANCZOS).save(HERE / f"sample_{number:05}.png", optimize=True)
