"""A pool of as many threads as torch uses, each of which computes alone.

torch divides every operation between its threads, which synchronize after it. Independent patches are divided instead: a
thread's results stay in the cache of its core, threads do not wait for each other after every operation, and where another
program takes a core the others continue. RRDB-23 on 640x480 in bf16 on two cores took 9.3 to 9.7 s, and 10.0 to 11.3 s with
both threads on each patch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import torch

Item = TypeVar("Item")


class SingleThreadWorkers:
    """Threads that each let torch use one thread; they end with this object. Created once for a network, in about 1 ms."""

    def __init__(self) -> None:
        self.size = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self.size, "upscale8k-worker") if self.size > 1 else None
        if self._pool is None:
            return
        barrier = Barrier(self.size)
        list(self._pool.map(_use_one_thread, [barrier] * self.size))
        # The number is per thread, but torch applies the last one set to threads that start later.
        torch.set_num_threads(self.size)

    def run_each(self, process: Callable[[Item], None], items: Iterable[Item]) -> None:
        """Call ``process`` for all ``items`` in any order; raise the first error after all have ended."""
        if self._pool is None:
            for item in items:
                process(item)
            return
        futures = [self._pool.submit(_run_in_inference_mode, process, item) for item in items]
        errors = [error for error in (one.exception() for one in futures) if error]
        if errors:
            raise errors[0]


def _use_one_thread(barrier: Barrier) -> None:
    barrier.wait()  # so that each thread runs this once
    torch.get_num_threads()  # the first call in a thread resets its number
    torch.set_num_threads(1)


def _run_in_inference_mode(process: Callable[[Item], None], item: Item) -> None:
    with torch.inference_mode():
        process(item)
