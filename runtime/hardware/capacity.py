"""Memory and disk space that this process may use, by the limits of a container too, and the peak of the memory in use."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import psutil

_NO_LIMIT = 1 << 60
"""Version 1 writes a number near 2^63 for "no limit"."""


@dataclass(frozen=True)
class CgroupLimits:
    """The limits of a container; None means no limit."""

    cores: float | None = None
    """Processor seconds per second; may be a fraction."""
    memory: int | None = None
    """Most bytes for all processes of the container."""
    memory_free: int | None = None
    """Bytes of ``memory`` that are free or in the file cache."""


def read_cgroup_limits(root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc/self/cgroup")) -> CgroupLimits:
    """Return the limits of this process from control groups, version 1 and 2; all None on a system without them.

    Every group from this process's own up to the root can set a limit, so all are read and the smallest counts. In a container
    the path in ``/proc/self/cgroup`` often does not exist, because the group is mounted as the root; its existing part is read.
    """
    paths = _read_group_paths(proc)
    cores: list[float] = []
    memory: list[tuple[int, int]] = []
    for mount in (root, root / "unified"):
        for folder in _iterate_ancestors(mount, paths.get("")):
            cores += _read_quota_v2(folder)
            memory += _read_memory_limit(folder, ("memory.max", "memory.high"), "memory.current", "inactive_file")
    for folder in _iterate_ancestors(root / "cpu", paths.get("cpu")):
        cores += _read_quota_v1(folder)
    for folder in _iterate_ancestors(root / "memory", paths.get("memory")):
        memory += _read_memory_limit(folder, ("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file")
    return CgroupLimits(
        cores=min(cores, default=None),
        memory=min((limit for limit, _ in memory), default=None),
        memory_free=min((free for _, free in memory), default=None),
    )


def _read_group_paths(proc: Path) -> dict[str, str]:
    """Return the path of this process's group by controller; version 2 has one for all, under the name ""."""
    found: dict[str, str] = {}
    for line in _read_text(proc).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def _iterate_ancestors(mount: Path, path: str | None) -> Iterator[Path]:
    """Yield the folders from the mount down to the group."""
    folder = mount
    yield folder
    for part in (path or "").strip("/").split("/"):
        if part in ("", "..", "."):
            continue
        folder = folder / part
        yield folder


def _read_quota_v2(folder: Path) -> list[float]:
    quota, _, period = _read_text(folder / "cpu.max").strip().partition(" ")
    return _parse_cores(quota, period)


def _read_quota_v1(folder: Path) -> list[float]:
    return _parse_cores(_read_text(folder / "cpu.cfs_quota_us").strip(), _read_text(folder / "cpu.cfs_period_us").strip())


def _parse_cores(quota: str, period: str) -> list[float]:
    """Return the quota in cores as a list; empty for ``max`` and -1, which mean no limit."""
    if not (quota.isdecimal() and period.isdecimal() and int(quota) and int(period)):
        return []
    return [int(quota) / int(period)]


def _read_memory_limit(folder: Path, limit_names: tuple[str, ...], used_name: str, cache_name: str) -> list[tuple[int, int]]:
    """Return limit and free bytes of one group. The file cache counts as free, because the system can release it."""
    stated = (_read_text(folder / name).strip() for name in limit_names)
    numbers = [int(text) for text in stated if text.isdecimal() and int(text) < _NO_LIMIT]
    if not numbers:
        return []
    used = _read_text(folder / used_name).strip()
    cached = dict(line.split(" ", 1) for line in _read_text(folder / "memory.stat").splitlines() if " " in line)
    used_bytes = (int(used) if used.isdecimal() else 0) - int(cached.get(cache_name, "0"))
    return [(min(numbers), max(min(numbers) - max(used_bytes, 0), 0))]


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


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
