"""The plots of ``bench models`` and ``bench peers``, drawn with Pillow: a bar for each combination or peer."""

from functools import cache
from math import isinf
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .benchmark_results import BenchmarkResults, BenchmarkRow
from .peers import PeerRow, PeerTable

_PAPER, _INK, _MUTED, _BLUE, _ORANGE, _SLOW = "#14171d", "#eceff4", "#9aa3b5", "#3a6ea5", "#ffb042", "#e06c60"

_WIDTH, _LABELS, _NUMBERS = 1400, 560, 170
_ROW, _BAR, _PADDING, _TITLE, _TEXT = 44, 22, 28, 30, 18

_PEERS_WIDTH, _PEERS_BARS, _PEERS_COLUMN = 1560, 560, 140
_PEERS_ROW, _PEERS_BAR, _PEERS_PADDING, _PEERS_TITLE, _PEERS_TEXT = 50, 26, 36, 32, 20
_HEADINGS = ("seconds", "dB, whole", "dB, seams", "peak MB")
_RIGHTS = tuple(_PEERS_WIDTH - _PEERS_PADDING - _PEERS_COLUMN * index for index in reversed(range(len(_HEADINGS))))
_END = _PEERS_WIDTH - _PEERS_PADDING - _PEERS_COLUMN * len(_HEADINGS) - 24
"""The end of the longest bar."""


def plot_benchmark(results: BenchmarkResults) -> Image.Image:
    """Plot megapixels of the result per second, end to end: the median as a bar, all runs as a line, model only as a mark."""
    rows = [row for row in results.rows if row.seconds]
    head = 2 * _PADDING + _TITLE + 2 * (_TEXT + 8)
    image = Image.new("RGB", (_WIDTH, head + max(len(rows), 1) * _ROW + _PADDING), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((_PADDING, _PADDING), "Megapixels per second", _INK, _load_font(_TITLE))
    legend = "Bar: end to end, median. White line: slowest to fastest run. Orange mark: inside the model only."
    draw.text(
        (_PADDING, _PADDING + _TITLE + 10), _fit_text(draw, results.machine, _WIDTH - 2 * _PADDING), _MUTED, _load_font(_TEXT)
    )
    draw.text((_PADDING, _PADDING + _TITLE + 18 + _TEXT), legend, _MUTED, _load_font(_TEXT))
    longest = max((max(row.model_speed, row.megapixels / min(row.seconds)) for row in rows), default=1.0)
    regressed_cases = {change.case for change in results.changes if change.regression}
    for index, row in enumerate(rows):
        _draw_row(draw, row, head + index * _ROW, longest, _SLOW if row.case in regressed_cases else _BLUE)
    if not rows:
        draw.text((_PADDING, head), "Nothing could be measured.", _MUTED, _load_font(_TEXT))
    return image


def _draw_row(draw: ImageDraw.ImageDraw, row: BenchmarkRow, top: int, longest: float, fill: str) -> None:
    label = f"{row.case}{' (generated weights)' if row.generated else ''}"
    draw.text((_PADDING, top + 2), _fit_text(draw, label, _LABELS - _PADDING - 12), _INK, _load_font(_TEXT))
    bar_width = _WIDTH - _LABELS - _NUMBERS - _PADDING

    def x(speed: float) -> float:
        return _LABELS + bar_width * speed / longest

    middle = top + _BAR / 2
    draw.rectangle((_LABELS, top, max(x(row.speed), _LABELS + 1), top + _BAR), fill)
    slowest, fastest = (x(row.megapixels / seconds) for seconds in (max(row.seconds), min(row.seconds)))
    draw.line((slowest, middle, fastest, middle), _INK, 3)
    draw.line((x(row.model_speed), top - 3, x(row.model_speed), top + _BAR + 3), _ORANGE, 4)
    text = f"{format_speed(row.speed)}, {row.peak_bytes / 1e6:.0f} MB"
    draw.text((_WIDTH - _NUMBERS - _PADDING + 14, top + 2), text, _INK, _load_font(_TEXT))


def _fit_text(draw: ImageDraw.ImageDraw, text: str, width: int) -> str:
    text = " ".join(text.encode("ascii", "replace").decode("ascii").split())
    while draw.textlength(text, _load_font(_TEXT)) > width:
        text = text[:-4] + "..." if len(text) > 4 else ""
    return text


def format_speed(value: float) -> str:
    """Return megapixels per second with at least two significant digits."""
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def plot_peers(table: PeerTable, machine: str) -> Image.Image:
    """Draw a bar for the median of each peer, the fastest first, and a line from its fastest to its slowest run, from 0 on."""
    rows = sorted(table.measured_rows, key=lambda row: row.median)
    left, font = _PEERS_PADDING, _load_font(_PEERS_TEXT)
    head = left + _PEERS_TITLE + 2 * (_PEERS_TEXT + 10) + _PEERS_TEXT + 30
    image = Image.new("RGB", (_PEERS_WIDTH, head + len(rows) * _PEERS_ROW + left), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((left, left), f"{table.model}, {table.size} enlarged four times", _INK, _load_font(_PEERS_TITLE))
    draw.text((left, left + _PEERS_TITLE + 14), f"{machine}, {table.threads} threads", _MUTED, font)
    legend = (
        "Seconds, shorter is better: the median, and a line from the fastest to the slowest run. PSNR against torch in fp32."
    )
    draw.text((left, left + _PEERS_TITLE + 24 + _PEERS_TEXT), legend, _MUTED, font)
    for right, heading in zip(_RIGHTS, _HEADINGS, strict=True):
        draw.text((right, head - _PEERS_TEXT - 14), heading, _MUTED, font, anchor="ra")
    longest = max(max(row.seconds) for row in rows)
    for index, row in enumerate(rows):
        _draw_peer(draw, row, head + index * _PEERS_ROW, longest)
    return image


def _draw_peer(draw: ImageDraw.ImageDraw, row: PeerRow, top: int, longest: float) -> None:
    def x(seconds: float) -> float:
        return _PEERS_BARS + (_END - _PEERS_BARS) * seconds / longest

    middle, font = top + _PEERS_BAR / 2, _load_font(_PEERS_TEXT)
    draw.text((_PEERS_BARS - 18, middle), row.name, _ORANGE if row.is_ours else _INK, font, anchor="rm")
    bar = (_PEERS_BARS, top, max(x(row.median), _PEERS_BARS + 2), top + _PEERS_BAR)
    draw.rounded_rectangle(bar, 4, _ORANGE if row.is_ours else _BLUE)
    draw.line((x(min(row.seconds)), middle, x(max(row.seconds)), middle), _INK, 3)
    cells = (f"{row.median:.2f}", format_decibels(row.whole_db), format_decibels(row.seam_db), f"{row.peak / 1e6:.0f}")
    for right, text in zip(_RIGHTS, cells, strict=True):
        draw.text((right, middle), text, _INK, font, anchor="rm")


def format_decibels(value: float | None) -> str:
    """Return decibels as text: ``equal`` for infinity, ``no cuts`` for None."""
    if value is None:
        return "no cuts"
    return "equal" if isinf(value) else f"{value:.1f}"


@cache
def _load_font(size: int) -> Any:
    return ImageFont.load_default(size)
