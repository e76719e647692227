"""A folder made by several workers: each file once, the bytes of one process, whoever is killed."""

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from upscale8k.runtime.cli import main
from upscale8k.runtime.cli.batch.run_jobs import make_files
from upscale8k.runtime.distributed import read_order, shared_files
from upscale8k.runtime.video import SegmentFolder

from .test_same_bytes import Run, runs, write_clip

__all__ = ["runs"]  # a fixture
OPTIONS = ("--to", "600x400", "--backend", "null", "-m", "realesr-animevideov3", "--device", "cpu", "--progress", "json")


def write_folder(folder: Path, count: int) -> Path:
    folder.mkdir()
    random = np.random.default_rng(3)
    for number in range(count):
        Image.fromarray(random.integers(0, 255, (40, 60, 3), np.uint8)).save(folder / f"{number:02}.png")
    (folder / "damaged.png").write_text("nothing")
    return folder


def read_folder(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_folder_whose_worker_and_driver_are_killed_is_resumed(tmp_path: Path, runs: Callable[..., Run]) -> None:
    source = write_folder(tmp_path / "in", 30)
    write_clip(source / "clip.mkv", 8, variable=True)
    assert main(["upscale", str(source), "-o", str(tmp_path / "one"), *OPTIONS]) == 1
    expected = read_folder(tmp_path / "one")
    assert len(expected) == 31
    folder = tmp_path / "two"
    parts = folder / "upscale8k-files.parts"
    run = runs(source, "two", "", "2", "--to", "600x400", parts=parts)
    run.catch_worker().kill()
    run.wait_for(lambda: list(folder.glob("*.png")))
    run.process.send_signal(signal.SIGKILL)
    run.process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    assert 0 < len(before) < 30
    run = runs(source, "two", "", "2", "--to", "600x400", parts=parts)
    assert run.process.wait(600) == 1, run.read_log()
    events = [json.loads(line) for line in run.read_log().splitlines() if line.startswith("{")]
    summary = events[-1]
    assert (summary["event"], summary["total"], summary["done"] + summary["kept"]) == ("summary", 32, 31)
    assert summary["kept"] >= len(before) - 1  # one may have got its name while the driver was killed
    assert list(summary["failed"]) == [str(source / "damaged.png")]
    assert read_folder(folder) == expected
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == before


def read_pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


class ThreadPool:
    """Workers that are threads of this process. They end before their order is done with, as processes are ended."""

    def __init__(self, order_path: Path, works: Iterable[Callable[[], object]]) -> None:
        self.segment_folder = SegmentFolder(order_path.parent.with_suffix(""))
        self.threads = [threading.Thread(target=work) for work in works]

    def __enter__(self) -> "ThreadPool":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.segment_folder.remove_order()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def find_lost(self) -> list[str]:
        return []


def share_with_threads(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let workers be threads of this process."""

    def open_pool(order_path: Path, _: object) -> ThreadPool:
        order = read_order(order_path)
        return ThreadPool(order_path, (partial(make_files, order, order_path, f"w{n}") for n in range(count)))

    monkeypatch.setattr(shared_files, "choose_pool", lambda _: (open_pool, count))


def test_a_job_file_is_shared_out_with_its_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "in", 3)
    lines = ["source,to,output", "in/00.png,2x,out/a.png", "in/01.png,30x20,out/b.tif", "in/02.png,,out/c.png"]
    (tmp_path / "jobs.csv").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    share_with_threads(monkeypatch, 1)
    assert main(["upscale", "--jobs", "jobs.csv", *OPTIONS, "--workers", "2"]) == 0
    assert sorted(capsys.readouterr().out.split()) == ["out/a.png", "out/b.tif", "out/c.png"]
    assert [read_pixels(tmp_path / "out" / name).shape[1::-1] for name in ("a.png", "b.tif", "c.png")] == [
        (120, 80),
        (30, 20),
        (600, 400),
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.tif", "c.png"]


def test_an_error_that_concerns_all_files_stops_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_folder(tmp_path / "in", 3)
    share_with_threads(monkeypatch, 1)
    options = [*OPTIONS[:2], "-m", "no-such-model", "--workers", "2"]
    assert main(["upscale", str(source), "-o", str(tmp_path / "out"), *options]) == 2
    assert "Error: -m no-such-model" in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*"))
