"""The picture that shows all results of each crop: labelled, with a magnified detail and scale bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..frames.geometry import Region, Size
from .comparison import Case, Comparison, Contender, Measured
from .crops import busiest
from .drawing import ACCENT, CARD, INK, MUTED, PAPER, as_image, scale_bar, text
from .summary import as_seconds, as_speed

Floats = NDArray[np.float32]

CARD_WIDTH = 480
COLUMNS = 4
_GAP, _PADDING = 20, 14
_TITLE, _LABEL, _SMALL = 34, 22, 17
_DETAIL_SHARE = 6
"""The magnified detail is this part of a crop's shorter side."""


@dataclass(frozen=True, eq=False)
class Card:
    """One picture of the sheet, (h, w, 3) in 0..1, and up to two lines about it."""

    title: str
    picture: Floats
    lines: tuple[str, ...] = ()


def sheet(comparison: Comparison) -> Image.Image:
    """Every crop as a block: the source first, then base lines and models; at the end those that could not run, and why."""
    blocks = [
        block(
            f"{comparison.source}: {case.crop.name}" if comparison.source else case.crop.name,
            _subtitle(case, comparison),
            [_source_card(case), *(_card(one, case.results[one.id]) for one in comparison.base_lines_first)],
            case.source,
        )
        for case in comparison.cases
    ]
    return stacked([*blocks, *([_left_out(comparison, blocks[0].width)] if comparison.unable else [])])


def _left_out(comparison: Comparison, width: int) -> Image.Image:
    """Who could not take part, and what to do about it."""
    image = Image.new("RGB", (width, _LABEL + 4 * _PADDING + len(comparison.unable) * (_SMALL + 12)), PAPER)
    draw = ImageDraw.Draw(image)
    text(draw, (_GAP, _PADDING), "Not compared", _LABEL, INK, width - 2 * _GAP)
    for number, one in enumerate(comparison.unable):
        place = (_GAP, _PADDING + _LABEL + 14 + number * (_SMALL + 12))
        text(draw, place, f"{one.title}: {one.problem}", _SMALL, MUTED, width - 2 * _GAP)
    return image


def _subtitle(case: Case, comparison: Comparison) -> str:
    size = f"{case.source.shape[1]}x{case.source.shape[0]}"
    return f"{size} of {comparison.size}, to {comparison.target}. {comparison.machine}"


def _source_card(case: Case) -> Card:
    repeated = f"{case.source.shape[1]}x{case.source.shape[0]}, pixels as they are"
    return Card("Source", case.source, (repeated,))


def _card(contender: Contender, result: Measured) -> Card:
    cost = result.cost
    spent = f"{as_seconds(cost.seconds)} s, {as_speed(cost.megapixels / max(cost.seconds, 1e-9))} Mpx/s" if cost else ""
    memory = f", {cost.peak_bytes / 1e6:.0f} MB" if cost and cost.peak_bytes is not None else ""
    colours = f"dE2000 {result.drift.de2000.mean:.2f}, consistency {min(result.artifacts.consistency.psnr_db, 99):.1f} dB"
    return Card(contender.title, result.picture, (colours, spent + memory) if spent else (colours,))


def block(title: str, subtitle: str, cards: Sequence[Card], source: Floats) -> Image.Image:
    """A heading and its cards; all pictures show the same place, found by what has the most detail in ``source`` (H, W, 3)."""
    columns = min(COLUMNS, len(cards))
    detail = _detail(source)
    shape = _Shape.of(source, detail)
    rows = ceil(len(cards) / columns)
    width = columns * CARD_WIDTH + (columns + 1) * _GAP
    head = _TITLE + _LABEL + 3 * _PADDING
    image = Image.new("RGB", (width, head + rows * (shape.height + _GAP)), PAPER)
    draw = ImageDraw.Draw(image)
    text(draw, (_GAP, _PADDING), title, _TITLE, INK, width - 2 * _GAP)
    text(draw, (_GAP, _PADDING + _TITLE + 8), subtitle, _LABEL, MUTED, width - 2 * _GAP)
    for index, card in enumerate(cards):
        place = (_GAP + index % columns * (CARD_WIDTH + _GAP), head + index // columns * (shape.height + _GAP))
        image.paste(_drawn(card, shape), place)
    return image


def _detail(source: Floats) -> Region:
    size = Size(source.shape[1], source.shape[0])
    side = max(min(size.width, size.height) // _DETAIL_SHARE, min(size.width, size.height, 16))
    x, y = busiest(source, Size(side, side), "texture")
    return Region(x, y, side, side)


@dataclass(frozen=True)
class _Shape:
    """Where things stand on a card. ``scale`` is how many pixels of the card one source pixel takes in the overview."""

    source: Size
    detail: Region
    scale: float
    overview: Size
    inset: int

    @classmethod
    def of(cls, source: Floats, detail: Region) -> _Shape:
        size = Size(source.shape[1], source.shape[0])
        inner = CARD_WIDTH - 2 * _PADDING
        scale = min(inner / size.width, 1.2 * inner / size.height)
        overview = Size(max(round(size.width * scale), 1), max(round(size.height * scale), 1))
        return cls(size, detail, scale, overview, inner)

    @property
    def height(self) -> int:
        words = _LABEL + 2 * (_SMALL + 6) + 10
        return self.overview.height + self.inset + words + 5 * _PADDING


def _drawn(card: Card, shape: _Shape) -> Image.Image:
    image = Image.new("RGB", (CARD_WIDTH, shape.height), CARD)
    draw = ImageDraw.Draw(image)
    inner = CARD_WIDTH - 2 * _PADDING
    text(draw, (_PADDING, _PADDING), card.title, _LABEL, INK, inner)
    top = _PADDING + _LABEL + 10
    for line in card.lines:
        text(draw, (_PADDING, top), line, _SMALL, MUTED, inner)
        top += _SMALL + 6
    top = _PADDING + _LABEL + 10 + 2 * (_SMALL + 6) + _PADDING
    _paste_overview(image, draw, card.picture, shape, top)
    _paste_detail(image, draw, card.picture, shape, top + shape.overview.height + _PADDING)
    return image


def _paste_overview(image: Image.Image, draw: ImageDraw.ImageDraw, picture: Floats, shape: _Shape, top: int) -> None:
    size = (shape.overview.width, shape.overview.height)
    filter = Image.Resampling.NEAREST if _is_source(picture, shape) and shape.scale > 1 else Image.Resampling.LANCZOS
    left = (CARD_WIDTH - size[0]) // 2
    image.paste(as_image(picture).resize(size, filter), (left, top))
    detail = shape.detail
    corners = (detail.x, detail.y, detail.right, detail.bottom)
    x0, y0, x1, y1 = (round(edge * shape.scale) for edge in corners)
    draw.rectangle((left + x0, top + y0, left + x1 - 1, top + y1 - 1), outline=ACCENT, width=2)
    scale_bar(draw, (left, top, left + size[0], top + size[1]), shape.scale, _SMALL)


def _paste_detail(image: Image.Image, draw: ImageDraw.ImageDraw, picture: Floats, shape: _Shape, top: int) -> None:
    """The detail of each picture at the same size: its pixels are shown as squares where they are at least two wide."""
    across, down = picture.shape[1] / shape.source.width, picture.shape[0] / shape.source.height
    detail = shape.detail
    part = picture[
        round(detail.y * down) : max(round(detail.bottom * down), 1),
        round(detail.x * across) : max(round(detail.right * across), 1),
    ]
    as_squares = shape.inset >= 2 * part.shape[1]
    shown = as_image(part).resize(
        (shape.inset, shape.inset), Image.Resampling.NEAREST if as_squares else Image.Resampling.LANCZOS
    )
    image.paste(shown, (_PADDING, top))
    box = (_PADDING, top, _PADDING + shape.inset, top + shape.inset)
    draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=ACCENT, width=3)
    scale_bar(draw, box, shape.inset / detail.width, _SMALL)


def _is_source(picture: Floats, shape: _Shape) -> bool:
    return (picture.shape[1], picture.shape[0]) == (shape.source.width, shape.source.height)


def stacked(blocks: Sequence[Image.Image]) -> Image.Image:
    width = max(one.width for one in blocks)
    image = Image.new("RGB", (width, sum(one.height for one in blocks)), PAPER)
    top = 0
    for one in blocks:
        image.paste(one, (0, top))
        top += one.height
    return image
