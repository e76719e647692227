"""Make the pictures in this folder from photographs that scikit-image carries: ``python workflows/media/make_samples.py``."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw
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


def write_silent(name: str, images: list[np.ndarray], crf: str) -> None:
    with av.open(str(HERE / name), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": crf, "preset": "slow"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.color_range, stream.colorspace, stream.color_primaries, stream.color_trc = 1, 6, 6, 6  # limited, BT.601
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


# The photograph as a damaged old video of one second: blurred, noisy, between black borders, compressed.
noise, old = np.random.default_rng(8), []
small = Image.fromarray(data.coffee()).crop((60, 40, 580, 360)).resize((272, 167), Image.Resampling.BOX)
for index in range(24):
    shift = min(index, 16) / 2  # it stands still in the last third
    image = np.asarray(small.transform((256, 144), Image.Transform.AFFINE, (1, 0, shift, 0, 1, 8), Image.Resampling.BICUBIC))
    noisy = image + noise.normal(0, 7, (144, 256, 1)) + noise.normal(0, 3, (144, 256, 3))
    old.append(np.pad(noisy.clip(0, 255).astype(np.uint8), ((24, 24), (0, 0), (0, 0))))
write_silent("sample_old.mp4", old, "23")

# A drawing in motion, made for this: flat colors, outlines, a new position in every second frame.
drawings = []
for index in range(24):
    step = index // 2
    large = Image.new("RGB", (1280, 720), (122, 190, 226))
    draw = ImageDraw.Draw(large)
    draw.ellipse((960, 60, 1120, 220), (255, 224, 120), (60, 40, 30), 8)
    draw.polygon([(0, 560), (330, 330), (640, 560)], (96, 132, 92), (40, 50, 40), 8)
    draw.polygon([(420, 560), (860, 270), (1290, 560)], (82, 118, 84), (40, 50, 40), 8)
    draw.rectangle((-20, 556, 1300, 740), (156, 196, 104), (40, 50, 40), 8)
    left, bounce = 60 + 46 * step, 24 * (step % 3)
    draw.ellipse((left, 400 - bounce, left + 200, 620 - bounce), (224, 96, 74), (50, 24, 24), 9)
    for eye in (60, 130):
        draw.ellipse((left + eye, 455 - bounce, left + eye + 34, 505 - bounce), (250, 250, 245), (50, 24, 24), 7)
        draw.ellipse((left + eye + 14, 474 - bounce, left + eye + 28, 496 - bounce), (30, 20, 20))
    draw.arc((left + 60, 500 - bounce, left + 160, 580 - bounce), 20, 160, (50, 24, 24), 9)
    drawings.append(np.asarray(large.resize((320, 180), Image.Resampling.BOX)))
write_silent("sample_drawing.mp4", drawings, "18")
