"""What may come out at the edges of transparency; what goes in under it is filled by ``images.alpha``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]


def keep_within_neighbours(upscaled: Pixels, alpha: Pixels) -> None:
    """Clip ``upscaled`` (h, w) in place to the range of the 3 x 3 source pixels around each of its pixels.

    A model may ring or drift in flat areas; what was opaque must stay opaque, and what was empty empty.
    """
    low, high = _neighbourhood(alpha, np.minimum), _neighbourhood(alpha, np.maximum)
    (height, width), (source_height, source_width) = upscaled.shape, alpha.shape
    columns = [column * source_width // width for column in range(width)]
    for row in range(height):
        source = row * source_height // height
        np.clip(upscaled[row], low[source, columns], high[source, columns], out=upscaled[row])


def _neighbourhood(values: Pixels, choose: np.ufunc) -> Pixels:
    padded = np.pad(values, 1, mode="edge")
    across = choose(choose(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    return choose(choose(across[:-2], across[1:-1]), across[2:])
