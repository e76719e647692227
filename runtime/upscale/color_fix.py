"""Removes the color drift that a model added, and keeps the detail.

Source and result are reduced to the size of the smaller one, and both are averaged in linear light, as the eye mixes them from
a distance: over the whole image (``mean``), or by a Gaussian of ``SIGMA`` source pixels (``low-frequency``). The difference of
the two, sRGB-encoded, is enlarged and added to the encoded result; twice, because that is not linear. The finished image is
corrected as a whole, so that no tiles can show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..images import ResizeTaps, iter_strips, make_area_taps, make_cubic_taps, resample, to_floats, to_integers
from ..media import linear_to_srgb, srgb_to_linear
from ..metrics import LOW_FREQUENCY_SIGMA, ciede2000, lab_from_linear, low_pass

Pixels = NDArray[np.float32]
OutputPixels = NDArray[Any]
ColorFix: TypeAlias = Literal["off", "mean", "low-frequency"]

SIGMA = 4.0
"""Source pixels. Detail is finer than this, and areas of color are wider."""

_COARSE_FACTOR = 4
"""Drift is measured at this fraction of the source's size: areas are wider than that."""

_ROUNDS = 2
_KERNEL_RADIUS_SIGMAS = 4
_MIN_WEIGHT = np.float32(1e-6)


@dataclass(frozen=True)
class ColorFixResult:
    """The color drift of areas, mean CIEDE2000, as the node Color Drift measures it in its mode ``low-frequency``."""

    before: float
    after: float

    def __str__(self) -> str:
        return f"Color fix: the mean color drift of areas was \u0394E2000 {self.before:.2f} and is {self.after:.2f}."


def fix_colors(source: Pixels, out: OutputPixels, mode: ColorFix) -> None:
    """Correct ``out`` (h, w, C), float32 in 0..1 or uint16, in place, to match ``source`` (H, W, C) float32 in 0..1.

    C is one of 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; alpha is unchanged, and transparent pixels are ignored. Takes the
    memory of four images of the smaller one's size.
    """
    if mode != "off":
        _ColorFixer(source, out).run(mode)


def fix_and_measure_colors(source: Pixels, out: OutputPixels, mode: ColorFix) -> ColorFixResult | None:
    """Do what ``fix_colors`` does and measure it, which takes a third longer; None for ``off``."""
    if mode == "off":
        return None
    fixer = _ColorFixer(source, out)
    before = fixer.measure_drift()
    fixer.run(mode)
    return ColorFixResult(before, fixer.measure_drift())


def average_results(results: Sequence[ColorFixResult]) -> ColorFixResult:
    """Return the mean of at least one result."""
    count = len(results)
    return ColorFixResult(sum(one.before for one in results) / count, sum(one.after for one in results) / count)


class _ColorFixer:
    """One pair of images. Reduced images are cached until the result changes."""

    def __init__(self, source: Pixels, out: OutputPixels) -> None:
        self._out = out
        self._size = min(source.shape[:2], out.shape[:2])
        self._weight = _reduce_alpha(source, *self._size)
        self._source_light = _reduce_to_linear(source, *self._size)
        self._output_light: Pixels | None = None

    def run(self, mode: ColorFix) -> None:
        target = linear_to_srgb(_average(self._source_light, self._weight, mode))
        for _ in range(_ROUNDS):
            _add_correction(target - linear_to_srgb(_average(self._get_output_light(), self._weight, mode)), self._out)
            self._output_light = None

    def _get_output_light(self) -> Pixels:
        if self._output_light is None:
            self._output_light = _reduce_to_linear(self._out, *self._size)
        return self._output_light

    def measure_drift(self) -> float:
        """Mean CIEDE2000 of areas, without transparent ones."""
        weight = None if self._weight is None else _reduce_to_coarse(self._weight)
        areas = (_average_areas(_reduce_to_coarse(light), weight) for light in (self._source_light, self._get_output_light()))
        first, second = (lab_from_linear(torch.as_tensor(np.broadcast_to(one, (*one.shape[:2], 3)).copy())) for one in areas)
        differences: Pixels = ciede2000(first, second).numpy()
        return float(differences.mean() if weight is None else np.average(differences, weights=weight[:, :, 0] + _MIN_WEIGHT))


def _reduce_to_linear(pixels: OutputPixels, height: int, width: int) -> Pixels:
    """The colors of (H, W, C) in linear light, reduced by area to (height, width, 1 or 3), a strip of rows at a time."""
    colors = _count_colors(pixels)
    out: Pixels = np.empty((height, width, colors), np.float32)
    across, down = _make_area_taps(pixels, height, width)
    for rows in iter_strips((height, pixels.shape[0] * pixels.shape[1] // height, 3)):
        taps = down.slice_results(rows.start, rows.stop)
        light = srgb_to_linear(to_floats(pixels[taps.start : taps.stop, :, :colors]))
        out[rows] = resample(light, across, taps)
    return out


def _reduce_alpha(source: Pixels, height: int, width: int) -> Pixels | None:
    """Alpha as (height, width, 1); None for an image without alpha."""
    colors = _count_colors(source)
    if source.shape[2] == colors:
        return None
    return resample(np.ascontiguousarray(source[:, :, colors:]), *_make_area_taps(source, height, width))


def _make_area_taps(pixels: OutputPixels, height: int, width: int) -> tuple[ResizeTaps, ResizeTaps]:
    return make_area_taps(pixels.shape[1], width), make_area_taps(pixels.shape[0], height)


def _average(light: Pixels, weight: Pixels | None, mode: ColorFix) -> Pixels:
    """(h, w, colors), or (1, 1, colors) for the mean; 0 where everything around is transparent."""
    compute_average = _compute_mean if mode == "mean" else _blur_gaussian
    if weight is None:
        return compute_average(light)
    return np.divide(compute_average(light * weight), np.maximum(compute_average(weight), _MIN_WEIGHT), dtype=np.float32)


def _reduce_to_coarse(pixels: Pixels) -> Pixels:
    """Reduce by ``_COARSE_FACTOR``, by area."""
    height, width, planes = pixels.shape
    size = (max(1, round(width / _COARSE_FACTOR)), max(1, round(height / _COARSE_FACTOR)))
    return cast(Pixels, cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)).reshape(size[1], size[0], planes)


def _average_areas(light: Pixels, weight: Pixels | None) -> Pixels:
    sigma = LOW_FREQUENCY_SIGMA / _COARSE_FACTOR
    if weight is None:
        return low_pass(light, sigma)
    return np.divide(low_pass(light * weight, sigma), np.maximum(low_pass(weight, sigma), _MIN_WEIGHT), dtype=np.float32)


def _compute_mean(pixels: Pixels) -> Pixels:
    return pixels.mean(axis=(0, 1), keepdims=True, dtype=np.float64).astype(np.float32)


def _blur_gaussian(pixels: Pixels) -> Pixels:
    side = 2 * int(_KERNEL_RADIUS_SIGMAS * SIGMA) + 1
    blurred = cv2.GaussianBlur(pixels, (side, side), SIGMA, borderType=cv2.BORDER_REFLECT_101)
    return cast(Pixels, blurred).reshape(pixels.shape)


def _add_correction(correction: Pixels, out: OutputPixels) -> None:
    """Enlarge ``correction`` and add it, a strip of rows at a time."""
    height, width = out.shape[:2]
    colors = _count_colors(out)
    across, down = make_cubic_taps(correction.shape[1], width), make_cubic_taps(correction.shape[0], height)
    for rows in iter_strips((height, width, 3)):
        taps = down.slice_results(rows.start, rows.stop)
        corrected = to_floats(out[rows, :, :colors]) + resample(correction[taps.start : taps.stop], across, taps)
        np.clip(corrected, 0, 1, out=corrected)
        out[rows, :, :colors] = corrected if out.dtype == np.float32 else to_integers(corrected, 16)


def _count_colors(pixels: OutputPixels) -> int:
    return 1 if pixels.shape[2] in (1, 2) else 3
