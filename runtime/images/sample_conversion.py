"""Convert between floats and the integers of a file, and between sRGB encoding and linear light.

Works in strips of rows: an 8K image never exists twice in float. Upscaling models are trained on sRGB-encoded pixels. A linear
image (EXR) passes ``linear_image_to_srgb``, the model, and ``srgb_image_to_linear`` (``write`` does the last step itself for
``transfer="srgb"``); the curve itself is in ``media.srgb``.

Highlights above 1 are kept: the curve continues above 1, and below 0 as its mirror image, as in scRGB. With the default
``peak`` such pixels stay above 1 after encoding. For a model that requires 0..1 set ``peak`` to the brightest value of the
image: 0..peak is then mapped to 0..1 and back, and the image is darker in between. Clipping would lose the highlights.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..media import Floats, Pixels, has_alpha, linear_to_srgb, srgb_to_linear
from .image_file import make_non_finite_error

_STRIP_SAMPLES = 4 * 1024 * 1024  # 16 MiB of float32: a few rows at 8K, enough to make numpy's cost per call negligible


def iter_strips(shape: Sequence[int]) -> Iterator[slice]:
    """Yield the rows of an (H, W, C) array as slices of about 16 MiB of float32."""
    rows = max(1, _STRIP_SAMPLES // (shape[1] * shape[2]))
    for top in range(0, shape[0], rows):
        yield slice(top, min(top + rows, shape[0]))


def get_full_scale(samples: Pixels) -> int:
    """Return the number that means 1.0: 255, 65535, or 1 for floats."""
    return int(np.iinfo(samples.dtype).max) if samples.dtype.kind == "u" else 1


def to_floats(samples: Pixels, out: Floats | None = None) -> Floats:
    """Divide integers by their full scale, rounding once; floats are unchanged."""
    return np.divide(samples, np.float32(get_full_scale(samples)), out=out, dtype=np.float32, casting="same_kind")


def to_integers(strip: Pixels, bits: int) -> Pixels:
    """Clip to 0..1 and round half up: floor(x * max + 0.5). Integers of the requested depth are returned as they are.

    Raises:
        ImageFormatError: a value is NaN or infinite.
    """
    dtype = np.uint8 if bits == 8 else np.uint16
    if strip.dtype == dtype:
        return strip
    floats = to_floats(strip)
    if not np.isfinite(floats).all():
        raise make_non_finite_error()
    top = float(np.iinfo(dtype).max)
    # In double: the product of a float32 and 65535 has 40 bits; rounding it to 24 bits first would round twice.
    scaled = np.multiply(floats, top, dtype=np.float64)
    scaled += 0.5
    return np.clip(scaled, 0, top, out=scaled).astype(dtype)


def linear_image_to_srgb(pixels: Floats, *, peak: float = 1.0, out: Floats | None = None) -> Floats:
    """Encode linear light (H, W, C) as sRGB; alpha is copied. ``out`` may be ``pixels`` itself."""
    scale = 1.0 / float(linear_to_srgb(np.array([peak], np.float32))[0])
    return _apply_curve(pixels, out, lambda color: linear_to_srgb(color) * np.float32(scale))


def srgb_image_to_linear(pixels: Floats, *, peak: float = 1.0) -> Floats:
    """Decode sRGB (H, W, C) to linear light; the inverse of ``linear_image_to_srgb`` with the same ``peak``."""
    scale = float(linear_to_srgb(np.array([peak], np.float32))[0])
    return _apply_curve(pixels, None, lambda color: srgb_to_linear(color * np.float32(scale)))


def _apply_curve(pixels: Floats, out: Floats | None, curve: Callable[[Floats], Floats]) -> Floats:
    out = np.empty_like(pixels) if out is None else out
    channels = pixels.shape[2]
    colors = channels - has_alpha(pixels)
    for rows in iter_strips(pixels.shape):
        out[rows, :, :colors] = curve(pixels[rows, :, :colors])
        if colors < channels:
            out[rows, :, colors:] = pixels[rows, :, colors:]
    return out
