"""Map numbers to colors by perceptual colormaps, interpolated between their entries so that a map has no bands of its own."""

from functools import cache

import cv2
import numpy as np

from ..errors import WorkflowError
from ..media import Floats
from .choices import COLORMAPS, DIVERGING_COLORMAP

_OPENCV_COLORMAPS = {
    "inferno": cv2.COLORMAP_INFERNO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "magma": cv2.COLORMAP_MAGMA,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "turbo": cv2.COLORMAP_TURBO,
}

# K. Moreland, "Diverging Color Maps for Scientific Visualization", ISVC 2009: sRGB of the two ends and the middle, from its
# published 33-entry table (every eighth entry).
_COOL_WARM = ((59, 76, 192), (141, 176, 254), (221, 221, 221), (244, 152, 122), (180, 4, 38))


def apply_colormap(values: Floats, colormap: str) -> Floats:
    """Map (h, w) in 0..1 to (h, w, 3) sRGB in 0..1; values outside are clipped.

    Raises:
        WorkflowError: ``colormap`` is not one of ``COLORMAPS``.
    """
    table = _build_color_table(colormap)
    position = np.clip(values, 0, 1) * np.float32(len(table) - 1)
    below = np.minimum(position.astype(np.intp), len(table) - 2)
    share = (position - below)[..., None]
    return np.asarray(table[below] * (1 - share) + table[below + 1] * share, np.float32)


@cache
def _build_color_table(colormap: str) -> Floats:
    """Return (n, 3) sRGB in 0..1, evenly spaced."""
    if colormap not in COLORMAPS:
        raise WorkflowError(f"Unknown colormap {colormap!r}.", f"Use one of: {', '.join(COLORMAPS)}.")
    if colormap == "grey":
        return np.array([[0, 0, 0], [1, 1, 1]], np.float32)
    if colormap == DIVERGING_COLORMAP:
        return np.array(_COOL_WARM, np.float32) / np.float32(255)
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    table = cv2.applyColorMap(ramp, _OPENCV_COLORMAPS[colormap])[:, 0, ::-1]
    return (table / 255).astype(np.float32)
