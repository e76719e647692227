"""Folders full of files that look like ours: each writer makes its result, and every other file stays as it was."""

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from upscale8k.runtime.atomic_write import atomic_write
from upscale8k.runtime.cli import main
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.file_lock import exclusive_lock
from upscale8k.runtime.images.sequence_frames import make_frame_writer
from upscale8k.runtime.images.write import write_image_file
from upscale8k.runtime.video.sequence.write import SequenceSettings, write_sequence
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from .video.helpers import Seen, make_source, video

PIXELS = np.zeros((8, 8, 3), np.float32)
ENDINGS = (
    *(".part", ".parts.bak", ".parts.1", ".1.part", ".0123456789.part", ".upscale8k.part", ".part.etag", ".part.lock"),
    *(".lock", ".tmp", ".bak", "~", ".unfinished.bak", ".unfinished.1", ".journal", ".json", ".etag", ".md5"),
)


def write_a_video(folder: Path, container: str, *, stop_first: bool = False) -> None:
    codec = "vp9" if container == "webm" else "h264"
    settings = VideoWriteSettings(codec, container, 8, segment_seconds=Fraction(1, 5))  # type: ignore[arg-type]
    if stop_first:
        with pytest.raises(KeyboardInterrupt):
            write_video(video(20), folder / f"o.{container}", settings, Seen(limit=12))
        fill(folder / f"o.{container}.parts", f"o.{container}", "journal.txt", "000000.mp4.bak", "holiday.mp4")
    write_video(video(20), folder / f"o.{container}", settings, Seen())


def write_images(folder: Path, suffix: str, *, stop_first: bool = False) -> None:
    settings = SequenceSettings(make_frame_writer({}))
    if stop_first:
        with pytest.raises(KeyboardInterrupt):
            write_sequence(video(6), folder / f"f_%03d.{suffix}", settings, Seen(limit=3))
    write_sequence(video(6), folder / f"f_%03d.{suffix}", settings, Seen())


def upscale(folder: Path, *inputs: str) -> None:
    source = folder.parent / "source"
    source.mkdir()
    write_image_file(source / "a.png", PIXELS)
    make_source(source / "b.mp4", seconds=1, text=None)
    chosen = [str(source / name) for name in inputs] or [str(source)]
    arguments = ["upscale", *chosen, "-o", str(folder), "--to", "2x", "--backend", "null", "--device", "cpu"]
    assert main(arguments) == 0


def compare(folder: Path) -> None:
    write_image_file(folder.parent / "a.png", np.full((64, 64, 3), 0.5, np.float32))
    photo = str(folder.parent / "a.png")
    null = ["--backend", "null", "--device", "cpu", "--models", "realesr-animevideov3"]
    assert main(["compare", photo, "-o", str(folder), "--crop", "16x16", "--to", "2x", *null]) == 0


WRITERS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    **{
        f"an image {suffix}": (lambda folder, name=f"o.{suffix}": write_image_file(folder / name, PIXELS), [f"o.{suffix}"])
        for suffix in ("png", "jpg", "webp", "tif", "exr", "jxl", "avif")
    },
    "a numbered image": (
        lambda folder: write_image_file(folder / "o_00001_.png", PIXELS, numbered=True),
        ["o_00001_.png", "o_00007_.png", "o_00009.png"],
    ),
    **{
        f"a video {container}": (lambda folder, container=container: write_a_video(folder, container), [f"o.{container}"])
        for container in ("mp4", "mov", "mkv", "webm")
    },
    "a stopped video": (lambda folder: write_a_video(folder, "mp4", stop_first=True), ["o.mp4"]),
    "a sequence": (lambda folder: write_images(folder, "png"), ["f_#.png", "f_001.png", "f_0001.png", "f_1000.png"]),
    "a stopped sequence": (lambda folder: write_images(folder, "tif", stop_first=True), ["f_#.tif", "g_001.tif", "f_1000.tif"]),
    "a folder of files": (upscale, ["a.png", "b.mp4"]),
    "a report": (compare, ["model_comparison.html", "model_comparison", "model_comparison_result.jpg"]),
}


def fill(folder: Path, *names: str) -> None:
    for name in names:
        for ending in ENDINGS:
            path = folder / f"{name}{ending}"
            path.write_text(f"mine: {name}{ending}", encoding="utf-8")
        (folder / f"{name}.parts.2").mkdir()
        (folder / f"{name}.parts.2" / "journal.jsonl").write_text("{}", encoding="utf-8")
        (folder / f".{name}").write_text("mine", encoding="utf-8")


def list_files(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_leaves_files_of_others_as_they_were(tmp_path: Path, name: str) -> None:
    write, look_alikes = WRITERS[name]
    folder = tmp_path / "full"
    folder.mkdir()
    fill(folder, *look_alikes)
    if name == "a numbered image":
        (folder / "o_00001_.png").write_text("mine", encoding="utf-8")
    before = list_files(folder)

    write(folder)
    after = list_files(folder)
    assert {path: after.get(path) for path in before} == before
    made = {path.name for path in after.keys() - before.keys()}
    empty = tmp_path / "empty"
    shutil.rmtree(tmp_path / "source", ignore_errors=True)
    empty.mkdir()
    write(empty)
    expected = {path.name for path in list_files(empty)}
    assert made == ({"o_00010_.png"} if name == "a numbered image" else expected)


def test_a_lock_file_with_content_is_not_taken(tmp_path: Path) -> None:
    lock = tmp_path / "f_#.png.unfinished.lock"
    lock.write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="not of this program"), exclusive_lock(lock, "f"):
        pass
    with pytest.raises(OutputError, match="not of this program"):
        write_images(tmp_path, "png")
    assert lock.read_text(encoding="utf-8") == "mine"


def test_a_temporary_file_has_a_name_of_its_own(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as first, atomic_write(tmp_path / "a") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
