"""Side data of decoded frames: orientation, HDR10 and dynamic metadata, parsed from FFmpeg's structures."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.sidedata.sidedata import Type

from ...media import MasteringDisplay, Samples, Size


def _create_unnamed_type(type_enum: type[Type], value: object) -> Type:
    """Return an enum member for a kind of side data without a name in PyAV 18, such as EXIF in the JPEGs of a camera's AVI and
    the views of spatial video. Without it ``frame.side_data`` raises ``ValueError``.
    """
    member = object.__new__(type_enum)
    member._name_, member._value_ = f"UNNAMED_{value}", value
    return member


Type._missing_ = classmethod(_create_unnamed_type)  # pyright: ignore[reportAttributeAccessIssue]: the hook enum has for unknown values


def read_side_data(frame: av.VideoFrame) -> dict[str, bytes]:
    """Return a copy of all side data, by the names of FFmpeg's ``AV_FRAME_DATA_*``.

    Call it before ``make_writable``, which leaves PyAV's pointers into the frame dangling.
    """
    container = cast(Mapping[Any, Any], frame.side_data)
    # PyAV 18 iterates over the data, and does not find those of an unnamed type again; PyAV 19 iterates over their types.
    found = ((one.type, one) if hasattr(one, "type") else (one, container[one]) for one in container)
    return {kind.name: bytes(data) for kind, data in found}


def parse_mastering_display(data: bytes | None) -> MasteringDisplay | None:
    """Parse ``AVMasteringDisplayMetadata``: ten rationals (x, y of red, green, blue, white; min, max luminance), two flags.

    Return None without data, and unless both the primaries and the luminances are set, as HDR10 requires.
    """
    if data is None:
        return None
    numbers = struct.unpack_from("=22i", data)
    if not (numbers[20] and numbers[21]) or not all(numbers[1:20:2]):
        return None
    values = [Fraction(numbers[i], numbers[i + 1]) for i in range(0, 20, 2)]
    red, green, blue, white = ((values[i], values[i + 1]) for i in range(0, 8, 2))
    return MasteringDisplay(red, green, blue, white, min_luminance=values[8], max_luminance=values[9])


def parse_content_light(data: bytes | None) -> tuple[int, int] | None:
    """Parse ``AVContentLightMetadata``: (MaxCLL, MaxFALL); None without data and when both are 0, which means "unknown"."""
    max_content_light, max_frame_average = struct.unpack_from("=2I", data) if data else (0, 0)
    return (max_content_light, max_frame_average) if max_content_light or max_frame_average else None


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
