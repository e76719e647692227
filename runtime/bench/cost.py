"""What a piece of work costs: seconds, and the memory that it takes at its highest."""

from __future__ import annotations

import ctypes
import gc
import platform
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

INTERVAL_SECONDS = 0.005
"""Between two looks at the resident set. A layer of a network that is worth measuring lives longer."""


@dataclass
class Cost:
    """Filled in when the work ends. Bytes are those beyond what was held when it began."""

    seconds: float = 0.0
    peak_bytes: int = 0
    device_bytes: int | None = None
    """What all programs on this GPU took together, as the driver says (the number that NVML shows); None without such a GPU."""


@contextmanager
def measured(device: torch.device) -> Generator[Cost]:
    """Measure what happens inside: on an NVIDIA or AMD GPU by torch's allocator and the driver, otherwise by the resident set.

    What is free but not given back yet is given back first, so that two runs in one process can be compared.
    """
    cost = Cost()
    gc.collect()
    on_gpu = device.type == "cuda"
    with (_device_memory if on_gpu else _resident_set)(device, cost):
        began = time.perf_counter()
        try:
            yield cost
        finally:
            if on_gpu:
                torch.cuda.synchronize(device)
            cost.seconds = time.perf_counter() - began


@contextmanager
def _device_memory(device: torch.device, cost: Cost) -> Generator[None]:
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    with _Watcher(lambda: _used(device)) as watcher:
        yield
    cost.peak_bytes = max(torch.cuda.max_memory_allocated(device) - before, 0)
    cost.device_bytes = watcher.growth


@contextmanager
def _resident_set(device: torch.device, cost: Cost) -> Generator[None]:
    _give_back()
    process = psutil.Process()
    with _Watcher(lambda: process.memory_info().rss) as watcher:
        yield
    cost.peak_bytes = watcher.growth


class _Watcher:
    """Looks at a number again and again, from a thread of its own, and keeps the highest."""

    def __init__(self, look: Callable[[], int]) -> None:
        self._look = look
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._begin = self._highest = 0

    def __enter__(self) -> _Watcher:
        self._begin = self._highest = self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._highest = max(self._highest, self._look())

    @property
    def growth(self) -> int:
        return self._highest - self._begin

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL_SECONDS):
            self._highest = max(self._highest, self._look())


def _used(device: torch.device) -> int:
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def _give_back() -> None:
    """Return what the C library keeps for later to the system."""
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
