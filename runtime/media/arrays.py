"""Arrays of pixels: the types that all packages share, and what their channels mean."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Pixels: TypeAlias = NDArray[Any]
"""(H, W, C): float32 in 0..1, or uint8 or uint16 over their whole range. C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA."""


def has_alpha(pixels: Pixels) -> bool:
    """Whether the last channel of (H, W, C) is alpha."""
    return pixels.shape[2] in (2, 4)
