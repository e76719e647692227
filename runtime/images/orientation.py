"""The eight orientations of EXIF (tag 0x0112, CIPA DC-008)."""

from __future__ import annotations

from .picture import Floats


def upright(pixels: Floats, orientation: int) -> Floats:
    """Turn (H, W, C) pixels so that row 0 is the top and column 0 the left; a value that EXIF does not know turns nothing.

    Orientation n says where the stored row 0 and column 0 belong: 1 top/left, 2 top/right, 3 bottom/right, 4 bottom/left,
    5 left/top, 6 right/top, 7 right/bottom, 8 left/bottom.
    """
    if orientation not in range(2, 9):
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels.copy(order="C")
