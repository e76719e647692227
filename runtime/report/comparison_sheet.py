"""Draw all results of each crop in one image, labelled, with a magnified detail and scale bars; and their differences from the
source: CIEDE2000 of every pixel, on one scale for all models of a crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..images import iter_strips
from ..media import Floats, Pixels, Region, Size
from ..metrics import apply_colormap, draw_legend, format_seconds, format_speed, measure_difference, round_up
from .comparison import ComparedCrop, ComparedModel, MeasuredCrop, ModelComparison
from .crops import find_busiest_window
from .drawing import ACCENT, CARD, INK, MUTED, PAPER, draw_scale_bar, draw_text, to_pil_image

CARD_WIDTH = 480
CARDS_PER_ROW = 4
_GAP, _PADDING = 20, 14
_TITLE, _LABEL, _SMALL = 34, 22, 17
_DETAIL_SHARE = 6
"""The magnified detail is this part of a crop's shorter side."""


@dataclass(frozen=True, eq=False)
class Card:
    """One image of the sheet, (h, w, 3) in 0..1, and up to two lines about it."""

    title: str
    pixels: Pixels
    """Or 8 bits."""
    lines: tuple[str, ...] = ()


def draw_sheet(comparison: ModelComparison) -> Image.Image:
    """Draw every crop as a block: source, baselines, models; at the end the models that could not run, and why."""
    blocks = [
        draw_block(
            f"{comparison.source}: {case.crop.name}" if comparison.source else case.crop.name,
            _format_subtitle(case, comparison),
            [_make_source_card(case), *(_make_card(one, case.results[one.id]) for one in comparison.baselines_first)],
            case.source,
        )
        for case in comparison.crops
    ]
    return stack_blocks([*blocks, *([_draw_failed_models(comparison, blocks[0].width)] if comparison.failed else [])])


def _draw_failed_models(comparison: ModelComparison, width: int) -> Image.Image:
    """Draw the models that could not run, and what to do."""
    image = Image.new("RGB", (width, _LABEL + 4 * _PADDING + len(comparison.failed) * (_SMALL + 12)), PAPER)
    draw = ImageDraw.Draw(image)
    draw_text(draw, (_GAP, _PADDING), "Not compared", _LABEL, INK, width - 2 * _GAP)
    for number, model in enumerate(comparison.failed):
        position = (_GAP, _PADDING + _LABEL + 14 + number * (_SMALL + 12))
        draw_text(draw, position, f"{model.title}: {model.problem}", _SMALL, MUTED, width - 2 * _GAP)
    return image


def _format_subtitle(compared_crop: ComparedCrop, comparison: ModelComparison) -> str:
    size = f"{compared_crop.source.shape[1]}x{compared_crop.source.shape[0]}"
    return f"{size} of {comparison.size}, to {comparison.target}. {comparison.machine}"


def _make_source_card(compared_crop: ComparedCrop) -> Card:
    size_line = f"{compared_crop.source.shape[1]}x{compared_crop.source.shape[0]}, pixels as they are"
    return Card("Source", compared_crop.source, (size_line,))


def _make_card(model: ComparedModel, result: MeasuredCrop) -> Card:
    cost = result.cost
    timing = (
        f"{format_seconds(cost.seconds)} s, {format_speed(cost.megapixels / max(cost.seconds, 1e-9))} Mpx/s" if cost else ""
    )
    memory = f", {cost.peak_bytes / 1e6:.0f} MB" if cost and cost.peak_bytes is not None else ""
    quality = f"dE2000 {result.drift.de2000.mean:.2f}, consistency {min(result.artifacts.consistency.psnr_db, 99):.1f} dB"
    return Card(model.title, result.image, (quality, timing + memory) if timing else (quality,))


def draw_block(title: str, subtitle: str, cards: Sequence[Card], source: Floats) -> Image.Image:
    """Draw a heading and its cards; all show the same detail, where ``source`` (H, W, 3) has the most texture."""
    columns = min(CARDS_PER_ROW, len(cards))
    detail = _find_detail(source)
    layout = _CardLayout.of(source, detail)
    rows = ceil(len(cards) / columns)
    width = columns * CARD_WIDTH + (columns + 1) * _GAP
    head = _TITLE + _LABEL + 3 * _PADDING
    image = Image.new("RGB", (width, head + rows * (layout.height + _GAP)), PAPER)
    draw = ImageDraw.Draw(image)
    draw_text(draw, (_GAP, _PADDING), title, _TITLE, INK, width - 2 * _GAP)
    draw_text(draw, (_GAP, _PADDING + _TITLE + 8), subtitle, _LABEL, MUTED, width - 2 * _GAP)
    for index, card in enumerate(cards):
        position = (_GAP + index % columns * (CARD_WIDTH + _GAP), head + index // columns * (layout.height + _GAP))
        image.paste(_draw_card(card, layout), position)
    return image


def _find_detail(source: Floats) -> Region:
    size = Size(source.shape[1], source.shape[0])
    side = max(min(size.width, size.height) // _DETAIL_SHARE, min(size.width, size.height, 16))
    x, y = find_busiest_window(source, Size(side, side), "texture")
    return Region(x, y, side, side)


@dataclass(frozen=True)
class _CardLayout:
    """Where things stand on a card. ``scale`` is how many pixels of the card one source pixel takes in the overview."""

    source: Size
    detail: Region
    scale: float
    overview: Size
    inset: int

    @classmethod
    def of(cls, source: Floats, detail: Region) -> _CardLayout:
        size = Size(source.shape[1], source.shape[0])
        inner = CARD_WIDTH - 2 * _PADDING
        scale = min(inner / size.width, 1.2 * inner / size.height)
        overview = Size(max(round(size.width * scale), 1), max(round(size.height * scale), 1))
        return cls(size, detail, scale, overview, inner)

    @property
    def height(self) -> int:
        text_height = _LABEL + 2 * (_SMALL + 6) + 10
        return self.overview.height + self.inset + text_height + 5 * _PADDING


def _draw_card(card: Card, layout: _CardLayout) -> Image.Image:
    image = Image.new("RGB", (CARD_WIDTH, layout.height), CARD)
    draw = ImageDraw.Draw(image)
    inner = CARD_WIDTH - 2 * _PADDING
    draw_text(draw, (_PADDING, _PADDING), card.title, _LABEL, INK, inner)
    top = _PADDING + _LABEL + 10
    for line in card.lines:
        draw_text(draw, (_PADDING, top), line, _SMALL, MUTED, inner)
        top += _SMALL + 6
    top = _PADDING + _LABEL + 10 + 2 * (_SMALL + 6) + _PADDING
    _paste_overview(image, draw, card.pixels, layout, top)
    _paste_detail(image, draw, card.pixels, layout, top + layout.overview.height + _PADDING)
    return image


def _paste_overview(image: Image.Image, draw: ImageDraw.ImageDraw, pixels: Pixels, layout: _CardLayout, top: int) -> None:
    size = (layout.overview.width, layout.overview.height)
    resampling = Image.Resampling.NEAREST if _is_source(pixels, layout) and layout.scale > 1 else Image.Resampling.LANCZOS
    left = (CARD_WIDTH - size[0]) // 2
    image.paste(to_pil_image(pixels).resize(size, resampling), (left, top))
    detail = layout.detail
    corners = (detail.x, detail.y, detail.right, detail.bottom)
    x0, y0, x1, y1 = (round(edge * layout.scale) for edge in corners)
    draw.rectangle((left + x0, top + y0, left + x1 - 1, top + y1 - 1), outline=ACCENT, width=2)
    draw_scale_bar(draw, (left, top, left + size[0], top + size[1]), layout.scale, _SMALL)


def _paste_detail(image: Image.Image, draw: ImageDraw.ImageDraw, pixels: Pixels, layout: _CardLayout, top: int) -> None:
    """Paste the detail at the same size for each card; its pixels are squares if they are at least two wide."""
    scale_x, scale_y = pixels.shape[1] / layout.source.width, pixels.shape[0] / layout.source.height
    detail = layout.detail
    part = pixels[
        round(detail.y * scale_y) : max(round(detail.bottom * scale_y), 1),
        round(detail.x * scale_x) : max(round(detail.right * scale_x), 1),
    ]
    as_squares = layout.inset >= 2 * part.shape[1]
    enlarged = to_pil_image(part).resize(
        (layout.inset, layout.inset), Image.Resampling.NEAREST if as_squares else Image.Resampling.LANCZOS
    )
    image.paste(enlarged, (_PADDING, top))
    box = (_PADDING, top, _PADDING + layout.inset, top + layout.inset)
    draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=ACCENT, width=3)
    draw_scale_bar(draw, box, layout.inset / detail.width, _SMALL)


def _is_source(pixels: Pixels, layout: _CardLayout) -> bool:
    return (pixels.shape[1], pixels.shape[0]) == (layout.source.width, layout.source.height)


def stack_blocks(blocks: Sequence[Image.Image]) -> Image.Image:
    width = max(one.width for one in blocks)
    image = Image.new("RGB", (width, sum(one.height for one in blocks)), PAPER)
    top = 0
    for one in blocks:
        image.paste(one, (0, top))
        top += one.height
    return image


_SCALE_PERCENTILE = 98.0
"""The scale ends above this percentage of the pixels of each model, so that a few outliers do not darken the rest."""
_COLORMAP = "inferno"
_LEGEND_WIDTH = 800


DriftMaps = tuple[dict[str, NDArray[np.uint8]], float]
"""CIEDE2000 in colors, (H, W, 3) at the source's size, by model id; and the end of the common scale."""


def compute_drift_maps(compared_crop: ComparedCrop) -> DriftMaps:
    """Compare every result with the source."""
    values = {
        name: measure_difference(compared_crop.source, result.image, "delta e")
        for name, result in compared_crop.results.items()
    }
    high = round_up(max((float(np.percentile(one, _SCALE_PERCENTILE)) for one in values.values()), default=0.0))
    return {name: _paint_map(values[name], high) for name in values}, high


def _paint_map(values: Floats, high: float) -> NDArray[np.uint8]:
    out = np.empty((*values.shape, 3), np.uint8)
    for rows in iter_strips((*values.shape, 32)):
        out[rows] = np.floor(apply_colormap(values[rows] / np.float32(high), _COLORMAP) * 255 + 0.5)
    return out


def draw_map_sheet(comparison: ModelComparison, drift_maps: Sequence[DriftMaps]) -> Image.Image:
    """Draw the maps of every crop beside its source, with the scale."""
    return stack_blocks([_draw_map_block(comparison, *one) for one in zip(comparison.crops, drift_maps, strict=True)])


def _draw_map_block(comparison: ModelComparison, compared_crop: ComparedCrop, drift_maps: DriftMaps) -> Image.Image:
    maps, high = drift_maps
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
