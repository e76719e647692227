"""What a decoder says beside a picture's pixels: its turn, its HDR, its dynamic metadata."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import av
from av.sidedata.sidedata import SideData, Type


def _unnamed(kinds: type[Type], value: object) -> Type:
    """A member for a kind of side data that FFmpeg has and PyAV 18 has no name for, such as EXIF in the JPEGs of a camera's
    AVI and the views of spatial films. Without one ``picture.side_data`` raises ``ValueError`` and shows none of them.
    """
    member = object.__new__(kinds)
    member._name_, member._value_ = f"UNNAMED_{value}", value
    return member


Type._missing_ = classmethod(_unnamed)  # pyright: ignore[reportAttributeAccessIssue]: the hook enum has for unknown values


def side_data(picture: av.VideoFrame) -> dict[str, bytes]:
    """A copy of everything beside the pixels, by the names of FFmpeg's ``AV_FRAME_DATA_*``.

    A copy, and to be taken first: PyAV keeps pointers into the frame that ``make_writable`` leaves dangling.
    """
    return {one.type.name: bytes(one) for one in cast(Iterable[SideData], picture.side_data)}
