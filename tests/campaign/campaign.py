"""A campaign of faults: ``python tests/campaign/campaign.py [--tries N] [--seed N] [--only kill,full,...]``.

Each try runs in a forked process. A run that was killed or refused is repeated without the fault, and must then give the frames
of a run that was never disturbed, with nothing else left in the folder. Prints how many were tried and went wrong.
POSIX only.
"""

import argparse
import errno
import os
import pickle
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from runtime.bootstrap import load_pack  # noqa: E402

load_pack()  # takes the checkout off the path, where its packages would be found twice
sys.path.append(str(ROOT))
from upscale8k.runtime.cli import _stop_at_ctrl_c as stop_at_ctrl_c  # noqa: E402
from upscale8k.runtime.cli import main as main_of_program  # noqa: E402
from upscale8k.runtime.errors import Cancelled, Upscale8KError, is_stop  # noqa: E402
from upscale8k.runtime.file_lock import OutputLocked  # noqa: E402
from upscale8k.runtime.images.read import read_image_file  # noqa: E402
from upscale8k.runtime.images.sequence_frames import make_frame_writer  # noqa: E402
from upscale8k.runtime.images.write import write_image_file  # noqa: E402
from upscale8k.runtime.media.video_stream import VideoStream  # noqa: E402
from upscale8k.runtime.video.read.video_reader import open_video  # noqa: E402
from upscale8k.runtime.video.sequence.write import SequenceSettings, write_sequence  # noqa: E402
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video  # noqa: E402

from tests.campaign import odd_audio  # noqa: E402
from tests.video.helpers import Seen, frame_hashes, frame_times, make_source, video  # noqa: E402

REFUSED, STOPPED, NOT_MADE, TRACEBACK, HUNG = 3, 4, 5, 9, -signal.SIGALRM
_EVENTS = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate"}
_TEMP_NAME = re.compile(r"\.\d{10}\.part$")
_FRAMES, _LIMIT_SECONDS = 12, 300


@dataclass(frozen=True)
class Job:
    """Something that writes files into a folder, and what they then hold."""

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    files: int


@dataclass
class Tally:
    tried: int = 0
    wrong: list[str] = field(default_factory=list)

    def check(self, name: str, problem: str) -> None:
        self.tried += 1
        if problem:
            self.wrong.append(f"{name}: {problem}")


def make_jobs(source: Path) -> list[Job]:
    def stream(delay: float = 0.0) -> VideoStream:
        made = video(_FRAMES, source=source, audio_streams=1)

        def frames(first: int = 0) -> Iterator[Any]:
            for frame in made.open(first):
                time.sleep(delay)
                yield frame

        return VideoStream(made.info, frames, frames)

    settings = VideoWriteSettings("h264", "mp4", 8, preset="ultrafast", segment_seconds=Fraction(1, 10))

    def make_video_job(suffix: str, delay: float = 0.0) -> Job:
        chosen = replace(settings, container=suffix)  # type: ignore[arg-type]
        name = f"o.{suffix}"
        return Job(
            f"video {suffix}",
            lambda folder: write_video(stream(delay), folder / name, chosen, Seen()),
            lambda folder: frame_hashes(folder / name),
            1,
        )

    sequence = SequenceSettings(make_frame_writer({}))
    pixels = np.random.default_rng(1).random((64, 80, 3), np.float32)
    images = [
        Job(
            f"image {suffix}",
            lambda folder, name=f"o.{suffix}": write_image_file(folder / name, pixels),
            lambda folder, name=f"o.{suffix}": read_image_file(folder / name).pixels.tobytes(),
            1,
        )
        for suffix in ("png", "jpg", "webp", "tif", "exr", "jxl", "avif")
    ]
    frames = Job(
        "sequence",
        lambda folder: write_sequence(stream(), folder / "f_%03d.png", sequence, Seen()),
        lambda folder: [read_image_file(path).pixels.tobytes() for path in sorted(folder.glob("f_*.png"))],
        _FRAMES,
    )
    return [make_video_job("mp4"), make_video_job("mkv"), make_video_job("mov", 0.01), frames, *images]


def make_command(source: Path) -> Job:
    """The whole program: ``upscale`` of a video, in the process of the try."""

    def write(folder: Path) -> None:
        arguments = ["upscale", str(source), "-o", str(folder / "o.mp4"), "--to", "2x", "--backend", "null", "--device", "cpu"]
        with (Path(os.devnull)).open("w") as nowhere, redirect_stderr(nowhere), redirect_stdout(nowhere):
            code = main_of_program(arguments)
        if code == Cancelled.exit_code:
            raise KeyboardInterrupt
        if code:
            raise RuntimeError(f"exit code {code}")

    return Job("command", write, lambda folder: frame_hashes(folder / "o.mp4"), 1)


def run_forked(work: Callable[[], object]) -> int:
    """Start ``work`` in a child; return its process id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    signal.alarm(_LIMIT_SECONDS)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = STOPPED
    try:
        code = work_to_exit_code(work)
    except KeyboardInterrupt:  # one of ten, while the first is handled
        code = STOPPED
    finally:
        os._exit(code)


def work_to_exit_code(work: Callable[[], object]) -> int:
    try:
        with stop_at_ctrl_c():
            work()
    except Upscale8KError:
        return REFUSED
    except BaseException as error:
        if is_stop(error):
            return STOPPED
        traceback.print_exc()
        return TRACEBACK
    return 0


def wait(child: int) -> int:
    """Return the exit code, or the signal as a negative number."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def compute(work: Callable[[], object]) -> Any:
    """Return the result of ``work``, done in a child: a process that has used these libraries cannot be forked any more."""
    with tempfile.TemporaryDirectory() as place:
        answer = Path(place) / "answer"
        status = wait(run_forked(lambda: answer.write_bytes(pickle.dumps(work()))))
        return pickle.loads(answer.read_bytes()) if status == 0 else f"no answer: {status}"


def write_once(job: Job) -> tuple[Any, int]:
    """Return the undisturbed result, and the bytes of its largest file."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        expected = compute(lambda: (job.write(folder), job.read(folder))[1])
        return expected, max(path.stat().st_size for path in folder.iterdir())


def inject(folder: Path, at: int, act: Callable[[str], None]) -> None:
    """Call ``act`` at the ``at``-th call of the system that changes a file or folder in ``folder``. For a child: it stays."""
    calls = 0

    def count(path: object) -> None:
        nonlocal calls
        if str(folder) in str(path):
            calls += 1
            if calls == at:
                act(str(path))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS or (event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            count(arguments[0])

    fsync = os.fsync

    def counted_fsync(handle: int) -> None:
        count(Path(f"/proc/self/fd/{handle}").readlink() if sys.platform == "linux" else folder)
        fsync(handle)

    os.fsync = counted_fsync
    sys.addaudithook(hook)


def check_after(job: Job, folder: Path, expected: object) -> str:
    """Repeat the run undisturbed; return what is wrong then, or ""."""
    status = wait(run_forked(lambda: job.write(folder)))
    if status:
        return f"the repeated run ended with {status}"
    if compute(lambda: job.read(folder)) != expected:
        return "the repeated run gave another result"
    # The name of an image's temporary file is its own in each run, so that runs do not meet: a killed one leaves it.
    left = sorted(path.name for path in folder.iterdir() if not (job.name.startswith("image") and _TEMP_NAME.search(path.name)))
    return "" if len(left) == job.files else f"left behind: {left}"


def run_faults(tally: Tally, jobs: list[Job], tries: int, kinds: dict[str, Callable[[str], None]]) -> None:
    """Let each job meet each fault at its first, second, third, ... system call, up to ``tries`` of them."""
    for job in jobs:
        expected, _ = write_once(job)
        for kind, act in kinds.items():
            for at in range(1, tries + 1):
                with tempfile.TemporaryDirectory() as place:
                    folder = Path(place)

                    def work(job: Job = job, folder: Path = folder, at: int = at, act: Callable[[str], None] = act) -> None:
                        inject(folder, at, act)
                        job.write(folder)

                    status = wait(run_forked(work))
                    fine = (0, -signal.SIGKILL) if kind == "kill" else (0, REFUSED)
                    problem = "" if status in fine else f"ended with {status}"
                    tally.check(f"{job.name}, {kind} at call {at}", problem or check_after(job, folder, expected))
                if kind == "kill" and status == 0:
                    break  # the run has fewer calls


def kill(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def make_error(code: int) -> Callable[[str], None]:
    def fail(path: str) -> None:
        raise OSError(code, os.strerror(code), path)

    return fail


def run_size_limits(tally: Tally, jobs: list[Job], tries: int) -> None:
    """Cut every write at a number of bytes: the system writes a part, then refuses, as on a full disk."""
    for job in jobs:
        expected, largest = write_once(job)
        for number in range(tries):
            limit = 1 + (largest - 2) * number // max(1, tries - 1)
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)

                def work(job: Job = job, folder: Path = folder, limit: int = limit) -> None:
                    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                    job.write(folder)

                status = wait(run_forked(work))
                problem = "" if status == REFUSED else f"ended with {status}"
                if job.files == 1 and any(path.name in ("o." + job.name.split()[-1],) for path in folder.iterdir()):
                    problem = "a part of the result has its final name"
                tally.check(f"{job.name}, files of at most {limit} bytes", problem or check_after(job, folder, expected))


def run_signals(tally: Tally, jobs: list[Job], tries: int, chance: random.Random) -> None:
    stories: list[list[signal.Signals]] = [
        [signal.SIGTERM],
        [signal.SIGINT],
        [signal.SIGINT] * 2,
        [signal.SIGINT] * 10,
        [signal.SIGTERM] * 3,
        [signal.SIGTERM, signal.SIGINT],
        [signal.SIGHUP],
        [signal.SIGSTOP, signal.SIGCONT],
        [signal.SIGSTOP, signal.SIGCONT, signal.SIGINT],
        [signal.SIGKILL],
        [signal.SIGTERM, signal.SIGKILL],
    ]
    results = [write_once(job)[0] for job in jobs]
    for number in range(tries):
        story, job, expected = stories[number % len(stories)], jobs[number % len(jobs)], results[number % len(jobs)]
        with tempfile.TemporaryDirectory() as place:
            child = run_forked(lambda job=job, folder=Path(place): job.write(folder))
            time.sleep(chance.uniform(0.01, 0.3))
            for each in story:
                with suppress(ProcessLookupError):
                    os.kill(child, each)
                time.sleep(0.005)
            status = wait(child)
            problem = f"ended with {status}" if status in (TRACEBACK, REFUSED, HUNG) or status in (-11, -6, -7) else ""
            names = ", ".join(each.name for each in story)
            tally.check(f"{job.name}, {names}, try {number}", problem or check_after(job, Path(place), expected))


def run_flips(tally: Tally, jobs: list[Job], source: Path, tries: int, chance: random.Random) -> None:
    """Change bytes of images and videos: read, or refused in a sentence; no other error, no signal, no hang.

    Every fourth video is written anew, too: with all its frames, or a message about those that are missing.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for job in jobs:
            wait(run_forked(lambda job=job: job.write(folder)))
        shutil.copy(source, folder / "source.mkv")
        originals = {path: path.read_bytes() for path in sorted(folder.iterdir())}
        frames = {path: compute(lambda path=path: len(frame_times(path))) for path in originals if path.suffix[:2] == ".m"}
        for number in range(tries):
            path = list(originals)[number % len(originals)]
            data = bytearray(originals[path])
            for _ in range(chance.choice((1, 4, 30))):
                data[chance.randrange(len(data))] = chance.randrange(256)
            path.write_bytes(data[: chance.randrange(len(data))] if chance.random() < 0.2 else data)
            if path.suffix not in (".mp4", ".mkv", ".mov"):
                work: Callable[[], object] = lambda path=path: read_image_file(path)  # noqa: E731
            elif number % 4:
                work = lambda path=path: [frame.pts for frame in open_video(path).open()]  # noqa: E731
            else:
                work = lambda path=path: write_damaged(path, frames[path])  # noqa: E731
            status = wait(run_forked(work))
            tally.check(
                f"{path.name} with changed bytes, try {number}", "" if status in (0, REFUSED) else f"ended with {status}"
            )
            path.write_bytes(originals[path])


def write_damaged(path: Path, frames: int) -> None:
    seen = Seen()
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "o.mkv"
        write_video(
            open_video(path, on_message=seen.message), out, VideoWriteSettings("h264", "mkv", 8, preset="ultrafast"), seen
        )
        if not seen.messages and len(frame_times(out)) != frames:
            raise AssertionError(f"{len(frame_times(out))} of {frames} frames, and nothing is said")


def run_parallel(tally: Tally, tries: int) -> None:
    """Several runs at once with one numbered name: as many results as runs."""
    settings, pixels = VideoWriteSettings("h264", "mp4", 8, preset="ultrafast"), np.zeros((8, 8, 3), np.float32)

    def write_numbered_video(folder: Path) -> None:
        for number in range(1, 20):
            try:
                write_video(video(6), folder / f"v_{number:05}_.mp4", settings, Seen(), fail_if_exists=True)
            except OutputLocked:
                continue
            return

    writers = {
        "images": lambda folder: write_image_file(folder / "i_00001_.png", pixels, numbered=True),
        "videos": write_numbered_video,
    }
    for number in range(tries):
        name, write = list(writers.items())[number % 2]
        with tempfile.TemporaryDirectory() as place:
            children = [run_forked(lambda write=write, folder=Path(place): write(folder)) for _ in range(6)]
            statuses = [wait(child) for child in children]
            found = [path for path in Path(place).iterdir() if path.suffix in (".png", ".mp4")]
            problem = (
                f"ended with {statuses}" if any(statuses) else "" if len(found) == 6 else f"{len(found)} results of 6 runs"
            )
            tally.check(f"six runs at once, {name}, try {number}", problem)


def run_audio(tally: Tally, tries: int, chance: random.Random) -> None:
    """Write videos with odd sound: all of it, or a message about what is missing, or a refusal; no signal and no traceback."""
    for case in odd_audio.iterate_cases(chance):
        if tally.tried >= tries:
            return
        with tempfile.TemporaryDirectory() as place:
            source, out, seed = Path(place) / f"in.{case.suffix}", Path(place) / f"o.{case.target}", chance.random()

            def try_to_make(case: odd_audio.AudioCase = case, source: Path = source, seed: float = seed) -> None:
                try:
                    odd_audio.make(case, source, random.Random(seed))
                except (av.error.FFmpegError, ValueError):
                    os._exit(NOT_MADE)

            if wait(run_forked(try_to_make)) == 0:
                status = wait(run_forked(lambda case=case, source=source, out=out: write_odd_audio(case, source, out)))
                tally.check(str(case), "" if status in (0, REFUSED) else f"ended with {status}")


def write_odd_audio(case: odd_audio.AudioCase, source: Path, out: Path) -> None:
    codec, seen = ("vp9" if case.target == "webm" else "h264"), Seen()
    settings = VideoWriteSettings(codec, case.target, 8, preset="" if codec == "vp9" else "ultrafast")  # type: ignore[arg-type]
    write_video(video(6, source=source, audio_streams=1), out, settings, seen)
    if case.damage != "none" or seen.messages:  # the judge itself, PyAV, frees the map of a custom order twice
        return
    (channels, seconds), (expected_channels, expected_seconds) = odd_audio.measure(out), odd_audio.measure(source)
    if channels != expected_channels or abs(seconds - expected_seconds) > 0.1:
        raise AssertionError(f"{channels} channels, {seconds} s of {expected_channels}, {expected_seconds} s; nothing is said")


class Watched(Seen):
    """Remembers the memory of the process at its 500th frame."""

    early_bytes = 0

    def advance(self, frames: int = 1) -> None:
        super().advance(frames)
        if not self.early_bytes and self.frames >= 500:
            self.early_bytes = measure_peak_bytes()


def measure_peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run_soak(tally: Tally, frames: int) -> None:
    """Write long videos and a long sequence: memory and open files stay what they were at the 500th frame."""
    sequence = SequenceSettings(make_frame_writer({}))
    writers: dict[str, Callable[[Path, Seen], object]] = {
        "sequence": lambda folder, seen: write_sequence(video(frames), folder / "f_%05d.png", sequence, seen),
    }
    for codec, suffix in (("h264", "mp4"), ("ffv1", "mkv"), ("h264", "mov")):
        settings = VideoWriteSettings(codec, suffix, 8, preset="ultrafast" * (codec == "h264"))  # type: ignore[arg-type]
        writers[f"{codec} in {suffix}"] = lambda folder, seen, settings=settings: write_video(
            video(frames), folder / f"o.{settings.container}", settings, seen
        )
    for name, write in writers.items():
        with tempfile.TemporaryDirectory() as place:

            def soak(write: Callable[[Path, Seen], object] = write, folder: Path = Path(place)) -> tuple[int, int]:
                signal.alarm(20 * _LIMIT_SECONDS)
                seen = Watched()
                write(folder, seen)
                return seen.frames, measure_peak_bytes() - seen.early_bytes

            answer = compute(soak)
            fine = isinstance(answer, tuple) and answer[0] == frames and answer[1] < 32 << 20
            tally.check(f"{frames} frames, {name}", "" if fine else f"(frames, bytes more than at frame 500): {answer}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=200, help="tries of each kind and writer at most (default 200)")
    parser.add_argument("--seed", type=int, default=8, help="of the times of signals and of the changed bytes (default 8)")
    parser.add_argument(
        "--only", default="kill,full,size,signals,commands,flips,audio,parallel,soak", help="kinds of faults, by commas"
    )
    options = parser.parse_args(arguments)
    tries, chance, total = options.tries, random.Random(options.seed), Tally()
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "source.mkv"
        wait(run_forked(lambda: make_source(source, seconds=1, text=None)))
        jobs, command = make_jobs(source), make_command(source)
        errors = {"ENOSPC": make_error(errno.ENOSPC), "EIO": make_error(errno.EIO)}
        campaigns: dict[str, Callable[[Tally], None]] = {
            "kill": lambda tally: run_faults(tally, jobs, tries, {"kill": kill}),
            "full": lambda tally: run_faults(tally, jobs, min(tries, 40), errors),
            "size": lambda tally: run_size_limits(tally, jobs, min(tries, 25)),
            "signals": lambda tally: run_signals(tally, jobs[2:4], tries, chance),
            "commands": lambda tally: run_signals(tally, [command], tries // 10, chance),
            "flips": lambda tally: run_flips(tally, jobs, source, tries * 10, chance),
            "audio": lambda tally: run_audio(tally, tries * 5, chance),
            "soak": lambda tally: run_soak(tally, 2000 if tries > 1 else 510),
            "parallel": lambda tally: run_parallel(tally, max(2, tries // 10)),
        }
        for name in options.only.split(","):
            tally = Tally()
            campaigns[name](tally)
            print(f"{name}: {tally.tried} tried, {len(tally.wrong)} wrong", *tally.wrong, sep="\n  ", flush=True)
            total.tried, total.wrong = total.tried + tally.tried, total.wrong + tally.wrong
    print(f"all: {total.tried} tried, {len(total.wrong)} wrong")
    return bool(total.wrong)


if __name__ == "__main__":
    sys.exit(main())
