"""Parsers of our own get damaged bytes: an answer or the documented error, and nothing else.

Short here; ``UPSCALE8K_FUZZ=100000 pytest tests/test_parser_fuzz.py`` tries that many of each.
Workflows: tests/graph/test_fuzz.py.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from upscale8k.runtime.cli.batch.job_records import JobRecord
from upscale8k.runtime.errors import MediaError, ModelDamaged, UnsupportedModel
from upscale8k.runtime.images import metadata
from upscale8k.runtime.images.formats import gif, jxl, png, tiff, webp
from upscale8k.runtime.images.image_file import ImageFormatError
from upscale8k.runtime.images.read import read_image_file
from upscale8k.runtime.models.ncnn_files.ncnn import read_ncnn
from upscale8k.runtime.video.read.container_boxes import read_announced_length
from upscale8k.runtime.video.sequence.write import SequenceSettings, find_unfinished_sequence, write_sequence
from upscale8k.runtime.video.write.journal import SegmentFolder

from .video.helpers import Seen, make_source, video

COUNT = int(os.environ.get("UPSCALE8K_FUZZ", "200"))
SIZES = (b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 8, b"\xff" * 8, b"\0\0\0\1", b"\1\0\0\0")
IMAGE_PARSERS: dict[str, tuple[Callable[[Path], object], ...]] = {
    "png": (png.read_size, png.verify_chunks),
    "webp": (webp.read_size, webp.verify_chunks),
    "gif": (gif.verify_blocks,),
    "tif": (tiff.find_main_page,),
    "jxl": (jxl.read_header,),
}


def make_image(suffix: str) -> bytes:
    pixels, out = np.random.default_rng(1).integers(0, 255, (9, 12, 3), np.uint8), BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x9286] = 6, "maker", b"ASCII\0\0\0comment"
    if suffix == "tif":
        tifffile.imwrite(out, pixels, bigtiff=True, metadata=None, photometric="rgb")
    elif suffix == "jxl":
        return b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl \0\0\0\x0cjxlp\0\0\0\0\0\0\0\x18jxlc\xff\x0a" + bytes(
            range(14)
        )
    else:
        Image.fromarray(pixels).save(out, {"tif": "TIFF"}.get(suffix, suffix), **({"exif": exif} if suffix != "gif" else {}))
    return out.getvalue()


def damage(original: bytes, chance: Random) -> bytes:
    """Changed bytes, sizes in the place of others, parts taken out and doubled, and ends cut off."""
    if not chance.randrange(8):
        return original[:12] + chance.randbytes(chance.randrange(65))
    data = original
    for _ in range(chance.randint(1, 4)):
        start, end = chance.randint(0, len(original)), chance.randint(0, len(original))
        new = chance.choice((*SIZES, chance.randbytes(chance.randrange(9))))
        data = data[:start] + new + data[start + len(new) if chance.random() < 0.5 else end :]
    return data


def draw_json(chance: Random, depth: int = 3) -> Any:
    kind = chance.randrange(7 if depth else 5)
    if kind < 5:
        return (
            None,
            chance.random() < 0.5,
            chance.getrandbits(chance.choice((3, 70))) - 4,
            chance.gauss(0, 1e9),
            chr(chance.randrange(900)),
        )[kind]
    values = [draw_json(chance, depth - 1) for _ in range(chance.randrange(4))]
    return values if kind == 5 else {str(value)[:5]: value for value in values}


def try_all(attempt: Callable[[Random], object]) -> None:
    """Call ``attempt`` with each seed; an error names its seed. No shrinking: an example of hypothesis costs ten parsings."""
    for seed in range(COUNT):
        try:
            attempt(Random(seed))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


@pytest.mark.parametrize("suffix", IMAGE_PARSERS)
def test_image_files(suffix: str, tmp_path: Path) -> None:
    path, original = tmp_path / f"a.{suffix}", make_image(suffix)

    def attempt(chance: Random) -> None:
        path.write_bytes(damage(original, chance))
        for parse in IMAGE_PARSERS[suffix]:
            with suppress(ValueError, IndexError, ImageFormatError):  # what read_image_file takes for a damaged file
                parse(path)
        with suppress(MediaError):
            read_image_file(path)

    try_all(attempt)


def test_exif_and_profiles() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    profile = bytes(36) + b"acsp" + bytes(88) + b"\0\0\0\1rTRC\0\0\0\x90\0\0\0\x10curv" + bytes(12)

    def attempt(chance: Random) -> None:
        block = damage(exif.tobytes(), chance)
        assert isinstance(metadata.parse_orientation(block), int)
        metadata.remove_stale_tags(block)
        metadata.exif_to_tiff_tags(block)
        icc = damage(profile, chance)
        for judge in (metadata.is_linear, metadata.is_srgb):
            judge(icc)

    try_all(attempt)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_boxes_and_elements(suffix: str, tmp_path: Path) -> None:
    source, path = tmp_path / f"in.{suffix}", tmp_path / f"a.{suffix}"
    make_source(source, seconds=1, text=None)
    original = source.read_bytes()

    def attempt(chance: Random) -> None:
        path.write_bytes(damage(original[:400], chance) + original[400:])
        length = read_announced_length(path)
        assert length is None or length >= 0

    try_all(attempt)


def test_descriptions_of_ncnn(tmp_path: Path) -> None:
    lines = b"7767517\n3 3\nInput data 0 1 data\nConvolution a 1 1 data b 0=4 1=3 5=1 6=108 -23310=1,0.2\nPReLU c 1 1 b d 0=4\n"
    param, weights = tmp_path / "a.param", tmp_path / "a.bin"

    def attempt(chance: Random) -> None:
        param.write_bytes(damage(lines, chance))
        weights.write_bytes(bytes(468) if chance.random() < 0.5 else chance.randbytes(chance.randrange(65)))
        with suppress(ModelDamaged, UnsupportedModel):
            read_ncnn(param, weights)

    try_all(attempt)


SEGMENT = {"file": "000000.mp4", "first": 0, "pts": [0], "duration": 1, "reorder": 0, "bytes": 3, "sha256": "0"}


def test_journals(tmp_path: Path) -> None:
    parts = SegmentFolder(tmp_path / "o.mp4")
    parts.folder.mkdir()

    def attempt(chance: Random) -> None:
        fields = {name: draw_json(chance) for name in chance.sample([*SEGMENT, "complete"], chance.randrange(4))}
        header: dict[str, Any] = {"format": 1, "asked": {"size": "1"}, "source file": {}}
        header |= {name: draw_json(chance) for name in chance.sample(list(header), chance.randrange(3))}
        text = "\n".join(json.dumps(line) for line in (header, SEGMENT, SEGMENT | fields)).encode() + b"\n"
        (parts.folder / "000000.mp4").write_bytes(b"abc")
        journal = (text, damage(text, chance), b"[" * 20_000)[chance.choice((0, 0, 1, 1, 2))]
        (parts.folder / "journal.jsonl").write_bytes(journal)
        for verify in (True, False):
            state = parts.read_state(verify=verify)
            assert state is None or state.frame_count >= 0
        assert isinstance(parts.read_job_settings(), dict)

    try_all(attempt)


def test_states_of_sequences_and_records_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
    text = b'{"source or model": "a video", "size": "96x80", "depth": 8, "first number": 1}\n120 0 1/30\n130 1/30 1/15\n'
    record = JobRecord(tmp_path / "o.png", "key")
    record.result.write_bytes(b"x")
    record._path.parent.mkdir(parents=True)

    def attempt(chance: Random) -> None:
        choices = (damage(text, chance), text + b"9" * 5000 + b"\n", b"[" * 20_000)
        (tmp_path / "#.png.unfinished").write_bytes(chance.choice((choices[0], *choices)))
        find_unfinished_sequence(tmp_path / "%d.png")
        record._path.write_bytes(chance.choice((json.dumps(draw_json(chance)).encode(), *choices)))
        assert record.is_done() in (True, False)

    try_all(attempt)


def test_a_sequence_begins_anew_after_a_damaged_state(tmp_path: Path) -> None:
    def write_image(path: Path, *_: object) -> None:
        path.write_bytes(b"image")

    for text in (b"[" * 20_000, b'{"a": 1}\n' + b"9" * 5000 + b"\n", b"\n\n"):
        (tmp_path / "#.png.unfinished").write_bytes(text)
        write_sequence(video(2), tmp_path / "%d.png", SequenceSettings(write_image), Seen())
        assert (tmp_path / "2.png").read_bytes() == b"image"
