"""One process and several workers write the same file, whatever happens to a worker or to the driver."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from upscale8k.runtime.cli import main
from upscale8k.runtime.distributed import processes
from upscale8k.runtime.distributed.driver import _OwnItems

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
PATIENCE = 600.0
SETTINGS = ("--to", "96x64", "--backend", "null", "-m", "realesr-animevideov3", "--device", "cpu")
CODECS = [("h264", "mp4"), ("hevc", "mkv"), ("av1", "mp4"), ("ffv1", "mkv"), ("prores", "mov")]
OTHER_CONTAINERS = [("h264", "mkv"), ("h264", "mov"), ("hevc", "mp4"), ("hevc", "mov"), ("av1", "mkv")]


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


def find_working(parts: Path, driver: int) -> psutil.Process | None:
    """The first worker process that has an item in work."""
    for beat in sorted(parts.glob("order.work/*/*.parts/beat.json")):
        try:
            name = json.loads(beat.read_text())["worker"]
            for child in psutil.Process(driver).children():
                if name in child.cmdline():
                    return child
        except (OSError, ValueError, psutil.Error):
            continue
    return None


def make_command(source: Path, result: Path, workers: str, *options: str) -> list[str]:
    command = ["upscale", str(source), "-o", str(result), *SETTINGS, *options]
    return [*command, "--workers", workers, "--progress", "json"]


class Run:
    """A run of ``upscale`` as a process of its own."""

    def __init__(self, root: Path, source: Path, result: Path, workers: str, *options: str, parts: Path | None = None) -> None:
        command = [sys.executable, "-m", "runtime", *make_command(source, result, workers, *options)]
        environment = {**os.environ, "UPSCALE8K_WORKER_TIMEOUT": "4"}
        self.log = (result.parent / f"{result.name}.log").open("w+b")
        self.process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=self.log, env=environment)
        self.parts = parts or result.with_name(result.name + ".parts")

    def wait_for(self, look: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not look() and self.process.poll() is None:
            assert time.monotonic() < end, self.read_log()
            time.sleep(0.02)

    def catch_worker(self) -> psutil.Process:
        found: list[psutil.Process | None] = [None]

        def look() -> bool:
            found[0] = find_working(self.parts, self.process.pid)
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


Event = Callable[[psutil.Process, Path, Callable[[], None]], object]
"""Gets a worker that has an item, the folder of parts, and what lets others begin items before the event is over."""


def freeze(worker: psutil.Process, parts: Path, let_others_begin: Callable[[], None]) -> None:
    """Until its item was given to another; then let it go on."""
    worker.suspend()
    let_others_begin()
    end = time.monotonic() + PATIENCE
    while not list(parts.glob("order.work/*/*.2.parts")):
        assert time.monotonic() < end
        time.sleep(0.02)
    worker.resume()


EVENTS: dict[str, tuple[Event, str]] = {
    "nothing": (lambda *_: None, ""),
    "killed": (lambda worker, *_: worker.kill(), "worker 2 was killed (signal 9) and is started again."),
    "frozen": (freeze, "worker 2 gave no sign of life for 4 seconds."),
    # It can write no more than a sign of life.
    "full disk": (
        lambda worker, *_: worker.rlimit(psutil.RLIMIT_FSIZE, (600, 600)),
        "failed and will be made again: worker 2:",
    ),
}


@pytest.fixture
def upscale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run ``upscale`` in this process, which makes an item only when ``may_begin`` says so; return what it says."""
    monkeypatch.setenv("UPSCALE8K_WORKER_TIMEOUT", "4")
    make_item = _OwnItems.__call__

    def run(source: Path, name: str, suffix: str, *options: str, may_begin: Callable[[], bool] | None = None) -> str:
        monkeypatch.setattr(_OwnItems, "__call__", lambda own, poll: may_begin() and make_item(own, poll))
        assert main(make_command(source, tmp_path / name / f"o.{suffix}", "2" if may_begin else "0", *options)) == 0
        return capsys.readouterr().err

    return run


@contextmanager
def cause(event: Event, parts: Path) -> Iterator[Callable[[], bool]]:
    """Let an event happen to the first worker that has an item; yield what tells whether others may begin any."""
    problems, has_happened = list[BaseException](), threading.Event()

    def run() -> None:
        try:
            end = time.monotonic() + PATIENCE
            while (worker := find_working(parts, os.getpid())) is None:
                assert time.monotonic() < end
                time.sleep(0.02)
            event(worker, parts, has_happened.set)
        except BaseException as problem:
            problems.append(problem)
        has_happened.set()

    thread = threading.Thread(target=run)
    thread.start()
    yield has_happened.is_set
    thread.join(PATIENCE)
    assert problems == []


def assert_same(tmp_path: Path, suffix: str, name: str) -> None:
    folder = tmp_path / name
    assert (folder / f"o.{suffix}").read_bytes() == (tmp_path / "one" / f"o.{suffix}").read_bytes()
    assert [path.name for path in folder.iterdir() if path.suffix != ".log"] == [f"o.{suffix}"]


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_write_the_file_of_one(tmp_path: Path, upscale: Callable[..., str]) -> None:
    source = write_clip(tmp_path / "in.mkv", 32, variable=True)
    upscale(source, "one", "mp4")
    event, message = EVENTS["killed"]
    with cause(event, tmp_path / "two" / "o.mp4.parts") as has_happened:
        assert message in upscale(source, "two", "mp4", may_begin=has_happened)
    assert_same(tmp_path, "mp4", "two")


def test_a_run_whose_only_other_worker_refuses_goes_on_alone(
    tmp_path: Path, upscale: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_clip(tmp_path / "in.mkv", 12, variable=True)
    upscale(source, "one", "mp4")
    started, start = list[subprocess.Popen[bytes]](), subprocess.Popen
    refusal = [sys.executable, "-c", "import sys; sys.exit('Error: It has other versions.')"]

    def refuse(_: object, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(refusal, **options))
        return started[0]

    monkeypatch.setattr(processes.subprocess, "Popen", refuse)
    said = upscale(source, "two", "mp4", may_begin=lambda: started[0].poll() is not None)
    assert "worker 2 ended: It has other versions." in said
    assert len(started) == 1
    assert_same(tmp_path, "mp4", "two")


def name_job(job: tuple[tuple[str, str], bool]) -> str:
    (codec, suffix), variable = job
    return f"{codec}-{suffix}-{'variable' if variable else 'constant'}"


@pytest.fixture(params=list(product(CODECS, (False, True))), ids=name_job)
def job(request: pytest.FixtureRequest, tmp_path: Path, upscale: Callable[..., str]) -> tuple[Path, str, tuple[str, str]]:
    """A source, the suffix of its result and its options; ``one`` has what one process makes of it."""
    (codec, suffix), variable = request.param
    source = write_clip(tmp_path / "in.mkv", 60, variable=variable)
    options = ("--set", f"VideoOut.codec={codec}")
    upscale(source, "one", suffix, *options)
    return source, suffix, options


@pytest.mark.full
@pytest.mark.parametrize("name", list(EVENTS))
def test_every_codec_has_the_same_bytes_whatever_happens_to_a_worker(
    tmp_path: Path, upscale: Callable[..., str], job: tuple[Path, str, tuple[str, str]], name: str
) -> None:
    source, suffix, options = job
    event, message = EVENTS[name]
    with cause(event, tmp_path / name / f"o.{suffix}.parts") as has_happened:
        assert message in upscale(source, name, suffix, *options, may_begin=has_happened)
    assert_same(tmp_path, suffix, name)


@pytest.mark.full
def test_every_codec_has_the_same_bytes_after_the_driver_was_killed(
    tmp_path: Path, upscale: Callable[..., str], runs: Callable[..., Run], job: tuple[Path, str, tuple[str, str]]
) -> None:
    source, suffix, options = job
    first = runs(source, "again", suffix, "2", *options)
    first.wait_for(lambda: len(list(first.parts.glob("00*"))) >= 2)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    assert "Resuming after" in upscale(source, "again", suffix, *options, may_begin=lambda: True)
    assert_same(tmp_path, suffix, "again")


@pytest.mark.full
@pytest.mark.parametrize("job", list(product(OTHER_CONTAINERS, (False, True))), ids=name_job, indirect=True)
def test_in_other_containers_two_processes_write_the_file_of_one(
    tmp_path: Path, upscale: Callable[..., str], job: tuple[Path, str, tuple[str, str]]
) -> None:
    source, suffix, options = job
    with cause(EVENTS["nothing"][0], tmp_path / "two" / f"o.{suffix}.parts") as has_happened:
        upscale(source, "two", suffix, *options, may_begin=has_happened)
    assert_same(tmp_path, suffix, "two")
