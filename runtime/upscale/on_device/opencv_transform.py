"""``cv2.transform`` of three channels on any device, equal to the last bit.

Both sides of a comparison must round alike, so this repeats the order of OpenCV 4 and 5 on processors with AVX2, whose fused
multiply-add rounds once. Products of a sample and a float32 coefficient and their sums are exact in float64, so rounding a
float64 sum to float32 is that fused operation, on every device.
"""

from collections.abc import Sequence

import torch

Planes = Sequence[torch.Tensor]
Row = Sequence[float]
"""Four coefficients, float32 values: those of the three channels, and the constant."""

_BIAS = 32768.0
"""OpenCV packs 16-bit results as signed integers."""


def _multiply_add(values: torch.Tensor, factor: float, addend: torch.Tensor | float) -> torch.Tensor:
    return torch.mul(values, factor).add_(addend).float()


def transform_floats(values: Planes, row: Row) -> torch.Tensor:
    """One row of a transform of float32 channels, as float32. ``values`` are whole numbers below 2 ** 24, float64."""
    total = _multiply_add(values[0], row[0], row[3])
    total = _multiply_add(values[1], row[1], total)
    return _multiply_add(values[2], row[2], total)


def transform_to_one(values: Planes, row: Row) -> torch.Tensor:
    """The only row of a transform of uint16 channels, rounded to 0..65535, float32. ``values`` are float64."""
    total = torch.mul(values[1], row[1]).float()
    total = _multiply_add(values[0], row[0], total)
    total = _multiply_add(values[2], row[2], total)
    return total.add_(row[3]).round_().clamp_(0, 65535)


def transform_to_three(values: Planes, row: Row) -> torch.Tensor:
    """One of three rows of a transform of uint16 channels, in the order of ``video.color.yuv_to_rgb.transform_colors``.

    ``values`` are float64. Returns 0..65535, float32.
    """
    constant = float(torch.tensor(row[3], dtype=torch.float32) - _BIAS)
    total = _multiply_add(values[2], row[2], constant)
    total = _multiply_add(values[1], row[1], total)
    return _multiply_add(values[0], row[0], total).round_().clamp_(-_BIAS, _BIAS - 1).add_(_BIAS)
