"""sRGB encoding and linear light, IEC 61966-2-1:1999 (with amendment 1), inverse to each other.

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

from .picture import Floats
from .quantize import strips

_LINEAR_KNEE = 0.0031308
_ENCODED_KNEE = 0.04045


def to_display(pixels: Floats, *, peak: float = 1.0, out: Floats | None = None) -> Floats:
    """Encode linear light (H, W, C) as sRGB; alpha (the last of 2 or 4 channels) stays. ``out`` may be ``pixels`` itself."""
    scale = 1.0 / float(_encode(np.array([peak], np.float32))[0])
    return _by_strips(pixels, out, lambda colour: _encode(colour) * np.float32(scale))


def from_display(pixels: Floats, *, peak: float = 1.0, out: Floats | None = None) -> Floats:
    """Decode sRGB (H, W, C) to linear light; the inverse of ``to_display`` with the same ``peak``."""
    scale = float(_encode(np.array([peak], np.float32))[0])
    return _by_strips(pixels, out, lambda colour: _decode(colour * np.float32(scale)))


def _encode(linear: Floats) -> Floats:
    size = np.abs(linear)
    curve = np.float32(1.055) * size ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.copysign(np.where(size <= _LINEAR_KNEE, np.float32(12.92) * size, curve), linear)


def _decode(encoded: Floats) -> Floats:
    size = np.abs(encoded)
    curve = ((size + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.copysign(np.where(size <= _ENCODED_KNEE, size / np.float32(12.92), curve), encoded)


def _by_strips(pixels: Floats, out: Floats | None, curve: Callable[[Floats], Floats]) -> Floats:
    out = np.empty_like(pixels) if out is None else out
    channels = pixels.shape[2]
    colours = channels - 1 if channels in (2, 4) else channels
    for rows in strips(pixels.shape):
        out[rows, :, :colours] = curve(pixels[rows, :, :colours])
        if colours < channels:
            out[rows, :, colours:] = pixels[rows, :, colours:]
    return out
