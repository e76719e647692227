"""Measure time and peak memory of a block of code, and describe the machine that it runs on."""

import ctypes
import datetime
import gc
import platform
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from ..hardware import Gpu, Machine, PeakSampler, detect_machine

_INTERVAL_SECONDS = 0.005
"""Seconds between two memory samples; a layer that matters takes longer."""


@dataclass
class ResourceCost:
    """Time and memory, set when the block ends. Bytes are relative to the start of the block."""

    seconds: float = 0.0
    peak_bytes: int = 0
    device_bytes: int | None = None
    """Bytes of all programs on this GPU, from the driver, as NVML shows them; None without such a GPU."""


@contextmanager
def measure_cost(device: torch.device) -> Generator[ResourceCost]:
    """Measure the ``with`` block: on an NVIDIA or AMD GPU by torch's allocator and the driver, otherwise by the resident set.

    Unused memory is released first, so that two runs in one process can be compared.
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
    with PeakSampler(lambda: _read_used_memory(device), _INTERVAL_SECONDS) as sampler:
        yield
    cost.peak_bytes = max(torch.cuda.max_memory_allocated(device) - before, 0)
    cost.device_bytes = sampler.growth


@contextmanager
def _measure_resident_set(device: torch.device, cost: ResourceCost) -> Generator[None]:
    _trim_heap()
    process = psutil.Process()
    with PeakSampler(lambda: process.memory_info().rss, _INTERVAL_SECONDS) as sampler:
        yield
    cost.peak_bytes = sampler.growth


def _read_used_memory(device: torch.device) -> int:
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def _trim_heap() -> None:
    """Release the free memory of the C library to the system."""
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def describe_machine(device: str = "auto") -> tuple[str, dict[str, Any]]:
    """Return this machine as one line for ``device``, and as plain values. Raises ``HardwareMissing`` for a missing device."""
    detected = detect_machine(ask_torch=True)
    facts = {name: value for name, value in detected.as_json().items() if name != "disks"}
    return _format_machine(detected, detected.find_gpu(device)), facts


def _format_machine(detected: Machine, gpu: Gpu | None) -> str:
    cpu = f"{detected.cpu.model}, {detected.cpu.cores} cores"
    torch = f"torch {detected.versions.get('torch', '?')}"
    return ", ".join([f"{gpu.name}, {cpu}" if gpu else cpu, detected.system, torch])


def format_now() -> str:
    """Return the local time, to the minute."""
    return datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
