"""Where two pictures differ, as numbers and as a picture with its scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import WorkflowError
from ..images.quantize import strips
from .choices import DIVERGING, At, Kind
from .colours import coloured
from .delta_e import ciede2000
from .distribution import Counter
from .lab import lab_from_srgb
from .legend import legend as legend_bar
from .legend import legend_height, round_up
from .luma import STEPS, luma, slope
from .pictures import Floats, Pair, Pixels, Strip, paired

AUTO_GAIN = 0.0
_AUTO_SHARE = 0.995
_SIGNED = ("signed", "edges")
_FULL_SCALE: dict[Kind, float] = {"absolute": STEPS, "signed": STEPS, "delta e": 100.0, "edges": STEPS}
_TITLES: dict[Kind, str] = {
    "absolute": "Absolute difference, 8-bit steps",
    "signed": "Lighter (+) or darker (-), 8-bit steps",
    "delta e": "CIEDE2000",
    "edges": "Edges steeper (+) or softer (-), 8-bit steps per pixel",
}


def difference(reference: Pixels, picture: Pixels, kind: Kind = "delta e", at: At = "reference") -> Floats:
    """(h, w) at the size of ``at``; whichever is larger there is reduced by area in linear light, the smaller enlarged by a
    cubic.

    ``absolute``: the mean over the channels of the absolute difference. ``signed``: luma of the picture minus that of the
    reference. ``edges``: the slope of luma in the picture minus that in the reference, per pixel. These are in 8-bit steps
    (0..255), of sRGB-encoded values. ``delta e``: CIEDE2000. Raises what ``paired`` raises.
    """
    pair = paired(reference, picture, at)
    return _measured(pair, kind, np.empty((pair.size.height, pair.size.width), np.float32))


def _measured(pair: Pair, kind: Kind, out: Floats) -> Floats:
    measure = _MEASURES[kind]
    for strip in pair.strips(margin=1):
        out[strip.rows] = measure(strip)[strip.inside]
    return out


def diff_map(
    reference: Pixels,
    picture: Pixels,
    kind: Kind = "delta e",
    gain: float = AUTO_GAIN,
    colours: str = "",
    at: At = "reference",
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
    pair = paired(reference, picture, at)
    out = blank(pair.size.height, pair.size.width, legend=legend)
    values = _measured(pair, kind, out[: pair.size.height, :, 0])
    high = _FULL_SCALE[kind] / gain if gain else _automatic(values)
    return painted(out, pair.size.height, high, colours, _TITLES[kind], signed=kind in _SIGNED)


def _automatic(values: Floats) -> float:
    sizes = Counter()
    for rows in strips((*values.shape, 1)):
        sizes.add(np.abs(values[rows]))
    return round_up(sizes.percentile(_AUTO_SHARE))


def mapped(values: Floats, high: float, colours: str, title: str, *, signed: bool = False, legend: bool = True) -> Floats:
    """(h, w) numbers in colours: 0 to ``high``, or ``-high`` to ``high`` when they are ``signed``."""
    height, width = values.shape
    out = blank(height, width, legend=legend)
    out[:height, :, 0] = values
    return painted(out, height, high, colours, title, signed=signed)


def blank(height: int, width: int, *, legend: bool) -> Floats:
    """A map to be: (height[+ the legend's], width, 3). Its first channel takes the numbers, so that they need no room of
    their own; at 8K that is 130 MB."""
    return np.empty((height + (legend_height(width) if legend else 0), width, 3), np.float32)


def painted(out: Floats, height: int, high: float, colours: str, title: str, *, signed: bool = False) -> Floats:
    """``mapped`` for numbers that lie in the first channel of ``out``, in place; the legend fills what is below ``height``."""
    colours = colours or (DIVERGING if signed else "inferno")
    low, width = (-high if signed else 0.0), out.shape[1]
    for rows in strips((height, width, 32)):  # ten arrays of this size while colours are looked up
        out[rows] = coloured((out[rows, :, 0] - np.float32(low)) / np.float32(high - low), colours)
    if len(out) > height:
        out[height:] = legend_bar(width, colours, low, high, title)
    return out


def _absolute(strip: Strip) -> Floats:
    return np.abs(strip.picture - strip.reference).mean(axis=2) * np.float32(STEPS)


def _signed(strip: Strip) -> Floats:
    return (luma(strip.picture) - luma(strip.reference)) * np.float32(STEPS)


def _delta_e(strip: Strip) -> Floats:
    return ciede2000(lab_from_srgb(strip.reference), lab_from_srgb(strip.picture)).numpy()


def _edges(strip: Strip) -> Floats:
    return (slope(luma(strip.picture)) - slope(luma(strip.reference))) * np.float32(STEPS)


_MEASURES: dict[Kind, Callable[[Strip], Floats]] = {
    "absolute": _absolute,
    "signed": _signed,
    "delta e": _delta_e,
    "edges": _edges,
}
