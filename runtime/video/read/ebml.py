"""The headers of EBML elements, which Matroska and WebM consist of, RFC 8794 sections 4 to 6."""

from __future__ import annotations

from typing import NamedTuple


class ElementHeader(NamedTuple):
    id: int
    length: int
    """Bytes of the header itself."""
    size: int | None
    """Bytes of the content; None when the element does not announce it (a live recording)."""


def parse_element_header(data: bytes, offset: int = 0) -> ElementHeader | None:
    """Return the header at ``offset``; None where there is no whole one."""
    id_length = _get_vint_length(data, offset)
    size_length = _get_vint_length(data, offset + id_length) if id_length else 0
    content = offset + id_length + size_length
    if not size_length or content > len(data):
        return None
    mask = (1 << 7 * size_length) - 1
    size = int.from_bytes(data[offset + id_length : content]) & mask
    return ElementHeader(int.from_bytes(data[offset : offset + id_length]), content - offset, None if size == mask else size)


def _get_vint_length(data: bytes, offset: int) -> int:
    """Return the bytes of the variable-length integer at ``offset``; 0 where there is none."""
    return 9 - data[offset].bit_length() if offset < len(data) and data[offset] else 0
