"""Where the results differ from the source: CIEDE2000 of every pixel, one scale for all contenders of a crop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..metrics.diff import difference, mapped
from ..metrics.legend import legend, round_up
from .comparison import Case, Comparison
from .drawing import PAPER, as_image
from .sheet import Card, block, stacked

Floats = NDArray[np.float32]

_SHOWN_SHARE = 98.0
"""The scale ends above this percentage of all pixels of all contenders: a few bright ones must not darken the rest."""
_COLOURS = "inferno"
_LEGEND_WIDTH = 800


def drift_maps(case: Case) -> tuple[dict[str, Floats], float]:
    """CIEDE2000 in colours, (H, W, 3) in 0..1 at the source's size, by contender; and where the common scale ends."""
    values = {name: difference(case.source, result.picture, "delta e") for name, result in case.results.items()}
    high = round_up(max((float(np.percentile(one, _SHOWN_SHARE)) for one in values.values()), default=0.0))
    return {name: mapped(one, high, _COLOURS, "", legend=False) for name, one in values.items()}, high


def map_sheet(comparison: Comparison) -> Image.Image:
    """The maps of every crop beside its source, with the scale."""
    return stacked([_block(comparison, case) for case in comparison.cases])


def _block(comparison: Comparison, case: Case) -> Image.Image:
    maps, high = drift_maps(case)
    cards = [Card("Source", case.source, ("What the maps are measured against",))]
    for one in comparison.base_lines_first:
        if one.id in maps:
            found = case.results[one.id].drift
            lines = (f"mean {found.de2000.mean:.2f}, p95 {found.de2000.p95:.2f}", found.verdict)
            cards.append(Card(one.title, maps[one.id], lines))
    subtitle = f"CIEDE2000 at the source's size, from 0 (black) to {high:g} and more (pale yellow); below 1.0 nobody sees it"
    picture = block(f"Colour difference: {case.crop.name}", subtitle, cards, case.source)
    scale = as_image(legend(min(picture.width, _LEGEND_WIDTH), _COLOURS, 0.0, high, "CIEDE2000"))
    image = Image.new("RGB", (picture.width, picture.height + scale.height), PAPER)
    image.paste(picture, (0, 0))
    image.paste(scale, (0, picture.height))
    return image
