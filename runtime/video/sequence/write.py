"""Write a video as an image sequence, and resume an interrupted run.

While images are missing, a file ``NAME.unfinished`` is beside them (``frame_#.png.unfinished`` for ``frame_%05d.png``). Its
first line holds the settings, and every other the length of one finished image and when its frame begins and ends, in order: a
run with the same settings resumes after them. Any other sets them aside, in a folder ``NAME.unfinished.1``, with a message, and
the earlier command takes them up again. A ``.lock`` beside it keeps a second run out.
"""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from glob import escape
from itertools import count, islice, takewhile
from pathlib import Path
from typing import Any, Literal, cast

from ...atomic_write import atomic_write
from ...errors import MediaError, OutputError
from ...file_lock import OutputLocked, exclusive_lock
from ...hardware import count_usable_cores
from ...media import BoundedQueue, Frame, FrameNumber, Samples, Size, VideoInfo, VideoStream
from ...progress import Progress
from ..write.disk_space import SequenceSpaceMonitor, check_sequence_space, translate_write_errors
from ..write.journal import SOURCE_KEY, UnfinishedOutput
from .read import match_number

Depth = Literal[8, 16, 32]
WriteImage = Callable[[Path, Samples, Depth], None]
"""Writes an image file of (H, W, 3) R'G'B' in full range, or (H, W, 4) with alpha, atomically. Raises ``OutputError``."""

_AHEAD_BYTES = 512 << 20
"""Bytes that may wait to be written; one image always may."""
_STATE_SUFFIX = ".unfinished"
_SUFFIXES_WITHOUT_ALPHA = (".jpg", ".jpeg")
_MOST_BEGUN_IMAGES = 256


@dataclass(frozen=True)
class SequenceSettings:
    """How the images are written."""

    write_image: WriteImage
    depth: Depth | None = None
    """Bits per component; None: 8 for a video of 8 bits, else 16."""
    start_number: int = 1


@dataclass(frozen=True)
class WrittenImage:
    """A finished image, and when its frame begins and ends, in seconds."""

    path: Path
    begin: Fraction
    end: Fraction


WriteMissing = Callable[["SequenceJob", Progress], None]
"""Writes the images of a sequence that are missing, and adds each to the job, in order."""


def write_missing_images(job: SequenceJob, progress: Progress) -> None:
    """Write them in this process; a ``WriteMissing``."""
    write_image, find_path = job.settings.write_image, job.sequence.get_path
    write_images(job.stream, job.state.next_frame, None, find_path, write_image, job.depth, job.add_image, progress)


def write_sequence(
    stream: VideoStream,
    pattern: Path,
    settings: SequenceSettings,
    progress: Progress,
    *,
    fail_if_exists: bool = False,
    write_missing: WriteMissing = write_missing_images,
) -> list[Path]:
    """Write each frame to the file that ``pattern`` (``frame_%05d.png``) names; return the first and the last path.

    ``write_missing`` has the images made. Existing images are replaced unless ``fail_if_exists``. At most 512 MB of frames wait
    for the threads that encode. Raises ``OutputLocked`` if another run is writing these images or, with ``fail_if_exists``, has
    written them, ``OutputError`` for HDR and for a video that is read from these images, and whatever ``write_image`` raises;
    finished images are kept.
    """
    sequence = ImageSequence(pattern, settings.start_number)
    stream = stream.find_variant(_read_state(sequence.state_path)[0].get(SOURCE_KEY))
    _refuse_hdr(stream.info, pattern)
    _refuse_own_source(stream.info, sequence)
    _report_losses(stream.info, pattern, progress)
    lock_name = sequence.lock_path.name.removesuffix(_STATE_SUFFIX + ".lock")
    with translate_write_errors(pattern), exclusive_lock(sequence.lock_path, lock_name):
        sequence.remove_abandoned_files()
        if fail_if_exists and sequence.get_path(0).exists() and not sequence.state_path.exists():
            raise OutputLocked(f"There are images {pattern.name} already.", "Choose another folder.", path=pattern)
        with _SequenceState(sequence, get_sequence_job_settings(stream.info, settings), progress) as state:
            job = SequenceJob(stream, sequence, settings, state, progress)
            write_missing(job, progress)
            job.report_timing()
    if not state.count:
        raise MediaError(f"{pattern.name}: the video has no frames.", "Check it in a player.", path=stream.info.source)
    if sequence.get_path(state.count).exists():
        progress.message(f"{sequence.get_path(state.count).name} and the following images are from an earlier run.")
    return [sequence.get_path(0), sequence.get_path(state.count - 1)] if state.count > 1 else [sequence.get_path(0)]


@dataclass
class SequenceJob:
    """A sequence whose missing images are about to be written. Raises ``OutputError`` for a disk on which they do not fit."""

    stream: VideoStream
    sequence: ImageSequence
    settings: SequenceSettings
    state: _SequenceState
    progress: Progress
    _timing_check: _EvenTimingCheck = field(init=False)
    _check_space: SequenceSpaceMonitor = field(init=False)

    def __post_init__(self) -> None:
        info, folder = self.stream.info, self.sequence.state_path.parent
        missing = None if info.frame_count is None else max(0, info.frame_count - self.state.count)
        if missing:
            suffix = self.sequence.get_path(0).suffix.lower()
            check_sequence_space(folder, suffix, info.size, self.depth, missing, self.progress.message)
        self._timing_check = _EvenTimingCheck(info)
        self._check_space = SequenceSpaceMonitor(folder, missing, self.progress.message)

    @property
    def depth(self) -> Depth:
        return _resolve_depth(self.stream.info, self.settings)

    def add_image(self, image: WrittenImage) -> None:
        """Record the next finished image. Raises ``OutputError`` when the disk is nearly full."""
        self._timing_check.add(image.begin)
        self._check_space(self.state.add(image))
        self.progress.update(bytes=self.state.bytes)

    def report_timing(self) -> None:
        if not self._timing_check:
            self.progress.message("The frame times are uneven, which an image sequence cannot store.")


def write_images(
    stream: VideoStream,
    first: int,
    frame_count: int | None,
    find_path: Callable[[int], Path],
    write_image: WriteImage,
    depth: Depth,
    on_image: Callable[[WrittenImage], None],
    progress: Progress,
) -> None:
    """Write frames from ``first`` on to the paths of their numbers; ``on_image`` gets each in order when it is finished."""
    times: deque[tuple[Fraction, Fraction]] = deque()
    with _ImageWriterPool(write_image, depth) as writers, stream.frames(first) as frames:
        try:
            for number, frame in enumerate(islice(frames, frame_count), first):
                _check_frame_size(frame, stream.info, number)
                times.append((frame.seconds, frame.seconds + frame.duration * frame.time_base))
                path = find_path(number)
                pixels = frame.pixels[:, :, :3] if path.suffix.lower() in _SUFFIXES_WITHOUT_ALPHA else frame.pixels
                for written in writers.put(path, pixels):
                    on_image(WrittenImage(written, *times.popleft()))
                progress.advance(1)
        finally:  # images in progress when a run is stopped need not be written again
            for written in writers.drain():
                on_image(WrittenImage(written, *times.popleft()))


def _check_frame_size(frame: Frame, info: VideoInfo, number: int) -> None:
    if frame.pixels.shape[:2] != (info.size.height, info.size.width):
        own = Size(frame.pixels.shape[1], frame.pixels.shape[0])
        raise MediaError(f"Frame {number} is {own}, but the video began as {info.size}.", "Split the video there.")


def find_unfinished_sequence(pattern: Path) -> UnfinishedOutput | None:
    """Return the settings and progress of the run that is writing these images or was interrupted; None without one."""
    state = ImageSequence(pattern).state_path
    if not state.is_file():
        return None
    job_settings, lengths = _read_state(state)
    return UnfinishedOutput(pattern.parent, job_settings, len(lengths), pattern.parent)


class ImageSequence:
    """The paths of the images, and of the state beside them."""

    def __init__(self, pattern: Path, start: int = 1) -> None:
        self._pattern, self._start, self._number_match = pattern, start, match_number(pattern)

    @property
    def state_path(self) -> Path:
        return self._pattern.with_name(f"{self._format_name('#')}{_STATE_SUFFIX}")

    @property
    def lock_path(self) -> Path:
        return self.state_path.with_name(self.state_path.name + ".lock")

    def get_path(self, index: int) -> Path:
        digits = int(self._number_match[1] or 1)
        return self._pattern.with_name(self._format_name(f"{self._start + index:0{digits}d}"))

    def remove_abandoned_files(self) -> None:
        """Remove the temporary files of killed runs; no other run writes this sequence while its lock is held.

        Those of images are ours where a state of ours is, which is written before them, and if the run was about to write them.
        """
        old_settings, lengths = _read_state(self.state_path)
        numbers = range(len(lengths), len(lengths) + _MOST_BEGUN_IMAGES) if old_settings else ()
        written = "|".join(re.escape(path.name) for path in (self.state_path, *map(self.get_path, numbers)))
        abandoned = re.compile(rf"({written})\.\d{{10}}\.part")
        for path in self._pattern.parent.iterdir():
            if abandoned.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def set_aside(self, image_count: int) -> Path:
        """Move the first images and the state into a new folder, and return that."""
        paths = (self.state_path.with_name(f"{self.state_path.name}.{number}") for number in count(1))
        folder = next(path for path in paths if not path.exists())
        folder.mkdir()
        for index in range(image_count):
            with suppress(FileNotFoundError):
                self.get_path(index).rename(folder / self.get_path(index).name)
        return self.state_path.rename(folder / self.state_path.name).parent

    def take_up(self, job_settings: Mapping[str, Any]) -> Path | None:
        """Bring back the images that were set aside with exactly these settings; return the folder that they were in."""
        for folder in sorted(self.state_path.parent.glob(f"{escape(self.state_path.name)}.*")):
            found_settings, lengths = _read_state(folder / self.state_path.name)
            if found_settings == job_settings:
                for index in range(len(lengths)):
                    with suppress(FileNotFoundError):
                        (folder / self.get_path(index).name).replace(self.get_path(index))
                (folder / self.state_path.name).replace(self.state_path)
                with suppress(OSError):  # another program has put something there
                    folder.rmdir()
                return folder
        return None

    def _format_name(self, number: str) -> str:
        name = self._pattern.name
        return name[: self._number_match.start()] + number + name[self._number_match.end() :]


def _refuse_hdr(info: VideoInfo, pattern: Path) -> None:
    if info.color.is_hdr:
        raise OutputError(
            f"{pattern.name}: the video is HDR ({info.color.transfer}), which image files cannot store.",
            "Write it with Video Out: HEVC or AV1 in 10 bits keep it.",
            path=pattern,
        )


def _refuse_own_source(info: VideoInfo, sequence: ImageSequence) -> None:
    """Raise ``OutputError`` if a frame would overwrite an image that is still to be read."""
    folder = sequence.state_path.parent.resolve()
    read = {path.name.casefold(): path for path in info.sequence_files if path.parent.resolve() == folder}
    if not read:
        return
    written = (sequence.get_path(index) for index in range(info.frame_count or len(info.sequence_files)))
    overlap = next((path for path in written if path.name.casefold() in read), None)
    if overlap is not None:
        raise OutputError(f"{overlap.name} is one of the source images.", "Choose another folder or other names.", path=overlap)


def _report_losses(info: VideoInfo, pattern: Path, progress: Progress) -> None:
    if info.audio_streams or info.subtitle_streams:
        progress.message("An image sequence has no audio and no subtitles: they are left out.")
    if info.has_alpha and pattern.suffix.lower() in _SUFFIXES_WITHOUT_ALPHA:
        progress.message(f"The video has an alpha channel, which {pattern.suffix} cannot hold: it is left out. png keeps it.")
    if info.pixel_aspect != 1:
        progress.message(f"The pixels are not square ({info.pixel_aspect}), which image files do not store.")
    if info.color.primaries not in ("bt709", "smpte170m", "bt470bg"):
        progress.message(f"The video's primaries are {info.color.primaries}; {pattern.suffix} files are assumed to be sRGB.")


class _EvenTimingCheck:
    """True if frames follow each other in even steps, within the error of rounding to milliseconds."""

    def __init__(self, info: VideoInfo) -> None:
        self._step, self._tolerance = 1 / info.frame_rate, info.time_base + Fraction(1, 1000)
        self._last_seconds: Fraction | None = None
        self._is_even = True

    def add(self, seconds: Fraction) -> None:
        if self._last_seconds is not None and abs(seconds - self._last_seconds - self._step) > self._tolerance:
            self._is_even = False
        self._last_seconds = seconds

    def __bool__(self) -> bool:
        return self._is_even


def get_sequence_job_settings(info: VideoInfo, settings: SequenceSettings) -> dict[str, Any]:
    """Return everything that the images depend on, by the names used in messages."""
    depth = _resolve_depth(info, settings)
    return {SOURCE_KEY: info.identity, "size": str(info.size), "depth": depth, "first number": settings.start_number}


def _resolve_depth(info: VideoInfo, settings: SequenceSettings) -> Depth:
    return settings.depth or (8 if info.bit_depth <= 8 else 16)


class _SequenceState:
    """The state file of the finished images. It is removed when all are finished, or none and nothing was interrupted."""

    def __init__(self, sequence: ImageSequence, job_settings: Mapping[str, Any], progress: Progress) -> None:
        self._sequence, self._job_settings, self._progress = sequence, dict(job_settings), progress
        self.count = self.bytes = 0
        self.next_frame = 0
        """The number of the next frame, with its time where that is known."""

    def __enter__(self) -> _SequenceState:
        self._set_aside_other_run()
        lengths = _read_state(self._sequence.state_path)[1]
        kept = self._select_reusable(lengths)
        self.count, self.bytes = len(kept), sum(kept)
        lines = _read_lines(self._sequence.state_path)[1 : 1 + self.count]
        self.next_frame = _parse_next_frame(self.count, lines[-1]) if kept else 0
        with atomic_write(self._sequence.state_path) as temp:
            temp.write_text("\n".join([json.dumps(self._job_settings), *lines]) + "\n", encoding="utf-8")
        self._progress.update(resumed=self.count)
        self._progress.advance(self.count)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # After Ctrl-C threads may still be writing: by the state the next run knows that the temporary files are ours.
        if not error or (not self.count and isinstance(error, Exception)):
            self._sequence.state_path.unlink()

    def _set_aside_other_run(self) -> None:
        """Make way for a run that cannot continue what is there; take up what was set aside if this run can continue that."""
        if self._sequence.state_path.exists():
            old_settings, lengths = _read_state(self._sequence.state_path)
            changed = [name for name in self._job_settings if old_settings.get(name) != self._job_settings[name]]
            if not changed:
                return
            if lengths or not old_settings:  # no settings: not a file of ours
                aside = self._sequence.set_aside(len(lengths)).name
                what = f"{len(lengths)} finished images are" if old_settings else f"{self._sequence.state_path.name} is"
                self._progress.message(
                    f"Starting anew: the {changed[0]} changed. {what} kept in {aside}: the earlier command continues them."
                )
        if self._job_settings[SOURCE_KEY] and (taken := self._sequence.take_up(self._job_settings)):
            self._progress.message(f"Taking up what was set aside as {taken.name}.")

    def _select_reusable(self, lengths: list[int]) -> list[int]:
        """Return the lengths of the images of an earlier run that can be kept."""
        if not lengths:
            return []
        if not self._job_settings[SOURCE_KEY]:
            self._progress.message(f"The source is not known again: {len(lengths)} finished images are made again.")
            return []
        intact = (_has_length(self._sequence.get_path(index), length) for index, length in enumerate(lengths))
        kept = [length for length, _ in zip(lengths, takewhile(bool, intact), strict=False)]
        self._progress.message(f"Resuming after {len(kept)} finished images.")
        return kept

    def add(self, image: WrittenImage) -> int:
        """Record the next finished image; return its length."""
        length = image.path.stat().st_size
        with self._sequence.state_path.open("a", encoding="utf-8") as file:
            file.write(f"{length} {image.begin} {image.end}\n")
            file.flush()
            os.fsync(file.fileno())
        self.count += 1
        self.bytes += length
        self.next_frame = FrameNumber.at(self.count, image.begin, image.end)
        return length


def _read_state(state: Path) -> tuple[dict[str, Any], list[int]]:
    """Return the settings and the lengths of the finished images."""
    try:
        settings_line, *lines = _read_lines(state)
        job_settings = json.loads(settings_line)
        lengths = [int(length) for length in takewhile(str.isdecimal, (line.partition(" ")[0] for line in lines))]
    except (ValueError, RecursionError):
        return {}, []
    return (cast("dict[str, Any]", job_settings), lengths) if isinstance(job_settings, dict) else ({}, [])


def _read_lines(state: Path) -> list[str]:
    """Return the lines: the settings, then length, begin and end of each image; no times in those of earlier versions."""
    try:
        return state.read_text(encoding="utf-8").split("\n")[:-1]  # an incomplete line does not end with a newline
    except (OSError, ValueError):
        return []


def _parse_next_frame(count: int, line: str) -> int:
    with suppress(ValueError, ZeroDivisionError):
        begin, end = map(Fraction, line.split(" ")[1:])
        return FrameNumber.at(count, begin, end)
    return count


def _has_length(path: Path, length: int) -> bool:
    return path.is_file() and path.stat().st_size == length


class _ImageWriterPool:
    """Threads that encode images, as many at a time as memory allows; finished images are yielded in order."""

    def __init__(self, write: WriteImage, depth: Depth) -> None:
        self._write = write
        self._depth: Depth = depth
        self._threads = ThreadPoolExecutor(min(8, count_usable_cores()), thread_name_prefix="write images")
        self._pending: BoundedQueue[tuple[Future[None], Path]] = BoundedQueue(_AHEAD_BYTES)

    def __enter__(self) -> _ImageWriterPool:
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def put(self, path: Path, pixels: Samples) -> Iterator[Path]:
        """Copy ``pixels`` for a thread to write, and yield the images finished meanwhile. Raises what writing one raised."""
        nbytes = pixels.nbytes
        self._pending.wait_for_space(nbytes)
        while (first := self._pending.peek()) and first[0].done():
            yield self._pop_first()
        future = self._threads.submit(self._write, path, pixels.copy(), self._depth)
        self._pending.put((future, path), nbytes)
        future.add_done_callback(lambda _: self._pending.release(nbytes))

    def drain(self) -> Iterator[Path]:
        """Wait for all images and yield them."""
        self._pending.finish()
        while self._pending.peek():
            yield self._pop_first()

    def _pop_first(self) -> Path:
        first = self._pending.take()
        assert first
        try:
            first[0].result()
        except BaseException:
            self._pending.close()  # images after a gap do not count
            raise
        return first[1]
