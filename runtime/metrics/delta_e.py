"""The difference between two colours as a person sees it.

Tensors of any shape whose first axis is L*, a*, b*, in and the same shape without it out, in the precision that came in. In
single precision the results lie within 1e-4 of double precision.
"""

from __future__ import annotations

import torch

_25_TO_7 = 25.0**7
_DEGREES = 180.0 / torch.pi


def cie76(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The distance in L*a*b*, ISO/CIE 11664-4:2019."""
    return (first - second).square().sum(dim=0).sqrt()


def ciede2000(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """CIEDE2000 with kL = kC = kH = 1, ISO/CIE 11664-6:2022.

    Written after G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 color-difference formula: implementation notes, supplementary
    test data, and mathematical observations", Color Research and Application 30 (1), 2005; numbers in comments are its
    equations.
    """
    (l1, a1, b1), (l2, a2, b2) = first, second
    stretch = 1 + _red_shift((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2)  # 2 to 5
    a1, a2 = stretch * a1, stretch * a2
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = _hue(a1, b1), _hue(a2, b2)
    grey = (c1 * c2) == 0
    turn = _turn(h1, h2).masked_fill_(grey, 0.0)  # 10
    lightness = (l1 + l2) / 2  # 12
    chroma = (c1 + c2) / 2  # 13
    hue = _mean_hue(h1, h2, grey)
    d_l = (l2 - l1) / _s_l(lightness)  # 8
    d_c = (c2 - c1) / (1 + 0.045 * chroma)  # 9, 20
    d_h = 2 * torch.sqrt(c1 * c2) * torch.sin(torch.deg2rad(turn / 2)) / _s_h(chroma, hue)  # 11
    total = d_l.square() + d_c.square() + d_h.square() + _rotation(chroma, hue) * d_c * d_h  # 22
    return total.clamp_(min=0).sqrt_()


def _red_shift(chroma: torch.Tensor) -> torch.Tensor:
    """G, equation 4."""
    seventh = chroma**7
    return 0.5 * (1 - torch.sqrt(seventh / (seventh + _25_TO_7)))


def _hue(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Equation 7: degrees from 0 to 360; 0 where there is no chroma."""
    angle = torch.atan2(b, a) * _DEGREES
    return torch.where(angle < 0, angle + 360, angle)


def _turn(h1: torch.Tensor, h2: torch.Tensor) -> torch.Tensor:
    """Equation 10: from the first hue to the second, the short way round."""
    turn = h2 - h1
    turn = torch.where(turn > 180, turn - 360, turn)
    return torch.where(turn < -180, turn + 360, turn)


def _mean_hue(h1: torch.Tensor, h2: torch.Tensor, grey: torch.Tensor) -> torch.Tensor:
    """Equation 14; where one of the two has no hue, the other's."""
    total = h1 + h2
    across = torch.where(total < 360, total + 360, total - 360)
    mean = torch.where((h1 - h2).abs() > 180, across, total) / 2
    return torch.where(grey, total, mean)


def _s_l(lightness: torch.Tensor) -> torch.Tensor:
    """Equation 19."""
    square = (lightness - 50).square()
    return 1 + 0.015 * square / torch.sqrt(20 + square)


def _s_h(chroma: torch.Tensor, hue: torch.Tensor) -> torch.Tensor:
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


def _rotation(chroma: torch.Tensor, hue: torch.Tensor) -> torch.Tensor:
    """Equations 16 to 18."""
    seventh = chroma**7
    width = 30 * torch.exp(-(((hue - 275) / 25).square()))
    return -2 * torch.sqrt(seventh / (seventh + _25_TO_7)) * torch.sin(torch.deg2rad(2 * width))
