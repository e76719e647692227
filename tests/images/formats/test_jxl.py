"""The size of a JPEG XL image, whatever the order of its boxes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from upscale8k.runtime.errors import MediaError
from upscale8k.runtime.images.formats.jxl import read_header
from upscale8k.runtime.images.read import read_image_file
from upscale8k.runtime.images.write import write_image_file
from upscale8k.runtime.media.geometry import Size

SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n"
KIND = b"\0\0\0\x14ftypjxl \0\0\0\0jxl "
MISLEADING = b"\0\0\0\0MM\0*\0\0\0\x08\0\0" + b"\xff\x0a" + b"\xff" * 28
"""Of an Exif box: what begins a codestream, and then a large number."""


@pytest.fixture
def codestream(tmp_path: Path, rgb: np.ndarray, write_oiio: Callable[..., None]) -> bytes:
    """Of an image of 61 x 40 written by libjxl."""
    write_oiio(tmp_path / "by_libjxl.jxl", np.rint(rgb[:40, :61] * 255).astype(np.uint8), "uint8")
    data = (tmp_path / "by_libjxl.jxl").read_bytes()
    if not data.startswith(SIGNATURE):
        return data
    parts: list[bytes] = []
    while data:
        length = int.from_bytes(data[:4], "big") or len(data)
        parts += [data[12:length]] if data[4:8] == b"jxlp" else []
        data = data[length:]
    return b"".join(parts)


def box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def long_box(kind: bytes, content: bytes) -> bytes:
    return b"\0\0\0\1" + kind + (len(content) + 16).to_bytes(8, "big") + content


def last_box(kind: bytes, content: bytes) -> bytes:
    return b"\0\0\0\0" + kind + content


@pytest.mark.parametrize("lay", [box, long_box, last_box])
def test_the_size_is_that_of_the_codestream_and_not_of_what_stands_before_it(
    lay: Callable[[bytes, bytes], bytes], tmp_path: Path, codestream: bytes
) -> None:
    path = tmp_path / "a.jxl"
    path.write_bytes(SIGNATURE + KIND + box(b"Exif", MISLEADING) + long_box(b"xml ", MISLEADING) + lay(b"jxlc", codestream))
    assert read_header(path).size == Size(61, 40)
    assert read_image_file(path).pixels.shape == (40, 61, 3)


@pytest.mark.parametrize("cut", [5, 12, 40])
def test_a_codestream_in_parts_is_put_together(cut: int, tmp_path: Path, codestream: bytes) -> None:
    first, second = b"\0\0\0\0" + codestream[:cut], b"\x80\0\0\1" + codestream[cut:]
    path = tmp_path / "a.jxl"
    path.write_bytes(SIGNATURE + KIND + box(b"jxlp", first) + box(b"Exif", MISLEADING) + box(b"jxlp", second))
    assert read_header(path).size == Size(61, 40)


def test_a_bare_codestream_has_its_size(tmp_path: Path, codestream: bytes) -> None:
    (tmp_path / "a.jxl").write_bytes(codestream)
    assert read_header(tmp_path / "a.jxl").size == Size(61, 40)


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        box(b"Exif", MISLEADING),
        last_box(b"Exif", MISLEADING),
        b"\0\0\0\3Exif",
        b"\0\0\0\1Exif" + b"\xff" * 8,
        b"\0\0\0\1Exif",
        box(b"jxlc", b"\xff\x0a\0"),
        box(b"jxlc", bytes(40)),
        box(b"jxlp", b""),
    ],
)
def test_boxes_that_lead_nowhere_are_refused(tail: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jxl").write_bytes(SIGNATURE + KIND + tail)
    with pytest.raises(ValueError, match="ends inside its header"):
        read_header(tmp_path / "a.jxl")


def test_a_file_of_a_hundred_bytes_is_written_and_read_and_a_part_of_it_is_refused(tmp_path: Path) -> None:
    """OpenImageIO takes every file below 128 bytes for damaged."""
    path, pixels = tmp_path / "a.jxl", np.full((8, 8, 3), 0.5, np.float32)
    write_image_file(path, pixels)
    data = path.read_bytes()
    assert len(data) < 128
    np.testing.assert_allclose(read_image_file(path).pixels, pixels, atol=0.5 / 255)
    path.write_bytes(data[:-9])
    with pytest.raises(MediaError, match=r"a\.jxl"):
        read_image_file(path)
