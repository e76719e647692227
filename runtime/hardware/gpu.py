"""The properties of a GPU, and the GPUs that only torch sees: listed on request, since importing torch takes seconds."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

GpuKind = Literal["cuda", "rocm", "mps", "xpu"]
"""torch's device types, with ``rocm`` for AMD GPUs, which torch calls ``cuda``."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU. Unknown values are None. Sizes in bytes."""

    kind: GpuKind
    index: int
    """The driver's number among the GPUs of this kind."""
    name: str
    total: int | None
    """None if it shares the computer's memory."""
    free: int | None
    compute_capability: tuple[int, int] | None = None
    uuid: str | None = None
    encoder: bool | None = None
    """Whether it has a video encoder (NVENC)."""
    decoder: bool | None = None
    """Whether it has a video decoder (NVDEC)."""
    power_limit: float | None = None
    """Watts."""
    clock: int | None = None
    """Highest clock of the processors in MHz."""
    memory_clock: int | None = None
    """Highest clock of the memory in MHz."""
    usable: bool = True
    """False if ``CUDA_VISIBLE_DEVICES`` hides it."""

    @property
    def device(self) -> str:
        """Its name for ``--device``, if ``CUDA_VISIBLE_DEVICES`` does not change the numbers."""
        kind = "cuda" if self.kind == "rocm" else self.kind
        return kind if kind == "mps" else f"{kind}:{self.index}"

    @property
    def is_fast_in_half(self) -> bool:
        """Whether fp16 is at least as fast as fp32: not on NVIDIA chips before Volta, except P100 and Tegra X1."""
        capability = self.compute_capability
        if self.kind == "rocm":
            return True
        return capability is not None and (capability >= (7, 0) or capability in ((6, 0), (5, 3)))


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
