"""Folders full of files that look like ours: each writer makes its result, and every other file stays as it was.

``WRITING_MODULES`` names every module that changes files, with the case here in which it is seen to do so.
"""

import ast
import os
import shutil
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from upscale8k.runtime.atomic_write import atomic_write
from upscale8k.runtime.cli import main
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.file_lock import exclusive_lock
from upscale8k.runtime.images.sequence_frames import make_frame_writer
from upscale8k.runtime.images.write import write_image_file
from upscale8k.runtime.trt.engine_info import check_engine_owner, write_engine
from upscale8k.runtime.video.sequence.write import SequenceSettings, write_sequence
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from .trt.test_engine_info import GRAPH, STAMP
from .video.helpers import Seen, make_source, video
from .writers import OTHER_WRITERS

ROOT = Path(__file__).resolve().parent.parent
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
        fill(
            folder / f"o.{container}.parts",
            f"o.{container}",
            "journal.txt",
            "000000.mp4.bak",
            "holiday.mp4",
            "order.json",
            "order.work",
        )
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
        for container in ("mp4", "mov", "mkv", "webm", "gif", "webp", "apng")
    },
    "a stopped video": (lambda folder: write_a_video(folder, "mp4", stop_first=True), ["o.mp4"]),
    "a sequence": (lambda folder: write_images(folder, "png"), ["f_#.png", "f_001.png", "f_0001.png", "f_1000.png"]),
    "a stopped sequence": (lambda folder: write_images(folder, "tif", stop_first=True), ["f_#.tif", "g_001.tif", "f_1000.tif"]),
    "a folder of files": (upscale, ["a.png", "b.mp4"]),
    "a report": (compare, ["model_comparison.html", "model_comparison", "model_comparison_result.jpg"]),
    **OTHER_WRITERS,
}
WRITING_MODULES = {
    "atomic_write": "a numbered image",
    "bench/benchmark_files": "a benchmark",
    "bench/peers_page": "a benchmark",
    "cli/batch/job_records": "caches",
    "cli/convert_workflows": "a converted workflow",
    "cli/tune_source": "a tuned workflow",
    "comfyui/builtin/video_encode": "nodes of ComfyUI",
    "comfyui/custom_nodes/stubs/comfy/utils": "nodes of ComfyUI",
    "file_lock": "a stopped sequence",
    "hardware/calibration": "caches",
    "host": "samples",
    "images/formats/image_encoders": "an image webp",
    "images/write": "an image png",
    "models/ncnn_files/conversion_cache": "caches",
    "models/onnx_export": "an ONNX file",
    "models/openmodeldb": "a download",
    "models/pull": "a download",
    "models/verify": "an import",
    "report/report_files": "a report",
    "result_cache/blobs": "results of nodes",
    "result_cache/disk_cache": "results of nodes",
    "trt/engine_info": "an engine",
    "trt/engine_session": "an engine",
    "upscale/autotune/bf16_check": "caches",
    "upscale/forecast": "caches",
    "video/animation/animated_image": "a video gif",
    "video/sequence/write": "a stopped sequence",
    "video/write/journal": "a stopped video",
    "video/write/mux": "a video mkv",
    "video/write/segments": "a stopped video",
    "video/write/video_writer": "a video mp4",
}
ELSEWHERE = {  # what does not get near the folders of the user
    "bench/gpu/gpu_check_video": "a temporary folder",
    "bench/image": "a temporary folder",
    "bench/peers": "a temporary folder",
    "bench/shared_video": "a temporary folder",
    "bench/video": "a temporary folder",
    "bench/worker_jobs": "the temporary folder of bench",
    "bench/workers/peers_worker": "the temporary folder of bench",
    "cli/doctor": "a file without a name",
    "comfyui/custom_nodes/environment_guard": "a temporary folder",
    "comfyui/custom_nodes/stubs/folder_paths": "only folders",
    "comfyui/types/foreign_video": "a temporary folder",
    "distributed/ray_cluster/ray_node": "a cache folder with names of 64 and 16 digits",
    "video/write/browser_proxy": "a numbered name in ComfyUI's temporary folder",
    **dict.fromkeys(
        (
            *(f"distributed/{name}" for name in ("collector", "image_bands", "large_images", "order", "processes")),
            *(
                "distributed/segment_collector",
                "distributed/tries",
                "distributed/ray_cluster/ray_pool",
                "distributed/shared_sequence",
                "upscale/bands/band_job",
            ),
        ),
        "the folder of an unfinished video, while workers make it",
    ),
    "entry/mark_typed": "when the wheel is built",
    "images/formats/header": "a temporary folder",
    "metrics/external_scores/vmaf": "a temporary folder",
    "report/html_report": "memory",
    "report/model_runs": "a file without a name",
    "video/write/matroska": "the file that mux has begun",
    "video/write/pyav_output": "the file that mux or segments has begun",
}
_METHODS = {
    *("write_text", "write_bytes", "unlink", "rename", "rmdir", "rmtree", "mkdir", "makedirs", "touch", "copyfile", "copy2"),
    *("copytree", "move", "symlink_to", "hardlink_to", "save", "save_file", "save_model", "truncate"),
}
_FUNCTIONS = {
    *("atomic_write", "write_atomically", "atomic_output", "write_outputs", "publish_file", "temp_path", "exclusive_lock"),
    *("FileLock", "NamedTemporaryFile", "TemporaryDirectory", "TemporaryFile", "mkdtemp", "mkstemp"),
}
_EVENTS = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate", "shutil.copyfile"}
_watched: list[tuple[str, set[str]]] = []
"""The folder of the running test, and the modules of ours that changed something in it."""


def note_change(event: str, arguments: tuple[Any, ...]) -> None:
    is_change = event in _EVENTS or (
        event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    )
    if not _watched or not is_change or not any(_watched[0][0] in str(argument) for argument in arguments[:2]):
        return
    frame = sys._getframe()
    while frame := frame.f_back:
        if frame.f_code.co_filename.startswith(f"{ROOT}{os.sep}runtime"):
            _watched[0][1].add(Path(frame.f_code.co_filename).relative_to(ROOT / "runtime").with_suffix("").as_posix())


sys.addaudithook(note_change)


def changes_files(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    modes = [value.value for value in call.args if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    if name == "open":
        return any(set(mode) <= set("rwaxbt+") and set(mode) & set("wax+") for mode in modes)
    is_method = isinstance(call.func, ast.Attribute)
    if name in ("replace", "remove", "link"):  # of a path; of a text "replace" has two arguments
        is_of_os = is_method and ast.unparse(call.func.value) == "os"
        return is_of_os or (name == "replace" and is_method and len(call.args) == 1 and not call.keywords)
    return (is_method and name in _METHODS) or name in _FUNCTIONS


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        (folder / f"{name}.parts.2").mkdir(parents=True)
        (folder / f"{name}.parts.2" / "journal.jsonl").write_text("{}", encoding="utf-8")
        for each in (f".{path.name}", *(f"{path.name}{ending}" for ending in ENDINGS)):
            path.with_name(each).write_text(f"mine: {each}", encoding="utf-8")


def list_files(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_leaves_files_of_others_as_they_were(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write, look_alikes = WRITERS[name]
    folder = tmp_path / "full"
    folder.mkdir()
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(folder if name == "caches" else tmp_path / "cache"))
    fill(folder, *look_alikes)
    if name == "a numbered image":
        (folder / "o_00001_.png").write_text("mine", encoding="utf-8")
    before = list_files(folder)

    seen = set[str]()
    _watched.append((str(folder), seen))
    try:
        write(folder)
    finally:
        _watched.clear()
    after = list_files(folder)
    assert {module for module, case in WRITING_MODULES.items() if case == name} <= seen
    assert {path: after.get(path) for path in before} == before
    made = {path.name for path in after.keys() - before.keys()}
    empty = tmp_path / "empty"
    shutil.rmtree(tmp_path / "source", ignore_errors=True)
    empty.mkdir()
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(empty if name == "caches" else tmp_path / "cache"))
    write(empty)
    expected = {path.name for path in list_files(empty)}
    assert made == ({"o_00010_.png"} if name == "a numbered image" else expected)


def test_every_module_that_changes_files_is_listed() -> None:
    found = {
        path.relative_to(ROOT / path.relative_to(ROOT).parts[0]).with_suffix("").as_posix()
        for path in [*(ROOT / "runtime").rglob("*.py"), *(ROOT / "nodes").rglob("*.py")]
        if any(isinstance(node, ast.Call) and changes_files(node) for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    }
    assert found == WRITING_MODULES.keys() | ELSEWHERE.keys()
    assert set(WRITING_MODULES.values()) <= WRITERS.keys()


@pytest.mark.parametrize("name", ["a.trt", "a.trt.json", "a.trt.cache"])
def test_an_engine_never_replaces_files_of_others(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"mine": 1}', encoding="utf-8")
    with pytest.raises(OutputError, match=name):
        check_engine_owner(tmp_path / "a.trt")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_engine_of_ours_may_be_replaced_also_a_half_written_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_engine(tmp_path / "a.trt", b"engine", STAMP, GRAPH)
    check_engine_owner(tmp_path / "a.trt")
    monkeypatch.setattr("upscale8k.runtime.trt.engine_info.asdict", lambda _: sys.exit())  # between the engine and its info
    with pytest.raises(SystemExit):
        write_engine(tmp_path / "a.trt", b"another", STAMP, GRAPH)
    assert (tmp_path / "a.trt").read_bytes() == b"another"
    check_engine_owner(tmp_path / "a.trt")


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
