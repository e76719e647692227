"""Perceived color difference: sRGB to CIE 1976 L*a*b* (IEC 61966-2-1:1999, white D65, 2 degree observer), CIE76 and CIEDE2000.

The differences take tensors of any shape whose first axis is L*, a*, b*, and return that shape without the first axis in the
same precision. Single precision is within 1e-4 of double precision.
"""

import torch

from ..media import Floats

# Linear sRGB to CIE XYZ, IEC 61966-2-1:1999, equation 7. The sums of its rows are D65, so grey has a* = b* = 0.
_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
WHITE = tuple(sum(row) for row in _TO_XYZ)
"""D65 by that matrix: X 0.9505, Y 1.0000, Z 1.0890."""

_EPSILON = (6 / 29) ** 3
_SLOPE = (29 / 6) ** 2 / 3


def lab_from_srgb(encoded: Floats) -> torch.Tensor:
    """Convert (h, w, 1 or 3) sRGB, clipped to 0..1, to (3, h, w): L* 0..100, a*, b*. ISO/CIE 11664-4:2019, white D65."""
    return lab_from_linear(decode_srgb(torch.as_tensor(encoded).clamp(0, 1)))


def lab_from_linear(linear: torch.Tensor) -> torch.Tensor:
    """Convert (h, w, 1 or 3) linear light to (3, h, w) L*a*b*."""
    planes = linear.movedim(-1, 0).expand(3, -1, -1)
    weights = [[value / white for value in row] for row, white in zip(_TO_XYZ, WHITE, strict=True)]
    mixed = torch.tensor(weights, dtype=linear.dtype) @ planes.reshape(3, -1)
    x, y, z = torch.where(mixed > _EPSILON, mixed.clamp(min=0).pow(1 / 3), _SLOPE * mixed + 4 / 29)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)]).reshape(planes.shape)


def decode_srgb(encoded: torch.Tensor) -> torch.Tensor:
    """Decode 0..1 as ``media.srgb.srgb_to_linear`` does, on all cores."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055).pow(2.4))


_25_TO_7 = 25.0**7
_DEGREES = 180.0 / torch.pi


def cie76(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the distance in L*a*b*, ISO/CIE 11664-4:2019."""
    return (first - second).square().sum(dim=0).sqrt()


def ciede2000(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return CIEDE2000 with kL = kC = kH = 1, ISO/CIE 11664-6:2022.

    After G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 color-difference formula: implementation notes, supplementary test data,
    and mathematical observations", Color Research and Application 30 (1), 2005; comments give the numbers of its equations.
    """
    (l1, a1, b1), (l2, a2, b2) = first, second
    stretch = 1 + _compute_red_shift((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2)  # 2 to 5
    a1, a2 = stretch * a1, stretch * a2
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = _compute_hue(a1, b1), _compute_hue(a2, b2)
    grey = (c1 * c2) == 0
    turn = _subtract_hues(h1, h2).masked_fill_(grey, 0.0)  # 10
    lightness = (l1 + l2) / 2  # 12
    chroma = (c1 + c2) / 2  # 13
    hue = _average_hues(h1, h2, grey)
    d_l = (l2 - l1) / _compute_s_l(lightness)  # 8
    d_c = (c2 - c1) / (1 + 0.045 * chroma)  # 9, 20
    d_h = 2 * torch.sqrt(c1 * c2) * torch.sin(torch.deg2rad(turn / 2)) / _compute_s_h(chroma, hue)  # 11
    total = d_l.square() + d_c.square() + d_h.square() + _compute_rotation(chroma, hue) * d_c * d_h  # 22
    return total.clamp_(min=0).sqrt_()


def _compute_red_shift(chroma: torch.Tensor) -> torch.Tensor:
    """G, equation 4."""
    seventh = chroma**7
    return 0.5 * (1 - torch.sqrt(seventh / (seventh + _25_TO_7)))


def _compute_hue(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Equation 7: degrees from 0 to 360; 0 without chroma."""
    angle = torch.atan2(b, a) * _DEGREES
    return torch.where(angle < 0, angle + 360, angle)


def _subtract_hues(h1: torch.Tensor, h2: torch.Tensor) -> torch.Tensor:
    """Equation 10: the angle from the first hue to the second, -180 to 180 degrees."""
    difference = h2 - h1
    difference = torch.where(difference > 180, difference - 360, difference)
    return torch.where(difference < -180, difference + 360, difference)


def _average_hues(h1: torch.Tensor, h2: torch.Tensor, grey: torch.Tensor) -> torch.Tensor:
    """Equation 14; if one of the two has no hue, the hue of the other."""
    total = h1 + h2
    across = torch.where(total < 360, total + 360, total - 360)
    mean = torch.where((h1 - h2).abs() > 180, across, total) / 2
    return torch.where(grey, total, mean)


def _compute_s_l(lightness: torch.Tensor) -> torch.Tensor:
    """Equation 19."""
    square = (lightness - 50).square()
    return 1 + 0.015 * square / torch.sqrt(20 + square)


def _compute_s_h(chroma: torch.Tensor, hue: torch.Tensor) -> torch.Tensor:
    """Equations 15 and 21."""
    angle = torch.deg2rad(hue)
    t = (
        1
        - 0.17 * torch.cos(angle - torch.pi / 6)
        + 0.24 * torch.cos(2 * angle)
        + 0.32 * torch.cos(3 * angle + torch.pi / 30)
        - 0.20 * torch.cos(4 * angle - 63 * torch.pi / 180)
    )
    return 1 + 0.015 * chroma * t


def _compute_rotation(chroma: torch.Tensor, hue: torch.Tensor) -> torch.Tensor:
    """Equations 16 to 18."""
    seventh = chroma**7
    width = 30 * torch.exp(-(((hue - 275) / 25).square()))
    return -2 * torch.sqrt(seventh / (seventh + _25_TO_7)) * torch.sin(torch.deg2rad(2 * width))
