"""Fill the color of transparent pixels before upscaling, and limit alpha at the edges of transparency after it.

A pixel with alpha 0 still has a color in the file, usually black. An upscaler that sees only color mixes it into the visible
edge, which becomes a dark fringe. So the color of visible pixels is first extended into the transparent ones.
"""

from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Floats
from .sample_conversion import iter_strips


def fill_transparent_pixels(pixels: Floats) -> Floats:
    """Return the color channels of (H, W, 4) or (H, W, 2) pixels with straight alpha, filled where alpha is 0.

    Push-pull (Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.3.1): color weighted by alpha is averaged 2 by 2 down
    to a single pixel, and gaps are filled from the next coarser level. Deterministic, linear in the number of pixels; needs
    half as much memory again as the result.

    Returns:
        (H, W, 3) or (H, W, 1) float32. Pixels with alpha above 0 are unchanged, bit for bit, and so is an image that is
        entirely transparent.
    """
    color = np.ascontiguousarray(pixels[:, :, :-1])
    alpha = pixels[:, :, -1]
    if alpha.all() or not alpha.any():
        return color
    coarse = _fill_level(_halve_image(pixels))
    for rows in iter_strips((alpha.shape[0] // 2 + 1, 2 * alpha.shape[1], 4)):
        _fill_rows(color, alpha, coarse, rows.start, rows.stop)
    return color


def _halve_image(pixels: Floats) -> Floats:
    """Return the first coarser level (H/2, W/2, color + 1), weighted color and weight, computed strip by strip."""
    height, width, channels = pixels.shape
    level = np.empty((-(-height // 2), -(-width // 2), channels), np.float32)
    for rows in iter_strips((level.shape[0], 2 * width, channels)):
        strip = pixels[2 * rows.start : 2 * rows.stop].copy()
        strip[:, :, :-1] *= strip[:, :, -1:]
        level[rows] = _halve_level(strip)
    return level


def _halve_level(level: Floats) -> Floats:
    """Average 2 by 2; outside of the image weight and color are 0."""
    height, width = level.shape[:2]
    even = np.pad(level, ((0, height % 2), (0, width % 2), (0, 0)))
    pairs: Floats = np.add(even[0::2], even[1::2])
    return np.multiply(np.add(pairs[:, 0::2], pairs[:, 1::2]), np.float32(0.25), dtype=np.float32)


def _fill_level(level: Floats) -> Floats:
    """Return the color (H, W, color) of a level of weighted color, without gaps."""
    weight = level[:, :, -1:]
    own_color = np.zeros((*level.shape[:2], level.shape[2] - 1), np.float32)
    np.divide(level[:, :, :-1], weight, out=own_color, where=weight > 0)
    if level.shape[0] * level.shape[1] == 1:
        return own_color
    coarser = _double_level(_fill_level(_halve_level(level)), level.shape[0], level.shape[1])
    own_share = np.minimum(weight * np.float32(4), np.float32(1))  # one opaque pixel of four is enough
    return np.add(coarser, own_share * (own_color - coarser), dtype=np.float32)


def _double_level(level: Floats, height: int, width: int) -> Floats:
    """Enlarge to twice the size by bilinear interpolation and crop to height and width."""
    size = (2 * level.shape[1], 2 * level.shape[0])
    doubled = cast(Floats, cv2.resize(level, size, interpolation=cv2.INTER_LINEAR))
    return doubled.reshape(size[1], size[0], -1)[:height, :width]


def _fill_rows(color: Floats, alpha: Floats, coarse: Floats, start: int, stop: int) -> None:
    """Fill in place the rows that the coarse rows ``start:stop`` cover; one more coarse row on each side avoids seams."""
    above, below = max(start - 1, 0), min(stop + 1, coarse.shape[0])
    rows = slice(2 * start, min(2 * stop, color.shape[0]))
    doubled = _double_level(coarse[above:below], 2 * (below - above), color.shape[1])[2 * (start - above) :]
    hidden = alpha[rows] == 0
    color[rows][hidden] = doubled[: rows.stop - rows.start][hidden]


def clamp_to_neighbours(upscaled: NDArray[Any], alpha: NDArray[Any]) -> None:
    """Clip ``upscaled`` (h, w) in place, floats or integers as ``alpha`` (H, W) is, to the range of the source pixels that each
    of its pixels covers, and their neighbours.

    A model or a reduction may ring or drift in flat areas; opaque areas must stay opaque, and empty ones empty.
    """
    (height, width), (source_height, source_width) = upscaled.shape, alpha.shape
    first_columns, end_columns = _find_neighbour_ranges(width, source_width)
    first_rows, end_rows = _find_neighbour_ranges(height, source_height)
    previous_rows, low, high = (-1, -1), alpha[0], alpha[0]
    for row, rows in enumerate(zip(first_rows.tolist(), end_rows.tolist(), strict=True)):
        if rows != previous_rows:  # several rows of the result cover the same source rows
            neighbours = alpha[slice(*rows)]
            low = _reduce_ranges(np.minimum, neighbours.min(axis=0), first_columns, end_columns)
            high = _reduce_ranges(np.maximum, neighbours.max(axis=0), first_columns, end_columns)
            previous_rows = rows
        np.clip(upscaled[row], low, high, out=upscaled[row])


def _find_neighbour_ranges(count: int, source: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Start and stop of the source pixels under each of ``count`` pixels, extended by one pixel on both sides."""
    index = np.arange(count)
    return np.maximum(index * source // count - 1, 0), np.minimum(-(-(index + 1) * source // count) + 1, source)


def _reduce_ranges(reduction: np.ufunc, values: NDArray[Any], first: NDArray[np.intp], end: NDArray[np.intp]) -> NDArray[Any]:
    """``reduction`` over ``values[first[i] : end[i]]`` for every i."""
    padded_values = np.append(values, values[-1:])  # an end may equal the length
    return reduction.reduceat(padded_values, np.stack([first, end], axis=1).ravel())[::2]
