"""The properties of a GPU, from NVML or torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
