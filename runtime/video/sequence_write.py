"""A film as numbered pictures, each of which is whole when it has its name; a run that is stopped goes on.

While pictures are missing a file ``NAME.unfinished`` lies beside them (``frame_#.png.unfinished`` for ``frame_%05d.png``). Its
first line says what was asked, and each other the length of one finished picture, in order: a run that asks the same goes on
behind them, any other begins anew and says why. A second run for the same pictures is refused by a ``.lock`` beside it.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, cast

from ..errors import MediaError, OutputError
from ..frames.geometry import Size
from ..frames.stream import Frame, FrameStream, Samples, VideoInfo
from ..whole import whole
from .journal import Busy, alone
from .places import SOURCE, Begun
from .refusal import translated
from .sequence import number_in
from .space import PictureSpace, check_pictures_before
from .write import Watch

Depth = Literal[8, 16, 32]
WritePicture = Callable[[Path, Samples, Depth], None]
"""A picture file of (H, W, 3) R'G'B' in full range. It has its name when it is whole. Raises ``OutputError``."""

_AHEAD_BYTES = 512 << 20
"""How much may wait to be written; one picture always may."""
_SUFFIX = ".unfinished"


@dataclass(frozen=True)
class SequenceSettings:
    """How pictures are written."""

    write_picture: WritePicture
    depth: Depth | None = None
    """Bits per component; None: 8 for a film of 8 bits, else 16."""
    start_number: int = 1


def write_sequence(
    stream: FrameStream, pattern: Path, settings: SequenceSettings, watch: Watch, *, fresh: bool = False
) -> list[Path]:
    """Write each frame to the file that ``pattern`` (``frame_%05d.png``) names; the first and the last picture.

    Pictures of these names that are there already are replaced, or with ``fresh`` left alone, where no stopped run left them.
    Frames wait for a few threads that encode, by 512 MB at most.
    Raises ``Busy`` when another run is writing these pictures or, with ``fresh``, has written them, ``OutputError`` for a film
    that pictures cannot hold or that is read from them, and what ``write_picture`` raises: what is finished is kept.
    """
    series = _Series(pattern, settings.start_number)
    _refuse_hdr(stream.info, pattern)
    _refuse_own_pictures(stream.info, series)
    _say_what_is_lost(stream.info, pattern, watch)
    depth = _depth(stream.info, settings)
    with translated(pattern):
        pattern.parent.mkdir(parents=True, exist_ok=True)
        with _alone(series):
            if fresh and series.path(0).exists() and not series.state.exists():
                raise Busy(f"There are pictures {pattern.name} already.", "Choose another folder.", path=pattern)
            with _Done(series, asked_for_pictures(stream.info, settings), watch) as done:
                _make(stream, series, done, depth, settings.write_picture, watch)
    if not done.count:
        raise MediaError(f"{pattern.name}: the film has no frames.", "Look at it in a player.", path=stream.info.source)
    if series.path(done.count).exists():
        watch.say(f"{series.path(done.count).name} and what follows it are from an earlier run.")
    return [series.path(0), series.path(done.count - 1)] if done.count > 1 else [series.path(0)]


@contextmanager
def _alone(series: _Series) -> Generator[None]:
    """Nobody else may write these pictures meanwhile. Raises ``Busy`` when somebody does."""
    with alone(series.lock, series.lock.name.removesuffix(_SUFFIX + ".lock")):
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no open file; it does no harm
                series.lock.unlink()


def _make(stream: FrameStream, series: _Series, done: _Done, depth: Depth, write: WritePicture, watch: Watch) -> None:
    """What is missing."""
    even, folder, suffix = _Even(stream.info), series.state.parent, series.path(0).suffix.lower()
    missing = None if stream.info.frame_count is None else max(0, stream.info.frame_count - done.count)
    if missing:
        check_pictures_before(folder, suffix, stream.info.size, depth, missing, watch.say)
    fits = PictureSpace(folder, missing, watch.say)
    with _Writers(write, depth) as writers, closing(_frames(stream, done.count)) as frames:
        try:
            for number, frame in enumerate(frames, done.count):
                _check(frame, stream.info, number)
                even.look(frame)
                for finished in writers.put(series.path(number), frame.pixels):
                    fits(done.add(finished))
                watch.tell(bytes=done.bytes)
                watch.advance(1)
        finally:  # what is being written when a run is stopped need not be written again
            for finished in writers.rest():
                done.add(finished)
    if not even:
        watch.say("The frames do not come at even times, which numbered pictures forget.")


def _check(frame: Frame, info: VideoInfo, number: int) -> None:
    if frame.pixels.shape[:2] != (info.size.height, info.size.width):
        own = Size(frame.pixels.shape[1], frame.pixels.shape[0])
        raise MediaError(f"Frame {number} is {own}, and the film began as {info.size}.", "Cut the film there.")


def begun_sequence(pattern: Path) -> Begun | None:
    """What a run that writes these pictures, or was stopped while it did, has asked for and done."""
    state = _Series(pattern).state
    if not state.is_file():
        return None
    asked, lengths = _read(state)
    return Begun(pattern.parent, asked, len(lengths), pattern.parent)


class _Series:
    """The names of the pictures, and of the state beside them."""

    def __init__(self, pattern: Path, start: int = 1) -> None:
        self._pattern, self._start, self._number = pattern, start, number_in(pattern)

    @property
    def state(self) -> Path:
        return self._pattern.with_name(f"{self._named('#')}{_SUFFIX}")

    @property
    def lock(self) -> Path:
        return self.state.with_name(self.state.name + ".lock")

    def path(self, index: int) -> Path:
        digits = int(self._number[1] or 1)
        return self._pattern.with_name(self._named(f"{self._start + index:0{digits}d}"))

    def _named(self, number: str) -> str:
        name = self._pattern.name
        return name[: self._number.start()] + number + name[self._number.end() :]


def _frames(stream: FrameStream, first: int) -> Generator[Frame]:
    coming = stream.frames(first)
    try:
        yield from coming
    finally:
        close = getattr(coming, "close", None)
        if close:
            close()


def _refuse_hdr(info: VideoInfo, pattern: Path) -> None:
    if info.colour.hdr:
        raise OutputError(
            f"{pattern.name}: the film is HDR ({info.colour.transfer}), and picture files cannot say so.",
            "Write it with Video Out: HEVC or AV1 in 10 bits keep it as it is.",
            path=pattern,
        )


def _refuse_own_pictures(info: VideoInfo, series: _Series) -> None:
    """A later frame would be read from what an earlier one became."""
    folder = series.state.parent.resolve()
    read = {path.name.casefold(): path for path in info.pictures if path.parent.resolve() == folder}
    if not read:
        return
    written = (series.path(index) for index in range(info.frame_count or len(info.pictures)))
    both = next((path for path in written if path.name.casefold() in read), None)
    if both is not None:
        raise OutputError(
            f"{both.name} is one of the pictures that are being read.", "Choose another folder or other names.", path=both
        )


def _say_what_is_lost(info: VideoInfo, pattern: Path, watch: Watch) -> None:
    if info.audio_streams or info.subtitle_streams:
        watch.say("Numbered pictures hold no sound and no subtitles: they are left out.")
    if info.pixel_aspect != 1:
        watch.say(f"The pixels are not square ({info.pixel_aspect}), which picture files do not say.")
    if info.colour.primaries not in ("bt709", "smpte170m", "bt470bg"):
        watch.say(f"The film's primaries are {info.colour.primaries}; {pattern.suffix} files are taken as sRGB.")


class _Even:
    """Whether frames follow each other in even steps, give or take what rounding to milliseconds makes."""

    def __init__(self, info: VideoInfo) -> None:
        self._step, self._slack = 1 / info.frame_rate, info.time_base + Fraction(1, 1000)
        self._last: Fraction | None = None
        self._even = True

    def look(self, frame: Frame) -> None:
        if self._last is not None and abs(frame.seconds - self._last - self._step) > self._slack:
            self._even = False
        self._last = frame.seconds

    def __bool__(self) -> bool:
        return self._even


def asked_for_pictures(info: VideoInfo, settings: SequenceSettings) -> dict[str, Any]:
    """Everything that the pictures depend on, by the name a person knows it by."""
    depth = _depth(info, settings)
    return {SOURCE: info.identity, "size": str(info.size), "depth": depth, "first number": settings.start_number}


def _depth(info: VideoInfo, settings: SequenceSettings) -> Depth:
    return settings.depth or (8 if info.bits <= 8 else 16)


class _Done:
    """What is finished, on the disk; inside, the state says it. It goes when all is done, or when nothing is."""

    def __init__(self, series: _Series, asked: Mapping[str, Any], watch: Watch) -> None:
        self._series, self._asked, self._watch = series, dict(asked), watch
        self.count = self.bytes = 0

    def __enter__(self) -> _Done:
        before, lengths = _read(self._series.state)
        kept = self._kept(before, lengths)
        self.count, self.bytes = len(kept), sum(kept)
        with whole(self._series.state) as part:
            part.write_text("\n".join([json.dumps(self._asked), *map(str, kept)]) + "\n", encoding="utf-8")
        self._watch.tell(resumed=self.count)
        self._watch.advance(self.count)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not error or not self.count:
            self._series.state.unlink()

    def _kept(self, before: Mapping[str, Any], lengths: list[int]) -> list[int]:
        """The lengths of the pictures of an earlier run that can be kept."""
        if not lengths:
            return []
        changed = [name for name in self._asked if before.get(name) != self._asked[name]]
        if changed or not self._asked[SOURCE]:
            what = changed[0] if changed else SOURCE
            self._watch.say(f"Starting anew: the {what} changed. {len(lengths)} finished pictures are made again.")
            return []
        whole = (_has_length(self._series.path(index), length) for index, length in enumerate(lengths))
        kept = [length for length, _ in zip(lengths, takewhile(bool, whole), strict=False)]
        self._watch.say(f"Going on after {len(kept)} finished pictures.")
        return kept

    def add(self, path: Path) -> int:
        """The next picture is finished; its length."""
        length = path.stat().st_size
        with self._series.state.open("a", encoding="utf-8") as file:
            file.write(f"{length}\n")
            file.flush()
            os.fsync(file.fileno())
        self.count += 1
        self.bytes += length
        return length


def _read(state: Path) -> tuple[dict[str, Any], list[int]]:
    """What was asked, and the lengths of the pictures that are finished."""
    try:
        asked, *lengths = state.read_text(encoding="utf-8").split("\n")
        found = json.loads(asked)
    except (OSError, ValueError):
        return {}, []
    if not isinstance(found, dict):
        return {}, []
    # A line that is cut off has no end.
    return cast("dict[str, Any]", found), [int(length) for length in lengths[:-1] if length.isdecimal()]


def _has_length(path: Path, length: int) -> bool:
    return path.is_file() and path.stat().st_size == length


class _Writers:
    """Threads that encode pictures, as many at a time as memory allows; what is finished comes back in order."""

    def __init__(self, write: WritePicture, depth: Depth) -> None:
        self._write = write
        self._depth: Depth = depth
        self._threads = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="write pictures")
        self._waiting: deque[tuple[Future[None], Path, int]] = deque()

    def __enter__(self) -> _Writers:
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def put(self, path: Path, pixels: Samples) -> Iterator[Path]:
        """Take a copy of ``pixels``; the pictures that are finished meanwhile. Raises what went wrong with one of them."""
        while self._waiting and (self._waiting[0][0].done() or self._held() + pixels.nbytes > _AHEAD_BYTES):
            yield self._first()
        copied = pixels.copy()
        self._waiting.append((self._threads.submit(self._write, path, copied, self._depth), path, copied.nbytes))

    def rest(self) -> Iterator[Path]:
        while self._waiting:
            yield self._first()

    def _held(self) -> int:
        return sum(size for _, _, size in self._waiting)

    def _first(self) -> Path:
        future, path, _ = self._waiting.popleft()
        try:
            future.result()
        except BaseException:
            self._waiting.clear()  # what comes behind a gap does not count
            raise
        return path
