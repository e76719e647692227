"""Where two pictures differ, as numbers and as a picture with its scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import WorkflowError
from ..images.quantize import iter_strips
from .choices import DIVERGING_COLORMAP, DiffKind, MapSize
from .colormaps import apply_colormap
from .delta_e import ciede2000, lab_from_srgb
from .distribution import DistributionCounter
from .legend import compute_legend_height, round_up
from .legend import draw_legend as legend_bar
from .luma import STEPS, compute_luma, compute_slope
from .pairing import Floats, ImagePair, PairStrip, Pixels, pair_images

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
    """(h, w) at the size of ``at``; whichever is larger there is reduced by area in linear light, the smaller enlarged by a
    cubic.

    ``absolute``: the mean over the channels of the absolute difference. ``signed``: luma of the picture minus that of the
    reference. ``edges``: the slope of luma in the picture minus that in the reference, per pixel. These are in 8-bit steps
    (0..255), of sRGB-encoded values. ``delta e``: CIEDE2000. Raises what ``paired`` raises.
    """
    pair = pair_images(reference, image, map_size)
    return _measure_into(pair, kind, np.empty((pair.size.height, pair.size.width), np.float32))


def _measure_into(pair: ImagePair, kind: DiffKind, out: Floats) -> Floats:
    measure = _MEASURES[kind]
    for strip in pair.iter_strips(margin=1):
        out[strip.rows] = measure(strip)[strip.inside]
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
) -> Floats:
    """``difference`` in colours: (h, w, 3) sRGB in 0..1, with the legend's bar below it where that is asked for.

    The scale ends at 255 steps or at 100 units of CIEDE2000, divided by ``gain``; with ``AUTO_GAIN`` at the next of 1, 2, 5,
    10... above 99.5 % of the values. Signed kinds go as far below zero. Without ``colours``: inferno, blue-white-red for
    signed kinds. Raises ``WorkflowError`` for a gain below zero, and what ``difference`` and ``coloured`` raise.
    """
    if not gain >= 0:
        raise WorkflowError(f"A gain of {gain} means nothing.", "Give a number above 0, or 0 for an automatic scale.")
    pair = pair_images(reference, image, map_size)
    out = allocate_map(pair.size.height, pair.size.width, legend=legend)
    values = _measure_into(pair, kind, out[: pair.size.height, :, 0])
    high = _FULL_SCALE[kind] / gain if gain else _choose_scale_end(values)
    return paint_map(out, pair.size.height, high, colormap, _TITLES[kind], signed=kind in _SIGNED_KINDS)


def _choose_scale_end(values: Floats) -> float:
    sizes = DistributionCounter()
    for rows in iter_strips((*values.shape, 1)):
        sizes.add(np.abs(values[rows]))
    return round_up(sizes.compute_percentile(_AUTO_PERCENTILE))


def draw_map(values: Floats, high: float, colormap: str, title: str, *, signed: bool = False, legend: bool = True) -> Floats:
    """(h, w) numbers in colours: 0 to ``high``, or ``-high`` to ``high`` when they are ``signed``."""
    height, width = values.shape
    out = allocate_map(height, width, legend=legend)
    out[:height, :, 0] = values
    return paint_map(out, height, high, colormap, title, signed=signed)


def allocate_map(height: int, width: int, *, legend: bool) -> Floats:
    """A map to be: (height[+ the legend's], width, 3). Its first channel takes the numbers, so that they need no room of
    their own; at 8K that is 130 MB."""
    return np.empty((height + (compute_legend_height(width) if legend else 0), width, 3), np.float32)


def paint_map(out: Floats, height: int, high: float, colormap: str, title: str, *, signed: bool = False) -> Floats:
    """``mapped`` for numbers that lie in the first channel of ``out``, in place; the legend fills what is below ``height``."""
    colormap = colormap or (DIVERGING_COLORMAP if signed else "inferno")
    low, width = (-high if signed else 0.0), out.shape[1]
    for rows in iter_strips((height, width, 32)):  # ten arrays of this size while colours are looked up
        out[rows] = apply_colormap((out[rows, :, 0] - np.float32(low)) / np.float32(high - low), colormap)
    if len(out) > height:
        out[height:] = legend_bar(width, colormap, low, high, title)
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
