"""One process and several workers write the same file, whatever happens to a worker or to the driver."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
PATIENCE = 600.0
SETTINGS = ("--to", "384x256", "--backend", "null", "-m", "realesr-animevideov3", "--device", "cpu")
CODECS = [("h264", "mp4"), ("hevc", "mkv"), ("av1", "mp4"), ("ffv1", "mkv"), ("prores", "mov")]


def write_clip(path: Path, frames: int, *, variable: bool) -> Path:
    """H.264 with B-frames and open GOPs, five frames a second at a constant or variable rate, with sound."""
    pixels = np.random.default_rng(1).integers(0, 255, (64, 96, 3), np.uint8)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=5, options={"bf": "3", "x264-params": "open-gop=1:keyint=12"})
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        audio = out.add_stream("aac", rate=48000)
        audio.layout = "stereo"  # type: ignore[misc]
        pts = 0
        for number in range(frames):
            shown = np.ascontiguousarray(np.roll(pixels, (number, 2 * number), (0, 1))[:32, :48])
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            pts += (180 if number % 3 else 250) if variable else 200
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for number in range(pts * 48 // 1024):
            tone = np.sin(np.arange(number * 1024, number * 1024 + 1024) * 0.05).astype(np.float32) / 5
            sound = av.AudioFrame.from_ndarray(np.stack([tone, tone]), format="fltp", layout="stereo")
            sound.sample_rate, sound.pts = 48000, number * 1024
            out.mux(audio.encode(sound))
        out.mux(audio.encode(None))
    return path


class Run:
    """A run of ``upscale`` as a process of its own."""

    def __init__(self, root: Path, source: Path, result: Path, workers: str, *options: str, parts: Path | None = None) -> None:
        command = [sys.executable, "-m", "runtime", "upscale", str(source), "-o", str(result), *SETTINGS, *options]
        command += ["--workers", workers, "--progress", "json"]
        environment = {**os.environ, "UPSCALE8K_WORKER_TIMEOUT": "4"}
        self.log = (result.parent / f"{result.name}.log").open("w+b")
        self.process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=self.log, env=environment)
        self.parts = parts or result.with_name(result.name + ".parts")

    def wait_for(self, look: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not look() and self.process.poll() is None:
            assert time.monotonic() < end, self.read_log()
            time.sleep(0.02)

    def find_working(self) -> psutil.Process | None:
        """The first worker that has an item in work."""
        for beat in sorted(self.parts.glob("order.work/*/*.parts/beat.json")):
            try:
                name = json.loads(beat.read_text())["worker"]
                for child in psutil.Process(self.process.pid).children():
                    if name in child.cmdline():
                        return child
            except (OSError, ValueError, psutil.Error):
                continue
        return None

    def catch_worker(self) -> psutil.Process:
        found: list[psutil.Process | None] = [None]

        def look() -> bool:
            found[0] = self.find_working()
            return found[0] is not None

        self.wait_for(look)
        assert found[0] is not None, self.read_log()
        return found[0]

    def finish(self) -> str:
        assert self.process.wait(PATIENCE) == 0, self.read_log()
        return self.read_log()

    def read_log(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()


@pytest.fixture
def runs(root: Path, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start runs that write ``NAME/o.SUFFIX`` for one source; none is left at the end."""
    started: list[Run] = []

    def start(source: Path, name: str, suffix: str, workers: str, *options: str, parts: Path | None = None) -> Run:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        result = folder / f"o.{suffix}" if suffix else folder
        started.append(Run(root, source, result, workers, *options, parts=parts))
        return started[-1]

    yield start
    for run in started:
        if run.process.poll() is None:
            for child in psutil.Process(run.process.pid).children():
                child.kill()
            run.process.kill()
            run.process.wait()
        run.log.close()


def kill_worker(run: Run) -> None:
    run.catch_worker().kill()


def freeze_worker(run: Run) -> None:
    """Until its item was given to another; then let it go on."""
    worker = run.catch_worker()
    worker.suspend()
    run.wait_for(lambda: list(run.parts.glob("order.work/*/*.2.parts")))
    if worker.is_running():
        worker.resume()


def fill_disk_of_worker(run: Run) -> None:
    """It can write no more than a sign of life."""
    run.catch_worker().rlimit(psutil.RLIMIT_FSIZE, (600, 600))


EVENTS = {"nothing": lambda _: None, "killed": kill_worker, "frozen": freeze_worker, "full disk": fill_disk_of_worker}


def assert_same(tmp_path: Path, suffix: str, name: str) -> None:
    folder = tmp_path / name
    assert (folder / f"o.{suffix}").read_bytes() == (tmp_path / "one" / f"o.{suffix}").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == [f"o.{suffix}", f"o.{suffix}.log"]


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_write_the_file_of_one_process(tmp_path: Path, runs: Callable[..., Run]) -> None:
    source = write_clip(tmp_path / "in.mkv", 32, variable=True)
    runs(source, "one", "mp4", "0").finish()
    run = runs(source, "two", "mp4", "2")
    kill_worker(run)
    assert "was killed (signal 9)" in run.finish()
    assert_same(tmp_path, "mp4", "two")


@pytest.mark.full
@pytest.mark.parametrize("variable", [False, True], ids=["constant rate", "variable rate"])
@pytest.mark.parametrize(("codec", "suffix"), CODECS)
def test_every_codec_and_every_event_gives_the_same_bytes(
    tmp_path: Path, runs: Callable[..., Run], codec: str, suffix: str, variable: bool
) -> None:
    source = write_clip(tmp_path / "in.mkv", 60, variable=variable)
    options = ("--set", f"VideoOut.codec={codec}")
    runs(source, "one", suffix, "0", *options).finish()
    for name, happens in EVENTS.items():
        run = runs(source, name, suffix, "2", *options)
        happens(run)
        run.finish()
        assert_same(tmp_path, suffix, name)
    first = runs(source, "driver killed", suffix, "2", *options)
    first.wait_for(lambda: len(list(first.parts.glob("00*"))) >= 2)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    again = runs(source, "driver killed", suffix, "2", *options)
    assert "Resuming after" in again.finish()
    assert_same(tmp_path, suffix, "driver killed")
