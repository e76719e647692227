"""EXIF blocks: read one, and prepare one to be written with new pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import OpenImageIO as oiio
from PIL import Image

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
