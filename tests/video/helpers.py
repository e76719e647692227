"""Small video streams for the tests of writing, and what PyAV reads from the files written."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import SubtitleSet
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo, Frame, VideoInfo, VideoStream
from upscale8k.runtime.progress import SilentProgress

TICKS = Fraction(1, 90000)
SMALL = Size(96, 80)
RGB = ColorInfo("gbr", "pc", "iec61966-2-1", "bt709")


@dataclass
class Seen(SilentProgress):
    """A progress that remembers, and stops a run after ``limit`` frames."""

    limit: int | None = None
    frames: int = 0
    messages: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def advance(self, frames: int = 1) -> None:
        self.frames += frames
        if self.limit is not None and self.frames >= self.limit:
            raise KeyboardInterrupt

    def message(self, text: str) -> None:
        self.messages.append(text)

    def update(self, **numbers: int) -> None:
        self.numbers.update(numbers)


def image(number: int, size: Size = SMALL, dtype: type = np.uint8) -> np.ndarray:
    """Return a different image for every number, the same on every machine: a moving ramp with a little noise."""
    rows, columns = np.mgrid[: size.height, : size.width]
    noise = np.random.default_rng(number).integers(0, 12, (size.height, size.width, 3))
    ramp = np.stack([columns * 2 + number * 3, rows * 2 + number, columns + rows + number * 2], axis=-1) % 240
    codes = (ramp + noise).astype(np.uint8)
    return codes if dtype == np.uint8 else codes.astype(np.uint16) * 257 + noise.astype(np.uint16)


def variable_times(count: int) -> list[int]:
    """Steps of 1/30 s, 1/24 s and a long pause, in ticks of 1/90000 s."""
    steps = [3000, 3750, 3003, 22522, 3750, 1501, 9000]
    times = [0]
    while len(times) < count:
        times.append(times[-1] + steps[len(times) % len(steps)])
    return times


def video(
    count: int = 30,
    *,
    size: Size = SMALL,
    times: list[int] | None = None,
    color: ColorInfo | None = None,
    dtype: type = np.uint8,
    identity: str = "a video",
    opened: list[int] | None = None,
    frame_rate: Fraction = Fraction(30000, 1001),
    **info: object,
) -> VideoStream:
    """Return a stream of test images; ``opened`` collects the number of every frame that is made."""
    pts = times or [number * 3003 for number in range(count)]

    def frames(first: int = 0) -> Iterator[Frame]:
        lent = np.empty((size.height, size.width, 3), dtype)
        for number in range(first, count):
            if opened is not None:
                opened.append(number)
            lent[:] = image(number, size, dtype)
            yield Frame(lent, pts[number], 0, TICKS)
            lent[:] = 0  # lent pixels are gone by then

    known = VideoInfo(
        size,
        frame_rate,
        TICKS,
        count,
        "header",
        None,
        color or ColorInfo(),
        8,
        identity=identity,
        **info,  # type: ignore[arg-type]
    )
    return VideoStream(known, frames, frames)


def fraction(value: object) -> Fraction:
    return Fraction(value.numerator, value.denominator)  # type: ignore[attr-defined]


def frame_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * fraction(frame.time_base) for frame in container.decode(video=0)]


def frame_hashes(path: Path) -> list[str]:
    """Return hashes of the decoded samples, without the padding of lines."""
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        plain = (frame.reformat(format="gbrp") if frame.format.name == "bgr0" else frame for frame in frames)
        return [hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest() for frame in plain]


def packets(path: Path, kind: str, which: int = 0) -> list[tuple[Fraction, bytes]]:
    """Return (time, bytes) of every packet of a stream."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[which]
        return [(p.pts * fraction(p.time_base), bytes(p)) for p in container.demux(stream) if p.size and p.pts is not None]


def parts_folder(path: Path) -> Path:
    return path.with_name(path.name + ".parts")


def make_source(
    path: Path, *, seconds: int = 2, sound: str = "aac", text: str | None = "subrip", sounds: int = 1, offset: int = 0
) -> Path:
    """Write a clip with video, audio tracks, a subtitle track, two chapters and tags, ``offset`` milliseconds late."""
    formats = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov", ".ts": "mpegts"}
    with av.open(str(path), "w", format=formats[path.suffix]) as out:
        video = out.add_stream("mpeg4", rate=30)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        tracks = [out.add_stream(sound, rate=48000) for _ in range(sounds)]
        for number, track in enumerate(tracks):
            track.codec_context.layout = "stereo"
            track.metadata["language"] = ("deu", "fra")[number % 2]
        subtitles = _subtitle_stream(out, text) if text else None
        out.metadata["title"] = "A short clip"
        if path.suffix != ".ts":
            half = seconds * 500
            unit = Fraction(1, 1000)
            out.set_chapters(
                [
                    {"id": 1, "start": 0, "end": half, "time_base": unit, "metadata": {"title": "One"}},
                    {"id": 2, "start": half, "end": 2 * half, "time_base": unit, "metadata": {"title": "Two"}},
                ]
            )
        for number in range(seconds * 30):
            frame = av.VideoFrame.from_ndarray(image(number, Size(64, 48)), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number + offset * 30 // 1000, Fraction(1, 30)
            for packet in video.encode(frame):
                out.mux(packet)
        for number, track in enumerate(tracks):
            _fill_sound(out, track, seconds, 220 * (number + 2), offset)
        for packet in video.encode(None):
            out.mux(packet)
        if subtitles is not None:
            for start, end, line in ((100, 600, "Hello"), (900, 1500, "and goodbye")):
                _add_line(out, subtitles, start + offset, end - start, line)
    return path


def _subtitle_stream(out: OutputContainer, text: str) -> SubtitleStream:
    stream = out.add_stream(text)
    stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
    stream.codec_context.subtitle_header = (
        b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\n"
        b"Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, "
        b"Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, "
        b"MarginR, MarginV, Encoding\r\n"
        b"Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\r\n\r\n"
        b"[Events]\r\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
    )
    stream.metadata["language"] = "eng"
    return stream


def _add_line(out: OutputContainer, stream: SubtitleStream, start: int, length: int, line: str) -> None:
    dialogue = f"0,0,Default,,0,0,0,,{line}".encode()
    packet = stream.codec_context.encode_subtitle(SubtitleSet.create(dialogue, 0, length))
    packet.pts = packet.dts = start
    packet.duration, packet.time_base, packet.stream = length, Fraction(1, 1000), stream
    out.mux(packet)


def _fill_sound(out: OutputContainer, track: AudioStream, seconds: int, pitch: int, offset: int) -> None:
    for block in range(seconds * 48000 // 1024):
        at = np.arange(block * 1024, (block + 1) * 1024) / 48000
        wave = (np.sin(2 * np.pi * pitch * at) * 8000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave], axis=1).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, block * 1024 + offset * 48, Fraction(1, 48000)
        for packet in track.encode(frame):
            out.mux(packet)
    for packet in track.encode(None):
        out.mux(packet)
