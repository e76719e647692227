"""Measure where two images differ, and draw that as a map with a legend."""

from collections.abc import Callable

import numpy as np

from ..errors import WorkflowError
from ..images import iter_strips
from ..media import Floats, Pixels
from .choices import DIVERGING_COLORMAP, DiffKind, MapSize
from .colormaps import apply_colormap, compute_legend_height, draw_legend, round_up
from .delta_e import ciede2000, lab_from_srgb
from .distribution import DistributionCounter
from .luma import STEPS, compute_luma, compute_slope
from .pairing import ImagePair, PairStrip, pair_images

AUTO_GAIN = 0.0
_AUTO_PERCENTILE = 0.995
_SIGNED_KINDS = ("signed", "edges")
_FULL_SCALE: dict[DiffKind, float] = {"absolute": STEPS, "signed": STEPS, "delta e": 100.0, "edges": STEPS}
_TITLES: dict[DiffKind, str] = {
    "absolute": "Absolute difference, 8-bit steps",
    "signed": "Lighter (+) or darker (-), 8-bit steps",
    "delta e": "CIEDE2000",
    "edges": "Edges steeper (+) or softer (-), 8-bit steps per pixel",
}


def measure_difference(reference: Pixels, image: Pixels, kind: DiffKind = "delta e", map_size: MapSize = "reference") -> Floats:
    """Return the difference of every pixel, (h, w) at the size that ``map_size`` names.

    The larger image is reduced by area in linear light, or the smaller enlarged by a cubic. ``absolute``: mean over the
    channels of the absolute difference. ``signed``: luma of the image minus that of the reference. ``edges``: slope of luma in
    the image minus that in the reference, per pixel. These are 8-bit steps (0..255) of sRGB-encoded values. ``delta e``:
    CIEDE2000.

    Raises:
        WorkflowError: see ``pair_images``.
    """
    pair = pair_images(reference, image, map_size)
    return _measure_into(pair, kind, np.empty((pair.size.height, pair.size.width), np.float32))


def _measure_into(pair: ImagePair, kind: DiffKind, out: Floats) -> Floats:
    measure = _MEASURES[kind]
    for rows, values in pair.map_strips(lambda strip: measure(strip)[strip.inside], margin=1):
        out[rows] = values
    return out


def draw_diff_map(
    reference: Pixels,
    image: Pixels,
    kind: DiffKind = "delta e",
    gain: float = AUTO_GAIN,
    colormap: str = "",
    map_size: MapSize = "reference",
    *,
    legend: bool = True,
    zoom: int = 1,
) -> Floats:
    """Draw ``measure_difference`` in colors: (h, w, 3) sRGB in 0..1, with ``legend`` below it, and ``zoom`` times as large.

    The scale ends at 255 steps or at a CIEDE2000 of 100, divided by ``gain``; with ``AUTO_GAIN`` at the next of 1, 2, 5, 10...
    above 99.5 % of the values. Signed kinds begin at minus that. Default of ``colormap``: inferno, blue-white-red for signed
    kinds.

    Raises:
        WorkflowError: negative ``gain``, unknown ``colormap``, or see ``pair_images``.
    """
    if not gain >= 0:
        raise WorkflowError(f"The gain is {gain}.", "Give a number above 0, or 0 for an automatic scale.")
    pair = pair_images(reference, image, map_size)
    height, width = pair.size.height * zoom, pair.size.width * zoom
    out = allocate_map(height, width, legend=legend)
    values = out[:height, :, 0]
    if zoom == 1:
        _measure_into(pair, kind, values)
    else:
        values[:] = (
            _measure_into(pair, kind, np.empty((pair.size.height, pair.size.width), np.float32)).repeat(zoom, 0).repeat(zoom, 1)
        )
    high = _FULL_SCALE[kind] / gain if gain else _choose_scale_end(values)
    return paint_map(out, height, high, colormap, _TITLES[kind], signed=kind in _SIGNED_KINDS)


def _choose_scale_end(values: Floats) -> float:
    sizes = DistributionCounter()
    for rows in iter_strips((*values.shape, 1)):
        sizes.add(np.abs(values[rows]))
    return round_up(sizes.compute_percentile(_AUTO_PERCENTILE))


def allocate_map(height: int, width: int, *, legend: bool) -> Floats:
    """Allocate a map, (height + that of the legend, width, 3). Its first channel receives the numbers before they are painted,
    which saves 130 MB at 8K."""
    return np.empty((height + (compute_legend_height(width) if legend else 0), width, 3), np.float32)


def paint_map(out: Floats, height: int, high: float, colormap: str, title: str, *, signed: bool = False) -> Floats:
    """Paint the numbers in the first channel of ``out`` in place, from 0 to ``high``, or from ``-high`` if ``signed``.

    The legend comes below ``height``.
    """
    colormap = colormap or (DIVERGING_COLORMAP if signed else "inferno")
    low, width = (-high if signed else 0.0), out.shape[1]
    for rows in iter_strips((height, width, 32)):  # the lookup of colors needs ten arrays of this size
        out[rows] = apply_colormap((out[rows, :, 0] - np.float32(low)) / np.float32(high - low), colormap)
    if len(out) > height:
        out[height:] = draw_legend(width, colormap, low, high, title)
    return out


def _measure_absolute(strip: PairStrip) -> Floats:
    return np.abs(strip.image - strip.reference).mean(axis=2) * np.float32(STEPS)


def _measure_signed(strip: PairStrip) -> Floats:
    return (compute_luma(strip.image) - compute_luma(strip.reference)) * np.float32(STEPS)


def _measure_delta_e(strip: PairStrip) -> Floats:
    return ciede2000(lab_from_srgb(strip.reference), lab_from_srgb(strip.image)).numpy()


def _measure_edges(strip: PairStrip) -> Floats:
    return (compute_slope(compute_luma(strip.image)) - compute_slope(compute_luma(strip.reference))) * np.float32(STEPS)


_MEASURES: dict[DiffKind, Callable[[PairStrip], Floats]] = {
    "absolute": _measure_absolute,
    "signed": _measure_signed,
    "delta e": _measure_delta_e,
    "edges": _measure_edges,
}
