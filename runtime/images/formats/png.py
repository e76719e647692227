"""The chunks of a PNG file (ISO/IEC 15948:2004, PNG Third Edition): verify them, and build those for metadata."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path

from ...media import Size
from ..image_file import ImageFormatError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_BYTES = 33
"""Signature and IHDR; metadata chunks may follow directly."""
_BLOCK = 1 << 20
COLOR_KINDS = (b"cICP", b"mDCV", b"cLLI", b"gAMA", b"cHRM")
"""Chunks that say what the numbers mean, in the order in which they are written."""
_XMP_KEY = b"XML:com.adobe.xmp\0"
_METADATA_KINDS = (b"IHDR", b"iCCP", b"eXIf", b"iTXt", b"pHYs", b"sRGB", b"acTL", *COLOR_KINDS)
_SRGB_CODE_POINTS = ((1, 13), (2, 2), (1, 2), (2, 13))
"""Primaries and transfer of ITU-T H.273 that mean sRGB, or nothing."""
_SRGB_CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
_TRANSFER_NAMES, _PRIMARIES_NAMES = {16: "PQ", 18: "HLG", 8: "linear light", 1: "BT.709"}, {9: "BT.2020", 11: "P3", 12: "P3"}
_MAX_METADATA_BYTES = 64 << 20  # of an ICC profile or EXIF block, compressed or not


def read_size(path: Path) -> Size:
    """Return width and height from IHDR."""
    with path.open("rb") as file:
        head = file.read(24)
    if len(head) < 24 or head[12:16] != b"IHDR":
        raise ValueError("the file ends inside its header")
    return Size(*struct.unpack(">II", head[16:24]))


def verify_chunks(path: Path) -> dict[bytes, bytes]:
    """Walk a PNG from its signature to IEND, verify every checksum and return the payloads of the metadata chunks.

    That of iTXt is the XMP packet; other texts are left out. Decoders do not detect every truncated file: they accept an
    animated PNG whose end is missing.

    Raises:
        ValueError: the file ends before IEND, or a checksum differs.
    """
    payloads: dict[bytes, bytes] = {}
    with path.open("rb") as file:
        remaining = path.stat().st_size - file.seek(len(_SIGNATURE))
        for kind, payload in _iter_chunks(file, remaining):
            if kind != b"iTXt":
                payloads.setdefault(kind, payload)
            elif packet := _unpack_xmp(payload):
                payloads.setdefault(kind, packet)
    return payloads


def _unpack_xmp(payload: bytes) -> bytes | None:
    """Return the XMP packet of an iTXt chunk; None for another text, or one that cannot be decompressed."""
    if not payload.startswith(_XMP_KEY):
        return None
    flags, rest = payload[len(_XMP_KEY) :][:2], payload[len(_XMP_KEY) + 2 :]
    packet = rest.split(b"\0", 2)[-1]  # behind language and translated keyword
    try:
        return zlib.decompressobj().decompress(packet, _MAX_METADATA_BYTES) if flags[:1] == b"\1" else packet
    except zlib.error:
        return None


def _iter_chunks(file: BufferedReader, remaining: int) -> Iterator[tuple[bytes, bytes]]:
    while True:
        head = file.read(8)
        remaining -= 12
        if len(head) < 8 or (length := int.from_bytes(head[:4])) > remaining:
            raise ValueError("the file ends before its last chunk")
        kind = head[4:]
        if not kind.isalpha():
            raise ValueError(f"no PNG chunk at byte {file.tell() - 8}")
        remaining -= length
        payload, checksum = _read_payload(file, kind, length)
        if checksum != int.from_bytes(file.read(4)) and kind[0:1].isupper():
            raise ValueError(f"the checksum of a {kind.decode('latin-1')} chunk is wrong")
        if kind in _METADATA_KINDS:
            yield kind, payload
        if kind == b"IEND":
            return


def _read_payload(file: BufferedReader, kind: bytes, length: int) -> tuple[bytes, int]:
    """Return the next ``length`` bytes, empty unless they are metadata, and their checksum."""
    checksum = zlib.crc32(kind)
    kept = bytearray()
    while length:
        block = file.read(min(length, _BLOCK))
        checksum = zlib.crc32(block, checksum)
        length -= len(block)
        if kind in _METADATA_KINDS and len(kept) <= _MAX_METADATA_BYTES:
            kept += block
    return bytes(kept), checksum


def unpack_icc_profile(payload: bytes) -> bytes | None:
    """Return the ICC profile of an iCCP chunk, or None if it cannot be decompressed."""
    name_end = payload.find(b"\0")
    try:
        return zlib.decompressobj().decompress(payload[name_end + 2 :], _MAX_METADATA_BYTES)
    except zlib.error:
        return None


def select_color_chunks(chunks: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the chunks of ``COLOR_KINDS`` that are valid (cICP before iCCP, sRGB, and gAMA with cHRM); empty for sRGB."""
    found = {kind: chunks[kind] for kind in COLOR_KINDS if kind in chunks}
    if b"cICP" in found:
        keeps = tuple(found[b"cICP"][:2]) not in _SRGB_CODE_POINTS
        return {kind: payload for kind, payload in found.items() if kind not in (b"gAMA", b"cHRM")} if keeps else {}
    if b"iCCP" in chunks or b"sRGB" in chunks:
        return {}
    gamma = int.from_bytes(found.get(b"gAMA", b"")) or 45455
    white_and_primaries = found.get(b"cHRM", b"")
    numbers = struct.unpack(">8I", white_and_primaries) if len(white_and_primaries) == 32 else _SRGB_CHROMATICITIES
    is_srgb = abs(gamma - 45455) < 1000 and all(abs(a - b) < 200 for a, b in zip(numbers, _SRGB_CHROMATICITIES, strict=True))
    return {} if is_srgb else {kind: found[kind] for kind in (b"gAMA", b"cHRM") if kind in found}


def make_cicp(primaries: int, transfer: int) -> dict[bytes, bytes]:
    """Return the color chunks of RGB pixels in full range with these code points of ITU-T H.273; empty for sRGB."""
    return select_color_chunks({b"cICP": bytes((primaries, transfer, 0, 1))})


def describe_color(chunks: Mapping[bytes, bytes]) -> str:
    """Return what color chunks say: ``PQ, BT.2020`` or ``gamma 1/1.00``."""
    if b"cICP" in chunks:
        primaries, transfer = chunks[b"cICP"][:2]
        names = (_TRANSFER_NAMES.get(transfer, ""), _PRIMARIES_NAMES.get(primaries, ""))
        return ", ".join(name for name in names if name) or f"code points {primaries}/{transfer}"
    return f"gamma 1/{100_000 / (int.from_bytes(chunks.get(b'gAMA', b'')) or 45455):.2f}" + ", own primaries" * (
        b"cHRM" in chunks
    )


def parse_resolution(payload: bytes) -> tuple[float, float] | None:
    """Return the resolution of a pHYs chunk in pixels per inch, or None if its unit is not the metre."""
    if len(payload) != 9 or payload[8] != 1:
        return None
    x, y = struct.unpack(">II", payload[:8])
    return x * 0.0254, y * 0.0254


def build_chunk(kind: bytes, payload: bytes) -> bytes:
    """Build a chunk: length, type, payload, checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def build_metadata_chunks(
    icc: bytes | None,
    exif: bytes | None,
    resolution: tuple[float, float] | None,
    text: Mapping[str, str],
    color_chunks: Mapping[bytes, bytes] | None = None,
    xmp: bytes | None = None,
) -> bytes:
    """Build the chunks between IHDR and the pixels."""
    chunks = [build_chunk(kind, payload) for kind, payload in (color_chunks or {}).items()]
    chunks += [build_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc))] if icc else []
    if resolution:
        chunks.append(build_chunk(b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in resolution), 1)))
    if exif:
        chunks.append(build_chunk(b"eXIf", exif))
    if xmp:
        chunks.append(build_chunk(b"iTXt", _XMP_KEY + bytes(4) + xmp))
    chunks.extend(_build_text_chunk(key, value) for key, value in text.items())
    return b"".join(chunks)


def _build_text_chunk(key: str, value: str) -> bytes:
    """Build tEXt if the text is Latin-1 (ComfyUI's JSON is ASCII), else iTXt in UTF-8."""
    name = key.encode("latin-1")
    if not 1 <= len(name) <= 79:
        raise ImageFormatError(f"the PNG keyword {key[:80]!r} has {len(name)} characters", "Use 1 to 79 characters.")
    try:
        return build_chunk(b"tEXt", name + b"\0" + value.encode("latin-1"))
    except UnicodeEncodeError:
        return build_chunk(b"iTXt", name + b"\0\0\0\0\0" + value.encode("utf-8"))
