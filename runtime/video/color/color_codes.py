"""The code points and quantization of ITU-T H.273, by FFmpeg's names, and the defaults for videos that do not signal them.

The numbers are those of ``AVColorSpace``, ``AVColorTransferCharacteristic``, ``AVColorPrimaries`` and of the bit streams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import av

from ...media import ColorInfo, Size


def _parse_codes(text: str) -> dict[int, str]:
    return {int(code): name for code, _, name in (item.partition(":") for item in text.split())}


MATRICES = _parse_codes(
    "0:gbr 1:bt709 4:fcc 5:bt470bg 6:smpte170m 7:smpte240m 8:ycgco 9:bt2020nc 10:bt2020c 11:smpte2085 "
    "12:chroma-derived-nc 13:chroma-derived-c 14:ictcp 15:ipt-c2 16:ycgco-re 17:ycgco-ro"
)
TRANSFERS = _parse_codes(
    "1:bt709 4:bt470m 5:bt470bg 6:smpte170m 7:smpte240m 8:linear 9:log100 10:log316 11:iec61966-2-4 12:bt1361e "
    "13:iec61966-2-1 14:bt2020-10 15:bt2020-12 16:smpte2084 17:smpte428 18:arib-std-b67"
)
PRIMARIES = _parse_codes(
    "1:bt709 4:bt470m 5:bt470bg 6:smpte170m 7:smpte240m 9:bt2020 10:smpte428 11:smpte431 12:smpte432 22:ebu3213"
) | {8: "film"}
_LIMITED_RANGE, _FULL_RANGE, _UNSPECIFIED = 1, 2, 2

LUMA_WEIGHTS = {  # Kr and Kb
    "bt709": (0.2126, 0.0722),  # BT.709-6, item 3.2
    "fcc": (0.30, 0.11),  # 47 CFR 73.682
    "bt470bg": (0.299, 0.114),  # BT.601-7, section 2.5.1
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),  # SMPTE 240M-1999
    "bt2020nc": (0.2627, 0.0593),  # BT.2020-2, table 4
}
"""The matrices that these two numbers define; the others of H.273 need linear light."""


@dataclass(frozen=True)
class ColorTags:
    """The three code points of H.273 and FFmpeg's number of the range."""

    matrix: int
    transfer: int
    primaries: int
    range: int

    @classmethod
    def from_color_info(cls, color: ColorInfo) -> ColorTags:
        def find_code(names: dict[int, str], name: str) -> int:
            return next((code for code, tag_name in names.items() if tag_name == name), _UNSPECIFIED)

        codes = (find_code(MATRICES, color.matrix), find_code(TRANSFERS, color.transfer), find_code(PRIMARIES, color.primaries))
        return cls(*codes, _FULL_RANGE if color.range == "pc" else _LIMITED_RANGE)

    def apply(self, target: av.VideoFrame | av.VideoCodecContext) -> None:
        target.colorspace, target.color_trc = self.matrix, self.transfer
        target.color_primaries, target.color_range = self.primaries, self.range


def quantize_range(bits: int, color: ColorInfo) -> tuple[float, float, float]:
    """Return (luma range, chroma range, black level) in codes of ``bits`` bits, by H.273 equations 20 to 25."""
    scale, full = 2.0 ** (bits - 8), 2.0**bits - 1
    return (full, full, 0.0) if color.range == "pc" else (219 * scale, 224 * scale, 16 * scale)


def _guess_matrix(coded_size: Size, primaries: str | None) -> str:
    """BT.2020 is known by its primaries; else high definition is BT.709, and standard definition BT.601."""
    if primaries == "bt2020":
        return "bt2020nc"
    if coded_size.height >= 720 or coded_size.width >= 1280:
        return "bt709"
    return "bt470bg" if coded_size.height in (288, 576) else "smpte170m"


def _guess_primaries(matrix: str) -> str:
    by_matrix = {"bt2020nc": "bt2020", "bt2020c": "bt2020", "ictcp": "bt2020", "smpte240m": "smpte240m", "fcc": "bt470m"}
    by_matrix |= {"bt470bg": "bt470bg", "smpte170m": "smpte170m"}
    return by_matrix.get(matrix, "bt709")


def _guess_transfer(matrix: str, bits: int) -> str:
    if matrix == "gbr":
        return "iec61966-2-1"
    if matrix.startswith("bt2020"):
        return "bt2020-10" if bits <= 10 else "bt2020-12"
    return {"smpte240m": "smpte240m", "smpte170m": "smpte170m", "bt470bg": "smpte170m"}.get(matrix, "bt709")


def resolve_color_info(
    *,
    matrix: int,
    range_: int,
    transfer: int,
    primaries: int,
    coded_size: Size,
    bits: int,
    kind: Literal["rgb", "yuv", "jpeg", "gray"],
) -> ColorInfo:
    """Return the color of these code points for frames of ``coded_size``; what they leave open is guessed and listed.

    RGB is full range whatever its tag, as everywhere in FFmpeg; so are the ``yuvj`` formats, and gray without a tag.
    """
    tagged_values = {
        "matrix": "gbr" if kind == "rgb" else MATRICES.get(matrix) if matrix else None,
        "range": "pc" if kind in ("rgb", "jpeg") else {_LIMITED_RANGE: "tv", _FULL_RANGE: "pc"}.get(range_),
        "transfer": TRANSFERS.get(transfer),
        "primaries": PRIMARIES.get(primaries),
    }
    resolved_matrix = tagged_values["matrix"] or _guess_matrix(coded_size, tagged_values["primaries"])
    return ColorInfo(
        matrix=resolved_matrix,
        range="pc" if tagged_values["range"] == "pc" or (kind == "gray" and not tagged_values["range"]) else "tv",
        transfer=tagged_values["transfer"] or _guess_transfer(resolved_matrix, bits),
        primaries=tagged_values["primaries"] or _guess_primaries(resolved_matrix),
        guessed_fields=tuple(name for name, value in tagged_values.items() if value is None),
    )
