"""The backend that does nothing: every pixel becomes a block of its own colour. For dry runs and for tests without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import OnProgress, no_progress


class NullBackend:
    """Repeats pixels ``scale`` times in both directions."""

    def __init__(self, scale: int) -> None:
        self.warnings: list[str] = []
        self._scale = scale

    def run(self, batch: NDArray[np.float32], on_progress: OnProgress = no_progress) -> NDArray[np.float32]:
        return batch.repeat(self._scale, axis=1).repeat(self._scale, axis=2)

    def close(self) -> None:
        return None
