"""A queue between a producer and its consumers that is bounded in bytes."""

from collections import deque
from threading import Condition
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
            if not self.is_closed:
                self._items.append(item)
                self._live_bytes += nbytes
                self._live_items += 1
                self._condition.notify_all()
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
