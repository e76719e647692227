"""The driver's side of the tries: commits segments, compares second results, and gives items of lost workers to others."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ..errors import NodeError
from ..progress import OnMessage
from ..video import Segment, SegmentFolder
from .order import Item
from .tries import Beat, TryName, WorkFolder


@dataclass
class _OpenTry:
    """What the driver knows of a try that has not ended."""

    beat: Beat
    changed_at: float
    """When its beat changed, on this process's clock."""
    handed_in: set[str] = field(default_factory=set[str])
    frames: int = 0
    """In the segments handed in."""


class Collector:
    """Takes in what the workers make. ``check`` is called before a segment is committed, ``on_segment`` after it."""

    def __init__(
        self,
        work: WorkFolder,
        target: SegmentFolder,
        items: Sequence[Item],
        timeout: float,
        check: Callable[[Segment], None],
        on_segment: Callable[[Segment], None],
        on_message: OnMessage,
    ) -> None:
        self._work, self._target, self._items, self._timeout = work, target, items, timeout
        self._check, self._on_segment, self._on_message = check, on_segment, on_message
        self._left = set(range(len(items)))
        self._open: dict[TryName, _OpenTry] = {}
        self._ended: set[TryName] = set()
        self._failed: set[TryName] = set()
        self._committed: dict[str, tuple[str, str]] = {}
        self.frames_by_worker: Counter[str] = Counter()
        """Committed frames."""

    @property
    def is_done(self) -> bool:
        return not self._left

    def count_frames(self) -> Counter[str]:
        """Return the frames that are made, by worker, those of unfinished segments included."""
        made = self.frames_by_worker.copy()
        for name, each in self._open.items():
            if name.item in self._left and name not in self._failed:
                made[each.beat.worker] += max(0, each.beat.frames - each.frames)
        return made

    def poll(self) -> None:
        """Take in what is new. Raises ``NodeError`` for an item that failed three times, and what ``check`` raises."""
        begun, failed = self._work.list_tries()
        for name in sorted(set(begun) - self._ended, key=lambda each: (each.item, each.number)):
            self._read_try(name)
        for name in set(failed) - self._failed:
            self._failed.add(name)
            if name.item not in self._left:
                continue
            reason = self._work.read_failure(name)
            if name.is_last:
                raise NodeError(f"{self._describe(name.item)} failed {name.number} times: {reason}", "Run it again to go on.")
            self._on_message(f"{self._describe(name.item)} failed and will be made again: {reason}")

    def release(self, lost_workers: Iterable[str]) -> None:
        """Give what these workers had in work to others."""
        lost = set(lost_workers)
        for name, each in self._open.items():
            if each.beat.worker in lost and name not in self._failed:
                self._work.fail_try(name, f"{each.beat.worker} ended.")

    def _describe(self, item: int) -> str:
        first, count = self._items[item].first, self._items[item].count
        return f"The work from frame {first} on" if count is None else f"The work on frames {first} to {first + count - 1}"

    def _read_try(self, name: TryName) -> None:
        segment_folder, now = self._work.open_try(name), time.monotonic()
        state = segment_folder.read_state(verify=False)  # before the beat, so that its last messages are there
        beat = self._work.read_beat(name)
        known = self._open.setdefault(name, _OpenTry(beat or Beat("a worker"), now))
        if beat and beat != known.beat:
            known.beat, known.changed_at = beat, now
        is_whole = all([self._hand_in(known, segment_folder, segment) for segment in state.segments] if state else [])
        for text in known.beat.messages:
            self._on_message(text)
        if state and state.total is not None and is_whole:
            self._left.discard(name.item)
            self._end_try(name, segment_folder)
        elif now - known.changed_at > self._timeout and name not in self._failed and name.item in self._left:
            self._work.fail_try(name, f"{known.beat.worker} gave no sign of life for {self._timeout:g} seconds.")

    def _end_try(self, name: TryName, segment_folder: SegmentFolder) -> None:
        """Empty its folder, which stays: workers know by it that the item is taken."""
        self._ended.add(name)
        del self._open[name]
        for path in segment_folder.folder.iterdir():
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _hand_in(self, known: _OpenTry, segment_folder: SegmentFolder, segment: Segment) -> bool:
        """Commit a segment, or compare it; return False while a slow folder does not show all of it."""
        if segment.file in known.handed_in:
            return True
        path = segment_folder.get_segment_path(segment)
        committed = self._committed.get(segment.file)
        if committed is None:
            if not segment_folder.is_intact(segment):
                return False
            self._check(segment)
            path.replace(self._target.get_segment_path(segment))
            self._target.append_segment(segment)
            self._committed[segment.file] = (segment.sha256, known.beat.worker)
            self.frames_by_worker[known.beat.worker] += segment.frame_count
            self._on_segment(segment)
        else:
            path.unlink(missing_ok=True)
            sha256, worker = committed
            if sha256 != segment.sha256:
                self._on_message(
                    f"{known.beat.worker} made other bytes of segment {segment.file} than {worker}, whose are kept: "
                    "the machines compute differently."
                )
        known.handed_in.add(segment.file)
        known.frames += segment.frame_count
        return True
