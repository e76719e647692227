"""Videos that cannot be made, as a user sees it: a message, an exit code, and no broken file of the final name."""

import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from upscale8k.runtime.cli import main
from upscale8k.runtime.video.write.journal import SegmentFolder

from .child import run_child
from .clips import numbered, overwrite, packets, shorten, write
from .helpers import frame_hashes, frame_times

H264 = {"codec": "libx264", "options": {"g": "1", "preset": "ultrafast"}}


def sound_alone(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=16000, layout="mono")
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 8192), np.int16), format="s16", layout="mono")
        tone.sample_rate, tone.pts = 16000, 0
        out.mux(stream.encode(tone))
        out.mux(stream.encode(None))


def half_of_it(path: Path) -> None:
    shorten(write(path, numbered(30), **H264), path.stat().st_size // 2)


def two_sizes(path: Path) -> None:
    """Two H.264 recordings in one stream, as a capture card leaves them when its input changes."""
    parts = [write(path.with_name(f"{size}.h264"), numbered(10, size, 48), format_="h264", **H264) for size in (64, 96)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "zero bytes": (lambda path: path.write_bytes(b""), "is empty"),
    "text": (lambda path: path.write_text("not a video\n" * 100), "in.mp4"),
    "noise": (lambda path: path.write_bytes(np.random.default_rng(1).bytes(50_000)), "in.mp4"),
    "sound alone": (sound_alone, "no video"),
    "truncated": (half_of_it, "in.mp4"),
    "two sizes": (two_sizes, "changes from"),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("input", "output"):
        (tmp_path / name).mkdir()
    return tmp_path


def workflow(video: str = "in.mp4", **out: Any) -> list[str]:
    """The arguments of a run that repeats pixels."""
    settings = {"codec": "h264", "bit_depth": "8", "preset": "ultrafast", "filename_prefix": "video", **out}
    prompt = {
        "1": {"class_type": "VideoIn", "inputs": {"video": video}},
        "2": {"class_type": "UpscaleModel", "inputs": {"model": "realesr-animevideov3"}},
        "3": {"class_type": "TiledUpscaleVideo", "inputs": {"video": ["1", 0], "upscale_model": ["2", 0], "target": "2x"}},
        "4": {"class_type": "VideoOut", "inputs": {"video": ["3", 0], **settings}},
    }
    Path("workflow.json").write_text(json.dumps(prompt))
    return ["run", "workflow.json", "--backend", "null", "--progress", "none"]


def videos() -> list[str]:
    return sorted(str(path) for path in Path("output").rglob("*") if path.is_file())


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_video_has_a_message_and_leaves_nothing(place: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    make, words = BROKEN[what]
    make(place / "input" / "in.mp4")
    assert main(workflow()) == 1
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert videos() == []


def test_a_wrong_ending_and_broken_packets_do_not_stop_a_video(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write(place / "input" / "in.mp4", numbered(30), **H264)
    for number in (7, 8, 20):
        _, start, size = packets(video)[number]
        overwrite(video, start, b"\xff" * size)
    video.rename(place / "input" / "in.mkv")
    assert main([*workflow("in.mkv"), "--progress", "plain"]) == 0
    said = capsys.readouterr()
    (path,) = videos()
    assert said.out.strip() == path
    assert "3 packets could not be decoded and left out" in said.err
    expected = [Fraction(number, 25) for number in range(30) if number not in (7, 8, 20)]
    assert frame_times(Path(path)) == expected


@pytest.mark.parametrize(
    ("settings", "exit_code", "words"),
    [
        ({"codec": "theora"}, 2, "theora"),
        ({"codec": "hevc", "container": "webm"}, 1, "webm cannot hold HEVC"),
        ({"preset": "warp"}, 1, "Presets of libx264"),
    ],
    ids=["unknown encoder", "wrong container", "unknown preset"],
)
def test_an_encoder_that_cannot_be_is_refused_before_any_work(
    place: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, str], exit_code: int, words: str
) -> None:
    write(place / "input" / "in.mp4", numbered(5), **H264)
    assert main(workflow(**settings)) == exit_code
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert videos() == []


def test_an_output_folder_that_is_a_file_has_a_message(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(place / "input" / "in.mp4", numbered(5), **H264)
    (place / "output").rmdir()
    (place / "output").write_text("a file")
    assert main(workflow()) == 2
    said = capsys.readouterr()
    assert "output" in said.err
    assert "Traceback" not in said.err
    assert (place / "output").read_text() == "a file"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_full_disk_keeps_the_journal_and_the_same_command_resumes(place: Path, root: Path) -> None:
    rng = np.random.default_rng(6)
    quiet = [np.full((48, 64, 3), number, np.uint8) for number in range(50)]
    loud = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(25)]  # the third second does not fit
    noise = [av.VideoFrame.from_ndarray(pixels).reformat(format="bgr0") for pixels in (*quiet, *loud)]
    write(place / "input" / "in.mp4", noise, format_="matroska", tags={"range": "pc"})
    arguments = workflow(codec="ffv1", container="mkv", chroma="4:4:4", preset="")
    limited = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000))
from upscale8k.runtime.cli import main
sys.exit(main({arguments!r}))
"""
    done = run_child(root, limited)
    assert done.returncode == 1, done.stderr
    assert "larger than allowed there" in done.stderr
    assert "Traceback" not in done.stderr
    final = Path("output/video_00001_.mkv")
    assert not final.exists()
    progress = SegmentFolder(final).read_state()
    assert progress is not None
    assert progress.frame_count == 50
    assert main(arguments) == 0
    assert videos() == [str(final)]
    assert len(frame_times(final)) == 75


FULL = """
import os, sys
sys.path.insert(0, {root!r})
assert os.system("mount -t tmpfs -o size={size} none output") == 0
from runtime.bootstrap import load_pack; load_pack()
from upscale8k.runtime.cli import main
from upscale8k.runtime.video.write import disk_space, journal, video_writer
disk_space.RESERVE_BYTES = 0  # the reserve is larger than this whole disk
video_writer.check_video_space = lambda *_: None
failed = main({arguments!r})
kept = sorted(str(path.relative_to("output")) for path in __import__("pathlib").Path("output").rglob("*") if path.is_file())
os.system("mount -o remount,size=64m output")
state = journal.SegmentFolder(__import__("pathlib").Path("output/video_00001_.mkv")).read_state()
print("first", failed, state.frame_count, *kept)
done = main({arguments!r})
os.system("cp output/*.mkv .")
sys.exit(done)
"""


def may_mount() -> bool:
    tried = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /mnt"]
    try:
        return subprocess.run(tried, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not may_mount(), reason="this system does not allow mounting a small disk (unshare -rm)")
def test_a_full_disk_has_a_message_and_later_the_video_is_that_of_an_uninterrupted_run(place: Path, root: Path) -> None:
    rng = np.random.default_rng(6)
    images = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(75)]
    noise = [av.VideoFrame.from_ndarray(pixels).reformat(format="bgr0") for pixels in images]
    write(place / "input" / "in.mp4", noise, format_="matroska", tags={"range": "pc"})
    arguments = workflow(codec="ffv1", container="mkv", chroma="4:4:4", preset="")
    assert main(arguments) == 0
    whole = frame_hashes(Path("output/video_00001_.mkv"))
    Path("output/video_00001_.mkv").unlink()
    script = FULL.format(root=str(root), arguments=arguments, size="1400k")
    told = ["unshare", "-rm", sys.executable, "-c", script]
    done = subprocess.run(told, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    first = next(line for line in done.stdout.splitlines() if line.startswith("first")).split()
    assert first[1] == "1"
    assert int(first[2]) in (25, 50)
    assert {name.rpartition("/")[2] for name in first[3:]} <= {"journal.jsonl", "lock", "000000.mp4", "000001.mp4"}
    assert "The disk is full" in done.stderr or "disk is full" in done.stderr or "too small" in done.stderr
    assert "Traceback" not in done.stderr
    assert frame_hashes(Path("video_00001_.mkv")) == whole
