"""The pixel aspect ratio written into a finished file: its index and checksums stay valid, and nothing else moves."""

import shutil
import subprocess
import zlib
from fractions import Fraction
from pathlib import Path

import pytest
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.video.write.matroska import write_pixel_aspect
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..helpers import Seen, frame_hashes, make_source, packets, video


def number(data: bytes, place: int) -> tuple[int, int]:
    """Return a variable-length integer (RFC 8794, section 4) and where it ends."""
    length = next(length for length in range(1, 9) if data[place] >> (8 - length))
    return int.from_bytes(data[place : place + length]) & (1 << 7 * length) - 1, place + length


def read_verified(data: bytes, id_: bytes, after: int = 0) -> bytes:
    """Return the content of the first such master element, after verifying and removing its checksum."""
    size, begin = number(data, data.index(id_, after) + len(id_))
    content = data[begin : begin + size]
    if content[0] != 0xBF:
        return content
    assert int.from_bytes(content[2:6], "little") == zlib.crc32(content[6:])
    return content[6:]


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
@pytest.mark.parametrize(("codec", "container"), [("ffv1", "mkv"), ("vp9", "webm")])
def test_the_index_points_to_the_same_elements(tmp_path: Path, codec: str, container: str) -> None:
    source = make_source(tmp_path / "in.mkv")
    paths = [tmp_path / f"{name}.{container}" for name in ("square", "wide")]
    for path, aspect in zip(paths, (Fraction(1), Fraction(64, 45)), strict=True):
        write_video(video(9, source=source, pixel_aspect=aspect), path, VideoWriteSettings(codec, container, 8), Seen())
    square, wide = (path.read_bytes() for path in paths)
    assert len(square) == len(wide)
    _, base = number(wide, wide.index(b"\x18\x53\x80\x67") + 4)
    index = read_verified(wide, b"\x11\x4d\x9b\x74")
    entries = index.split(b"\x4d\xbb")[1:]
    assert len(entries) >= 4
    for entry in entries:  # size, SeekID with 4 bytes, SeekPosition
        name, place = entry[4:8], int.from_bytes(entry[11 : 11 + (entry[10] & 127)])
        assert wide[base + place : base + place + 4] == name
    read_verified(wide, b"\x16\x54\xae\x6b", base)
    behind = square.index(b"\x12\x54\xc3\x67", base)
    assert packets(paths[0], "audio") == packets(paths[1], "audio")
    assert frame_hashes(paths[0]) == frame_hashes(paths[1])
    assert wide[behind : behind + 4] == b"\x12\x54\xc3\x67"
    said = subprocess.run(
        ["ffprobe", "-v", "warning", "-show_packets", str(paths[1])], capture_output=True, text=True, check=True
    )
    assert said.stderr == ""


def test_a_file_of_another_program_is_left_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "o.mkv"
    data = b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x8a" + b"\x15\x49\xa9\x66\x80" + b"\x16\x54\xae\x6b\x80"
    path.write_bytes(data)
    with pytest.raises(OutputError, match="does not begin like FFmpeg's files"):
        write_pixel_aspect(path, 96, 80, Fraction(64, 45), webm=False)
    assert path.read_bytes() == data
