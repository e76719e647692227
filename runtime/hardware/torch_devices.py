"""Detect the GPUs that only torch can see. Importing torch takes seconds, so this runs only on request."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from .gpu import Gpu, GpuKind


def is_torch_loaded() -> bool:
    """Return whether this process has already imported torch."""
    return "torch" in sys.modules


def query_torch_devices() -> tuple[tuple[Gpu, ...], str | None]:
    """Return torch's GPUs, and a sentence if torch itself fails. Never raises."""
    try:
        torch: Any = import_module("torch")  # a broken driver may raise anything
        return tuple(_iterate_gpus(torch)), None
    except Exception as error:
        return (), f"torch cannot list its devices ({error}). See: python -m runtime doctor"


def _iterate_gpus(torch: Any) -> Iterator[Gpu]:
    if torch.cuda.is_available():
        kind: GpuKind = "rocm" if torch.version.hip else "cuda"
        for index in range(torch.cuda.device_count()):
            yield _make_gpu(torch.cuda, kind, index)
    if torch.backends.mps.is_available():
        yield _make_apple_gpu(torch.mps)
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        for index in range(torch.xpu.device_count()):
            yield _make_gpu(torch.xpu, "xpu", index)


def _make_gpu(module: Any, kind: GpuKind, index: int) -> Gpu:
    facts = module.get_device_properties(index)
    free, total = _query_memory(lambda: module.mem_get_info(index)) or (None, int(facts.total_memory))
    capability = (int(facts.major), int(facts.minor)) if kind == "cuda" else None
    return Gpu(kind=kind, index=index, name=str(facts.name), total=total, free=free, compute_capability=capability)


def _query_memory(query: Callable[[], Any]) -> tuple[int, int] | None:
    """Return free and total bytes; None if this torch or driver does not report them."""
    try:
        free, total = query()
        return int(free), int(total)
    except (RuntimeError, AttributeError):
        return None


def _make_apple_gpu(mps: Any) -> Gpu:
    """Return the Apple GPU, which uses the computer's memory; its total is the limit that Metal recommends."""
    total = int(mps.recommended_max_memory())
    free = max(total - int(mps.driver_allocated_memory()), 0)
    return Gpu(kind="mps", index=0, name="Apple GPU", total=total, free=free)
