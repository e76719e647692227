"""Animated images as results: the frames, times and number of plays that Pillow reads from them."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import psutil
import pytest
from PIL import Image
from upscale8k.runtime.errors import MediaError, OutputError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo, Frame, VideoStream
from upscale8k.runtime.video.animation import animated_image
from upscale8k.runtime.video.read.video_reader import open_video
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..helpers import RGB, SMALL, TICKS, Seen, image, video

TIMES = [0, 9000, 13500, 31500, 36000, 45000]  # of 1/90000 s
DURATIONS = [100, 50, 200, 50, 100, 170]  # ms; the last frame lasts 15300 ticks
KINDS = ["gif", "webp", "apng"]


def animation(plays: int = 0, *, alpha: bool = True, **info: Any) -> VideoStream:
    def frames(first: int = 0) -> Iterator[Frame]:
        for number in range(first, len(TIMES)):
            pixels = image(number)
            if alpha:
                pixels = np.dstack(
                    (pixels, np.where(np.arange(SMALL.width) < 20 + number, 0, 255)[None].repeat(SMALL.height, 0))
                )
            yield Frame(pixels.astype(np.uint8), TIMES[number], 15300 if number == 5 else 0, TICKS)

    facts = replace(video(6, color=RGB).info, frame_rate=Fraction(10), play_count=plays, has_alpha=alpha)
    return VideoStream(replace(facts, **info), frames, frames)


def write(path: Path, stream: VideoStream, seen: Seen | None = None) -> Path:
    settings = VideoWriteSettings(container=path.suffix[1:], segment_seconds=Fraction(1, 5))  # type: ignore[arg-type]
    return write_video(stream, path, settings, seen or Seen()).path


def read(path: Path) -> tuple[int | None, list[float], list[np.ndarray]]:
    """How often it is shown in the words of the format, durations in ms, and RGBA."""
    durations, frames = list[float](), list[np.ndarray]()
    with Image.open(path) as opened:
        for number in range(getattr(opened, "n_frames", 1)):
            opened.seek(number)
            frames.append(np.asarray(opened.convert("RGBA")).astype(int))
            durations.append(opened.info["duration"])
        return opened.info.get("loop"), durations, frames


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("plays", "alpha"), [(0, True), (1, False), (3, True)])
def test_frames_times_and_plays(kind: str, plays: int, alpha: bool, tmp_path: Path) -> None:
    loop, durations, frames = read(write(tmp_path / f"out.{kind}", animation(plays, alpha=alpha)))
    assert loop == ({0: 0, 1: None, 3: 2}[plays] if kind == "gif" else plays)  # a GIF counts repetitions
    assert durations == DURATIONS
    for number, frame in enumerate(frames):
        expected = np.where(np.arange(SMALL.width) < 20 + number, 0, 255) if alpha else 255
        assert (frame[:, :, 3] == expected).all()
        error = np.abs(frame[:, :, :3] - image(number))[frame[:, :, 3] == 255]
        assert error.max() == 0 if kind != "gif" else error.mean() < 12
    if kind == "gif":
        colors = np.unique(np.concatenate([frame[frame[:, :, 3] == 255] for frame in frames]), axis=0)
        assert 128 < len(colors) <= 256


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_goes_on_with_the_same_bytes(kind: str, tmp_path: Path) -> None:
    write(tmp_path / f"whole.{kind}", animation())
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / f"killed.{kind}", animation(), Seen(limit=4))
    assert not (tmp_path / f"killed.{kind}").exists()
    seen = Seen()
    write(tmp_path / f"killed.{kind}", animation(), seen)
    assert seen.numbers["resumed"] >= 2
    assert (tmp_path / f"killed.{kind}").read_bytes() == (tmp_path / f"whole.{kind}").read_bytes()


def test_what_the_format_cannot_hold_is_said_before_the_work(tmp_path: Path) -> None:
    seen = Seen(limit=1)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out.gif", animation(audio_streams=1, bit_depth=10, frame_rate=Fraction(60)), seen)
    assert seen.messages[:4] == [
        "A GIF holds 256 colors, pixels that are transparent or not, and times in hundredths of a second; webp and apng hold "
        "all colors.",
        "An animated GIF holds 8 bits of the source's 10.",
        "An animated GIF has no audio and no subtitles: they are left out.",
        "Players show more than 50 frames of a GIF a second too slowly; webp and apng have no such limit.",
    ]
    with pytest.raises(OutputError, match="the video is HDR"):
        write(tmp_path / "out.apng", animation(color=ColorInfo(transfer="smpte2084")))
    with pytest.raises(OutputError, match=r"WebP is limited to 16,383 pixels a side, the frames are 20000x80\. Write apng"):
        write(tmp_path / "out.webp", animation(size=Size(20000, 80)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("loop", "plays"), [(0, 0), (1, 1), (4, 4)])
def test_the_animations_of_pillow_are_read(kind: str, loop: int, plays: int, tmp_path: Path) -> None:
    durations = [50, 120, 200]
    frames = [
        Image.fromarray(np.full((24, 32, 4), (80 * number, 100, 200, 255 if number else 0), np.uint8)) for number in range(3)
    ]
    more: dict[str, Any] = {"lossless": True} if kind == "webp" else {"disposal": 2} if kind == "gif" else {}
    if kind != "gif" or loop != 1:  # without a word of it, a GIF is shown once
        more["loop"] = loop - 1 if kind == "gif" and loop else loop
    path = tmp_path / f"in.{kind}"
    frames[0].save(path, "PNG" if kind == "apng" else None, save_all=True, append_images=frames[1:], duration=durations, **more)
    stream = open_video(path, alpha=True)
    assert (stream.info.play_count, stream.info.has_alpha) == (plays, True)
    with stream.frames() as opened:
        found = [(frame.seconds * 1000, frame.duration * frame.time_base * 1000, frame.pixels.copy()) for frame in opened]
    assert [(time, duration) for time, duration, _ in found] == [(0, 50), (50, 120), (170, 200)]
    assert [pixels[5, 5, 3] for _, _, pixels in found] == [0, 255, 255]
    assert found[2][2][5, 5].tolist() == [160, 100, 200, 255]
    for first in (1, 2):
        with stream.frames(first) as opened:
            assert [frame.seconds * 1000 for frame in opened] == [0, 50, 170][first:]
    part = open_video(path, alpha=True, start=Fraction(1, 20), frame_cap=1)
    with part.frames() as opened:
        assert [(frame.pts, frame.pixels[5, 5, 0]) for frame in opened] == [(0, 80)]


@pytest.mark.parametrize(
    ("holes", "disposal", "has_alpha"),
    [
        ([], 0, False),  # unchanged pixels of later frames have the transparent color
        ([], 2, False),
        ([0, 1, 2], 0, True),
        ([1, 2], 2, True),
    ],
)
def test_a_gif_has_alpha_where_a_frame_is_transparent(holes: list[int], disposal: int, has_alpha: bool, tmp_path: Path) -> None:
    frames = [Image.new("RGBA", (32, 24), (50, 50, 50, 255)) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.paste((250, 10 * number, 10, 255), (3, 2 + number, 9, 8 + number))
        if number in holes:
            frame.putpixel((20, 20), (0, 0, 0, 0))
    path, said = tmp_path / "in.gif", list[str]()
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, disposal=disposal)
    assert (b"\x21\xf9\x04" + bytes([disposal << 2 | 1]) in path.read_bytes()) == (disposal == 0 or has_alpha)
    stream = open_video(path, alpha=True)
    with stream.frames() as opened:
        *_, last_alpha = [frame.pixels[20, 20, 3:].tolist() for frame in opened]
    assert last_alpha == ([0] if has_alpha else [])
    open_video(path, on_message=said.append)
    assert said == (["in.gif has an alpha channel, which is left out here."] if has_alpha else [])


def test_a_damaged_webp_animation_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in.webp"
    frames = [Image.effect_noise((64, 48), 80 + number) for number in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, lossless=True)
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(MediaError, match=r"in\.webp is damaged or truncated: the file ends before its last chunk\."):
        open_video(path)
    before, frame, after = whole.rpartition(b"VP8L")
    path.write_bytes(before + frame + after[:4] + bytes(40) + after[44:])
    with pytest.raises(MediaError, match=r"in\.webp"), open_video(path).frames() as opened:
        list(opened)


def test_the_palette_of_a_gif_holds_no_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 frames of 1.2 MB, of one color, so that the filters remember no others."""
    still, used = np.full((480, 640, 4), (64, 64, 64, 255), np.uint8), list[int]()

    def decode(numbers: range) -> Iterator[av.VideoFrame]:
        for _ in numbers:
            used.append(psutil.Process().memory_info().rss)
            yield av.VideoFrame.from_ndarray(still, format="bgra")

    monkeypatch.setattr(animated_image, "_decode_segments", decode)
    plan: Any = SimpleNamespace(size=Size(640, 480))
    assert sum(1 for _ in animated_image._map_to_palette(range(80), plan)) == 80  # type: ignore[arg-type]
    assert len(used) == 160, "each pass decodes again"
    assert max(used) - used[0] < 40e6
