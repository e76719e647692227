"""A video decoded, upscaled and encoded: its frames are the images of Tiled Upscale, its codes, times and audio those of the
source."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.image_batch import upscale_batch
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings as Upscaling
from upscale8k.runtime.upscale.video import upscale_video
from upscale8k.runtime.video.read.probe import probe
from upscale8k.runtime.video.read.video_reader import open_video
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from .child import run_child
from .clips import PRIMARIES, TRANSFERS, image, write
from .helpers import Seen, packets

SIZE = 48, 32


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model(find_model("realesr-animevideov3", ()))


@pytest.fixture(scope="module")
def noise() -> list[np.ndarray]:
    return [np.random.default_rng(number).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8) for number in range(4)]


def rgb_video(path: Path, images: list[np.ndarray]) -> Path:
    frames = [av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="bgr0") for pixels in images]
    return write(path, frames, tags={"range": "pc"})


def samples(frame: av.VideoFrame) -> list[np.ndarray]:
    dtype = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    wide = 4 if frame.format.name == "bgr0" else 1
    return [
        np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width * wide].astype(np.int64)
        for plane in frame.planes
    ]


def decoded(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


def rgb(frame: av.VideoFrame) -> np.ndarray:
    if frame.format.name == "bgr0":
        return samples(frame)[0].reshape(frame.height, frame.width, 4)[:, :, 2::-1]
    green, blue, red = samples(frame)
    return np.stack([red, green, blue], axis=-1)


@pytest.mark.parametrize("target", ["model scale", "3x"])
@pytest.mark.parametrize("bits", [8, 10, 16])
def test_every_decoded_frame_is_exactly_what_tiled_upscale_makes_of_its_image(
    tmp_path: Path, model: Any, noise: list[np.ndarray], bits: int, target: str
) -> None:
    settings = Upscaling(target, "cpu", tile=32, backend="torch")
    stream = upscale_video(open_video(rgb_video(tmp_path / "in.mkv", noise)), model, settings, SilentProgress())
    write_video(stream, tmp_path / "out.mkv", VideoWriteSettings("ffv1", "mkv", bits, "4:4:4"), Seen())  # type: ignore[arg-type]
    top = 2**bits - 1
    for frame, pixels in zip(decoded(tmp_path / "out.mkv"), noise, strict=True):
        image = torch.as_tensor(pixels[None].astype(np.float32) / 255)
        made = upscale_batch(image, model, settings, lambda total, unit: SilentProgress())[0].numpy().astype(np.float64)
        sixteen = np.floor(made * 65535 + 0.5)
        np.testing.assert_array_equal(rgb(frame), np.rint(sixteen * top / 65535))


def test_in_10_bit_ycbcr_every_luma_code_is_the_rounded_image(tmp_path: Path, model: Any, noise: list[np.ndarray]) -> None:
    settings = Upscaling("model scale", "cpu", tile=32, backend="torch")
    stream = upscale_video(open_video(rgb_video(tmp_path / "in.mkv", noise[:2])), model, settings, SilentProgress())
    write_video(stream, tmp_path / "out.mkv", VideoWriteSettings("ffv1", "mkv", 10), Seen())
    color = probe(tmp_path / "out.mkv").info.color
    kr, kb = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114)}[color.matrix]
    assert color.range == "tv"
    for frame, pixels in zip(decoded(tmp_path / "out.mkv"), noise, strict=False):
        image = torch.as_tensor(pixels[None].astype(np.float32) / 255)
        made = upscale_batch(image, model, settings, lambda total, unit: SilentProgress())[0].numpy().astype(np.float64)
        exact = (219 * (made @ [kr, 1 - kr - kb, kb]) + 16) * 4
        assert np.abs(samples(frame)[0] - exact).max() < 0.52  # half a code, and rounding to 16 bits before


def coded_patches(matrix: str, range_: str, bits: int) -> list[np.ndarray]:
    """Return 4:2:0 codes of patches inside the color cube, over ramps from black to white and along a color."""
    kr, kb = {"smpte170m": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593)}[matrix]
    patches = np.random.default_rng(2).random((4, 12, 3)) * 0.9 + 0.05
    flat = np.kron(patches, np.ones((16, 16, 1)))
    across = np.linspace(0, 1, 192)[None, :, None]
    grey = np.broadcast_to(across, (32, 192, 3))
    tint = 0.15 + across * np.array([0.6, 0.25, 0.4]) + np.zeros((32, 1, 1))
    rgb_ = np.concatenate([flat, grey, tint])
    luma = rgb_ @ [kr, 1 - kr - kb, kb]
    cb, cr = (rgb_[..., 2] - luma) / (2 - 2 * kb), (rgb_[..., 0] - luma) / (2 - 2 * kr)
    top, step = 2**bits - 1, 2 ** (bits - 8)
    swing, chroma, black = (top, top, 0) if range_ == "pc" else (219 * step, 224 * step, 16 * step)
    codes = [luma * swing + black, *(plane[::2, ::2] * chroma + 128 * step for plane in (cb, cr))]
    return [np.rint(code) for code in codes]


@pytest.mark.parametrize(("matrix", "range_", "bits"), [*product(["smpte170m", "bt709", "bt2020nc"], ["tv", "pc"], [8, 10])])
def test_patches_and_ramps_make_the_round_trip_within_a_code_and_keep_their_tags(
    tmp_path: Path, matrix: str, range_: str, bits: int
) -> None:
    primaries = {"smpte170m": "smpte170m", "bt709": "bt709", "bt2020nc": "bt2020"}[matrix]
    transfer = {"smpte170m": "smpte170m", "bt709": "bt709", "bt2020nc": "bt2020-10"}[matrix]
    tags = {"matrix": matrix, "range": range_, "transfer": transfer, "primaries": primaries}
    codes = coded_patches(matrix, range_, bits)
    source = write(tmp_path / "in.mkv", [image(codes, "yuv420p10le" if bits == 10 else "yuv420p")], tags=tags)
    write_video(open_video(source), tmp_path / "out.mkv", VideoWriteSettings("ffv1", "mkv", bits), Seen())  # type: ignore[arg-type]
    (frame,) = decoded(tmp_path / "out.mkv")
    for before, after in zip(codes, samples(frame), strict=True):
        error = after - before
        # Between two patches, chroma of half size cannot be restored: only the inside of patches counts.
        cell = 16 * before.shape[1] // 192
        patches = error[: 4 * cell].reshape(4, cell, 12, cell)[:, 3:-3, :, 3:-3]
        ramps = error[4 * cell + 3 :, 3:-3]
        ramps = np.delete(ramps, slice(2 * cell - 6, 2 * cell), axis=0)  # where the ramps meet
        assert np.abs(patches).max() <= 1
        assert np.abs(ramps).max() <= 1
        assert abs(np.concatenate([patches.ravel(), ramps.ravel()]).mean()) < 0.05
    one, other = probe(source).info.color, probe(tmp_path / "out.mkv").info.color
    assert (other.matrix, other.range, other.transfer, other.primaries) == (matrix, range_, transfer, primaries)
    assert (one.guessed_fields, other.guessed_fields) == ((), ())
    assert (PRIMARIES[primaries], TRANSFERS[transfer]) == (frame.color_primaries, frame.color_trc)


def shown_times(path: Path, stream: str) -> list[Fraction]:
    """Return display times by ffprobe."""
    if not shutil.which("ffprobe"):
        pytest.skip("ffprobe is not installed")
    command = ["ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", "packet=pts:stream=time_base"]
    found = json.loads(subprocess.run([*command, "-of", "json", str(path)], capture_output=True, check=True).stdout)
    unit = Fraction(found["streams"][0]["time_base"])
    return sorted(int(packet["pts"]) * unit for packet in found["packets"])


def video_with_sound(
    path: Path, times: list[Fraction], *, sound_from: Fraction, seconds: int, options: dict[str, str] | None = None
) -> Path:
    """Write tiny frames at ``times``, and audio from ``sound_from`` on."""
    with av.open(str(path), "w", options=options or {}) as out:
        video = out.add_stream("libx264", rate=30, options={"preset": "ultrafast", "bf": "2", "g": "60"})
        video.width, video.height, video.pix_fmt = 64, 36, "yuv420p"
        video.codec_context.time_base = Fraction(1, 90000)
        audio = out.add_stream("aac", rate=8000, layout="mono")
        for number, time in enumerate(times):
            chroma = np.full((18, 32), 128)
            frame = image([np.full((36, 64), 40 + number % 150), chroma, chroma], "yuv420p")
            frame.pts, frame.time_base = round(time * 90000), Fraction(1, 90000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for block in range(seconds * 8000 // 1024):
            wave = (np.sin((np.arange(1024) + 1024 * block) / 9) * 9000).astype(np.int16)[None]
            tone = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            tone.sample_rate, tone.pts, tone.time_base = 8000, round(sound_from * 8000) + 1024 * block, Fraction(1, 8000)
            out.mux(audio.encode(tone))
        out.mux(audio.encode(None))
    return path


def upscaled_by_repeating(source: Path, path: Path, model: Any, **settings: Any) -> Seen:
    stream = upscale_video(open_video(source), model, Upscaling("2x", "cpu", backend="null"), SilentProgress())
    seen = Seen()
    chosen = {"codec": "h264", "container": path.suffix[1:], "bits": 8, "preset": "ultrafast", **settings}
    write_video(stream, path, VideoWriteSettings(**chosen), seen)
    return seen


@pytest.mark.parametrize("minutes", [3, pytest.param(30, marks=pytest.mark.full)])
def test_minutes_of_variable_times_stay_in_sync_with_their_sound(tmp_path: Path, model: Any, minutes: int) -> None:
    jitter = np.random.default_rng(4).integers(1, 90_000, 90 * minutes)
    times = [Fraction(int(ticks), 90_000) for ticks in np.cumsum(jitter * 60 * minutes * 90_000 // jitter.sum())]
    source = video_with_sound(tmp_path / "in.mp4", times, sound_from=Fraction(0), seconds=60 * minutes)
    upscaled_by_repeating(source, tmp_path / "out.mp4", model, segment_seconds=Fraction(20))
    assert times[-1] > 60 * minutes - 1
    assert shown_times(tmp_path / "out.mp4", "v:0") == shown_times(source, "v:0")
    assert shown_times(tmp_path / "out.mp4", "a:0") == shown_times(source, "a:0")
    assert packets(tmp_path / "out.mp4", "audio") == packets(source, "audio")


@pytest.mark.parametrize(("name", "out"), [("in.mp4", "mp4"), ("in.mkv", "mp4"), ("in.ts", "mp4"), ("in.mp4", "mkv")])
@pytest.mark.parametrize(
    ("image_from", "sound_from"),
    [("0", "0"), ("0.7", "0"), ("0", "0.7"), ("3.2", "3.5"), ("0", "-0.4")],
    ids=["together", "sound first", "video first", "both late", "sound before zero"],
)
def test_image_and_sound_keep_the_times_they_begin_at(
    tmp_path: Path, model: Any, name: str, out: str, image_from: str, sound_from: str
) -> None:
    """Also by edit lists and negative times, which MP4 makes of such streams, and with B-frames."""
    times = [Fraction(image_from) + Fraction(number, 30) + Fraction(number % 3, 200) for number in range(40)]
    keeps_negative = {"avoid_negative_ts": "disabled"} if name != "in.ts" else {}
    source = video_with_sound(tmp_path / name, times, sound_from=Fraction(sound_from), seconds=2, options=keeps_negative)
    upscaled_by_repeating(source, tmp_path / f"out.{out}", model)
    # Matroska counts in milliseconds; sound in MP4 counts in samples, and a time of MPEG-TS (1/90000 s) may lie between two.
    allowed = Fraction(1, 1000) if "mkv" in (out, name[3:]) else Fraction(1, 16000) if name == "in.ts" else Fraction(0)
    images, sounds = ([(shown_times(path, stream)) for path in (source, tmp_path / f"out.{out}")] for stream in ("v:0", "a:0"))
    assert len(images[0]) == len(images[1]) == 40
    assert len(sounds[0]) == len(sounds[1])
    shift = sounds[1][0] - sounds[0][0] if out == "mkv" else Fraction(0)  # Matroska has no time before zero: all shift together
    assert shift == 0 or min(images[0][0], sounds[0][0]) < 0
    for before, after in zip(images[0] + sounds[0], images[1] + sounds[1], strict=True):
        assert abs(after - shift - before) <= allowed


def test_what_an_edit_list_cuts_off_is_not_shown_and_the_rest_keeps_its_time(tmp_path: Path, model: Any) -> None:
    times = [Fraction(number - 12, 30) for number in range(40)]
    options = {"avoid_negative_ts": "disabled"}
    source = video_with_sound(tmp_path / "in.mp4", times, sound_from=Fraction(0), seconds=2, options=options)
    upscaled_by_repeating(source, tmp_path / "out.mp4", model)
    assert shown_times(source, "v:0")[0] < 0
    assert shown_times(tmp_path / "out.mp4", "v:0") == [time for time in times if time >= 0]
    assert shown_times(tmp_path / "out.mp4", "a:0") == shown_times(source, "a:0")


MEMORY = """
from pathlib import Path
import psutil
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings as Upscaling
from upscale8k.runtime.upscale.video import upscale_video
from upscale8k.runtime.video.read.video_reader import open_video
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video
from video.helpers import Seen

class Measuring(Seen):
    def advance(self, frames=1):
        super().advance(frames)
        print(psutil.Process().memory_info().rss, flush=True)

model = load_model(find_model("realesr-animevideov3", ()))
stream = upscale_video(open_video(Path({source!r})), model, Upscaling("model scale", "cpu", backend="torch"), SilentProgress())
write_video(stream, Path({path!r}), VideoWriteSettings("hevc", "mp4", 10), Measuring())
"""


@pytest.mark.slow
def test_memory_is_flat_over_300_frames_of_a_whole_run(tmp_path: Path, root: Path) -> None:
    """In its own process, with decoder, model and x265: a leaked frame would be 220 kB."""
    frames = [image([np.full((36, 64), 30 + n % 200), *[np.full((18, 32), 100 + n % 50)] * 2], "yuv420p") for n in range(60)]
    source = write(tmp_path / "in.mkv", frames * 5, codec="mpeg4", options={"b": "4M"})
    done = run_child(root, MEMORY.format(source=str(source), path=str(tmp_path / "out.mp4")))
    held = [int(line) for line in done.stdout.split()]
    assert len(held) == 301, done.stderr  # the first is reported before the work, for what an earlier run finished
    # The encoder's memory rises and falls by 18 MB with each segment, so the peaks are compared.
    assert max(held[201:]) - max(held[101:201]) < 100 * 100_000
