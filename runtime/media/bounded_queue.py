"""A queue between a producer and its consumers that is bounded in bytes, and a thread that produces items ahead."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from threading import Condition, Thread
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")
POLL_SECONDS = 0.2
"""No wait is longer than this, so that Ctrl-C works on every system."""


class BoundedQueue(Generic[ItemT]):
    """Items in order. An item counts from ``put`` until its bytes are released, which may be long after it was taken.

    At most ``max_bytes`` are alive, except that ``min_items`` items may be, however large they are.
    """

    def __init__(self, max_bytes: int, *, min_items: int = 1) -> None:
        self._max_bytes, self._min_items = max_bytes, min_items
        self._items: deque[ItemT] = deque()
        self._live_bytes = self._live_items = 0
        self._condition = Condition()
        self._is_finished = False
        self._error: BaseException | None = None
        self.is_closed = False

    def wait_for_space(self, nbytes: int) -> bool:
        """Wait until an item of ``nbytes`` may be put. Return False when the queue is closed."""
        with self._condition:
            while not (self.is_closed or self._has_space(nbytes)):
                self._condition.wait(POLL_SECONDS)
            return not self.is_closed

    def _has_space(self, nbytes: int) -> bool:
        return self._live_items < self._min_items or self._live_bytes + nbytes <= self._max_bytes

    def put(self, item: ItemT, nbytes: int) -> bool:
        """Append ``item`` without waiting. Return False when the queue is closed."""
        with self._condition:
            if self.reserve(nbytes):
                self._items.append(item)
                self._condition.notify_all()
            return not self.is_closed

    def reserve(self, nbytes: int) -> bool:
        """Count an item that is kept elsewhere until its bytes are released. Return False when the queue is closed."""
        with self._condition:
            if not self.is_closed:
                self._live_bytes += nbytes
                self._live_items += 1
            return not self.is_closed

    def peek(self) -> ItemT | None:
        """Return the next item without taking it; None when there is none at the moment."""
        with self._condition:
            return self._items[0] if self._items else None

    def take(self) -> ItemT | None:
        """Wait for the next item and remove it. Return None at the end and when the queue is closed.

        Raises the error that ``finish`` was given, after the items before it.
        """
        with self._condition:
            while not (self._items or self._is_finished or self.is_closed):
                self._condition.wait(POLL_SECONDS)
            if self._items:
                return self._items.popleft()
            if self._error is not None and not self.is_closed:
                raise self._error
            return None

    def release(self, nbytes: int) -> None:
        """Declare that an item of ``nbytes`` is no longer in memory."""
        with self._condition:
            self._live_bytes -= nbytes
            self._live_items -= 1
            self._condition.notify_all()

    def finish(self, error: BaseException | None = None) -> None:
        """Declare that no further item will be put."""
        with self._condition:
            self._is_finished, self._error = True, error
            self._condition.notify_all()

    def close(self) -> None:
        """Drop all items and end every wait."""
        with self._condition:
            self.is_closed = True
            self._items.clear()
            self._condition.notify_all()


PREFETCH_BYTES = 16 << 20
"""Bytes that may wait by default. A decoder is a hundred times faster than a model, so a few frames are enough."""
_MIN_ITEMS = 2
"""Items that may wait whatever their size, so that producer and consumer work at the same time."""


def prefetch_items(
    produce: Callable[[], Iterable[ItemT]], measure_bytes: Callable[[ItemT], int], *, max_bytes: int = PREFETCH_BYTES, name: str
) -> Generator[ItemT]:
    """Yield the items of ``produce()``, made in a thread called ``name`` while the caller works on earlier ones.

    At most ``max_bytes`` of items wait, but two always may; ``measure_bytes`` returns the bytes of an item. An exception of
    ``produce`` is raised after the items before it. Closing this generator stops the thread and closes the generator of
    ``produce``, and returns when both are done.
    """
    queue: BoundedQueue[ItemT] = BoundedQueue(max_bytes, min_items=_MIN_ITEMS)
    thread = Thread(target=_run_producer, args=(produce, measure_bytes, queue), name=name, daemon=True)
    thread.start()
    try:
        while True:
            item = queue.take()
            if item is None:
                break
            queue.release(measure_bytes(item))
            yield item
            del item  # the next wait must not keep a frame alive
    finally:
        queue.close()
        thread.join()


def _run_producer(
    produce: Callable[[], Iterable[ItemT]], measure_bytes: Callable[[ItemT], int], queue: BoundedQueue[ItemT]
) -> None:
    items: Iterable[ItemT] = ()
    try:
        items = produce()
        for item in items:
            nbytes = measure_bytes(item)
            if not (queue.wait_for_space(nbytes) and queue.put(item, nbytes)):
                break
            del item
        queue.finish()
    except BaseException as error:  # raised again in the consumer's thread
        queue.finish(error)
    finally:
        if isinstance(items, Generator):
            items.close()
