"""A film to a file: encode beside whoever makes the frames, survive being killed, bring the sound along."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol

import av

from ..errors import MediaError, OutputError
from ..frames.geometry import Size
from ..frames.stream import Frame, FrameStream, VideoInfo
from .encoders import NAMES, Bits, Chroma, Codec, Container, Hardware, choose
from .join import Film, join
from .journal import Busy, Parts, Progress, Segment
from .pixels_out import Packer, encoded_colour
from .places import SOURCE
from .refusal import translated
from .segments import Picture, Plan, SegmentWriter
from .space import SpaceWatch, check_before, check_join

_LONGEST_GROUP = 300
"""Frames from key frame to key frame, whatever a segment's length: players seek to key frames."""


@dataclass(frozen=True)
class Settings:
    """How a film is written. What is None or empty is chosen by the encoder's entry in ``encoders``."""

    codec: Codec = "hevc"
    container: Container = "mp4"
    bits: Bits = 10
    chroma: Chroma = "4:2:0"
    crf: int | None = None
    bitrate: int | None = None
    """Bits per second, instead of ``crf``."""
    preset: str = ""
    hardware: Hardware | Literal["auto"] | None = None
    """A hardware encoder, or ``auto`` for whichever takes this film, else the processor, and it is said which. None is taken
    without being asked for, because their pictures are worse at the same size."""
    audio: Literal["copy", "none"] = "copy"
    """``copy`` encodes again only what the container cannot hold."""
    subtitles: Literal["copy", "none"] = "copy"
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags of the file, such as ComfyUI's ``prompt`` and ``workflow`` (JSON). They win over the source's own."""
    segment_seconds: Fraction = Fraction(1)
    """What a kill costs at most; also the distance of key frames, up to 300 frames."""


class Watch(Protocol):
    """Where the writer reports to, always in the caller's thread but for ``say``."""

    def advance(self, frames: int = 1, /) -> None:
        """So many more frames are done. May raise, which is how a run is cancelled: it can be gone on with later."""
        ...

    def say(self, text: str, /) -> None:
        """Something that the person should know: a decision, a warning."""
        ...

    def tell(self, **numbers: int) -> None:
        """``bytes`` of finished segments, and how many frames an earlier run had finished (``resumed``), as they stand now."""
        ...


@dataclass(frozen=True)
class Report:
    path: Path
    frames: int
    seconds: float
    """Wall time of this run."""
    bytes: int
    resumed_frames: int
    """Of ``frames``, how many an earlier run had finished."""
    encoder: str
    notes: tuple[str, ...]
    """Every sentence that was said about the result."""


class _Notes:
    """Says each sentence once and keeps it."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.kept: list[str] = []

    def __call__(self, text: str) -> None:
        if text not in self.kept:
            self.kept.append(text)
            self._watch.say(text)


def write_video(
    stream: FrameStream, path: Path, settings: Settings, watch: Watch, *, resume: bool = True, fresh: bool = False
) -> Report:
    """Write ``stream`` to ``path``.

    The frames go into segments under ``NAME.parts`` beside the output (see ``journal``). A run that is killed leaves that
    folder, and the same call goes on after the last whole segment; with other settings or another source, or without an
    identity, it starts anew and says why. ``resume=False`` starts anew in any case. With ``fresh`` a film of that name, which
    is replaced otherwise, is left alone. When all frames are there, the segments are joined without encoding again, with the
    sound, subtitles, chapters and tags of ``stream.info.source``; only then is there a file called ``path``, and the folder
    goes.

    Times are kept exactly in MP4 and MOV, and to the millisecond in Matroska and WebM, which count in milliseconds.
    Odd sizes: H.264, HEVC and AV1 hold only even ones in 4:2:0, so the last column or row is repeated once, and it is said;
    nothing is ever cut off.

    Raises:
        Busy: another run is writing this film, or with ``fresh``, has written it.
        OutputError: settings that do not go together, HDR in 8 bits, a place that cannot be written, a full disk.
        HardwareMissing: ``settings.hardware`` does not open here.
        Anything that ``stream`` or ``watch.advance`` raises. After all of these the journal is intact.
    """
    started = time.monotonic()
    notes = _Notes(watch)
    job = _Job(stream, path, settings, notes)
    with translated(path):
        _check_place(path, stream.info)
        parts = Parts(path)
        with parts.locked():
            if fresh and path.exists():
                raise Busy(f"There is a {path.name} already.", "Choose another name.", path=path)
            progress = _usable(parts, job.asked, notes, resume=resume)
            resumed = progress.frames
            watch.tell(resumed=resumed)
            watch.advance(resumed)
            if resumed:
                notes(f"Going on after {resumed} finished frames.")
            if not progress.complete:
                progress = _make(job, parts, progress, watch)
            check_join(path.parent, list(progress.segments))
            film = Film(stream.info, job.plan, settings.container, settings.audio, settings.subtitles, settings.metadata)
            size = join(film, [(parts.path(segment), segment) for segment in progress.segments], path, notes)
        parts.remove()
    took = time.monotonic() - started
    return Report(path, progress.frames, took, size, resumed, job.plan.encoding.encoder.name, tuple(notes.kept))


def asked_for(stream: FrameStream, path: Path, settings: Settings) -> Mapping[str, Any]:
    """Everything that the coded pictures depend on, as the journal of the film holds it. Raises as ``write_video`` does."""
    return _Job(stream, path, settings, lambda _: None).asked


class _Job:
    """Everything that is decided before the first frame."""

    def __init__(self, stream: FrameStream, path: Path, settings: Settings, notes: Callable[[str], None]) -> None:
        info = stream.info
        if info.colour.hdr and settings.bits == 8:
            raise OutputError(
                f"{path.name}: an HDR film ({info.colour.transfer}) in 8 bits shows bands.", "Set bits to 10.", path=path
            )
        self.stream, self.path, self.notes = stream, path, notes
        rate = info.frame_rate if info.frame_rate > 0 else Fraction(25)
        frames = max(1, round(settings.segment_seconds * rate))
        encoding = choose(
            settings.codec,
            settings.container,
            settings.bits,
            settings.chroma,
            size=info.size,
            keyframes=min(frames, _LONGEST_GROUP),
            hardware=settings.hardware,
            crf=settings.crf,
            bitrate=settings.bitrate,
            preset=settings.preset,
            mastering_display=info.mastering_display,
            content_light=info.content_light,
        )
        for note in encoding.notes:
            notes(note)
        stored = encoding.stored_size(info.size)
        if stored != info.size:
            notes(
                f"The film is {stored} instead of {info.size}: {NAMES[settings.codec]} with fewer colour samples holds only "
                "even sizes, so the last column or row is repeated. Chroma 4:4:4 keeps the size."
            )
        colour = encoded_colour(info.colour, encoding.pixel_format, limited=settings.codec == "prores")
        rate = rate.limit_denominator(1_000_000)
        self.plan = Plan(encoding, stored, colour, info.time_base, rate, info.pixel_aspect, frames)

    @property
    def info(self) -> VideoInfo:
        return self.stream.info

    @property
    def asked(self) -> dict[str, Any]:
        """Everything that the coded pictures depend on, by the name a person knows it by."""
        plan, encoding = self.plan, self.plan.encoding
        return {
            SOURCE: self.info.identity,
            "size": str(self.info.size),
            "encoder": encoding.encoder.name,
            "pixel format": encoding.pixel_format,
            "encoder settings": {name: _portable(value) for name, value in encoding.options.items() if name != "threads"},
            "bitrate": encoding.bitrate,
            "colour": [plan.colour.matrix, plan.colour.range, plan.colour.transfer, plan.colour.primaries],
            "pixel aspect": str(plan.pixel_aspect),
            "frame rate": str(plan.frame_rate),
            "time base": str(plan.time_base),
            "frames in a segment": plan.frames,
            "version of FFmpeg": {name: ".".join(map(str, parts)) for name, parts in sorted(av.library_versions.items())},
        }


def _portable(option: str) -> str:
    """An option without the number of processors, which changes no pixel."""
    return ":".join(part for part in option.split(":") if part.split("=")[0] not in ("pools", "threads", "lp"))


def _check_place(path: Path, info: VideoInfo) -> None:
    if info.source and info.source.exists() and path.exists() and path.samefile(info.source):
        raise OutputError(f"{path.name} is the film that is being read.", "Choose another name for the result.", path=path)
    if path.is_dir():
        raise OutputError(f"{path.name} is a folder.", "Choose a file name.", path=path)
    path.parent.mkdir(parents=True, exist_ok=True)


def _usable(parts: Parts, asked: Mapping[str, Any], notes: _Notes, *, resume: bool) -> Progress:
    """What an earlier run left that fits, with the journal written anew to hold exactly that."""
    found = parts.read()
    if found and found.segments:
        reason = _reason_to_start_anew(found.asked, asked, resume=resume)
        if reason:
            notes(f"Starting anew: {reason}. {found.frames} finished frames are thrown away.")
            found = None
    progress = replace(found, asked=asked) if found and found.segments else Progress(asked)
    parts.begin(progress)
    return progress


def _reason_to_start_anew(before: Mapping[str, Any], now: Mapping[str, Any], *, resume: bool) -> str:
    if not resume:
        return "that was asked for"
    if not now[SOURCE]:
        return "this film has no fingerprint to tell it by"
    changed = [name for name in now if before.get(name) != now[name]]
    if not changed:
        return ""
    if changed == [SOURCE]:
        return "the source, the model or its settings changed"
    name = next(name for name in changed if name != SOURCE)
    old, new = before.get(name), now[name]
    return f"the {name} changed ({old} before, {new} now)" if isinstance(new, str | int) else f"the {name} changed"


def _make(job: _Job, parts: Parts, progress: Progress, watch: Watch) -> Progress:
    """Encode what is missing."""
    info, plan = job.info, job.plan
    missing = max(0, info.frame_count - progress.frames) if info.frame_count is not None else None
    if missing:
        check_before(parts.folder, plan.encoding, plan.size, missing, plan.frame_rate, job.notes)
    segments = list(progress.segments)
    space = SpaceWatch(parts.folder, info.frame_count, segments, job.notes)

    written = sum(segment.bytes for segment in segments)

    def finished(segment: Segment) -> None:
        nonlocal written
        segments.append(segment)
        written += segment.bytes
        space(segment)

    times = _Times(info, segments[-1].pts[-1] if segments else None)
    packer = Packer(plan.encoding.pixel_format, plan.colour, plan.size)
    with (
        SegmentWriter(plan, parts, progress.frames, len(segments), finished) as writer,
        _closing(job, progress.frames) as frames,
    ):
        for frame in frames:
            _check_frame(frame, info.size, job.path)
            writer.wait_for_room(packer.bytes)
            writer.put(_picture(frame, packer, times))
            watch.tell(bytes=written)
            watch.advance(1)
    if times.moved:
        job.notes(f"{times.moved} frames had a time that was not after the one before: they were moved.")
    made = sum(segment.frames for segment in segments)
    if not made:
        raise MediaError(f"{(info.source or job.path).name} has no frames.", "Look at it in a player.", path=info.source)
    parts.complete(made)
    return Progress(progress.asked, tuple(segments), complete=True)


def _picture(frame: Frame, packer: Packer, times: _Times) -> Picture:
    packed = packer(frame.pixels)
    pts, duration = times(frame)
    return Picture(packed, pts, duration, packer.bytes)


@contextmanager
def _closing(job: _Job, first: int) -> Generator[Iterator[Frame]]:
    """The frames from ``first`` on; whatever works behind them stops when this is left."""
    frames = job.stream.frames(first)
    try:
        yield frames
    finally:
        close = getattr(frames, "close", None)
        if close:
            close()


def _check_frame(frame: Frame, size: Size, path: Path) -> None:
    height, width = frame.pixels.shape[:2]
    if (width, height) != (size.width, size.height):
        raise MediaError(
            f"{path.name}: the frame at {float(frame.seconds):.3f} s is {width}x{height}, and the film began as {size}.",
            "Cut the source where its size changes and write the parts one by one.",
            path=path,
        )


class _Times:
    """The times of frames in the film's unit, always going up."""

    def __init__(self, info: VideoInfo, last: int | None) -> None:
        self._unit = info.time_base
        self._last = last
        self.moved = 0

    def __call__(self, frame: Frame) -> tuple[int, int]:
        """(pts, duration). A container can hold a time only once: one that is not after the last is moved behind it."""
        ratio = frame.time_base / self._unit
        pts, duration = round(frame.pts * ratio), round(frame.duration * ratio)
        if self._last is not None and pts <= self._last:
            pts = self._last + 1
            self.moved += 1
        self._last = pts
        return pts, duration
