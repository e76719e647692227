"""A thread that works ahead of whoever reads, as far as a number of bytes allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from threading import Condition, Thread
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")

PREFETCH_BYTES = 16 << 20
"""How much may wait by default: a decoder is a hundred times faster than a model, so a few frames are plenty."""
_MIN_ITEMS = 2
"""Items that may wait however large they are, so that producer and consumer can work at the same time."""

_POLL_SECONDS = 0.2
"""Seconds after which a wait looks up, so that Ctrl-C comes through on every system."""


class _BoundedQueue(Generic[ItemT]):
    """What was produced and not yet taken. ``limit`` counts the bytes of waiting items."""

    def __init__(self, max_bytes: int, measure_bytes: Callable[[ItemT], int]) -> None:
        self._items: deque[ItemT] = deque()
        self._queued_bytes = 0
        self._max_bytes = max_bytes
        self._measure_bytes = measure_bytes
        self._condition = Condition()
        self._is_finished = False
        self._error: BaseException | None = None
        self.is_stopped = False

    def put(self, item: ItemT) -> bool:
        """Wait for room and leave ``item``; False when nobody wants it any more."""
        item_bytes = self._measure_bytes(item)
        with self._condition:
            while not (self.is_stopped or self._has_capacity(item_bytes)):
                self._condition.wait(_POLL_SECONDS)
            if not self.is_stopped:
                self._items.append(item)
                self._queued_bytes += item_bytes
                self._condition.notify_all()
            return not self.is_stopped

    def _has_capacity(self, item_bytes: int) -> bool:
        return len(self._items) < _MIN_ITEMS or self._queued_bytes + item_bytes <= self._max_bytes

    def iterate_items(self) -> Generator[ItemT]:
        """Everything in order, then the producer's error if it had one."""
        while True:
            with self._condition:
                while not (self._items or self._is_finished):
                    self._condition.wait(_POLL_SECONDS)
                if not self._items:
                    break
                item = self._items.popleft()
                self._queued_bytes -= self._measure_bytes(item)
                self._condition.notify_all()
            yield item
            del item  # the next wait must not keep a frame alive
        if self._error is not None:
            raise self._error

    def finish(self, error: BaseException | None = None) -> None:
        with self._condition:
            self._is_finished, self._error = True, error
            self._condition.notify_all()

    def stop(self) -> None:
        with self._condition:
            self.is_stopped = True
            self._items.clear()
            self._condition.notify_all()


def prefetch(
    produce: Callable[[], Iterable[ItemT]], measure_bytes: Callable[[ItemT], int], *, max_bytes: int = PREFETCH_BYTES, name: str
) -> Generator[ItemT]:
    """The items of ``produce()``, made in a thread called ``name`` while the caller works on earlier ones.

    ``weigh`` gives an item's bytes; more than ``limit`` never wait, except that two items always may. What ``produce`` raises
    is raised here after the items before it. Closing this generator stops the thread, closes what ``produce`` holds, and
    returns when both have happened.
    """
    queue: _BoundedQueue[ItemT] = _BoundedQueue(max_bytes, measure_bytes)
    thread = Thread(target=_run_producer, args=(produce, queue), name=name, daemon=True)
    thread.start()
    try:
        yield from queue.iterate_items()
    finally:
        queue.stop()
        thread.join()


def _run_producer(produce: Callable[[], Iterable[ItemT]], queue: _BoundedQueue[ItemT]) -> None:
    items: Iterable[ItemT] = ()
    try:
        items = produce()
        for item in items:
            if not queue.put(item):
                break
            del item
        queue.finish()
    except BaseException as error:  # it is raised again where the items are read
        queue.finish(error)
    finally:
        if isinstance(items, Generator):
            items.close()
