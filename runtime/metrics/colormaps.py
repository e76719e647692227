"""Map numbers to colors by perceptual colormaps, interpolated so that a map has no bands of its own, and draw their scale."""

from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import WorkflowError
from ..media import Floats
from .choices import COLORMAPS, DIVERGING_COLORMAP

_OPENCV_COLORMAPS = {
    "inferno": cv2.COLORMAP_INFERNO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "magma": cv2.COLORMAP_MAGMA,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "turbo": cv2.COLORMAP_TURBO,
}

# K. Moreland, "Diverging Color Maps for Scientific Visualization", ISVC 2009: sRGB of the two ends and the middle, from its
# published 33-entry table (every eighth entry).
_COOL_WARM = ((59, 76, 192), (141, 176, 254), (221, 221, 221), (244, 152, 122), (180, 4, 38))


def apply_colormap(values: Floats, colormap: str) -> Floats:
    """Map (h, w) in 0..1 to (h, w, 3) sRGB in 0..1; values outside are clipped.

    Raises:
        WorkflowError: ``colormap`` is not one of ``COLORMAPS``.
    """
    table = _build_color_table(colormap)
    position = np.clip(values, 0, 1) * np.float32(len(table) - 1)
    below = np.minimum(position.astype(np.intp), len(table) - 2)
    share = (position - below)[..., None]
    return np.asarray(table[below] * (1 - share) + table[below + 1] * share, np.float32)


@cache
def _build_color_table(colormap: str) -> Floats:
    """Return (n, 3) sRGB in 0..1, evenly spaced."""
    if colormap not in COLORMAPS:
        raise WorkflowError(f"Unknown colormap {colormap!r}.", f"Use one of: {', '.join(COLORMAPS)}.")
    if colormap == "grey":
        return np.array([[0, 0, 0], [1, 1, 1]], np.float32)
    if colormap == DIVERGING_COLORMAP:
        return np.array(_COOL_WARM, np.float32) / np.float32(255)
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    table = cv2.applyColorMap(ramp, _OPENCV_COLORMAPS[colormap])[:, 0, ::-1]
    return (table / 255).astype(np.float32)


_MIN_TEXT, _MAX_TEXT, _WIDTH_OVER_TEXT, _TITLE_WIDTH, _MAX_LINES = 10, 64, 28, 26, 8
_BACKGROUND, _FOREGROUND = (24, 24, 24), (235, 235, 235)


def draw_legend(width: int, colormap: str, low: float, high: float, title: str) -> Floats:
    """Draw the bar under a map, (legend height, width, 3) sRGB in 0..1: title, colors, and numbers from ``low`` to ``high``.

    Text is at least 10 px high; where the map is narrow, the title takes several lines.
    """
    text, gap, lines = _compute_text_size(width)
    image = Image.new("RGB", (width, compute_legend_height(width)), _BACKGROUND)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(text)
    draw.text((gap, gap), _wrap_title(draw, title, font, width - 2 * gap), _FOREGROUND, font, spacing=0)
    top = gap + lines * text
    left, right = gap, max(width - gap, gap + 2)
    ramp = apply_colormap(np.linspace(0, 1, right - left, dtype=np.float32)[None], colormap)
    strip = Image.fromarray(np.round(ramp * 255).astype(np.uint8)).resize((right - left, text))
    image.paste(strip, (left, top + gap))
    for share, label in _compute_ticks(low, high, width // (text * 4)):
        _draw_label(draw, left + share * (right - left - 1), top + text + gap, label, font, gap, width)
    return np.asarray(image, np.float32) / np.float32(255)


def compute_legend_height(width: int) -> int:
    """Return the height of the legend of a map of this width."""
    text, gap, lines = _compute_text_size(width)
    return (2 + lines) * text + 4 * gap


def _compute_text_size(width: int) -> tuple[int, int, int]:
    """Return the height of text, of the gap around it, and the lines for a title of up to 52 letters half as wide as high."""
    text = min(max(width // _WIDTH_OVER_TEXT, _MIN_TEXT), _MAX_TEXT)
    gap = max(text // 3, 2)
    return text, gap, min(-(-_TITLE_WIDTH * text // max(width - 2 * gap, text)), _MAX_LINES)


def _wrap_title(draw: ImageDraw.ImageDraw, title: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """Break lines between words where they would be wider than ``width``."""
    lines = [""]
    for word in title.split():
        line = f"{lines[-1]} {word}".strip()
        lines[-1:] = [line] if draw.textlength(line, font) <= width or not lines[-1] else [lines[-1], word]
    return "\n".join(lines)


def round_up(value: float) -> float:
    """Return the next of 1, 2 or 5 times a power of ten, as the end of a scale. 1 for zero."""
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if value <= step * power * (1 + 1e-9)))


def _compute_ticks(low: float, high: float, max_count: int) -> list[tuple[float, str]]:
    count = next((count for count in (10, 5, 4, 2) if count < max_count), 1)
    return [(index / count, f"{low + (high - low) * index / count:.4g}") for index in range(count + 1)]


def _draw_label(
    draw: ImageDraw.ImageDraw,
    x: float,
    y: int,
    label: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    gap: int,
    width: int,
) -> None:
    draw.line([(x, y), (x, y + gap)], _FOREGROUND, max(gap // 4, 1))
    half = draw.textlength(label, font) / 2
    draw.text((min(max(x, half + gap), width - half - gap) - half, y + gap), label, _FOREGROUND, font)
