"""sRGB to CIE 1976 L*a*b*, as it is seen: sRGB of IEC 61966-2-1:1999, white D65, 2 degree observer."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

# Linear sRGB to CIE XYZ, IEC 61966-2-1:1999, equation 7. Its rows add up to D65, so a grey has a* = b* = 0.
_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
WHITE = tuple(sum(row) for row in _TO_XYZ)
"""D65 by that matrix: X 0.9505, Y 1.0000, Z 1.0890."""

_EPSILON = (6 / 29) ** 3
_SLOPE = (29 / 6) ** 2 / 3


def lab_from_srgb(encoded: NDArray[np.float32]) -> torch.Tensor:
    """(h, w, 1 or 3) sRGB-encoded values to (3, h, w): L* 0..100, a*, b*. Values outside of 0..1 are clipped first.

    ISO/CIE 11664-4:2019 with the white above.
    """
    return lab_from_linear(srgb_decoded(torch.as_tensor(encoded).clamp(0, 1)))


def lab_from_linear(linear: torch.Tensor) -> torch.Tensor:
    """(h, w, 1 or 3) linear light to (3, h, w) L*a*b*."""
    planes = linear.movedim(-1, 0).expand(3, -1, -1)
    weights = [[value / white for value in row] for row, white in zip(_TO_XYZ, WHITE, strict=True)]
    mixed = torch.tensor(weights, dtype=linear.dtype) @ planes.reshape(3, -1)
    x, y, z = torch.where(mixed > _EPSILON, mixed.clamp(min=0).pow(1 / 3), _SLOPE * mixed + 4 / 29)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)]).reshape(planes.shape)


def srgb_decoded(encoded: torch.Tensor) -> torch.Tensor:
    """The curve of ``frames.transfer.srgb_to_linear`` for 0..1, on every core."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055).pow(2.4))
