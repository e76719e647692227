"""Colour as in the source: takes away the drift that a model added, and leaves the detail alone.

Source and result are reduced to the size of the smaller one, and both are averaged in linear light, as the eye mixes them from
further away: over the whole picture (``mean``), or by a Gaussian of ``SIGMA`` pixels of the source (``low-frequency``). The
difference of the two, sRGB-encoded, is enlarged and added to the encoded result. Because that is not linear, it is done twice.
The finished picture is corrected at once: there are no tiles any more that could show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..frames.transfer import linear_to_srgb, srgb_to_linear
from ..images.area import Taps, area_taps, cubic_taps, resampled
from ..images.quantize import strips, to_floats, to_integers
from ..metrics.delta_e import ciede2000
from ..metrics.drift import LOW_FREQUENCY_SIGMA, low_passed
from ..metrics.lab import lab_from_linear

Pixels = NDArray[np.float32]
Result = NDArray[Any]
ColourFix: TypeAlias = Literal["off", "mean", "low-frequency"]

SIGMA = 4.0
"""Pixels of the source. Detail is finer than this, and an area of colour wider."""

_COARSE = 4
"""Areas are compared on every so many pixels of the source: they are wider than that."""

_ROUNDS = 2
_REACH = 4
_LEAST_WEIGHT = np.float32(1e-6)


@dataclass(frozen=True)
class Corrected:
    """The colour drift of areas, mean CIEDE2000, as the node Color Drift measures it in its mode ``low-frequency``."""

    before: float
    after: float

    def __str__(self) -> str:
        return (
            f"Colour fix: the colour of areas was off by \u0394E2000 {self.before:.2f} on average, and is by {self.after:.2f}."
        )


def fix_colours(source: Pixels, out: Result, how: ColourFix) -> None:
    """Correct ``out`` (h, w, C), float32 in 0..1 or uint16, in place, after ``source`` (H, W, C) float32 in 0..1.

    C is one of 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; alpha stays as it is, and what it hides has no say. Beside the two
    there are four pictures of the smaller one's size.
    """
    if how != "off":
        _Fix(source, out).run(how)


def corrected(source: Pixels, out: Result, how: ColourFix) -> Corrected | None:
    """``fix_colours``, measured, which takes a third longer; None where nothing is to be fixed."""
    if how == "off":
        return None
    fix = _Fix(source, out)
    before = fix.drift()
    fix.run(how)
    return Corrected(before, fix.drift())


def on_average(pictures: Sequence[Corrected]) -> Corrected:
    """Over at least one picture."""
    count = len(pictures)
    return Corrected(sum(one.before for one in pictures) / count, sum(one.after for one in pictures) / count)


class _Fix:
    """One pair. What was reduced is kept until the result changes."""

    def __init__(self, source: Pixels, out: Result) -> None:
        self._out = out
        self._size = min(source.shape[:2], out.shape[:2])
        self._weight = _weight(source, *self._size)
        self._wanted = _light(source, *self._size)
        self._there: Pixels | None = None

    def run(self, how: ColourFix) -> None:
        wanted = linear_to_srgb(_averaged(self._wanted, self._weight, how))
        for _ in range(_ROUNDS):
            _add(wanted - linear_to_srgb(_averaged(self._now(), self._weight, how)), self._out)
            self._there = None

    def _now(self) -> Pixels:
        if self._there is None:
            self._there = _light(self._out, *self._size)
        return self._there

    def drift(self) -> float:
        """Mean CIEDE2000 of areas, what is hidden by alpha left out."""
        weight = None if self._weight is None else _coarse(self._weight)
        areas = (_area_colours(_coarse(light), weight) for light in (self._wanted, self._now()))
        first, second = (lab_from_linear(torch.as_tensor(np.broadcast_to(one, (*one.shape[:2], 3)).copy())) for one in areas)
        found: Pixels = ciede2000(first, second).numpy()
        return float(found.mean() if weight is None else np.average(found, weights=weight[:, :, 0] + _LEAST_WEIGHT))


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


def _coarse(pixels: Pixels) -> Pixels:
    """Every ``_COARSE`` pixels become one, by area."""
    height, width, planes = pixels.shape
    size = (max(1, round(width / _COARSE)), max(1, round(height / _COARSE)))
    return cast(Pixels, cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)).reshape(size[1], size[0], planes)


def _area_colours(light: Pixels, weight: Pixels | None) -> Pixels:
    sigma = LOW_FREQUENCY_SIGMA / _COARSE
    if weight is None:
        return low_passed(light, sigma)
    return np.divide(low_passed(light * weight, sigma), np.maximum(low_passed(weight, sigma), _LEAST_WEIGHT), dtype=np.float32)


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
