"""The driver's side of the tries: takes in results, and gives items of lost workers to others."""

import shutil
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..errors import NodeError
from ..progress import OnMessage, Progress
from ..video import SegmentFolder
from .order import Order
from .tries import MAX_TRIES, Beat, TryName, WorkFolder

_POLL_SECONDS = 0.2
_MAX_SHOWN_WORKERS = 8


class WorkerPool(Protocol):
    """Workers that were started."""

    def find_lost(self) -> Iterable[str]:
        """Return the workers that ended since the last call. Raises ``Upscale8KError`` when none is left and none can start."""
        ...


class OpenPool(Protocol):
    """Starts the workers of an order, which is written already; leaving the context ends them."""

    def __call__(self, order_path: Path, on_message: OnMessage) -> AbstractContextManager[WorkerPool]: ...


MakeItem = Callable[[Callable[[], None]], bool]
"""Makes an item, if one is left to begin, and returns whether; calls its argument often meanwhile."""


@dataclass
class OpenTry:
    """What the driver knows of a try that has not ended."""

    beat: Beat
    changed_at: float
    """When its beat changed, on this process's clock."""
    handed_in: set[str] = field(default_factory=set[str])
    """Segments of a video."""
    steps: int = 0
    """In what is handed in: frames, rows or files."""


class Collector(ABC):
    """Takes in what the workers make of ``item_count`` items. A subclass says what a result is."""

    def __init__(self, work: WorkFolder, item_count: int, timeout: float, on_message: OnMessage) -> None:
        self.work, self._timeout, self.on_message = work, timeout, on_message
        self._left = set(range(item_count))
        self._open: dict[TryName, OpenTry] = {}
        self._ended: set[TryName] = set()
        self._failed: set[TryName] = set()
        self.steps_by_worker: Counter[str] = Counter()
        """Of finished parts."""

    @property
    def is_done(self) -> bool:
        return not self._left

    def is_left(self, item: int) -> bool:
        return item in self._left

    @abstractmethod
    def take_result(self, name: TryName, known: OpenTry) -> bool:
        """Take in what a try hands in; return whether that is all of its item."""

    @abstractmethod
    def describe(self, item: int) -> str:
        """Return the item as the subject of a sentence."""

    def give_up(self, item: int, reason: str) -> None:
        """Called for an item that failed three times. Raises ``NodeError`` unless the others are worth something without it."""
        raise NodeError(f"{self.describe(item)} failed {MAX_TRIES} times: {reason}", "Run it again to go on.")

    def count_steps(self) -> Counter[str]:
        """Return the steps that are made, by worker, those of unfinished parts included."""
        made = self.steps_by_worker.copy()
        for name, each in self._open.items():
            if name.item in self._left and name not in self._failed:
                made[each.beat.worker] += max(0, each.beat.frames - each.steps)
        return made

    def poll(self) -> None:
        """Take in what is new. Raises what ``give_up`` and ``take_result`` raise."""
        begun, failed = self.work.list_tries()
        for name in sorted(set(begun) - self._ended, key=lambda each: (each.item, each.number)):
            self._read_try(name)
        for name in set(failed) - self._failed:
            self._report_failure(name, self.work.read_failure(name))

    def release(self, lost_workers: Iterable[str]) -> None:
        """Give what these workers had in work to others."""
        lost = set(lost_workers)
        for name, each in self._open.items():
            if each.beat.worker in lost and name not in self._failed:
                self._fail(name, f"{each.beat.worker} ended.")

    def watch(self, pool: WorkerPool, progress: Progress, make_item: MakeItem | None = None) -> None:
        """Take in results until everything is made; meanwhile make items in this process by ``make_item``."""
        shown, next_poll = 0, 0.0

        def poll() -> None:
            nonlocal shown, next_poll
            if time.monotonic() < next_poll:
                return
            self.release(pool.find_lost())
            self.poll()
            made = self.count_steps()
            progress.update(**_name_numbers(made))
            advance, shown = max(0, made.total() - shown), max(made.total(), shown)
            progress.advance(advance)
            next_poll = time.monotonic() + _POLL_SECONDS

        while not self.is_done:
            poll()
            if make_item is None or not make_item(poll):
                time.sleep(_POLL_SECONDS)

    def _read_try(self, name: TryName) -> None:
        now = time.monotonic()
        if name not in self._open:
            self._open[name] = OpenTry(self.work.read_beat(name) or Beat("a worker"), now)
        known = self._open[name]
        is_whole = self.take_result(name, known)
        beat = self.work.read_beat(name)  # after the result, so that its last messages are there
        if beat and beat != known.beat:
            known.beat, known.changed_at = beat, now
        for text in known.beat.messages:
            self.on_message(text)
        if is_whole:
            self._left.discard(name.item)
            self._end_try(name)
        elif now - known.changed_at > self._timeout and name not in self._failed and name.item in self._left:
            self._fail(name, f"{known.beat.worker} gave no sign of life for {self._timeout:g} seconds.")

    def _fail(self, name: TryName, reason: str) -> None:
        """Give an item to others, and report it: they may have made it before the next poll."""
        self.work.fail_try(name, reason)
        self._report_failure(name, reason)

    def _report_failure(self, name: TryName, reason: str) -> None:
        self._failed.add(name)
        if name.item not in self._left:
            return
        if name.is_last:
            self.give_up(name.item, reason)
            self._left.discard(name.item)
        else:
            self.on_message(f"{self.describe(name.item)} failed and will be made again: {reason}")

    def _end_try(self, name: TryName) -> None:
        """Empty its folder, which stays: workers know by it that the item is taken."""
        self._ended.add(name)
        del self._open[name]
        for path in self.work.open_try(name).folder.iterdir():
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def run_order(
    order: Order,
    segment_folder: SegmentFolder,
    open_pool: OpenPool,
    make_collector: Callable[[WorkFolder], Collector],
    on_message: OnMessage,
    progress: Progress,
    open_own_items: Callable[[WorkFolder], AbstractContextManager[MakeItem]] | None = None,
) -> None:
    """Give an order to workers, and take in what they make; nothing of the order is left afterwards.

    ``open_own_items`` lets this process make items too.
    """
    segment_folder.remove_order()
    work = WorkFolder(segment_folder, order.id)
    work.create()
    try:
        order.write(segment_folder.get_order_path())
        collector = make_collector(work)
        own_items = open_own_items(work) if open_own_items else nullcontext()
        with open_pool(segment_folder.get_order_path(), on_message) as pool, own_items as make_item:
            collector.watch(pool, progress, make_item)
    finally:
        segment_folder.remove_order()


def _name_numbers(made: dict[str, int]) -> dict[str, int]:
    """Return the steps of each worker, of few workers; of many, how many work."""
    if len(made) > _MAX_SHOWN_WORKERS:
        return {"workers": len(made)}
    return {f"by {name}": steps for name, steps in sorted(made.items())}
