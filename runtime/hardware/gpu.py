"""A GPU, whoever saw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GpuKind = Literal["cuda", "rocm", "mps", "xpu"]
"""What torch calls its devices, but that AMD's are told from NVIDIA's."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU. What could not be asked is None. Sizes in bytes."""

    kind: GpuKind
    index: int
    """Its number among those of its kind, as the driver counts."""
    name: str
    total: int | None
    """None: it shares the computer's memory."""
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
    """Highest clock of the processors, MHz."""
    memory_clock: int | None = None
    """Highest clock of the memory, MHz."""
    usable: bool = True
    """False: ``CUDA_VISIBLE_DEVICES`` hides it from programs."""

    @property
    def device(self) -> str:
        """What ``--device`` calls it, where it is the only one of its kind or counted as the driver counts."""
        kind = "cuda" if self.kind == "rocm" else self.kind
        return kind if kind == "mps" else f"{kind}:{self.index}"

    @property
    def is_fast_in_half(self) -> bool:
        """fp16 is at least as fast as fp32: everything but NVIDIA's chips before Volta, P100 and Tegra X1 excepted."""
        capability = self.compute_capability
        if self.kind == "rocm":
            return True
        return capability is not None and (capability >= (7, 0) or capability in ((6, 0), (5, 3)))
