"""A thread that produces items ahead of their consumer, bounded in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from threading import Condition, Thread
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")

PREFETCH_BYTES = 16 << 20
"""Bytes that may wait by default. A decoder is a hundred times faster than a model, so a few frames are enough."""
_MIN_ITEMS = 2
"""Items that may wait whatever their size, so that producer and consumer work at the same time."""
_POLL_SECONDS = 0.2
"""Seconds between two looks at the condition: an endless wait would block Ctrl-C on some systems."""


class _BoundedQueue(Generic[ItemT]):
    """Items between a producer and a consumer; those that wait hold at most ``max_bytes``, but two may always wait."""

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
        """Wait for capacity, then append ``item``. Return False, without it, when the consumer has stopped."""
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
        """Yield every item in order, then raise the producer's error if there was one."""
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
    """Yield the items of ``produce()``, made in a thread called ``name`` while the caller works on earlier ones.

    At most ``max_bytes`` of items wait, but two always may; ``measure_bytes`` returns the bytes of an item. An exception of
    ``produce`` is raised after the items before it. Closing this generator stops the thread and closes the generator of
    ``produce``, and returns when both are done.
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
    except BaseException as error:  # raised again in the consumer's thread
        queue.finish(error)
    finally:
        if isinstance(items, Generator):
            items.close()
