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
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from upscale8k.runtime.cli.batch.job_records import JobRecord
from upscale8k.runtime.errors import MediaError, ModelDamaged, UnsupportedModel
from upscale8k.runtime.images import metadata
from upscale8k.runtime.images.formats import gif, jxl, png, tiff, webp
from upscale8k.runtime.images.image_file import ImageFormatError
from upscale8k.runtime.images.read import read_image_file
from upscale8k.runtime.models.ncnn import read_ncnn
from upscale8k.runtime.video.read.container_boxes import read_announced_length
from upscale8k.runtime.video.sequence.write import SequenceSettings, find_unfinished_sequence, write_sequence
from upscale8k.runtime.video.write.journal import SegmentFolder

from .video.helpers import Seen, make_source, video

COUNT = int(os.environ.get("UPSCALE8K_FUZZ", "60"))
FIXED = settings(
    max_examples=COUNT, deadline=None, derandomize=COUNT < 1000, suppress_health_check=list(HealthCheck), database=None
)
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


def damaged(original: bytes) -> st.SearchStrategy[bytes]:
    """Changed bytes, sizes in the place of others, parts taken out and doubled, and ends cut off."""
    place = st.integers(0, len(original))
    edit = st.tuples(place, place, st.one_of(st.binary(max_size=8), st.sampled_from(SIZES)), st.booleans())

    def apply(edits: list[tuple[int, int, bytes, bool]]) -> bytes:
        data = original
        for start, end, new, replaces in edits:
            data = data[:start] + new + data[start + len(new) if replaces else end :]
        return data

    return st.one_of(
        st.lists(edit, min_size=1, max_size=4).map(apply), st.binary(max_size=64).map(lambda tail: original[:12] + tail)
    )


@pytest.mark.parametrize("suffix", IMAGE_PARSERS)
@FIXED
@given(data=st.data())
def test_image_files(suffix: str, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        path.write_bytes(data.draw(damaged(make_image(suffix))))
        for parse in IMAGE_PARSERS[suffix]:
            with suppress(ValueError, IndexError, ImageFormatError):  # what read_image_file takes for a damaged file
                parse(path)
        with suppress(MediaError):
            read_image_file(path)


@FIXED
@given(data=st.data())
def test_exif_and_profiles(data: st.DataObject) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    block = data.draw(damaged(exif.tobytes()))
    assert isinstance(metadata.parse_orientation(block), int)
    metadata.remove_stale_tags(block)
    metadata.exif_to_tiff_tags(block)
    icc = data.draw(damaged(bytes(36) + b"acsp" + bytes(88) + b"\0\0\0\1rTRC\0\0\0\x90\0\0\0\x10curv" + bytes(12)))
    for judge in (metadata.is_linear, metadata.is_srgb):
        judge(icc)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@FIXED
@given(data=st.data())
def test_boxes_and_elements(suffix: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    folder.mkdir(exist_ok=True)
    source = folder / f"in.{suffix}"
    if not source.exists():
        make_source(source, seconds=1, text=None)
    path = folder / f"a.{suffix}"
    original = source.read_bytes()
    path.write_bytes(data.draw(damaged(original[:400])) + original[400:])
    length = read_announced_length(path)
    assert length is None or length >= 0


@FIXED
@given(data=st.data())
def test_descriptions_of_ncnn(data: st.DataObject) -> None:
    lines = b"7767517\n3 3\nInput data 0 1 data\nConvolution a 1 1 data b 0=4 1=3 5=1 6=108 -23310=1,0.2\nPReLU c 1 1 b d 0=4\n"
    with TemporaryDirectory() as folder:
        param, weights = Path(folder) / "a.param", Path(folder) / "a.bin"
        param.write_bytes(data.draw(damaged(lines)))
        weights.write_bytes(data.draw(st.one_of(st.just(bytes(468)), st.binary(max_size=64))))
        with suppress(ModelDamaged, UnsupportedModel):
            read_ncnn(param, weights)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
SEGMENT = {"file": "000000.mp4", "first": 0, "pts": [0], "duration": 1, "reorder": 0, "bytes": 3, "sha256": "0"}


@FIXED
@given(data=st.data())
def test_journals(data: st.DataObject) -> None:
    fields = data.draw(st.dictionaries(st.sampled_from([*SEGMENT, "complete"]), JSON, max_size=3))
    header: dict[str, Any] = {"format": 1, "asked": {"size": "1"}, "source file": {}}
    header |= data.draw(st.dictionaries(st.sampled_from(list(header)), JSON, max_size=2))
    text = "\n".join(json.dumps(line) for line in (header, SEGMENT, SEGMENT | fields)).encode() + b"\n"
    with TemporaryDirectory() as place:
        parts = SegmentFolder(Path(place) / "o.mp4")
        parts.folder.mkdir()
        (parts.folder / "000000.mp4").write_bytes(b"abc")
        (parts.folder / "journal.jsonl").write_bytes(data.draw(st.one_of(st.just(text), damaged(text), st.just(b"[" * 20_000))))
        for verify in (True, False):
            state = parts.read_state(verify=verify)
            assert state is None or state.frame_count >= 0
        assert isinstance(parts.read_job_settings(), dict)


@FIXED
@given(data=st.data())
def test_states_of_sequences_and_records_of_jobs(data: st.DataObject) -> None:
    text = b'{"source or model": "a video", "size": "96x80", "depth": 8, "first number": 1}\n120 0 1/30\n130 1/30 1/15\n'
    choices = st.one_of(damaged(text), st.just(text + b"9" * 5000 + b"\n"), st.just(b"[" * 20_000))
    with TemporaryDirectory() as place:
        state = Path(place) / "#.png.unfinished"
        state.write_bytes(data.draw(choices))
        find_unfinished_sequence(Path(place) / "%d.png")
        record = JobRecord(Path(place) / "o.png", "key")
        record.result.write_bytes(b"x")
        record._path.parent.mkdir(parents=True, exist_ok=True)
        record._path.write_bytes(data.draw(st.one_of(JSON.map(lambda value: json.dumps(value).encode()), choices)))
        assert record.is_done() in (True, False)


def test_a_sequence_begins_anew_after_a_damaged_state(tmp_path: Path) -> None:
    def write_image(path: Path, *_: object) -> None:
        path.write_bytes(b"image")

    for text in (b"[" * 20_000, b'{"a": 1}\n' + b"9" * 5000 + b"\n", b"\n\n"):
        (tmp_path / "#.png.unfinished").write_bytes(text)
        write_sequence(video(2), tmp_path / "%d.png", SequenceSettings(write_image), Seen())
        assert (tmp_path / "2.png").read_bytes() == b"image"
