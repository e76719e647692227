"""A thread that works ahead of whoever reads, as far as a number of bytes allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from threading import Condition, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")

AHEAD_BYTES = 16 << 20
"""How much may wait by default: a decoder is a hundred times faster than a model, so a few frames are plenty."""
_AHEAD_AT_LEAST = 2
"""Items that may wait however large they are, so that producer and consumer can work at the same time."""

_LOOK_UP = 0.2
"""Seconds after which a wait looks up, so that Ctrl-C comes through on every system."""


class _Ahead(Generic[Item]):
    """What was produced and not yet taken. ``limit`` counts the bytes of waiting items."""

    def __init__(self, limit: int, weigh: Callable[[Item], int]) -> None:
        self._waiting: deque[Item] = deque()
        self._bytes = 0
        self._limit = limit
        self._weigh = weigh
        self._changed = Condition()
        self._finished = False
        self._error: BaseException | None = None
        self.stopped = False

    def put(self, item: Item) -> bool:
        """Wait for room and leave ``item``; False when nobody wants it any more."""
        weight = self._weigh(item)
        with self._changed:
            while not (self.stopped or self._has_room(weight)):
                self._changed.wait(_LOOK_UP)
            if not self.stopped:
                self._waiting.append(item)
                self._bytes += weight
                self._changed.notify_all()
            return not self.stopped

    def _has_room(self, weight: int) -> bool:
        return len(self._waiting) < _AHEAD_AT_LEAST or self._bytes + weight <= self._limit

    def take(self) -> Generator[Item]:
        """Everything in order, then the producer's error if it had one."""
        while True:
            with self._changed:
                while not (self._waiting or self._finished):
                    self._changed.wait(_LOOK_UP)
                if not self._waiting:
                    break
                item = self._waiting.popleft()
                self._bytes -= self._weigh(item)
                self._changed.notify_all()
            yield item
            del item  # the next wait must not keep a frame alive
        if self._error is not None:
            raise self._error

    def finish(self, error: BaseException | None = None) -> None:
        with self._changed:
            self._finished, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self.stopped = True
            self._waiting.clear()
            self._changed.notify_all()


def prefetch(
    produce: Callable[[], Iterable[Item]], weigh: Callable[[Item], int], *, limit: int = AHEAD_BYTES, name: str
) -> Generator[Item]:
    """The items of ``produce()``, made in a thread called ``name`` while the caller works on earlier ones.

    ``weigh`` gives an item's bytes; more than ``limit`` never wait, except that two items always may. What ``produce`` raises
    is raised here after the items before it. Closing this generator stops the thread, closes what ``produce`` holds, and
    returns when both have happened.
    """
    ahead: _Ahead[Item] = _Ahead(limit, weigh)
    thread = Thread(target=_work, args=(produce, ahead), name=name, daemon=True)
    thread.start()
    try:
        yield from ahead.take()
    finally:
        ahead.stop()
        thread.join()


def _work(produce: Callable[[], Iterable[Item]], ahead: _Ahead[Item]) -> None:
    items: Iterable[Item] = ()
    try:
        items = produce()
        for item in items:
            if not ahead.put(item):
                break
            del item
        ahead.finish()
    except BaseException as error:  # it is raised again where the items are read
        ahead.finish(error)
    finally:
        if isinstance(items, Generator):
            items.close()
