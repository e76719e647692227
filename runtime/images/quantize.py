"""Between floats and the integers of a file, a strip of rows at a time: an 8K picture never exists twice in float."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .errors import make_non_finite_error
from .image_file import Floats

Pixels: TypeAlias = npt.NDArray[Any]
"""float32 0..1, or uint8 or uint16 over their whole range."""

_STRIP_SAMPLES = 4 * 1024 * 1024  # 16 MiB of float32: a few rows at 8K, and numpy's own cost per call is far away


def iter_strips(shape: Sequence[int]) -> Iterator[slice]:
    """The rows of an (H, W, C) array in slices of about 16 MiB of float32."""
    rows = max(1, _STRIP_SAMPLES // (shape[1] * shape[2]))
    for top in range(0, shape[0], rows):
        yield slice(top, min(top + rows, shape[0]))


def get_full_scale(samples: Pixels) -> int:
    """The number that means 1.0: 255, 65535, and 1 for floats."""
    return int(np.iinfo(samples.dtype).max) if samples.dtype.kind == "u" else 1


def to_floats(samples: Pixels, out: Floats | None = None) -> Floats:
    """Integers divided by their full scale, rounded once; floats as they are."""
    return np.divide(samples, np.float32(get_full_scale(samples)), out=out, dtype=np.float32, casting="same_kind")


def to_integers(strip: Pixels, bits: int) -> Pixels:
    """Clip to 0..1 and round half up: floor(x * max + 0.5). Integers of the wanted depth come back untouched.

    Raises:
        Refusal: a value is NaN or infinite.
    """
    dtype = np.uint8 if bits == 8 else np.uint16
    if strip.dtype == dtype:
        return strip
    floats = to_floats(strip)
    if not np.isfinite(floats).all():
        raise make_non_finite_error()
    top = float(np.iinfo(dtype).max)
    # In double: the product of a float32 and 65535 has 40 bits, and rounded to 24 first it would be rounded twice.
    scaled = np.multiply(floats, top, dtype=np.float64)
    scaled += 0.5
    return np.clip(scaled, 0, top, out=scaled).astype(dtype)
