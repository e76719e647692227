"""Any function over a picture, a film or a sound in tiles, blended as ComfyUI blends them.

Tiles step by their size less the overlap; the last is narrower. Each counts with a weight that grows linearly over the
overlap at all its sides, and the sum is divided by the sum of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, Protocol, cast

Scale = float | Callable[[float], float]


class Bar(Protocol):
    def update(self, value: float) -> None: ...


def tile_count(length: int, tile: int, overlap: int) -> int:
    """How many tiles one axis has."""
    return 1 if length <= tile else math.ceil((length - overlap) / (tile - overlap))


def tiled_scale_multidim(
    samples: Any,
    function: Callable[[Any], Any],
    tile: Sequence[int] = (64, 64),
    overlap: float | Sequence[float] = 8,
    upscale_amount: Scale | Sequence[Scale] = 4,
    out_channels: int = 3,
    output_device: Any = "cpu",
    downscale: bool = False,
    index_formulas: Scale | Sequence[Scale] | None = None,
    pbar: Bar | None = None,
) -> Any:
    """``samples`` (B, C, and one axis for each length in ``tile``) through ``function``, which changes sizes by a scale.

    ``upscale_amount`` is a factor, or a function of a length, for all axes or one for each; ``index_formulas`` are the same
    for positions. With ``downscale`` a factor divides. Returns (B, out_channels, ...) on ``output_device``.
    """
    import torch

    axes = len(tile)
    overlaps = _for_each_axis(overlap, axes)
    scales = _for_each_axis(upscale_amount, axes)
    formulas = scales if index_formulas is None else _for_each_axis(index_formulas, axes)
    lengths = samples.shape[2:]
    sizes = [_scaled(scale, length, downscale) for scale, length in zip(scales, lengths, strict=True)]
    feathers = [_scaled(scale, width, downscale) for scale, width in zip(scales, overlaps, strict=True)]
    made: list[Any] = []
    with torch.inference_mode():
        for sample in samples.split(1):
            if all(length <= side for length, side in zip(lengths, tile, strict=True)):
                made.append(function(sample).to(output_device))
                _advance(pbar)
                continue
            total = torch.zeros(1, out_channels, *sizes, device=output_device)
            weights = torch.zeros(1, 1, *sizes, device=output_device)
            for corner in product(*map(_starts, lengths, tile, overlaps)):
                places = [slice(start, start + side) for start, side in zip(corner, tile, strict=True)]
                piece = function(sample[(..., *places)]).to(output_device)
                mask = _mask(piece.shape[2:], feathers, output_device)
                begins = [_scaled(formula, start, downscale) for formula, start in zip(formulas, corner, strict=True)]
                room = [min(side, size - begin) for side, size, begin in zip(piece.shape[2:], sizes, begins, strict=True)]
                there = (..., *(slice(begin, begin + side) for begin, side in zip(begins, room, strict=True)))
                inside = (..., *(slice(side) for side in room))
                total[there] += (piece * mask)[inside]
                weights[there] += mask[inside]
                _advance(pbar)
            made.append(total / weights)
        return torch.cat(made) if made else torch.empty(0, out_channels, *sizes, device=output_device)


def _for_each_axis(value: Any, axes: int) -> list[Any]:
    return list(cast("Sequence[Any]", value)) if isinstance(value, list | tuple) else [value] * axes


def _scaled(scale: Any, length: float, downscale: bool) -> int:
    if callable(scale):
        return round(cast("Callable[[float], float]", scale)(length))
    return round(length / scale if downscale else scale * length)


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    return [min(start, length - overlap) for start in range(0, length - overlap, tile - overlap)] if length > tile else [0]


def _mask(sizes: Sequence[int], feathers: Sequence[int], device: Any) -> Any:
    """1 inside, falling to ``1 / feather`` at the sides of an axis that is longer than its feather."""
    import torch

    mask = torch.ones(1, 1, *sizes, device=device)
    for axis, (size, feather) in enumerate(zip(sizes, feathers, strict=True), start=2):
        if feather >= size:
            continue
        for step in range(feather):
            mask.narrow(axis, step, 1).mul_((step + 1) / feather)
            mask.narrow(axis, size - 1 - step, 1).mul_((step + 1) / feather)
    return mask


def _advance(bar: Bar | None) -> None:
    if bar is not None:
        bar.update(1)
