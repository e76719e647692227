"""Convert between floats and the integers of a file, in strips of rows: an 8K image never exists twice in float."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..media import Floats, Pixels
from .errors import make_non_finite_error

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
