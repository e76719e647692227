"""The backend that repeats pixels: for dry runs, and for tests without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .base import OnProgress, ResolvedPrecision, no_progress

if TYPE_CHECKING:
    import torch

    from ...models import UpscaleModel


class NullBackend:
    """Repeats pixels ``scale`` times in both directions."""

    def __init__(self, model: UpscaleModel, device: torch.device | None = None, precision: ResolvedPrecision = "fp32") -> None:
        self.warnings: list[str] = []
        self._scale = model.scale

    def run(self, batch: NDArray[np.float32], on_progress: OnProgress = no_progress) -> NDArray[np.float32]:
        return batch.repeat(self._scale, axis=1).repeat(self._scale, axis=2)

    def close(self) -> None:
        return None
