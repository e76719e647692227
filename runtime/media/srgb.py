"""The sRGB transfer function of IEC 61966-2-1:1999 (with amendment 1), on float32 arrays, element by element.

As in scRGB, the curve continues above 1 and is mirrored below 0; the two functions are inverse everywhere.
"""

import numpy as np
from numpy.typing import NDArray

FloatSamples = NDArray[np.float32]

_LINEAR_KNEE = 0.0031308
_ENCODED_KNEE = 0.04045


def linear_to_srgb(linear: FloatSamples) -> FloatSamples:
    """Encode linear light: ``12.92 * v`` up to 0.0031308, ``1.055 * v ** (1 / 2.4) - 0.055`` above."""
    magnitude = np.abs(linear)
    curve = np.float32(1.055) * magnitude ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.copysign(np.where(magnitude <= _LINEAR_KNEE, np.float32(12.92) * magnitude, curve), linear)


def srgb_to_linear(encoded: FloatSamples) -> FloatSamples:
    """Decode to linear light: ``v / 12.92`` up to 0.04045, ``((v + 0.055) / 1.055) ** 2.4`` above."""
    magnitude = np.abs(encoded)
    curve = ((magnitude + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.copysign(np.where(magnitude <= _ENCODED_KNEE, magnitude / np.float32(12.92), curve), encoded)
