"""The computer's memory, as far as this process may use it."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from .cgroup import Limits, limits


@dataclass(frozen=True)
class Memory:
    """Bytes."""

    total: int
    available: int
    """Free, or held by caches that are given back under pressure."""
    limited: bool = False
    """The container allows less than the machine has."""


def memory(limited: Limits | None = None) -> Memory:
    """What the machine has, or the container where that is less."""
    limited = limits() if limited is None else limited
    machine = psutil.virtual_memory()
    total, available = int(machine.total), int(machine.available)
    if limited.memory is None or limited.memory_free is None or limited.memory >= total:
        return Memory(total, available)
    return Memory(limited.memory, min(available, limited.memory_free), limited=True)
