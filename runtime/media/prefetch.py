"""A thread that produces items ahead of their consumer, bounded in bytes."""

from collections.abc import Callable, Generator, Iterable
from threading import Thread

from .bounded_queue import BoundedQueue, ItemT

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
