"""Text, frames and scale bars for the images of the report, in the font included in Pillow."""

import unicodedata
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..images import iter_strips
from ..media import Pixels

Color = tuple[int, int, int]

PAPER: Color = (18, 20, 24)
CARD: Color = (30, 33, 39)
INK: Color = (236, 239, 244)
MUTED: Color = (150, 158, 172)
ACCENT: Color = (255, 176, 66)
_ELLIPSIS = "..."
_ASCII_SPELLINGS = str.maketrans({"Δ": "d", "–": "-", "×": "x", "∞": "inf"})
"""Pillow's font has no Greek, no accents and few signs."""


@cache
def load_font(size: int) -> Any:
    return ImageFont.load_default(size)


def draw_text(draw: ImageDraw.ImageDraw, position: tuple[float, float], line: str, size: int, color: Color, width: int) -> None:
    """Draw a line from ``position`` (left, top), shortened to ``width`` pixels."""
    draw.text(position, fit_text(draw, line, size, width), color, load_font(size))


def fit_text(draw: ImageDraw.ImageDraw, line: str, size: int, width: int) -> str:
    """Spell a line in the letters of the font and shorten it to ``width`` pixels."""
    line = _spell_in_ascii(line)
    if draw.textlength(line, load_font(size)) <= width:
        return line
    while line and draw.textlength(line + _ELLIPSIS, load_font(size)) > width:
        line = line[:-1]
    return line.rstrip() + _ELLIPSIS


def _spell_in_ascii(line: str) -> str:
    plain = unicodedata.normalize("NFKD", line.translate(_ASCII_SPELLINGS))
    without_accents = "".join(character for character in plain if not unicodedata.combining(character))
    return " ".join(without_accents.encode("ascii", "replace").decode("ascii").split())


def to_pil_image(pixels: Pixels) -> Image.Image:
    """Convert (h, w, 3) in 0..1 to an 8-bit image, rounded, in strips of rows; 8-bit pixels are taken as they are."""
    if pixels.dtype == np.uint8:
        return Image.fromarray(pixels)
    out = np.empty(pixels.shape, np.uint8)
    for rows in iter_strips(pixels.shape):
        out[rows] = np.floor(np.clip(pixels[rows], 0, 1) * 255 + 0.5)
    return Image.fromarray(out)


def draw_scale_bar(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], per_pixel: float, size: int) -> None:
    """Draw a bar in the lower left of ``box`` (left, top, right, bottom), as long as a round number of source pixels.

    ``per_pixel`` is the size of a source pixel in the drawing.
    """
    left, _, right, bottom = box
    longest = (right - left) * 0.35 / per_pixel
    count = next((step for step in (500, 200, 100, 50, 20, 10, 5, 2) if step <= longest), 1)
    length = max(round(count * per_pixel), 2)
    label = f"{count} px"
    gap, thickness = max(size // 2, 4), max(size // 5, 2)
    x, y = left + gap, bottom - gap
    label_width = max(length, draw.textlength(label, load_font(size)))
    draw.rectangle((x - gap // 2, y - size - thickness - gap, x + label_width + gap // 2, y + gap // 2), (0, 0, 0))
    draw.text((x, y - size - thickness - gap // 2), label, INK, load_font(size))
    draw.rectangle((x, y - thickness, x + length, y), INK)
