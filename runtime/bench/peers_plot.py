"""The plot of ``bench peers``: a bar of seconds for each peer, the fastest first, drawn with Pillow."""

from math import isinf
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from .peers import PeerRow, PeerTable

_WIDTH, _BARS, _COLUMN = 1560, 560, 140
_ROW, _BAR, _PADDING = 50, 26, 36
_TITLE, _TEXT = 32, 20
_PAPER, _INK, _MUTED, _OURS, _PEER = "#14171d", "#eceff4", "#9aa3b5", "#ffb042", "#3a6ea5"


class _Column(NamedTuple):
    heading: str
    right: int


_HEADINGS = ("seconds", "dB, whole", "dB, seams", "peak MB")
_COLUMNS = tuple(
    _Column(heading, _WIDTH - _PADDING - _COLUMN * (len(_HEADINGS) - 1 - index)) for index, heading in enumerate(_HEADINGS)
)
_END = _WIDTH - _PADDING - _COLUMN * len(_HEADINGS) - 24
"""The end of the longest bar."""


def plot_peers(table: PeerTable, machine: str) -> Image.Image:
    """Draw a bar for the median of each peer, and a line from its fastest to its slowest run. The scale starts at 0."""
    rows = sorted(table.measured_rows, key=lambda row: row.median)
    head = _PADDING + _TITLE + 2 * (_TEXT + 10) + _TEXT + 30
    image = Image.new("RGB", (_WIDTH, head + len(rows) * _ROW + _PADDING), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((_PADDING, _PADDING), f"{table.model}, {table.size} enlarged four times", _INK, _load_font(_TITLE))
    draw.text((_PADDING, _PADDING + _TITLE + 14), f"{machine}, {table.threads} threads", _MUTED, _load_font(_TEXT))
    legend = (
        "Seconds, shorter is better: the median, and a line from the fastest to the slowest run. PSNR against torch in fp32."
    )
    draw.text((_PADDING, _PADDING + _TITLE + 24 + _TEXT), legend, _MUTED, _load_font(_TEXT))
    for column in _COLUMNS:
        draw.text((column.right, head - _TEXT - 14), column.heading, _MUTED, _load_font(_TEXT), anchor="ra")
    longest = max(max(row.seconds) for row in rows)
    for index, row in enumerate(rows):
        _draw_bar(draw, row, head + index * _ROW, longest)
    return image


def _draw_bar(draw: ImageDraw.ImageDraw, row: PeerRow, top: int, longest: float) -> None:
    def x(seconds: float) -> float:
        return _BARS + (_END - _BARS) * seconds / longest

    middle = top + _BAR / 2
    draw.text((_BARS - 18, middle), row.name, _OURS if row.is_ours else _INK, _load_font(_TEXT), anchor="rm")
    draw.rounded_rectangle((_BARS, top, max(x(row.median), _BARS + 2), top + _BAR), 4, _OURS if row.is_ours else _PEER)
    draw.line((x(min(row.seconds)), middle, x(max(row.seconds)), middle), _INK, 3)
    for column, text in zip(_COLUMNS, _format_cells(row), strict=True):
        draw.text((column.right, middle), text, _INK, _load_font(_TEXT), anchor="rm")


def _format_cells(row: PeerRow) -> tuple[str, ...]:
    return f"{row.median:.2f}", format_decibels(row.whole_db), format_decibels(row.seam_db), f"{row.peak / 1e6:.0f}"


def format_decibels(value: float | None) -> str:
    """Return decibels as text: ``equal`` for infinity, ``no cuts`` for None."""
    if value is None:
        return "no cuts"
    return "equal" if isinf(value) else f"{value:.1f}"


def _load_font(size: int) -> Any:
    return ImageFont.load_default(size)
