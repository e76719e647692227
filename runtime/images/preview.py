"""A small picture of a large one, cheap enough to be made on the way."""

from __future__ import annotations

from math import ceil
from typing import cast

import numpy as np
from PIL import Image

from .quantize import Pixels, to_integers


def preview(pixels: Pixels, side: int) -> Image.Image:
    """(H, W, C) float32 0..1, uint8 or uint16, as RGB of at most ``side`` pixels a side: picked, not averaged."""
    step = max(1, ceil(max(pixels.shape[:2]) / side))
    picked = pixels[::step, ::step]
    colours = picked[..., :3] if picked.shape[-1] >= 3 else picked[..., :1].repeat(3, axis=-1)
    eight = (colours >> 8).astype(np.uint8) if colours.dtype == np.uint16 else to_integers(np.nan_to_num(colours), 8)
    return Image.fromarray(np.ascontiguousarray(cast("Pixels", eight)))
