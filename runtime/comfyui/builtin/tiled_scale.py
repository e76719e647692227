"""ComfyUI's ``tiled_scale``: apply a function to an image, a video or audio in tiles, and blend them as ComfyUI does.

The step is the tile size minus the overlap; the last tile is narrower. Tiles are weighted by linear ramps over the overlap on
all sides, and the weighted sum is divided by the sum of the weights.
"""

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, Protocol, cast

Scale = float | Callable[[float], float]


class TileProgressBar(Protocol):
    def update(self, value: float) -> None: ...


def count_tiles(length: int, tile: int, overlap: int) -> int:
    """Return the number of tiles along one axis."""
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
    pbar: TileProgressBar | None = None,
) -> Any:
    """Apply ``function`` to ``samples`` (B, C, and one axis per length in ``tile``); return (B, out_channels, ...).

    ``upscale_amount`` is a factor, or a function of a length, for all axes or one per axis; ``index_formulas`` are the same
    for positions. With ``downscale`` factors divide. The result is on ``output_device``.
    """
    import torch

    axes = len(tile)
    overlaps = _repeat_per_axis(overlap, axes)
    scales = _repeat_per_axis(upscale_amount, axes)
    formulas = scales if index_formulas is None else _repeat_per_axis(index_formulas, axes)
    lengths = samples.shape[2:]
    sizes = [_scale_length(scale, length, downscale) for scale, length in zip(scales, lengths, strict=True)]
    feathers = [_scale_length(scale, width, downscale) for scale, width in zip(scales, overlaps, strict=True)]
    results: list[Any] = []
    with torch.inference_mode():
        for sample in samples.split(1):
            if all(length <= side for length, side in zip(lengths, tile, strict=True)):
                results.append(function(sample).to(output_device))
                _advance_bar(pbar)
                continue
            total = torch.zeros(1, out_channels, *sizes, device=output_device)
            weights = torch.zeros(1, 1, *sizes, device=output_device)
            for corner in product(*map(_list_tile_starts, lengths, tile, overlaps)):
                source_slices = [slice(start, start + side) for start, side in zip(corner, tile, strict=True)]
                scaled_tile = function(sample[(..., *source_slices)]).to(output_device)
                mask = _make_blend_mask(scaled_tile.shape[2:], feathers, output_device)
                target_starts = [
                    _scale_length(formula, start, downscale) for formula, start in zip(formulas, corner, strict=True)
                ]
                clipped_sizes = [
                    min(side, size - begin)
                    for side, size, begin in zip(scaled_tile.shape[2:], sizes, target_starts, strict=True)
                ]
                target_region = (
                    ...,
                    *(slice(begin, begin + side) for begin, side in zip(target_starts, clipped_sizes, strict=True)),
                )
                tile_region = (..., *(slice(side) for side in clipped_sizes))
                total[target_region] += (scaled_tile * mask)[tile_region]
                weights[target_region] += mask[tile_region]
                _advance_bar(pbar)
            results.append(total.div_(weights))
        return torch.cat(results) if results else torch.empty(0, out_channels, *sizes, device=output_device)


def _repeat_per_axis(value: Any, axes: int) -> list[Any]:
    return list(cast("Sequence[Any]", value)) if isinstance(value, list | tuple) else [value] * axes


def _scale_length(scale: Any, length: float, downscale: bool) -> int:
    if callable(scale):
        return round(cast("Callable[[float], float]", scale)(length))
    return round(length / scale if downscale else scale * length)


def _list_tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    return [min(start, length - overlap) for start in range(0, length - overlap, tile - overlap)] if length > tile else [0]


def _make_blend_mask(sizes: Sequence[int], feathers: Sequence[int], device: Any) -> Any:
    """Return weights of 1 that fall to ``1 / feather`` at the sides of every axis longer than its feather."""
    import torch

    mask = torch.ones(1, 1, *sizes, device=device)
    for axis, (size, feather) in enumerate(zip(sizes, feathers, strict=True), start=2):
        if feather >= size:
            continue
        for step in range(feather):
            mask.narrow(axis, step, 1).mul_((step + 1) / feather)
            mask.narrow(axis, size - 1 - step, 1).mul_((step + 1) / feather)
    return mask


def _advance_bar(bar: TileProgressBar | None) -> None:
    if bar is not None:
        bar.update(1)
