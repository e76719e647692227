"""What a piece of work costs: seconds, and the memory that it takes at its highest.

The machine that a figure was measured on: in one line, and in full.
"""

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
from typing import Any

import psutil
import torch

from ..hardware.detect import Machine, detect
from ..hardware.gpu import Gpu

INTERVAL_SECONDS = 0.005
"""Between two looks at the resident set. A layer of a network that is worth measuring lives longer."""


@dataclass
class ResourceCost:
    """Filled in when the work ends. Bytes are those beyond what was held when it began."""

    seconds: float = 0.0
    peak_bytes: int = 0
    device_bytes: int | None = None
    """What all programs on this GPU took together, as the driver says (the number that NVML shows); None without such a GPU."""


@contextmanager
def measure_cost(device: torch.device) -> Generator[ResourceCost]:
    """Measure what happens inside: on an NVIDIA or AMD GPU by torch's allocator and the driver, otherwise by the resident set.

    What is free but not given back yet is given back first, so that two runs in one process can be compared.
    """
    cost = ResourceCost()
    gc.collect()
    on_gpu = device.type == "cuda"
    with (_measure_device_memory if on_gpu else _measure_resident_set)(device, cost):
        began = time.perf_counter()
        try:
            yield cost
        finally:
            if on_gpu:
                torch.cuda.synchronize(device)
            cost.seconds = time.perf_counter() - began


@contextmanager
def _measure_device_memory(device: torch.device, cost: ResourceCost) -> Generator[None]:
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    with _PeakSampler(lambda: _read_used_memory(device)) as sampler:
        yield
    cost.peak_bytes = max(torch.cuda.max_memory_allocated(device) - before, 0)
    cost.device_bytes = sampler.growth


@contextmanager
def _measure_resident_set(device: torch.device, cost: ResourceCost) -> Generator[None]:
    _trim_heap()
    process = psutil.Process()
    with _PeakSampler(lambda: process.memory_info().rss) as sampler:
        yield
    cost.peak_bytes = sampler.growth


class _PeakSampler:
    """Looks at a number again and again, from a thread of its own, and keeps the highest."""

    def __init__(self, read_value: Callable[[], int]) -> None:
        self._read_value = read_value
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._start = self._highest = 0

    def __enter__(self) -> _PeakSampler:
        self._start = self._highest = self._read_value()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._highest = max(self._highest, self._read_value())

    @property
    def growth(self) -> int:
        return self._highest - self._start

    def _sample(self) -> None:
        while not self._done.wait(INTERVAL_SECONDS):
            self._highest = max(self._highest, self._read_value())


def _read_used_memory(device: torch.device) -> int:
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def _trim_heap() -> None:
    """Return what the C library keeps for later to the system."""
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def describe_machine(device: str = "auto") -> tuple[str, dict[str, Any]]:
    """What ran the work on ``device``, as a line for a table's foot and as plain values. Raises ``HardwareMissing`` as
    ``Machine.gpu`` does.
    """
    detected = detect(ask_torch=True)
    facts = {name: value for name, value in detected.as_json().items() if name != "disks"}
    return _format_machine(detected, detected.find_gpu(device)), facts


def _format_machine(detected: Machine, gpu: Gpu | None) -> str:
    cpu = f"{detected.cpu.model}, {detected.cpu.cores} cores"
    torch = f"torch {detected.versions.get('torch', '?')}"
    return ", ".join([f"{gpu.name}, {cpu}" if gpu else cpu, detected.system, torch])
