"""Decoded planes on a device to R'G'B', with the codes of ``video.color.yuv_to_rgb`` to the last one.

The weights of chroma are whole 128ths, so that sums of 16-bit samples are exact in float32 on every device, in any order.
"""

from collections.abc import Sequence

import torch

from ...media import DecodedLayout
from .opencv_transform import transform_to_three

_STRIPS = 2
"""As few as memory allows, because every call costs; a pixel takes some 60 bytes meanwhile."""
_ROW_MULTIPLE = 4
"""Rows of luma to a row of chroma, at most."""
_KERNEL_RADIUS = 2
_MAX_CODE = 65535


def convert_to_rgb(planes: Sequence[torch.Tensor], layout: DecodedLayout) -> torch.Tensor:
    """Return (H, W, 3) of ``planes`` (rows, columns), on their device: uint8 up to 8 bits, else uint16 over 0..65535."""
    width, height = layout.size.width, layout.size.height
    dtype, peak = (torch.uint8, 255) if layout.bit_depth <= 8 else (torch.uint16, _MAX_CODE)
    pixels = torch.empty((3, height, width), dtype=dtype, device=planes[0].device)
    strip_rows = -(-height // (_STRIPS * _ROW_MULTIPLE)) * _ROW_MULTIPLE
    for top in range(0, height, strip_rows):
        bottom = min(top + strip_rows, height)
        luma = _widen(planes[0][top:bottom], layout.bit_depth)
        chroma = [_upsample_rows(plane, layout, top, bottom)[:, :width] for plane in planes[1:]]
        channels = [values.to(torch.float64) for values in (luma, *chroma)]
        for channel, row in zip(pixels, layout.matrix, strict=True):
            channel[top:bottom] = transform_to_three(channels, row).clamp_(max=peak)
    return pixels.permute(1, 2, 0)


def _widen(plane: torch.Tensor, bit_depth: int) -> torch.Tensor:
    """Move the codes to the upper bits of 16; float32."""
    return plane.to(torch.float32).mul_(2 ** (16 - bit_depth))


def _upsample_rows(plane: torch.Tensor, layout: DecodedLayout, top: int, bottom: int) -> torch.Tensor:
    """Return luma rows ``top`` to ``bottom`` of a chroma plane at full size, rounded after each axis as on the host."""
    factor = len(layout.row_kernels)
    first = max(top // factor - _KERNEL_RADIUS, 0)
    rows = _widen(plane[first : -(-bottom // factor) + _KERNEL_RADIUS], layout.bit_depth)
    rows = _convolve_interleaved(rows, layout.row_kernels, 0)[top - first * factor : bottom - first * factor]
    return _convolve_interleaved(rows, layout.column_kernels, 1)


def _convolve_interleaved(samples: torch.Tensor, kernels: Sequence[Sequence[float]], axis: int) -> torch.Tensor:
    """Return ``samples`` weighed along ``axis`` with each kernel, edges repeated; the results alternate along that axis."""
    if len(kernels) == 1:
        return samples
    length = samples.shape[axis]
    indices = torch.arange(length, device=samples.device)
    shifted = [
        samples.index_select(axis, (indices + offset).clamp_(0, length - 1))
        for offset in range(-_KERNEL_RADIUS, _KERNEL_RADIUS + 1)
    ]
    results = [_weigh(shifted, kernel).round_().clamp_(0, _MAX_CODE) for kernel in kernels]
    return torch.stack(results, axis + 1).flatten(axis, axis + 1)


def _weigh(parts: Sequence[torch.Tensor], kernel: Sequence[float]) -> torch.Tensor:
    total = torch.zeros_like(parts[0])
    for part, weight in zip(parts, kernel, strict=True):
        if weight:
            total.add_(part, alpha=weight)
    return total
