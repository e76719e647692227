"""Where the results differ from the source: CIEDE2000 of every pixel, on one scale for all models of a crop."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..metrics import draw_legend, draw_map, measure_difference, round_up
from .comparison import ComparedCrop, ModelComparison
from .comparison_sheet import Card, draw_block, stack_blocks
from .drawing import PAPER, to_pil_image

Floats = NDArray[np.float32]

_SCALE_PERCENTILE = 98.0
"""The scale ends above this percentage of the pixels of each model, so that a few outliers do not darken the rest."""
_COLORMAP = "inferno"
_LEGEND_WIDTH = 800


def compute_drift_maps(compared_crop: ComparedCrop) -> tuple[dict[str, Floats], float]:
    """Return CIEDE2000 in colors, (H, W, 3) in 0..1 at the source's size, by model id; and the end of the common scale."""
    values = {
        name: measure_difference(compared_crop.source, result.image, "delta e")
        for name, result in compared_crop.results.items()
    }
    high = round_up(max((float(np.percentile(one, _SCALE_PERCENTILE)) for one in values.values()), default=0.0))
    return {name: draw_map(one, high, _COLORMAP, "", legend=False) for name, one in values.items()}, high


def draw_map_sheet(comparison: ModelComparison) -> Image.Image:
    """Draw the maps of every crop beside its source, with the scale."""
    return stack_blocks([_draw_map_block(comparison, case) for case in comparison.crops])


def _draw_map_block(comparison: ModelComparison, compared_crop: ComparedCrop) -> Image.Image:
    maps, high = compute_drift_maps(compared_crop)
    cards = [Card("Source", compared_crop.source, ("What the maps are measured against",))]
    for model in comparison.baselines_first:
        if model.id in maps:
            drift = compared_crop.results[model.id].drift
            lines = (f"mean {drift.de2000.mean:.2f}, p95 {drift.de2000.p95:.2f}", drift.verdict)
            cards.append(Card(model.title, maps[model.id], lines))
    subtitle = f"CIEDE2000 at the source's size, from 0 (black) to {high:g} and more (pale yellow); below 1.0 not visible"
    cards_image = draw_block(f"Color difference: {compared_crop.crop.name}", subtitle, cards, compared_crop.source)
    legend_image = to_pil_image(draw_legend(min(cards_image.width, _LEGEND_WIDTH), _COLORMAP, 0.0, high, "CIEDE2000"))
    image = Image.new("RGB", (cards_image.width, cards_image.height + legend_image.height), PAPER)
    image.paste(cards_image, (0, 0))
    image.paste(legend_image, (0, cards_image.height))
    return image
