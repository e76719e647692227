"""EXIF blocks, XMP packets, and what an ICC profile (ICC.1:2022) says about pixels: color space, sRGB, linear curve."""

import re
import struct
from collections.abc import Mapping
from typing import Any

import OpenImageIO as oiio
from PIL import Image

from .image_file import Transfer

_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_PIXEL_SIZE = (0xA002, 0xA003)
# Tags that EXIF and TIFF share and that archives need: the EXIF tag and OpenImageIO's name for it.
_TIFF_TAG_NAMES = {
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x0132: "DateTime",
    0x013B: "Artist",
    0x8298: "Copyright",
}


def parse_orientation(block: bytes | None) -> int:
    """Return the orientation of an EXIF block. Default: 1 (upright)."""
    try:
        value: Any = _parse_exif(block).get(_ORIENTATION) if block else None
    except Exception:  # a broken EXIF block must not make the image unreadable
        return 1
    return value if isinstance(value, int) else 1


def remove_stale_tags(block: bytes | None) -> bytes | None:
    """Return the block without orientation, pixel size and thumbnail; None if it is then empty or cannot be parsed."""
    if not block:
        return None
    try:
        exif = _parse_exif(block)
        exif.pop(_ORIENTATION, None)
        inner = exif.get_ifd(_EXIF_IFD)
        for tag in _PIXEL_SIZE:
            inner.pop(tag, None)
        return _serialize_exif(exif) if len(exif) else None
    except Exception:  # as above
        return None


def add_text_tags(block: bytes | None, text: Mapping[str, str]) -> bytes | None:
    """Add texts by ComfyUI's WebP convention: ``prompt:...`` as Model (0x0110), the others as Make (0x010F) and downwards."""
    if not text:
        return block
    exif = _parse_exif(block) if block else Image.Exif()
    if "prompt" in text:
        exif[0x0110] = f"prompt:{text['prompt']}"
    others = [(key, value) for key, value in text.items() if key != "prompt"]
    for tag, (key, value) in zip(range(0x010F, 0, -1), others, strict=False):
        exif[tag] = f"{key}:{value}"
    return _serialize_exif(exif)


def exif_to_tiff_tags(block: bytes | None) -> dict[str, str]:
    """Return the tags of an EXIF block that TIFF has as well, by OpenImageIO's names."""
    exif = _parse_exif(block) if block else Image.Exif()
    return {name: value for tag, name in _TIFF_TAG_NAMES.items() if isinstance(value := exif.get(tag), str)}


def tiff_tags_to_exif(spec: oiio.ImageSpec) -> bytes | None:
    """Return those tags of a TIFF file as an EXIF block."""
    exif = Image.Exif()
    for tag, name in _TIFF_TAG_NAMES.items():
        if value := spec.get_string_attribute(name):
            exif[tag] = value
    return _serialize_exif(exif) if len(exif) else None


def _parse_exif(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    try:
        exif.load(block)
        len(exif)
    except Exception:
        return Image.Exif()
    return exif


def _serialize_exif(exif: Image.Exif) -> bytes:
    return exif.tobytes().removeprefix(b"Exif\0\0")


IPTC_RESOURCE = 0x0404
"""Number of the image resource that holds IPTC-IIM records (Adobe Photoshop File Formats)."""
MAX_SEGMENT_BYTES = 65_000
"""What one segment of a JPEG holds of an XMP packet or of IPTC records."""
_STALE_PROPERTIES = re.compile(
    rb"""\s(tiff:Orientation|tiff:ImageWidth|tiff:ImageLength|exif:Pixel[XY]Dimension)\s*=\s*("[^"]*"|'[^']*')"""
    rb"""|<(tiff:Orientation|tiff:ImageWidth|tiff:ImageLength|exif:Pixel[XY]Dimension)>[^<]*</\3>"""
)


def remove_stale_properties(packet: bytes | None) -> bytes | None:
    """Return an XMP packet without orientation and pixel size; None if it is about a gain map, which is not kept."""
    if not packet or b"hdrgm:" in packet or b"Container:Directory" in packet:
        return None
    return _STALE_PROPERTIES.sub(b"", packet)


def build_iptc_segment(records: bytes) -> bytes:
    """Build the APP13 segment of a JPEG that holds IPTC-IIM records of at most ``MAX_SEGMENT_BYTES``."""
    resource = struct.pack(">HHI", IPTC_RESOURCE, 0, len(records)) + records + b"\0" * (len(records) % 2)
    payload = b"Photoshop 3.0\0" + b"8BIM" + resource
    return b"\xff\xed" + struct.pack(">H", len(payload) + 2) + payload


_GREY, _RGB = b"GRAY", b"RGB "


def is_profile_for(icc: bytes, channels: int) -> bool:
    """Whether the profile describes pixels with this number of channels (a CMYK profile does not describe RGB pixels)."""
    return len(icc) >= 132 and icc[16:20] == (_GREY if channels <= 2 else _RGB)


def is_srgb(icc: bytes) -> bool:
    """Whether the profile is named sRGB and its curve is not linear."""
    return any("sRGB".encode(encoding) in icc for encoding in ("ascii", "utf-16-be")) and not is_linear(icc)


def resolve_stored_transfer(icc: bytes | None, *, exr: bool, floating: bool) -> Transfer:
    """Return the transfer of a file: that of its profile; without one, linear light for EXR and float files, else sRGB."""
    if icc and not exr:
        return "linear" if is_linear(icc) else "srgb"
    return "linear" if exr or floating else "srgb"


def is_linear(icc: bytes) -> bool:
    """Whether the tone curve of red or grey is y = x: ``curv`` empty or of gamma 1, ``para`` of gamma 1 without offset."""
    curve = _read_tag(icc, b"rTRC") or _read_tag(icc, b"kTRC")
    if curve[:4] == b"curv":
        entries = int.from_bytes(curve[8:12])
        return entries == 0 or (entries == 1 and curve[12:14] == b"\x01\x00")
    if curve[:4] != b"para":
        return False
    kind = int.from_bytes(curve[8:10])
    return curve[12:16] == _ONE and (kind == 0 or curve[16:24] == _ONE + _ZERO)


_ONE, _ZERO = b"\0\x01\0\0", bytes(4)  # s15Fixed16Number


def _read_tag(icc: bytes, signature: bytes) -> bytes:
    for index in range(min(int.from_bytes(icc[128:132]), 100)):
        entry = icc[132 + 12 * index : 144 + 12 * index]
        if len(entry) == 12 and entry[:4] == signature:
            offset, length = struct.unpack(">II", entry[4:])
            return icc[offset : offset + length]
    return b""
