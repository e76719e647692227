"""Convert whole images between sRGB encoding and linear light; the curve itself is in ``media.srgb``.

Upscaling models are trained on sRGB-encoded pixels. A linear image (EXR) passes ``linear_image_to_srgb``, the model, and
``srgb_image_to_linear`` (``write`` does the last step itself for ``transfer="srgb"``).

Highlights above 1 are kept: the curve continues above 1, and below 0 as its mirror image, as in scRGB. With the default
``peak`` such pixels stay above 1 after encoding. For a model that requires 0..1 set ``peak`` to the brightest value of the
image: 0..peak is then mapped to 0..1 and back, and the image is darker in between. Clipping would lose the highlights.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..media import Floats, has_alpha, linear_to_srgb, srgb_to_linear
from .quantize import iter_strips


def linear_image_to_srgb(pixels: Floats, *, peak: float = 1.0, out: Floats | None = None) -> Floats:
    """Encode linear light (H, W, C) as sRGB; alpha is copied. ``out`` may be ``pixels`` itself."""
    scale = 1.0 / float(linear_to_srgb(np.array([peak], np.float32))[0])
    return _apply_curve(pixels, out, lambda color: linear_to_srgb(color) * np.float32(scale))


def srgb_image_to_linear(pixels: Floats, *, peak: float = 1.0, out: Floats | None = None) -> Floats:
    """Decode sRGB (H, W, C) to linear light; the inverse of ``linear_image_to_srgb`` with the same ``peak``."""
    scale = float(linear_to_srgb(np.array([peak], np.float32))[0])
    return _apply_curve(pixels, out, lambda color: srgb_to_linear(color * np.float32(scale)))


def _apply_curve(pixels: Floats, out: Floats | None, curve: Callable[[Floats], Floats]) -> Floats:
    out = np.empty_like(pixels) if out is None else out
    channels = pixels.shape[2]
    colors = channels - has_alpha(pixels)
    for rows in iter_strips(pixels.shape):
        out[rows, :, :colors] = curve(pixels[rows, :, :colors])
        if colors < channels:
            out[rows, :, colors:] = pixels[rows, :, colors:]
    return out
