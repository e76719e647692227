"""Memory and disk space that this process may use, and the peak of the memory in use."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import psutil

from .cgroup import CgroupLimits, read_cgroup_limits

QUEUE_BYTES_PER_CORE, MAX_QUEUE_BYTES = 64 << 20, 512 << 20


@dataclass(frozen=True)
class SystemMemory:
    """Sizes in bytes."""

    total: int
    available: int
    """Free, or used by caches that the system can release."""
    limited: bool = False
    """Whether the container allows less than the machine has."""


def query_memory(cgroup_limits: CgroupLimits | None = None) -> SystemMemory:
    """Return the memory of the machine, or of the container if that is less."""
    cgroup_limits = read_cgroup_limits() if cgroup_limits is None else cgroup_limits
    machine = psutil.virtual_memory()
    total, available = int(machine.total), int(machine.available)
    if cgroup_limits.memory is None or cgroup_limits.memory_free is None or cgroup_limits.memory >= total:
        return SystemMemory(total, available)
    return SystemMemory(cgroup_limits.memory, min(available, cgroup_limits.memory_free), limited=True)


def compute_queue_bytes(cores: int, available: int) -> int:
    """Return how many bytes of frames may wait for the encoder, at ``available`` bytes of free memory.

    With many cores the encoder is the slowest part and must never wait for a frame; five of 8K are enough for that.
    """
    return min(QUEUE_BYTES_PER_CORE * cores, MAX_QUEUE_BYTES, available // 8)


_reserved_gpu_memory: ContextVar[int] = ContextVar("upscale8k_reserved_gpu_memory", default=0)


@contextmanager
def reserve_gpu_memory(size: int) -> Generator[None]:
    """Keep ``size`` bytes of the GPU for a hardware encoder: tiles that are chosen in the block leave them free."""
    token = _reserved_gpu_memory.set(size)
    try:
        yield
    finally:
        _reserved_gpu_memory.reset(token)


def get_reserved_gpu_memory() -> int:
    """Return the bytes of the innermost ``reserve_gpu_memory``."""
    return _reserved_gpu_memory.get()


@dataclass(frozen=True)
class DiskSpace:
    """The file system of ``folder``, which need not exist yet. Sizes in bytes."""

    folder: Path
    total: int
    free: int


def query_disk(folder: Path) -> DiskSpace | None:
    """Return the disk of ``folder``; None if no part of the path exists or can be accessed."""
    folder = folder.absolute()
    for existing in (folder, *folder.parents):
        try:
            usage = shutil.disk_usage(existing)
        except OSError:
            continue
        return DiskSpace(folder, usage.total, usage.free)
    return None


class PeakSampler:
    """Reads a value repeatedly from a thread while its ``with`` block runs, and stores the highest."""

    def __init__(self, read_value: Callable[[], int], interval_seconds: float) -> None:
        self._read_value, self._interval_seconds = read_value, interval_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="peak", daemon=True)
        self._start = self.highest = 0

    def __enter__(self) -> PeakSampler:
        self._start = self.highest = self._read_value()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.highest = max(self.highest, self._read_value())

    @property
    def growth(self) -> int:
        """The highest value minus the first one."""
        return self.highest - self._start

    def _sample(self) -> None:
        while not self._done.wait(self._interval_seconds):
            self.highest = max(self.highest, self._read_value())
