"""Pictures between sRGB encoding and linear light, inverse to each other; the curve is in ``frames.transfer``.

Upscaling models are trained on sRGB-encoded pixels. A linear picture (EXR) goes through ``to_display``, the model, and
``from_display`` (``write`` does the last step itself when it is told ``transfer="srgb"``).

Highlights above 1 are kept: the curve goes on above 1 as it stands, and below 0 as its mirror image, as in scRGB. With
``peak`` at its default such pixels are above 1 on the display side too; a model that cannot stand that needs ``peak`` set to
the brightest value of the picture: 0..peak is then laid into 0..1 and comes back, at the price of a darker picture in between.
Whoever clips to 0..1 instead loses the highlights.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..media.srgb import linear_to_srgb, srgb_to_linear
from .image_file import Floats
from .quantize import iter_strips


def linear_image_to_srgb(pixels: Floats, *, peak: float = 1.0, out: Floats | None = None) -> Floats:
    """Encode linear light (H, W, C) as sRGB; alpha (the last of 2 or 4 channels) stays. ``out`` may be ``pixels`` itself."""
    scale = 1.0 / float(linear_to_srgb(np.array([peak], np.float32))[0])
    return _apply_curve(pixels, out, lambda color: linear_to_srgb(color) * np.float32(scale))


def srgb_image_to_linear(pixels: Floats, *, peak: float = 1.0, out: Floats | None = None) -> Floats:
    """Decode sRGB (H, W, C) to linear light; the inverse of ``to_display`` with the same ``peak``."""
    scale = float(linear_to_srgb(np.array([peak], np.float32))[0])
    return _apply_curve(pixels, out, lambda color: srgb_to_linear(color * np.float32(scale)))


def _apply_curve(pixels: Floats, out: Floats | None, curve: Callable[[Floats], Floats]) -> Floats:
    out = np.empty_like(pixels) if out is None else out
    channels = pixels.shape[2]
    colors = channels - 1 if channels in (2, 4) else channels
    for rows in iter_strips(pixels.shape):
        out[rows, :, :colors] = curve(pixels[rows, :, :colors])
        if colors < channels:
            out[rows, :, colors:] = pixels[rows, :, colors:]
    return out
