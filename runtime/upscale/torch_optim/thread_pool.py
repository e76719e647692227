"""As many threads as torch would take, each of which computes by itself.

torch divides every single operation between its threads, and they meet at its end. Pieces that need nothing of each other may
be divided instead: what a thread has made stays in the cache of its own core, nobody waits after every millisecond, and where
another program takes a core for a while the others go on. RRDB-23 on 640x480 in bf16 on two cores took 9.3 to 9.7 s so, and
10.0 to 11.3 with both threads on each piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import torch

Item = TypeVar("Item")


class SingleThreadWorkers:
    """Its threads end when nobody holds it any more. Made once for a network: that takes about a millisecond."""

    def __init__(self) -> None:
        self.size = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self.size, "upscale8k-crew") if self.size > 1 else None
        if self._pool is None:
            return
        barrier = Barrier(self.size)
        list(self._pool.map(_use_one_thread, [barrier] * self.size))
        # The number is each thread's own, but for threads that are yet to come torch remembers the last one.
        torch.set_num_threads(self.size)

    def run_each(self, process: Callable[[Item], None], items: Iterable[Item]) -> None:
        """``make`` for every one of ``pieces``, in no order. Raises what the first of them raises, after all have ended."""
        if self._pool is None:
            for item in items:
                process(item)
            return
        futures = [self._pool.submit(_run_in_inference_mode, process, item) for item in items]
        errors = [error for error in (one.exception() for one in futures) if error]
        if errors:
            raise errors[0]


def _use_one_thread(barrier: Barrier) -> None:
    barrier.wait()  # so that each of them takes one
    torch.get_num_threads()  # a thread's first question to torch gives it the number of all
    torch.set_num_threads(1)


def _run_in_inference_mode(process: Callable[[Item], None], item: Item) -> None:
    with torch.inference_mode():
        process(item)
