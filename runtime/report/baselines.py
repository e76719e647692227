"""The baselines: bicubic and Lanczos by Pillow, on encoded values as image editors do."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..media import Size
from .comparison import ComparedModel

Floats = NDArray[np.float32]

BASELINES = (
    ComparedModel("bicubic", "Bicubic", baseline=True, good_for="a baseline: no model, invents nothing"),
    ComparedModel(
        "lanczos", "Lanczos", baseline=True, good_for="a baseline: no model, sharper than bicubic, rings a little more"
    ),
)
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}


def enlarge_with_baseline(pixels: Floats, size: Size, baseline_id: str) -> Floats:
    """Resize (H, W, 3) float32 to ``size``, clipped to 0..1. ``baseline_id`` is the id of one of ``BASELINES``."""
    out = np.empty((size.height, size.width, pixels.shape[2]), np.float32)
    for channel in range(pixels.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(pixels[:, :, channel], np.float32))
        out[:, :, channel] = np.asarray(plane.resize((size.width, size.height), _FILTERS[baseline_id]))
    return np.clip(out, 0, 1, out=out)
