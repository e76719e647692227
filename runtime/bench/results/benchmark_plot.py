"""Draw ``benchmark.png``: a bar for each combination, with Pillow."""

from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .benchmark_results import BenchmarkResults, BenchmarkRow
from .benchmark_table import format_speed

_WIDTH, _LABELS, _NUMBERS = 1400, 560, 170
_ROW, _BAR, _PADDING, _TITLE, _TEXT = 44, 22, 28, 30, 18
_PAPER, _INK, _MUTED, _FILL, _BRIGHT, _SLOW = "#14171d", "#eceff4", "#9aa3b5", "#3a6ea5", "#ffb042", "#e06c60"


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
        _draw_bar(draw, row, head + index * _ROW, longest, _SLOW if row.case in regressed_cases else _FILL)
    if not rows:
        draw.text((_PADDING, head), "Nothing could be measured.", _MUTED, _load_font(_TEXT))
    return image


def _draw_bar(draw: ImageDraw.ImageDraw, row: BenchmarkRow, top: int, longest: float, fill: str) -> None:
    label = f"{row.case}{' (generated weights)' if row.generated else ''}"
    draw.text((_PADDING, top + 2), _fit_text(draw, label, _LABELS - _PADDING - 12), _INK, _load_font(_TEXT))
    bar_width = _WIDTH - _LABELS - _NUMBERS - _PADDING

    def x(speed: float) -> float:
        return _LABELS + bar_width * speed / longest

    middle = top + _BAR / 2
    draw.rectangle((_LABELS, top, max(x(row.speed), _LABELS + 1), top + _BAR), fill)
    slowest, fastest = (x(row.megapixels / seconds) for seconds in (max(row.seconds), min(row.seconds)))
    draw.line((slowest, middle, fastest, middle), _INK, 3)
    draw.line((x(row.model_speed), top - 3, x(row.model_speed), top + _BAR + 3), _BRIGHT, 4)
    text = f"{format_speed(row.speed)}, {row.peak_bytes / 1e6:.0f} MB"
    draw.text((_WIDTH - _NUMBERS - _PADDING + 14, top + 2), text, _INK, _load_font(_TEXT))


def _fit_text(draw: ImageDraw.ImageDraw, text: str, width: int) -> str:
    text = " ".join(text.encode("ascii", "replace").decode("ascii").split())
    while draw.textlength(text, _load_font(_TEXT)) > width:
        text = text[:-4] + "..." if len(text) > 4 else ""
    return text


def _load_font(size: int) -> Any:
    return ImageFont.load_default(size)
