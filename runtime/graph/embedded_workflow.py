"""Read the texts that ComfyUI embeds in images: PNG text chunks, and EXIF strings of JPEG and WebP.

Images come from anywhere, so every read is bounded: no chunk is trusted about its length, and a compressed text may not
expand to more than ``TEXT_LIMIT`` bytes.
"""

import re
import struct
import zlib
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXT_LIMIT = 64 * 2**20
_EXIF_TEXT = re.compile(r"^(workflow|prompt)\s*:\s*", re.IGNORECASE)


def is_supported_image(data: bytes) -> bool:
    """Return whether data is PNG, JPEG or WebP, the formats that can hold a workflow."""
    return data.startswith((PNG_SIGNATURE, b"\xff\xd8\xff")) or _is_webp(data)


def _is_webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def read_embedded_texts(data: bytes) -> dict[str, str]:
    """Return text by key. Raises ``ValueError`` when the file is truncated or its text is damaged."""
    if data.startswith(PNG_SIGNATURE):
        return dict(_iterate_png_texts(data))
    exif = _find_webp_exif(data) if _is_webp(data) else _find_jpeg_exif(data)
    return dict(_iterate_exif_texts(exif)) if exif else {}


def _iterate_png_texts(data: bytes) -> Iterator[tuple[str, str]]:
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        if kind == b"IEND":
            return
        if len(body) < length:
            raise ValueError("it is truncated")
        position += 12 + length
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            key, _, rest = body.partition(b"\0")
            yield key.decode("latin-1"), _decode_png_text(kind, rest)


def _decode_png_text(kind: bytes, rest: bytes) -> str:
    if kind == b"tEXt":
        return _decode_text(rest)
    if kind == b"zTXt":
        return _decode_text(_inflate(rest[1:]))
    compressed = rest[:1] == b"\1"
    text = rest[2:].split(b"\0", 2)[2]  # after the language and the translated keyword
    return (_inflate(text) if compressed else text).decode("utf-8")


def _decode_text(text: bytes) -> str:
    """Decode UTF-8, which some tools write, or the Latin-1 of the standard. ComfyUI itself escapes everything to ASCII."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _inflate(data: bytes) -> bytes:
    decompressor = zlib.decompressobj()
    try:
        text = decompressor.decompress(data, TEXT_LIMIT)
    except zlib.error as error:
        raise ValueError("its compressed text is damaged") from error
    if decompressor.unconsumed_tail:
        raise ValueError(f"its text expands to more than {TEXT_LIMIT >> 20} MB")
    return text


def _find_webp_exif(data: bytes) -> bytes:
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind == b"EXIF":
            return data[position + 8 : position + 8 + length].removeprefix(b"Exif\0\0")
        position += 8 + length + length % 2
    return b""


def _find_jpeg_exif(data: bytes) -> bytes:
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        body = data[position + 4 : position + 2 + length]
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            return body[6:]
        if marker == 0xDA or length < 2:
            break
        position += 2 + length
    return b""


def _iterate_exif_texts(exif: bytes) -> Iterator[tuple[str, str]]:
    """Yield ``workflow:{...}`` and ``prompt:{...}``, which ComfyUI writes into string tags of the first directory."""
    byte_order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if byte_order is None or len(exif) < 8:
        return
    (start,) = struct.unpack_from(f"{byte_order}I", exif, 4)
    if start + 2 > len(exif):
        raise ValueError("its EXIF data is truncated")
    (count,) = struct.unpack_from(f"{byte_order}H", exif, start)
    for index in range(count):
        entry = start + 2 + 12 * index
        if entry + 12 > len(exif):
            raise ValueError("its EXIF data is truncated")
        _, kind, size, offset = struct.unpack_from(f"{byte_order}HHII", exif, entry)
        if kind == 2 and size > 4:
            text = _decode_text(exif[offset : offset + size].rstrip(b"\0"))
            match = _EXIF_TEXT.match(text)
            if match:
                yield match.group(1).lower(), text[match.end() :]
