"""The sRGB transfer function (IEC 61966-2-1) on float32 arrays, element by element."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


def srgb_to_linear(encoded: Values) -> Values:
    """Linear light of encoded values in 0..1: ``v / 12.92`` up to 0.04045, ``((v + 0.055) / 1.055) ** 2.4`` above."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((np.maximum(encoded, 0.0) + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_to_srgb(linear: Values) -> Values:
    """The inverse: ``12.92 * v`` up to 0.0031308, ``1.055 * v ** (1 / 2.4) - 0.055`` above."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0) ** (1 / 2.4) - 0.055).astype(np.float32)
