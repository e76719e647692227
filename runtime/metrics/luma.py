"""Luma of sRGB-encoded pixels, and its slope."""

import cv2
import numpy as np

from ..media import Floats

STEPS = 255
"""8-bit steps in luma 0..1."""

_WEIGHTS = np.array([[0.2126, 0.7152, 0.0722]], np.float32)  # ITU-R BT.709-6, table 3, item 3.2


def compute_luma(encoded: Floats) -> Floats:
    """Return (h, w) of (h, w, 1 or 3) sRGB-encoded: Y' of ITU-R BT.709, which has sRGB's primaries, clipped to 0..1."""
    plane = encoded[:, :, 0] if encoded.shape[2] == 1 else np.asarray(cv2.transform(encoded, _WEIGHTS), np.float32)
    return np.clip(plane, 0, 1).reshape(encoded.shape[0], encoded.shape[1])


def compute_slope(plane: Floats) -> Floats:
    """Return the magnitude of the gradient of (h, w), per pixel: Scharr's filter (H. Scharr, thesis, Heidelberg 2000)."""
    across = cv2.Scharr(plane, cv2.CV_32F, 1, 0, scale=1 / 32, borderType=cv2.BORDER_REFLECT_101)
    down = cv2.Scharr(plane, cv2.CV_32F, 0, 1, scale=1 / 32, borderType=cv2.BORDER_REFLECT_101)
    return np.hypot(across, down, dtype=np.float32)
