"""ComfyUI 0.30's nodes for whole images and batches, bit for bit: create, rebatch, join alpha, split into tiles.

Images are (B, H, W, C) float32, masks (B, H, W); a mask is 1 where an image is transparent. Resizing is in ``image_scale``.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ...errors import WorkflowError
from ...media import Region, Size

_MIN_STEP_SHARE = 0.25  # of a tile: larger overlaps than three quarters are reduced
_MIN_WEIGHT = 1e-5


def invert_images(images: Tensor) -> Tensor:
    """ImageInvert, including alpha."""
    return 1.0 - images


def make_empty_images(width: int, height: int, count: int, color: int) -> Tensor:
    """EmptyImage: ``count`` images of one color, 0xRRGGBB."""
    levels = [(color >> shift & 0xFF) / 0xFF for shift in (16, 8, 0)]
    return torch.tensor(levels, dtype=torch.float32).expand(count, height, width, 3).contiguous()


def rebatch_images(batches: Sequence[Tensor], size: int) -> list[Tensor]:
    """RebatchImages: the images of all batches in batches of ``size``; the last one may be smaller.

    Raises ``WorkflowError`` for images of different sizes that would share a batch.
    """
    images = [batch[index : index + 1] for batch in batches for index in range(len(batch))]
    return [_concatenate_images(images[start : start + size]) for start in range(0, len(images), size)]


def _concatenate_images(images: Sequence[Tensor]) -> Tensor:
    shapes = {image.shape[1:] for image in images}
    if len(shapes) > 1:
        shape_names = " and ".join(sorted(f"{width}x{height} with {channels} channels" for height, width, channels in shapes))
        raise WorkflowError(f"Images of {shape_names} cannot form a batch.", "Resize them to one size, or set batch_size to 1.")
    return torch.cat(list(images))


def take_from_batch(images: Tensor, first: int, count: int) -> Tensor:
    """ImageFromBatch: a negative ``first`` counts from the end; the range is clipped. A copy, so that the rest can be freed."""
    first = first + len(images) if first < 0 else first
    first = max(0, min(len(images) - 1, first))
    return images[first : first + count].clone()


def repeat_batch(images: Tensor, times: int) -> Tensor:
    """RepeatImageBatch: the whole batch, ``times`` times."""
    return images.repeat(times, 1, 1, 1)


def split_alpha(images: Tensor) -> tuple[Tensor, Tensor]:
    """SplitImageWithAlpha: color, and 1 - alpha as a mask; an image without alpha is opaque."""
    alpha = images[..., 3] if images.shape[-1] > 3 else torch.ones_like(images[..., 0])
    return images[..., :3].clone(), 1.0 - alpha


def join_alpha(images: Tensor, mask: Tensor) -> Tensor:
    """JoinImageWithAlpha: the mask is resized (bilinear) to the image; the shorter batch is repeated."""
    count = max(len(images), len(mask))
    planes = mask.to(images).reshape(-1, 1, *mask.shape[-2:])
    alpha = 1.0 - interpolate(planes, size=images.shape[1:3], mode="bilinear").squeeze(1)
    return torch.cat((repeat_to_length(images, count)[..., :3], repeat_to_length(alpha, count)[..., None]), dim=-1)


def repeat_to_length(batch: Tensor, count: int) -> Tensor:
    """Return ``count`` entries: the first ones, or all again and again."""
    times = math.ceil(count / len(batch))
    return batch.repeat(times, *[1] * (batch.ndim - 1))[:count]


def extract_channel_mask(images: Tensor, masks: Tensor, channel: str) -> Tensor:
    """LoadImageMask: ``alpha`` is the file's mask; ``red``, ``green`` and ``blue`` are that plane unchanged."""
    return masks if channel == "alpha" else images[..., ("red", "green", "blue").index(channel)].clone()


def split_tiles(images: Tensor, tile: Size, overlap: int) -> list[Tensor]:
    """SplitImageToTileList: views of equal size, row by row; the last of a row or column is shifted inwards."""
    size = Size(images.shape[2], images.shape[1])
    return [images[:, region.rows, region.columns] for region in _iter_tile_regions(size, tile, overlap)]


def merge_tiles(tiles: Sequence[Tensor], size: Size, overlap: int) -> Tensor:
    """ImageMergeTileList: the first tile sets the tile size; with an overlap tiles are weighted by half a sine wave.

    Surplus tiles are ignored; areas without a tile are black.
    Raises ``WorkflowError`` when there is no tile, or tiles differ in channels or count.
    """
    if len({(len(tile), tile.shape[-1]) for tile in tiles}) != 1:
        problem = "Tiles of different kinds cannot form an image." if tiles else "There are no tiles to merge."
        raise WorkflowError(problem, "Connect the list of SplitImageToTileList, with all tiles scaled alike.")
    count, height, width, channels = tiles[0].shape
    weight = _make_sine_weight(tiles[0]) if overlap > 0 else tiles[0].new_ones(1, height, width, 1)
    total = tiles[0].new_zeros(count, size.height, size.width, channels)
    weights = tiles[0].new_zeros(count, size.height, size.width, 1)
    for tile, region in zip(tiles, _iter_tile_regions(size, Size(width, height), overlap), strict=False):
        visible_height, visible_width = min(region.height, tile.shape[1]), min(region.width, tile.shape[2])
        rows, columns = slice(region.y, region.y + visible_height), slice(region.x, region.x + visible_width)
        part = weight[:, :visible_height, :visible_width]
        total[:, rows, columns] += tile[:, :visible_height, :visible_width] * part
        weights[:, rows, columns] += part
    weights[weights == 0] = 1.0
    return total.div_(weights)


def _iter_tile_regions(size: Size, tile: Size, overlap: int) -> Iterator[Region]:
    rows = _compute_tile_spans(size.height, tile.height, overlap)
    columns = _compute_tile_spans(size.width, tile.width, overlap)
    for (top, height), (left, width) in product(rows, columns):
        yield Region(left, top, width, height)


def _compute_tile_spans(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Return start and length of every tile along one axis."""
    spans: list[tuple[int, int]] = []
    step = round(max(tile * _MIN_STEP_SHARE, tile - overlap))
    for start in range(0, length, step):
        end = min(start + tile, length)
        spans.append((max(0, end - tile), min(tile, length)))
        if end == length:
            break
    return spans


def _make_sine_weight(like: Tensor) -> Tensor:
    """Return (1, H, W, 1): half a sine wave along each axis, never 0."""
    ramps = [
        torch.sin(math.pi * torch.linspace(0, 1, side, device=like.device, dtype=like.dtype)).clamp(min=_MIN_WEIGHT)
        for side in like.shape[1:3]
    ]
    return (ramps[0][:, None] * ramps[1][None, :])[None, :, :, None]
