"""Removes the color drift that a model added, and keeps the detail.

Source and result are reduced to the size of the smaller one, and both are averaged in linear light, as the eye mixes them from
a distance: over the whole image (``mean``), or by a Gaussian of ``SIGMA`` source pixels (``low-frequency``). The difference of
the two, sRGB-encoded, is enlarged and added to the encoded result; twice, because that is not linear. The finished image is
corrected as a whole, so that no tiles can show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..images import ResizeTaps, iter_strips, make_area_taps, make_cubic_taps, resample, to_floats, to_integers
from ..media import has_alpha, linear_to_srgb, srgb_to_linear
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


class EditableImage(Protocol):
    """An image (h, w, C), in the memory of the host or of a device, that is finished in place."""

    @property
    def shape(self) -> Sequence[int]: ...

    def reduce_to_linear(self, height: int, width: int) -> Pixels:
        """Return the colors in linear light, reduced by area to (height, width, 1 or 3), in host memory."""
        ...

    def blend(self, added: Pixels, strength: float = 1.0) -> None:
        """Multiply the colors by ``strength``, add ``added`` (H, W, 1 or 3) at the size of this image, and clip to 0..1."""
        ...


class HostImage:
    """An image in host memory, float32 in 0..1 or uint16, that is finished a strip of rows at a time. Alpha is unchanged."""

    def __init__(self, pixels: OutputPixels) -> None:
        self._pixels = pixels
        self.shape = pixels.shape
        self._colors = 1 if pixels.shape[2] in (1, 2) else 3

    def reduce_to_linear(self, height: int, width: int) -> Pixels:
        pixels = self._pixels
        out: Pixels = np.empty((height, width, self._colors), np.float32)
        across, down = make_area_taps(pixels.shape[1], width), make_area_taps(pixels.shape[0], height)
        for rows in iter_strips((height, pixels.shape[0] * pixels.shape[1] // height, 3)):
            taps = down.slice_results(rows.start, rows.stop)
            light = srgb_to_linear(to_floats(pixels[taps.start : taps.stop, :, : self._colors]))
            out[rows] = resample(light, across, taps)
        return out

    def blend(self, added: Pixels, strength: float = 1.0) -> None:
        out, colors = self._pixels, self._colors
        across, down = make_blend_taps(added.shape, out.shape)
        for rows in iter_strips((out.shape[0], out.shape[1], 3)):
            taps = down.slice_results(rows.start, rows.stop)
            finished = to_floats(out[rows, :, :colors]) * np.float32(strength)
            finished += resample(added[taps.start : taps.stop], across, taps)
            np.clip(finished, 0, 1, out=finished)
            out[rows, :, :colors] = finished if out.dtype == np.float32 else to_integers(finished, 16)


def make_blend_taps(source: Sequence[int], final: Sequence[int]) -> tuple[ResizeTaps, ResizeTaps]:
    """Return the taps (across, down) of an enlargement by a cubic, or of a reduction by area."""
    make_taps = make_cubic_taps if final[0] >= source[0] else make_area_taps
    return make_taps(source[1], final[1]), make_taps(source[0], final[0])


def fix_colors(source: Pixels, out: OutputPixels | EditableImage, mode: ColorFix) -> None:
    """Correct ``out`` (h, w, C), float32 in 0..1 or uint16, in place, to match ``source`` (H, W, C) float32 in 0..1.

    C is one of 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; alpha is unchanged, and transparent pixels are ignored. Takes the
    memory of four images of the smaller one's size.
    """
    if mode != "off":
        _ColorFixer(source, make_editable(out)).run(mode)


def make_editable(out: OutputPixels | EditableImage) -> EditableImage:
    """Return ``out`` as an image that is finished in place."""
    return HostImage(out) if isinstance(out, np.ndarray) else out


def fix_and_measure_colors(source: Pixels, out: OutputPixels | EditableImage, mode: ColorFix) -> ColorFixResult | None:
    """Do what ``fix_colors`` does and measure it, which takes a third longer; None for ``off``."""
    if mode == "off":
        return None
    fixer = _ColorFixer(source, make_editable(out))
    before = fixer.measure_drift()
    fixer.run(mode)
    return ColorFixResult(before, fixer.measure_drift())


def average_results(results: Sequence[ColorFixResult]) -> ColorFixResult:
    """Return the mean of at least one result."""
    count = len(results)
    return ColorFixResult(sum(one.before for one in results) / count, sum(one.after for one in results) / count)


class _ColorFixer:
    """One pair of images. Reduced images are cached until the result changes."""

    def __init__(self, source: Pixels, out: EditableImage) -> None:
        self._out = out
        self._size = min(source.shape[:2], tuple(out.shape[:2]))
        self._weight = _reduce_alpha(source, *self._size)
        self._source_light = HostImage(source).reduce_to_linear(*self._size)
        self._output_light: Pixels | None = None

    def run(self, mode: ColorFix) -> None:
        target = linear_to_srgb(_average(self._source_light, self._weight, mode))
        for _ in range(_ROUNDS):
            self._out.blend(target - linear_to_srgb(_average(self._get_output_light(), self._weight, mode)))
            self._output_light = None

    def _get_output_light(self) -> Pixels:
        if self._output_light is None:
            self._output_light = self._out.reduce_to_linear(*self._size)
        return self._output_light

    def measure_drift(self) -> float:
        """Mean CIEDE2000 of areas, without transparent ones."""
        weight = None if self._weight is None else _reduce_to_coarse(self._weight)
        areas = (_average_areas(_reduce_to_coarse(light), weight) for light in (self._source_light, self._get_output_light()))
        first, second = (lab_from_linear(torch.as_tensor(np.broadcast_to(one, (*one.shape[:2], 3)).copy())) for one in areas)
        differences: Pixels = ciede2000(first, second).numpy()
        return float(differences.mean() if weight is None else np.average(differences, weights=weight[:, :, 0] + _MIN_WEIGHT))


def _reduce_alpha(source: Pixels, height: int, width: int) -> Pixels | None:
    """Alpha as (height, width, 1); None for an image without alpha."""
    if not has_alpha(source):
        return None
    taps = make_area_taps(source.shape[1], width), make_area_taps(source.shape[0], height)
    return resample(np.ascontiguousarray(source[:, :, -1:]), *taps)


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
