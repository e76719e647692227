"""``cv2.transform`` of three channels on any device, equal to the last bit.

Both sides of a comparison must round alike, so this repeats the order of OpenCV 4 and 5 on processors with AVX2, whose fused
multiply-add rounds once. Products of a sample and a float32 coefficient and their sums are exact in float64, so rounding a
float64 sum to float32 is that fused operation, on every device.
"""

from collections.abc import Sequence

import cv2
import torch

Planes = Sequence[torch.Tensor]
Row = Sequence[float]
"""Four coefficients, float32 values: those of the three channels, and the constant."""

_BIAS = 32768.0
"""OpenCV packs 16-bit results as signed integers."""
_AVX512_SKX = 256  # cv2.CPU_AVX512_SKX, which not every build defines
_VECTOR_PIXELS = 32 if cv2.checkHardwareSupport(_AVX512_SKX) else 16
"""16-bit pixels that OpenCV computes at once; what remains at the end of an array is computed in another order."""


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


def transform_to_three(values: Planes, row: Row, band_rows: int) -> torch.Tensor:
    """One of three rows of a transform of uint16 channels (h, w), which OpenCV got in bands of ``band_rows`` rows.

    ``values`` are float64, their first row begins a band. Returns 0..65535, float32.
    """
    constant = float(torch.tensor(row[3], dtype=torch.float32) - _BIAS)
    total = _multiply_add(values[2], row[2], constant)
    total = _multiply_add(values[1], row[1], total)
    total = _multiply_add(values[0], row[0], total).round_().clamp_(-_BIAS, _BIAS - 1).add_(_BIAS)
    height, width = total.shape
    for top in range(0, height, band_rows):
        end = min(top + band_rows, height) * width
        rest = slice(end - (end - top * width) % _VECTOR_PIXELS, end)
        if rest.start < rest.stop:
            total.view(-1)[rest] = transform_to_one([channel.flatten()[rest] for channel in values], row)
    return total
