"""Read the limits of a Linux container from control groups, version 1 and 2.

Every group from this process's own up to the root can set a limit, so all are read and the smallest counts. In a container
the path in ``/proc/self/cgroup`` often does not exist, because the group is mounted as the root; its existing part is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
    """Return the limits of this process; all None on a system without control groups."""
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
