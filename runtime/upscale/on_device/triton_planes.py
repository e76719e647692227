"""``rgb_to_planes`` as one kernel of Triton, which reads each pixel once; the same codes, bit by bit.

Each product and sum is rounded where ``opencv_transform`` rounds, and is exact before it in float64, so that it does not matter
whether a compiler fuses them. Used only where ``probe --calibrate`` found it faster, and equal, on this GPU.
"""

# pyright: reportUntypedFunctionDecorator=false, reportUnknownParameterType=false, reportMissingParameterType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false

from collections.abc import Sequence

import numpy as np
import torch
import triton
import triton.language as tl

from ...media import PlaneLayout

_BLOCK = 256
"""Chroma samples of a row in one program."""


def pack_planes(
    pixels: torch.Tensor, layout: PlaneLayout, rows: Sequence[Sequence[float]], planes: Sequence[torch.Tensor]
) -> None:
    """Fill ``planes`` as ``rgb_to_planes.convert_to_planes`` does. ``rows`` are the coefficients, float32 values."""
    if layout.horizontal_factor == 1:
        rows = [[*row[:3], float(np.float32(row[3]) - np.float32(32768))] for row in rows]
    chroma, step = layout.chroma_size, 2 if layout.is_interleaved else 1
    blue, red = (planes[1], planes[1][:, 1:]) if layout.is_interleaved else planes[1:]
    grid = (-(-chroma.width // _BLOCK), chroma.height)
    _pack[grid](
        pixels,
        planes[0],
        blue,
        red,
        pixels.stride(2),
        pixels.stride(0),
        pixels.stride(1),
        pixels.shape[0] - 1,
        pixels.shape[1] - 1,
        planes[0].stride(0),
        blue.stride(0),
        chroma.width,
        *(value for row in rows for value in row),
        ACROSS=layout.horizontal_factor,
        DOWN=layout.vertical_factor,
        STEP=step,
        LIMIT=2**layout.bit_depth - 1,
        GAIN=2 ** (16 - layout.bit_depth) if layout.is_interleaved and layout.bit_depth > 8 else 1,
        BLOCK=_BLOCK,
    )


@triton.jit
def _round(values):
    return (values + 12582912.0) - 12582912.0  # 1.5 * 2 ** 23: the sum has no bits below 1, and is rounded half to even


@triton.jit
def _multiply_add(values, factor, addend):
    return (values * factor + addend).to(tl.float32)


@triton.jit
def _transform_to_three(red, green, blue, factor_0, factor_1, factor_2, constant):
    total = _multiply_add(blue, factor_2, constant)
    total = _multiply_add(green, factor_1, total)
    total = _round(_multiply_add(red, factor_0, total))
    return tl.minimum(tl.maximum(total, -32768.0), 32767.0) + 32768.0


@triton.jit
def _store(place, codes, mask, LIMIT: tl.constexpr, GAIN: tl.constexpr):
    tl.store(place, (tl.minimum(codes, LIMIT) * GAIN).to(tl.int32), mask=mask)


@triton.jit
def _pack(
    pixels,
    luma,
    blue_plane,
    red_plane,
    channel_stride,
    row_stride,
    column_stride,
    last_row,
    last_column,
    luma_stride,
    chroma_stride,
    chroma_width,
    y0,
    y1,
    y2,
    y3,
    b0,
    b1,
    b2,
    b3,
    r0,
    r1,
    r2,
    r3,
    ACROSS: tl.constexpr,
    DOWN: tl.constexpr,
    STEP: tl.constexpr,
    LIMIT: tl.constexpr,
    GAIN: tl.constexpr,
    BLOCK: tl.constexpr,
):
    chroma_row = tl.program_id(1).to(tl.int64)
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = column < chroma_width
    red_sum = tl.full((BLOCK,), 0.0, tl.float64)
    green_sum = tl.full((BLOCK,), 0.0, tl.float64)
    blue_sum = tl.full((BLOCK,), 0.0, tl.float64)
    for down in tl.static_range(DOWN):
        row = chroma_row * DOWN + down
        line = pixels + tl.minimum(row, last_row) * row_stride
        for across in tl.static_range(-1 if ACROSS == 2 else 0, ACROSS):
            here = tl.minimum(tl.maximum(column * ACROSS + across, 0), last_column) * column_stride
            red = tl.load(line + here, mask=mask, other=0).to(tl.float64)
            green = tl.load(line + channel_stride + here, mask=mask, other=0).to(tl.float64)
            blue = tl.load(line + 2 * channel_stride + here, mask=mask, other=0).to(tl.float64)
            red_sum += red * (2.0 if across == 0 else 1.0)
            green_sum += green * (2.0 if across == 0 else 1.0)
            blue_sum += blue * (2.0 if across == 0 else 1.0)
            if across >= 0:
                if ACROSS == 1:
                    codes = _transform_to_three(red, green, blue, y0, y1, y2, y3)
                else:
                    total = (green * y1).to(tl.float32)
                    total = _multiply_add(red, y0, total)
                    total = _multiply_add(blue, y2, total)
                    codes = tl.minimum(tl.maximum(_round(total + y3), 0.0), 65535.0)
                _store(luma + row * luma_stride + column * ACROSS + across, codes, mask, LIMIT, GAIN)
                if ACROSS == 1:
                    place = chroma_row * chroma_stride + column * STEP
                    _store(blue_plane + place, _transform_to_three(red, green, blue, b0, b1, b2, b3), mask, LIMIT, GAIN)
                    _store(red_plane + place, _transform_to_three(red, green, blue, r0, r1, r2, r3), mask, LIMIT, GAIN)
    if ACROSS == 2:
        place = chroma_row * chroma_stride + column * STEP
        total = _multiply_add(red_sum, b0, b3)
        total = _multiply_add(green_sum, b1, total)
        _store(blue_plane + place, _round(_multiply_add(blue_sum, b2, total)), mask, LIMIT, GAIN)
        total = _multiply_add(red_sum, r0, r3)
        total = _multiply_add(green_sum, r1, total)
        _store(red_plane + place, _round(_multiply_add(blue_sum, r2, total)), mask, LIMIT, GAIN)
