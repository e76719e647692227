"""What a decoder says beside a picture's pixels: its turn, its HDR, its dynamic metadata.

What HDR10 says beside the pixels, out of FFmpeg's structures.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from fractions import Fraction
from typing import cast

import av
from av.sidedata.sidedata import SideData, Type

from ...media.video_stream import MasteringDisplay


def _create_unnamed_type(type_enum: type[Type], value: object) -> Type:
    """A member for a kind of side data that FFmpeg has and PyAV 18 has no name for, such as EXIF in the JPEGs of a camera's
    AVI and the views of spatial films. Without one ``picture.side_data`` raises ``ValueError`` and shows none of them.
    """
    member = object.__new__(type_enum)
    member._name_, member._value_ = f"UNNAMED_{value}", value
    return member


Type._missing_ = classmethod(_create_unnamed_type)  # pyright: ignore[reportAttributeAccessIssue]: the hook enum has for unknown values


def read_side_data(frame: av.VideoFrame) -> dict[str, bytes]:
    """A copy of everything beside the pixels, by the names of FFmpeg's ``AV_FRAME_DATA_*``.

    A copy, and to be taken first: PyAV keeps pointers into the frame that ``make_writable`` leaves dangling.
    """
    return {one.type.name: bytes(one) for one in cast(Iterable[SideData], frame.side_data)}


def parse_mastering_display(data: bytes) -> MasteringDisplay | None:
    """``AVMasteringDisplayMetadata``: ten rationals (red, green, blue and white as x, y; darkest, brightest), then two flags.

    None unless both the colours and the luminances are given, as HDR10 wants.
    """
    numbers = struct.unpack_from("=22i", data)
    if not (numbers[20] and numbers[21]) or not all(numbers[1:20:2]):
        return None
    values = [Fraction(numbers[i], numbers[i + 1]) for i in range(0, 20, 2)]
    red, green, blue, white = ((values[i], values[i + 1]) for i in range(0, 8, 2))
    return MasteringDisplay(red, green, blue, white, min_luminance=values[8], max_luminance=values[9])


def parse_content_light(data: bytes) -> tuple[int, int] | None:
    """``AVContentLightMetadata``: MaxCLL and MaxFALL; None when both are 0, which means "not known"."""
    max_content_light, max_frame_average = struct.unpack_from("=2I", data)
    return (max_content_light, max_frame_average) if max_content_light or max_frame_average else None
