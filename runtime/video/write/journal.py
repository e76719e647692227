"""The journal of finished segments on disk, with which a killed run resumes.

While ``NAME.mp4`` is being written, a folder ``NAME.mp4.parts`` beside it contains::

    journal.jsonl      one line for the settings, one for each finished segment, one when no frame is left
    000000.mp4 ...     finished segments
    lock               held by the running process; the system releases it when that process dies
    order.json, order.work     while several workers make the segments (see ``distributed``)

A line is written after the segment it describes has reached the disk (fsync), and is synced itself before anything else
happens. The journal is used up to the first line that is incomplete. Lines have any order; a segment whose bytes are not those
of its line is a gap, and is made again alone.

Finished segments of a run with other settings are never deleted: their folder is set aside as ``NAME.mp4.parts.1``, and taken
up again by a run with exactly its settings. A folder that no run of ours made is left alone, and so are files in ours.

``write_or_resume`` chooses the numbered output of a video: the one where the same run was interrupted, else a new one. The
default name is the same for every video, so an unfinished output of that name is mostly another video's. Only a run with
exactly the same settings resumes it. An unfinished output without any finished part may be replaced.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, cast

from ...atomic_write import NUMBERED_NAME, atomic_write
from ...checksum import compute_sha256
from ...errors import OutputError
from ...file_lock import OutputLocked, exclusive_lock
from ...media import VideoStream
from ...progress import OnMessage

JOURNAL_NAME = "journal.jsonl"
_FORMAT_VERSIONS = (1, 2)
"""Without and with gaps. Earlier releases read the first, and use it up to the first segment that is missing or damaged."""
_FORMAT_KEY, _SETTINGS_KEY, _COMPLETE_KEY, _SOURCE_FILE_KEY = "format", "asked", "complete", "source file"
_LOCK_NAME = "lock"
ORDER_NAME, WORK_NAME = "order.json", "order.work"
_ORDER_START = b'{"format":'
_SEGMENT_NAME = re.compile(r"\d{6,}\.mp4")


@dataclass(frozen=True)
class Segment:
    """A finished segment. The fields are the keys of its line in the journal."""

    file: str
    first: int
    """Number of its first frame in the video."""
    pts: tuple[int, ...]
    """The time of every frame in display order, in the video's time base."""
    duration: int
    """Duration of the last frame; 0 when unknown."""
    reorder: int
    """The largest number of frames that are decoded before the one displayed first."""
    bytes: int
    sha256: str

    @property
    def frame_count(self) -> int:
        return len(self.pts)


@dataclass(frozen=True)
class JournalState:
    """The content of a journal."""

    job_settings: Mapping[str, Any]
    segments: tuple[Segment, ...] = ()
    """In the order of the video; some may be missing between them."""
    total: int | None = None
    """How many frames the video has, once a run has seen the last one."""
    source_file: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The snapshot of the source file when the run began; empty without a file, and in journals of earlier versions."""

    @property
    def frame_count(self) -> int:
        return sum(segment.frame_count for segment in self.segments)

    def list_gaps(self) -> list[Gap]:
        """Return what is missing, in the order of the video; the last one is open-ended while the total is unknown."""
        gaps: list[Gap] = []
        number = first = 0
        before: Segment | None = None
        for segment in self.segments:
            if segment.first > first:
                gaps.append(Gap(number, first, segment.first - first, before))
            number, first, before = int(Path(segment.file).stem) + 1, segment.first + segment.frame_count, segment
        if self.total is None or first < self.total:
            gaps.append(Gap(number, first, None if self.total is None else self.total - first, before))
        return gaps


@dataclass(frozen=True)
class Gap:
    """Segments that are missing, one after another."""

    number: int
    """Of its first segment."""
    first_frame: int
    frame_count: int | None
    """None up to the end of the video."""
    before: Segment | None
    """The finished segment before it."""


class SegmentFolder:
    """The folder of an unfinished video."""

    def __init__(self, target: Path) -> None:
        self.folder = target.with_name(target.name + ".parts")
        self._journal_path = self.folder / JOURNAL_NAME
        written = "|".join([*map(re.escape, (JOURNAL_NAME, ORDER_NAME, target.name)), _SEGMENT_NAME.pattern])
        self._temp_name = re.compile(rf"({written})\.\d{{10}}\.part")

    @contextmanager
    def lock(self) -> Generator[None]:
        """Keep other runs out of the same video. At the end, remove a folder without finished segments.

        Raises ``OutputLocked`` when another run holds the lock, ``OutputError`` for a folder of this name that is not ours.
        """
        self._check_ours()
        is_held = False
        try:
            with exclusive_lock(self.folder / _LOCK_NAME, self.folder.name.removesuffix(".parts")):
                is_held = True
                try:
                    yield
                finally:
                    if not self.count_finished_segments():
                        self.remove_contents()
        finally:
            with suppress(OSError):  # what is left in the folder keeps it: finished segments, or the lock of the next run
                if is_held and sys.platform == "win32" and not self._journal_path.exists():  # it keeps a lock that is held
                    (self.folder / _LOCK_NAME).unlink()
                if is_held:
                    self.folder.rmdir()

    def read_job_settings(self) -> Mapping[str, Any]:
        """Return the settings of the run that is writing here or was interrupted; empty without a journal of this format."""
        return _read_job_settings(self._journal_path)

    def count_finished_segments(self) -> int:
        """Return the number of segments that have their final name, and so are complete."""
        return sum(1 for path in _list_files(self.folder) if _SEGMENT_NAME.fullmatch(path.name))

    def set_aside(self) -> Path:
        """Move everything into the next free ``NAME.parts.1``, and return that. The lock is held, and stays."""
        aside = next(path for number in count(1) if not (path := self._get_aside_path(number)).exists())
        aside.mkdir()
        _move_contents(self.folder, aside)
        return aside

    def take_up(self, job_settings: Mapping[str, Any]) -> Path | None:
        """Bring back what was set aside with exactly these settings, if nothing is here but the lock, which is held.

        Return the folder that it was in.
        """
        if self._journal_path.exists():
            return None
        pattern = re.compile(re.escape(self.folder.name) + r"\.\d+")
        for folder in sorted(path for path in _list_files(self.folder.parent) if pattern.fullmatch(path.name)):
            if _read_job_settings(folder / JOURNAL_NAME) == job_settings:
                _move_contents(folder, self.folder)
                with suppress(OSError):  # another program has put something there
                    folder.rmdir()
                return folder
        return None

    def _get_aside_path(self, number: int) -> Path:
        return self.folder.with_name(f"{self.folder.name}.{number}")

    def _check_ours(self) -> None:
        names = {path.name for path in _list_files(self.folder)}
        if names and not names & {JOURNAL_NAME, _LOCK_NAME}:
            raise OutputError(
                f"There is a folder {self.folder.name} that is not of this program; unfinished parts would be put into it.",
                "Rename it, or choose another name for the result.",
                path=self.folder,
            )

    def read_state(self, *, verify: bool = True) -> JournalState | None:
        """Return the usable part of the journal, each segment verified by its hash if ``verify``; None without a journal."""
        lines = list(_read_lines(self._journal_path))
        if not lines or lines[0].get(_FORMAT_KEY) not in _FORMAT_VERSIONS or not isinstance(lines[0].get(_SETTINGS_KEY), dict):
            return None
        total = next((line[_COMPLETE_KEY] for line in lines[1:] if isinstance(line.get(_COMPLETE_KEY), int)), None)
        found = (segment for line in lines[1:] if (segment := _parse_segment(line)))
        segments: list[Segment] = []
        for segment in sorted(found, key=lambda segment: segment.first):
            end = segments[-1].first + segments[-1].frame_count if segments else 0
            if segment.first >= end and (not verify or self.is_intact(segment)):
                segments.append(segment)
        source_file: object = lines[0].get(_SOURCE_FILE_KEY)
        snapshot = cast("dict[str, Any]", source_file) if isinstance(source_file, dict) else {}
        return JournalState(lines[0][_SETTINGS_KEY], tuple(segments), total, snapshot)

    def write_state(self, state: JournalState) -> None:
        """Replace the journal by this state, and remove every segment that it does not list."""
        version = _FORMAT_VERSIONS[any(gap.frame_count for gap in state.list_gaps())]
        header = {_FORMAT_KEY: version, _SETTINGS_KEY: state.job_settings, _SOURCE_FILE_KEY: state.source_file}
        lines = [header, *(asdict(segment) for segment in state.segments)]
        lines += [] if state.total is None else [{_COMPLETE_KEY: state.total}]
        with atomic_write(self._journal_path) as temp:
            temp.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        kept = {segment.file for segment in state.segments}
        for path in _list_files(self.folder):
            if path.name not in kept and (_SEGMENT_NAME.fullmatch(path.name) or self._temp_name.fullmatch(path.name)):
                path.unlink()

    def begin_journal(self) -> None:
        """Write the first line of a journal without settings into an empty folder. Raises ``OSError`` without that folder."""
        self._append_line({_FORMAT_KEY: _FORMAT_VERSIONS[-1], _SETTINGS_KEY: {}})

    def append_segment(self, segment: Segment) -> None:
        self._append_line(asdict(segment))

    def mark_complete(self, frame_count: int) -> None:
        self._append_line({_COMPLETE_KEY: frame_count})

    def get_segment_path(self, segment: Segment) -> Path:
        return self.folder / segment.file

    def remove_contents(self) -> None:
        """Remove what runs of ours wrote but for the lock: a next run that took it would find, and lose, the rest."""
        self.remove_order()
        with suppress(OSError):
            for path in _list_files(self.folder):
                if path.name == JOURNAL_NAME or _SEGMENT_NAME.fullmatch(path.name) or self._temp_name.fullmatch(path.name):
                    path.unlink()

    def get_order_path(self) -> Path:
        return self.folder / ORDER_NAME

    def get_work_path(self) -> Path:
        return self.folder / WORK_NAME

    def remove_order(self) -> None:
        """Remove the order to workers, and what they have not handed in; they end by it."""
        with suppress(OSError):
            if self.get_order_path().read_bytes().startswith(_ORDER_START):
                self.get_order_path().unlink()
        with suppress(OSError):  # at once, so that no worker begins anything in what is being removed
            self.get_work_path().rename(self.folder / f"{WORK_NAME}.{secrets.token_hex(4)}")
        for path in _list_files(self.folder):
            if re.fullmatch(rf"{re.escape(WORK_NAME)}\.[0-9a-f]{{8}}", path.name):
                shutil.rmtree(path, ignore_errors=True)

    def _append_line(self, line: Mapping[str, Any]) -> None:
        with self._journal_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def is_intact(self, segment: Segment) -> bool:
        path = self.folder / segment.file
        return path.is_file() and path.stat().st_size == segment.bytes and compute_sha256(path) == segment.sha256


def _move_contents(source: Path, target: Path) -> None:
    """Move all but the lock, the journal last: where a run is killed in between, it is with what its next run looks for."""
    for path in sorted(_list_files(source), key=lambda path: path.name == JOURNAL_NAME):
        if path.name != _LOCK_NAME:
            path.replace(target / path.name)


def _list_files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):  # also removed meanwhile, by the run that has finished
        return []


def _read_job_settings(journal: Path) -> Mapping[str, Any]:
    nothing: dict[str, Any] = {}
    header = next(_read_lines(journal), nothing)
    job_settings = header.get(_SETTINGS_KEY) if header.get(_FORMAT_KEY) in _FORMAT_VERSIONS else None
    return cast("Mapping[str, Any]", job_settings) if isinstance(job_settings, dict) else {}


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):  # also removed meanwhile, by the run that has finished
        return
    for raw in content.split(b"\n"):
        try:
            line: object = json.loads(raw)
        except (ValueError, RecursionError):
            return
        if not isinstance(line, dict):
            return
        yield cast("dict[str, Any]", line)


def _parse_segment(line: Mapping[str, Any]) -> Segment | None:
    """Return the segment of a journal line; None for another line, or one that names a file outside the folder."""
    with suppress(KeyError, TypeError, ValueError):
        fields: dict[str, Any] = {**line, "pts": tuple(int(pts) for pts in line["pts"])}
        segment = Segment(**fields)
        if segment.pts and isinstance(line["first"], int) and segment.first >= 0 and _SEGMENT_NAME.fullmatch(segment.file):
            return segment
    return None


ResultT = TypeVar("ResultT")
SOURCE_KEY = "source or model"
"""The key of the video's identity in job settings."""


@dataclass(frozen=True)
class UnfinishedOutput:
    """An output that another run has begun and not finished; it may still be running."""

    path: Path
    job_settings: Mapping[str, Any]
    finished_count: int
    """Number of complete segments or images."""
    leftover_folder: Path
    """The folder to delete to give it up."""


@dataclass(frozen=True)
class OutputSlot:
    """A numbered output path, and how to find what was begun at other numbers."""

    path: Path
    find_unfinished: Callable[[Path], UnfinishedOutput | None]
    unfinished_suffix: str = ""
    """Follows the name while the output is unfinished: ``.parts``."""

    def iterate_unfinished_below(self) -> Iterator[UnfinishedOutput]:
        """Yield what was begun at lower numbers, the highest first."""
        match = NUMBERED_NAME.fullmatch(self.path.name)
        if match is None or not self.path.parent.is_dir():
            return
        name_pattern = re.compile(f"{re.escape(match[1])}_(\\d+){re.escape(match[3] + self.unfinished_suffix)}")
        numbers = (
            (int(found[1]), each.name) for each in self.path.parent.iterdir() if (found := name_pattern.fullmatch(each.name))
        )
        for number, name in sorted(numbers, reverse=True):
            path = self.path.with_name(name.removesuffix(self.unfinished_suffix))
            if number < int(match[2]) and (unfinished := self.find_unfinished(path)):
                yield unfinished


class ResumeRequest:
    """The settings of a run: the stream's identity is known at once, the rest when ``get_job_settings`` is called."""

    def __init__(self, stream: VideoStream, get_job_settings: Callable[[], Mapping[str, Any]], on_message: OnMessage) -> None:
        self._identities = {stream.info.identity, *stream.variants} - {""}
        self._get_job_settings, self._on_message = get_job_settings, on_message

    def find_own(self, unfinished: Sequence[UnfinishedOutput], new_path: Path) -> UnfinishedOutput | None:
        """Return the output that a run with the same settings began; report why another of the same source differs."""
        same_source = [each for each in unfinished if each.job_settings.get(SOURCE_KEY) in self._identities]
        if not same_source:
            return None
        job_settings = self._get_job_settings()

        def list_changes(output: UnfinishedOutput) -> list[str]:
            names = (name for name in job_settings if name != SOURCE_KEY)
            return [name for name in names if output.job_settings.get(name) != job_settings[name]]

        exact = next((each for each in same_source if not list_changes(each)), None)
        last = next((each for each in same_source if each.finished_count), None)
        if exact is None and last is not None:
            changed = list_changes(last)[0]
            self._on_message(
                f"Starting anew as {new_path.name}: the {changed} changed since {last.path.name} was begun. "
                f"Delete {last.leftover_folder.name} unless that run is to be continued."
            )
        return exact


def write_or_resume(
    find_slot: Callable[[], OutputSlot], request: ResumeRequest, write: Callable[[Path], ResultT]
) -> tuple[Path, ResultT]:
    """Call ``write`` with the path where the same run was interrupted, else with a new one of ``find_slot``.

    Return the path and the result. If another run takes a path first, the next one is tried. Raises ``OutputLocked`` if another
    run is writing the same output there, and whatever ``write`` raises.
    """
    taken: set[Path] = set()
    while True:
        new_slot = find_slot()
        unfinished = list(new_slot.iterate_unfinished_below())
        free = [each.path for each in unfinished if not each.finished_count and each.path not in taken]
        fallback = (free or [new_slot.path])[0]
        own = request.find_own(unfinished, fallback)
        path = own.path if own else fallback
        try:
            return path, write(path)
        except OutputLocked:
            if own or path in taken:
                raise
            taken.add(path)
