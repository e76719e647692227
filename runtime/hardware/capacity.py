"""The computer's memory, as far as this process may use it.

Room on the disks that results and temporary files go to.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from .cgroup import CgroupLimits, read_cgroup_limits


@dataclass(frozen=True)
class SystemMemory:
    """Bytes."""

    total: int
    available: int
    """Free, or held by caches that are given back under pressure."""
    limited: bool = False
    """The container allows less than the machine has."""


def query_memory(cgroup_limits: CgroupLimits | None = None) -> SystemMemory:
    """What the machine has, or the container where that is less."""
    cgroup_limits = read_cgroup_limits() if cgroup_limits is None else cgroup_limits
    machine = psutil.virtual_memory()
    total, available = int(machine.total), int(machine.available)
    if cgroup_limits.memory is None or cgroup_limits.memory_free is None or cgroup_limits.memory >= total:
        return SystemMemory(total, available)
    return SystemMemory(cgroup_limits.memory, min(available, cgroup_limits.memory_free), limited=True)


@dataclass(frozen=True)
class DiskSpace:
    """The file system that ``folder`` lies on, or will lie on. Bytes."""

    folder: Path
    total: int
    free: int


def query_disk(folder: Path) -> DiskSpace | None:
    """None where nothing of the path exists or it may not be looked at."""
    folder = folder.absolute()
    for existing in (folder, *folder.parents):
        try:
            usage = shutil.disk_usage(existing)
        except OSError:
            continue
        return DiskSpace(folder, usage.total, usage.free)
    return None
