"""Text, frames and scale bars for the pictures of the report. Text is drawn in the font that Pillow carries."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Floats = NDArray[np.float32]
Colour = tuple[int, int, int]

PAPER: Colour = (18, 20, 24)
CARD: Colour = (30, 33, 39)
INK: Colour = (236, 239, 244)
MUTED: Colour = (150, 158, 172)
ACCENT: Colour = (255, 176, 66)
_ELLIPSIS = "..."
_SPELLED = str.maketrans({"Δ": "d", "–": "-", "×": "x", "∞": "inf"})
"""Pillow's font has no Greek, no accents and few signs."""


@cache
def font(size: int) -> Any:
    return ImageFont.load_default(size)


def text(draw: ImageDraw.ImageDraw, place: tuple[float, float], words: str, size: int, colour: Colour, width: int) -> None:
    """One line from ``place`` (left, top); what does not fit in ``width`` pixels is cut off and marked."""
    draw.text(place, fitted(draw, words, size, width), colour, font(size))


def fitted(draw: ImageDraw.ImageDraw, words: str, size: int, width: int) -> str:
    """``words`` in the letters that the font has, shortened to ``width`` pixels."""
    words = _spelled(words)
    if draw.textlength(words, font(size)) <= width:
        return words
    while words and draw.textlength(words + _ELLIPSIS, font(size)) > width:
        words = words[:-1]
    return words.rstrip() + _ELLIPSIS


def _spelled(words: str) -> str:
    plain = unicodedata.normalize("NFKD", words.translate(_SPELLED))
    kept = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return " ".join(kept.encode("ascii", "replace").decode("ascii").split())


def as_image(pixels: Floats) -> Image.Image:
    """(h, w, 3) in 0..1 as an 8-bit picture, rounded."""
    return Image.fromarray(np.floor(np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))


def scale_bar(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], per_pixel: float, size: int) -> None:
    """A bar in the lower left of ``box`` (left, top, right, bottom), as long as a round number of source pixels.

    ``per_pixel`` is how many pixels of the drawing one source pixel takes.
    """
    left, _, right, bottom = box
    longest = (right - left) * 0.35 / per_pixel
    count = next((step for step in (500, 200, 100, 50, 20, 10, 5, 2) if step <= longest), 1)
    length = max(round(count * per_pixel), 2)
    words = f"{count} px"
    gap, thick = max(size // 2, 4), max(size // 5, 2)
    x, y = left + gap, bottom - gap
    wide = max(length, draw.textlength(words, font(size)))
    draw.rectangle((x - gap // 2, y - size - thick - gap, x + wide + gap // 2, y + gap // 2), (0, 0, 0))
    draw.text((x, y - size - thick - gap // 2), words, INK, font(size))
    draw.rectangle((x, y - thick, x + length, y), INK)
