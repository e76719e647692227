"""The orientation in which a video is displayed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import cast

import numpy as np

from ...media import Samples, Size


@dataclass(frozen=True)
class Orientation:
    """Transformations of a decoded frame, in this order: transpose, mirror left to right, turn upside down."""

    transpose: bool = False
    flip_horizontal: bool = False
    flip_vertical: bool = False

    def transform_size(self, coded_size: Size) -> Size:
        return Size(coded_size.height, coded_size.width) if self.transpose else coded_size

    def apply(self, pixels: Samples) -> Samples:
        """Return the frame as displayed, contiguous in memory; the same array when nothing changes."""
        if self == Orientation():
            return pixels
        oriented = pixels.swapaxes(0, 1) if self.transpose else pixels
        oriented = oriented[:, ::-1] if self.flip_horizontal else oriented
        return cast(Samples, np.ascontiguousarray(oriented[::-1] if self.flip_vertical else oriented))


def parse_display_matrix(data: bytes) -> Orientation | None:
    """Parse the matrix of ISO/IEC 14496-12, section 8.3.2 (nine 32-bit integers, a b u c d v x y w, 16.16 fixed point).

    A point (x, y) of the decoded frame is displayed at (ax + cy, bx + dy). Return None unless it is a multiple of 90 degrees.
    """
    a, b, _, c, d = struct.unpack_from("=5i", data)
    diagonal, antidiagonal = max(abs(a), abs(d)), max(abs(b), abs(c))
    if min(diagonal, antidiagonal) * 100 > max(diagonal, antidiagonal):
        return None
    if diagonal >= antidiagonal:
        return Orientation(transpose=False, flip_horizontal=a < 0, flip_vertical=d < 0)
    return Orientation(transpose=True, flip_horizontal=c < 0, flip_vertical=b < 0)
