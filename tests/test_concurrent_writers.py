"""Threads and processes that write the same files at the same time: every file is whole, and no result is lost."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from upscale8k.runtime.comfyui.builtin.video_encode import save_numbered
from upscale8k.runtime.comfyui.types.image import ImageSaveOptions, write_images
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.file_lock import OutputLocked, exclusive_lock
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.images.sequence_frames import make_frame_writer
from upscale8k.runtime.images.write import write_image_file
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo, Frame, VideoInfo, VideoStream
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.report.comparison import ComparedModel, ModelComparison, UpscaleCost, UpscaledCrop
from upscale8k.runtime.report.model_runs import compare_models, cut_crops, enlarge_with_baseline
from upscale8k.runtime.report.report_files import REPORT_FILES, write_report
from upscale8k.runtime.video.sequence.write import SequenceSettings, write_sequence
from upscale8k.runtime.video.write.journal import JOURNAL_NAME, SegmentFolder

WRITERS = 4
ROUNDS = 3
FRAMES = 4
SIZE = Size(320, 200)
SUFFIXES = (".png", ".jpg", ".webp", ".tif")
KINDS = {"threads", "processes"}


def make_pixels(writer: int) -> np.ndarray:
    """(200, 320, 3) uint8, different for every writer, of a size that takes many writes to the disk."""
    return np.random.default_rng(writer).integers(0, 256, (SIZE.height, SIZE.width, 3), np.uint8)


def make_video(writer: int) -> VideoStream:
    def frames(first: int = 0) -> Iterator[Frame]:
        for number in range(first, FRAMES):
            yield Frame(make_pixels(writer), number, 1, Fraction(1, 25))

    color = ColorInfo("gbr", "pc", "iec61966-2-1", "bt709")
    info = VideoInfo(SIZE, Fraction(25), Fraction(1, 25), FRAMES, "header", None, color, 8, identity=f"video {writer}")
    return VideoStream(info, frames, frames)


def make_comparison(writer: int) -> ModelComparison:
    def upscale(model: ComparedModel, crops: Sequence[np.ndarray]) -> Iterator[UpscaledCrop]:
        for pixels in crops:
            yield UpscaledCrop(enlarge_with_baseline(pixels, Size(96, 80), "lanczos"), UpscaleCost(1.0, 0.01, None, 0))

    crops = cut_crops([make_pixels(writer).astype(np.float32) / 255], "centre:48x40")
    models, cases = compare_models(crops, [SIZE], [ComparedModel("m", f"Model {writer}")], upscale, SilentProgress())
    return ModelComparison(f"writer {writer}", SIZE, "2x", models, cases, "a machine", "2026-11-23")


def write_everything(folder: Path, writer: int, comparison: ModelComparison) -> None:
    """One image in every format under a fixed name and one under a numbered name, a sequence and a report."""
    import torch

    for suffix in SUFFIXES:
        write_image_file(folder / f"shared{suffix}", make_pixels(writer))
    host = LocalHost(output_dir=folder)
    options = ImageSaveOptions("numbered", ".png", 8, 95, {}, overwrite=False)
    pixels = torch.from_numpy(make_pixels(writer).astype(np.float32) / 255)[None]
    write_images(
        pixels,
        None,
        options,
        lambda stem, suffix, index, *, width, height: host.output_path("output", stem, suffix, width=width, height=height),
    )
    settings = SequenceSettings(make_frame_writer({}))
    try:
        write_sequence(make_video(writer), folder / "frames" / "%03d.png", settings, SilentProgress())
    except OutputLocked as error:
        assert "Another run is writing #.png" in str(error)
    write_report(comparison, lambda name: folder / name)


def run_threads(folder: Path) -> None:
    comparisons = [make_comparison(writer) for writer in range(WRITERS)]
    failures: list[BaseException] = []
    barrier = threading.Barrier(WRITERS, timeout=60)

    def work(writer: int) -> None:
        try:
            for _ in range(ROUNDS):
                barrier.wait()
                write_everything(folder, writer, comparisons[writer])
        except BaseException as error:
            failures.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


PROCESS = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from runtime.bootstrap import load_pack; load_pack()
import test_concurrent_writers as tests
folder, writer = Path(sys.argv[3]), int(sys.argv[4])
comparison = tests.make_comparison(writer)
for _ in range(tests.ROUNDS):
    print("ready", flush=True)
    sys.stdin.readline()
    tests.write_everything(folder, writer, comparison)
"""


def run_processes(folder: Path, root: Path) -> None:
    """Each process waits for a line of input before a round, so that all of them write at the same time."""
    arguments = [sys.executable, "-c", PROCESS, str(root), str(root / "tests"), str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([*arguments, str(writer)], **pipes) for writer in range(WRITERS)]
    for _ in range(ROUNDS):
        ready = [process.stdout.readline() for process in processes]
        for process, line in zip(processes, ready, strict=True):
            if line:
                process.stdin.write("go\n")
                process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_everything_that_is_written_at_the_same_time_is_whole(tmp_path: Path, root: Path, kind: str) -> None:
    if kind == "threads":
        run_threads(tmp_path)
    else:
        run_processes(tmp_path, root)
    numbered = [f"numbered_{number:05}_.png" for number in range(1, WRITERS * ROUNDS + 1)]
    expected = {*(f"shared{suffix}" for suffix in SUFFIXES), *numbered, *REPORT_FILES, "frames"}
    assert {path.name for path in tmp_path.iterdir()} == expected
    originals = [make_pixels(writer) for writer in range(WRITERS)]
    for suffix in SUFFIXES:
        assert find_writer(tmp_path / f"shared{suffix}", originals) is not None
    counts = [sum(find_writer(tmp_path / name, originals) == writer for name in numbered) for writer in range(WRITERS)]
    assert counts == [ROUNDS] * WRITERS
    check_sequence(tmp_path / "frames", originals)
    check_report(tmp_path)


def find_writer(path: Path, originals: list[np.ndarray]) -> int | None:
    """The number of the writer whose pixels a file holds, read by Pillow; None when it holds those of none."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    tolerance = 12 if path.suffix == ".jpg" else 0
    found = [number for number, original in enumerate(originals) if np.abs(pixels - original).mean() <= tolerance]
    return found[0] if found else None


def check_sequence(folder: Path, originals: list[np.ndarray]) -> None:
    names = [f"{number:03}.png" for number in range(1, FRAMES + 1)]
    assert sorted(path.name for path in folder.iterdir()) == names
    writers = {find_writer(folder / name, originals) for name in names}
    assert len(writers) == 1
    assert None not in writers


def check_report(folder: Path) -> None:
    for name in REPORT_FILES:
        if name.endswith(".jpg"):
            with Image.open(folder / name) as image:
                image.load()
    assert json.loads((folder / "report.json").read_text(encoding="utf-8"))["source"].startswith("writer ")
    assert (folder / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_a_numbered_image_takes_the_next_number_where_its_own_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a_00001_.png"
    path.write_bytes(b"of another run")
    (tmp_path / "a_00007_.webp").write_bytes(b"of another run")
    assert write_image_file(path, make_pixels(0), numbered=True) == tmp_path / "a_00008_.png"
    assert path.read_bytes() == b"of another run"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a_00001_.png", "a_00007_.webp", "a_00008_.png"]


def test_a_run_may_finish_while_another_looks_at_its_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = SegmentFolder(tmp_path / "o.mp4")
    parts.folder.mkdir()
    (parts.folder / JOURNAL_NAME).write_text("{}\n")
    read = Path.read_bytes

    def finish(path: Path) -> bytes:
        shutil.rmtree(path.parent)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", finish)
    assert parts.read_job_settings() == {}
    assert parts.count_finished_segments() == 0


def test_a_folder_that_another_run_removes_while_it_is_made_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(path: Path, *_: object, **__: object) -> None:
        raise FileExistsError(17, "File exists", str(path))

    (tmp_path / "again.mp4.parts").mkdir()  # by now a third run has made it again
    (tmp_path / "mine").write_bytes(b"mine")
    monkeypatch.setattr(Path, "mkdir", lose)
    for folder in ("o.mp4.parts", "again.mp4.parts"):
        with (
            pytest.raises(OutputLocked, match=r"Another run is writing o\.mp4"),
            exclusive_lock(tmp_path / folder / "lock", "o.mp4"),
        ):
            pytest.fail("the folder was another run's")
    with pytest.raises(FileExistsError), exclusive_lock(tmp_path / "mine/lock", "o.mp4"):
        pytest.fail("a file is no folder")


def test_a_folder_that_is_removed_while_it_is_looked_at_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there at every other look: runs make it and remove it all the time."""
    folder, stat, looks = tmp_path / "o.mp4.parts", Path.stat, count()
    folder.mkdir()

    def look(path: Path, **settings: bool) -> os.stat_result:
        if path == folder and next(looks) % 2:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return stat(path, **settings)

    def lose(path: Path, *_: object, **__: object) -> None:
        raise FileExistsError(17, "File exists", str(path))

    monkeypatch.setattr(Path, "mkdir", lose)
    monkeypatch.setattr(Path, "stat", look)
    for _ in range(2):
        with pytest.raises(OutputLocked, match=r"Another run is writing o\.mp4"), exclusive_lock(folder / "lock", "o.mp4"):
            pytest.fail("the folder was another run's")


def test_a_folder_that_is_removed_while_the_lock_is_taken_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """filelock makes the folder too, and looks at it afterwards."""

    def lose(self: FileLock, *_: object, **__: object) -> None:
        raise FileExistsError(17, "File exists", self.lock_file)

    monkeypatch.setattr(FileLock, "acquire", lose)
    with pytest.raises(OutputLocked, match=r"Another run is writing o\.mp4"), exclusive_lock(tmp_path / "lock", "o.mp4"):
        pytest.fail("the folder was another run's")


def test_a_run_that_finishes_leaves_the_next_one_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the lock's file is gone the next run may have its own, and all that it writes then."""
    parts, unlink = SegmentFolder(tmp_path / "o.mp4"), Path.unlink
    left_behind: list[str] = []

    def begin_next_run(path: Path, *, missing_ok: bool = False) -> None:
        unlink(path, missing_ok=missing_ok)
        if path.name == "lock" and not left_behind:
            left_behind.extend(["lock", *(each.name for each in parts.folder.iterdir())])
            for name in ("lock", JOURNAL_NAME):
                (parts.folder / name).write_bytes(b"")

    monkeypatch.setattr(Path, "unlink", begin_next_run)
    with parts.lock():
        parts.begin_journal()
        for number in range(3):
            (parts.folder / f"{number:06}.mp4").write_bytes(b"segment")
        parts.remove_contents()
    assert left_behind == ["lock"]  # the next run finds nothing of the one before
    assert {path.name for path in parts.folder.iterdir()} == {"lock", JOURNAL_NAME}


def test_a_file_system_without_hard_links_keeps_existing_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "a_00001_.png"
    path.write_bytes(b"of another run")
    assert write_image_file(path, make_pixels(0), numbered=True) == tmp_path / "a_00002_.png"
    assert path.read_bytes() == b"of another run"
    assert find_writer(tmp_path / "a_00002_.png", [make_pixels(0)]) == 0


def test_a_video_of_any_pack_takes_the_next_number_where_its_own_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "ComfyUI_00001_.mp4"

    class ForeignVideo:
        def save_to(self, target: str, format: str) -> None:
            assert Path(target).name == path.name
            assert format == "auto"
            Path(target).write_bytes(b"a video")
            path.write_bytes(b"of another run")

    assert save_numbered(ForeignVideo(), path, format="auto") == tmp_path / "ComfyUI_00002_.mp4"
    assert path.read_bytes() == b"of another run"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["ComfyUI_00001_.mp4", "ComfyUI_00002_.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit to set")
def test_a_report_that_the_disk_cuts_short_does_not_replace_the_old_one(tmp_path: Path, root: Path) -> None:
    """The limit of a process makes a short write, which Pillow alone takes for success."""
    sheet = tmp_path / REPORT_FILES[0]
    sheet.write_bytes(b"the good report of yesterday")
    script = (
        "import resource, signal, sys\nfrom pathlib import Path\nsys.path[:0] = sys.argv[1:3]\n"
        "from runtime.bootstrap import load_pack; load_pack()\n"
        "import test_concurrent_writers as tests\ncomparison = tests.make_comparison(0)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "try: tests.write_report(comparison, lambda name: Path(sys.argv[3]) / name)\n"
        "except tests.OutputError as error: print(error)\n"
    )
    command = [sys.executable, "-c", script, str(root), str(root / "tests"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cannot be written: the file is larger than allowed there." in done.stdout
    assert sheet.read_bytes() == b"the good report of yesterday"
    assert [entry.name for entry in tmp_path.iterdir()] == [sheet.name]


def test_a_second_lock_is_refused_until_the_first_process_is_killed(tmp_path: Path, root: Path) -> None:
    lock = tmp_path / "lock"
    script = (
        "import sys, time; from pathlib import Path; from runtime.file_lock import exclusive_lock\n"
        "with exclusive_lock(Path(sys.argv[1]), 'o.mp4'): print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(lock)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        with pytest.raises(OutputLocked, match=r"Another run is writing o\.mp4"), exclusive_lock(lock, "o.mp4"):
            pytest.fail("two runs hold the lock")
        process.kill()
    assert lock.exists()
    with exclusive_lock(lock, "o.mp4"):
        pass
    assert issubclass(OutputLocked, OutputError)
    assert not lock.exists()
