"""Colour as in the source: takes away the drift that a model added, and leaves the detail alone.

Source and result are reduced to the size of the smaller one, and both are averaged in linear light, as the eye mixes them from
further away: over the whole picture (``mean``), or by a Gaussian of ``SIGMA`` pixels of the source (``low-frequency``). The
difference of the two, sRGB-encoded, is enlarged and added to the encoded result. Because that is not linear, it is done twice.
The finished picture is corrected at once: there are no tiles any more that could show.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frames.transfer import linear_to_srgb, srgb_to_linear
from ..images.area import Taps, area_taps, cubic_taps, resampled
from ..images.quantize import strips, to_floats, to_integers

Pixels = NDArray[np.float32]
Result = NDArray[Any]
ColourFix: TypeAlias = Literal["off", "mean", "low-frequency"]

SIGMA = 4.0
"""Pixels of the source. Detail is finer than this, and an area of colour wider."""

_ROUNDS = 2
_REACH = 4
_LEAST_WEIGHT = np.float32(1e-6)


def fix_colours(source: Pixels, out: Result, how: ColourFix) -> None:
    """Correct ``out`` (h, w, C), float32 in 0..1 or uint16, in place, after ``source`` (H, W, C) float32 in 0..1.

    C is one of 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; alpha stays as it is, and what it hides has no say. Beside the two
    there are three pictures of the smaller one's size.
    """
    if how == "off":
        return
    height, width = min(source.shape[:2], out.shape[:2])
    weight = _weight(source, height, width)
    wanted = _averaged(_light(source, height, width), weight, how)
    for _ in range(_ROUNDS):
        there = _averaged(_light(out, height, width), weight, how)
        _add(linear_to_srgb(wanted) - linear_to_srgb(there), out)


def _light(pixels: Result, height: int, width: int) -> Pixels:
    """The colours of (H, W, C) in linear light, reduced by area to (height, width, 1 or 3), a strip of rows at a time."""
    colours = _colours(pixels)
    out: Pixels = np.empty((height, width, colours), np.float32)
    across, down = _reducing(pixels, height, width)
    for rows in strips((height, pixels.shape[0] * pixels.shape[1] // height, 3)):
        taps = down.part(rows.start, rows.stop)
        light = srgb_to_linear(to_floats(pixels[taps.start : taps.stop, :, :colours]))
        out[rows] = resampled(light, across, taps)
    return out


def _weight(source: Pixels, height: int, width: int) -> Pixels | None:
    """Alpha as (height, width, 1); None where there is none."""
    colours = _colours(source)
    if source.shape[2] == colours:
        return None
    return resampled(np.ascontiguousarray(source[:, :, colours:]), *_reducing(source, height, width))


def _reducing(pixels: Result, height: int, width: int) -> tuple[Taps, Taps]:
    return area_taps(pixels.shape[1], width), area_taps(pixels.shape[0], height)


def _averaged(light: Pixels, weight: Pixels | None, how: ColourFix) -> Pixels:
    """(h, w, colours), or (1, 1, colours) for the mean; 0 where alpha hides everything around."""
    average = _mean if how == "mean" else _gaussian
    if weight is None:
        return average(light)
    return np.divide(average(light * weight), np.maximum(average(weight), _LEAST_WEIGHT), dtype=np.float32)


def _mean(pixels: Pixels) -> Pixels:
    return pixels.mean(axis=(0, 1), keepdims=True, dtype=np.float64).astype(np.float32)


def _gaussian(pixels: Pixels) -> Pixels:
    side = 2 * int(_REACH * SIGMA) + 1
    blurred = cv2.GaussianBlur(pixels, (side, side), SIGMA, borderType=cv2.BORDER_REFLECT_101)
    return cast(Pixels, blurred).reshape(pixels.shape)


def _add(field: Pixels, out: Result) -> None:
    """Enlarge ``field`` and add it, a strip of rows at a time."""
    height, width = out.shape[:2]
    colours = _colours(out)
    across, down = cubic_taps(field.shape[1], width), cubic_taps(field.shape[0], height)
    for rows in strips((height, width, 3)):
        taps = down.part(rows.start, rows.stop)
        fixed = to_floats(out[rows, :, :colours]) + resampled(field[taps.start : taps.stop], across, taps)
        np.clip(fixed, 0, 1, out=fixed)
        out[rows, :, :colours] = fixed if out.dtype == np.float32 else to_integers(fixed, 16)


def _colours(pixels: Result) -> int:
    return 1 if pixels.shape[2] in (1, 2) else 3
