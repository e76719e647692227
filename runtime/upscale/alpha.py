"""Transparency without fringes: what a model sees under transparent pixels, and what may come out at their edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]


def fill_transparent(colour: Pixels, alpha: Pixels) -> Pixels:
    """``colour`` (H, W, C) with the colour of fully transparent pixels (``alpha`` (H, W) == 0) replaced from nearby.

    Pixels that show at all are returned untouched. Transparent ones get the coverage-weighted mean of the smallest
    surrounding block of 2, 4, 8, ... pixels that shows anything (pull-push, Gortler et al., The Lumigraph, 1996): whatever
    an editor left there, black as a rule, no longer bleeds over the edge when a model or a filter looks at it.
    """
    if bool((alpha > 0).all()):
        return colour
    filled = colour.copy()
    hidden = alpha <= 0
    filled[hidden] = _nearby(colour, alpha)[hidden]
    return filled


def _nearby(colour: Pixels, weight: Pixels) -> Pixels:
    """The weighted mean colour around each pixel, from as near as there is any weight."""
    height, width, channels = colour.shape
    if height == 1 and width == 1:
        return colour
    coarse_weight = _halved(weight[:, :, None])
    coarse = _halved(colour * weight[:, :, None])
    np.divide(coarse, coarse_weight, out=coarse, where=coarse_weight > 0)
    reached = np.minimum(coarse_weight[:, :, 0], 1.0)
    below = coarse
    if not bool((reached > 0).all()) and bool((reached > 0).any()):
        below = np.where(reached[:, :, None] > 0, coarse, _nearby(coarse, reached))
    return below.repeat(2, axis=0).repeat(2, axis=1)[:height, :width, :channels]


def _halved(values: Pixels) -> Pixels:
    """Sums over blocks of 2 x 2; a last odd row or column is a block of its own."""
    height, width = values.shape[:2]
    even = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    return even[0::2, 0::2] + even[1::2, 0::2] + even[0::2, 1::2] + even[1::2, 1::2]


def keep_within_neighbours(upscaled: Pixels, alpha: Pixels) -> None:
    """Clip ``upscaled`` (h, w) in place to the range of the 3 x 3 source pixels around each of its pixels.

    A model may ring or drift in flat areas; what was opaque must stay opaque, and what was empty empty.
    """
    low, high = _neighbourhood(alpha, np.minimum), _neighbourhood(alpha, np.maximum)
    rows = np.arange(upscaled.shape[0]) * alpha.shape[0] // upscaled.shape[0]
    columns = np.arange(upscaled.shape[1]) * alpha.shape[1] // upscaled.shape[1]
    for row, source in enumerate(rows):
        np.clip(upscaled[row], low[source, columns], high[source, columns], out=upscaled[row])


def _neighbourhood(values: Pixels, choose: np.ufunc) -> Pixels:
    padded = np.pad(values, 1, mode="edge")
    across = choose(choose(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    return choose(choose(across[:-2], across[1:-1]), across[2:])
