"""Runs that are killed, and the runs after them."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from unittest.mock import Mock

import av
import pytest
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.media.video_stream import ColorInfo
from upscale8k.runtime.video.write import video_writer
from upscale8k.runtime.video.write.journal import SegmentFolder
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..helpers import Seen, frame_hashes, frame_times, parts_folder, variable_times, video

SEGMENT = 10
SETTINGS = VideoWriteSettings("hevc", "mp4", 10, preset="ultrafast", segment_seconds=Fraction(1, 3))
COUNT = 64


def start(path: Path, limit: int, **video_settings: object) -> list[int]:
    """A run that is stopped after ``limit`` frames, as by Ctrl-C. The numbers of the frames it made."""
    opened: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        write_video(video(COUNT, opened=opened, **video_settings), path, SETTINGS, Seen(limit=limit))
    return opened


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The video of a run that was not interrupted."""
    path = tmp_path_factory.mktemp("whole") / "o.mp4"
    write_video(video(COUNT, times=variable_times(COUNT)), path, SETTINGS, Seen())
    return path


CHILD = """
import sys, time
sys.path[:0] = [{root!r}, {tests!r}]
from runtime.bootstrap import load_pack; load_pack()
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from upscale8k.runtime.media.video_stream import VideoStream
from upscale8k.runtime.video.write import mux
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video
from video.helpers import Seen, video, variable_times
joined = mux._iterate_video_packets
def slowly(*args):
    for packet in joined(*args):
        print("joining", flush=True)
        time.sleep(0.004)
        yield packet
mux._iterate_video_packets = slowly
recipe = video({count}, times=variable_times({count}))
def frames(first=0):
    with recipe.frames(first) as recipe_frames:
        for frame in recipe_frames:
            print("made", flush=True)
            time.sleep(0.004)
            yield frame
class Told(Seen):
    def message(self, text):
        print("said", text, flush=True)
settings = VideoWriteSettings("hevc", "mp4", 10, preset="ultrafast", segment_seconds=Fraction(1, 3))
report = write_video(VideoStream(recipe.info, frames, frames), Path({path!r}), settings, Told())
print("done", report.resumed_frames, flush=True)
"""


def child(root: Path, path: Path) -> "subprocess.Popen[str]":
    script = CHILD.format(root=str(root), tests=str(root / "tests"), count=COUNT, path=str(path))
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_after(process: "subprocess.Popen[str]", lines: int, what: str = "made") -> int:
    """Kill -9 as soon as so many frames were made, or joined. How many were made, in the end."""
    assert process.stdout
    seen = {"made": 0, "joining": 0}
    for line in process.stdout:
        word = line.strip()
        seen[word] = seen.get(word, 0) + 1
        if word == what and seen[what] == lines:
            process.kill()
            break
    made = seen["made"] + sum(line == "made\n" for line in process.stdout)
    process.stdout.close()
    assert process.stderr
    process.stderr.close()
    process.wait()
    return made


MOMENTS = [*(("made", frames) for frames in (1, 9, 11, 20, 29, 38, 47, COUNT)), ("joining", 1), ("joining", 40)]


@pytest.mark.parametrize(("what", "moment"), MOMENTS, ids=[f"{what} {moment}" for what, moment in MOMENTS])
def test_after_kill_9_the_same_frames_come_out_and_one_segment_at_most_is_done_again(
    tmp_path: Path, root: Path, whole: Path, what: str, moment: int
) -> None:
    path = tmp_path / "o.mp4"
    made = kill_after(child(root, path), moment, what)
    left = SegmentFolder(path).read_state()
    finished = left.frame_count if left else 0
    assert not path.exists()
    process = child(root, path)
    out, errors = process.communicate(timeout=60)
    lines = out.splitlines()
    assert lines[-1].startswith("done"), errors
    resumed = int(lines[-1].split()[1])
    assert resumed == finished
    assert resumed == COUNT or what == "made"
    assert lines.count("made") == COUNT - resumed
    assert made - resumed <= SEGMENT + 1  # the segment in work, and the frame in its maker's hands
    assert frame_hashes(path) == frame_hashes(whole)
    assert frame_times(path) == frame_times(whole)
    assert not parts_folder(path).exists()
    assert [place.name for place in tmp_path.iterdir()] == ["o.mp4"]


def test_killed_again_and_again_it_still_comes_to_the_same_end(tmp_path: Path, root: Path, whole: Path) -> None:
    path = tmp_path / "o.mp4"
    for _ in range(3):
        kill_after(child(root, path), 16)
    write_video(video(COUNT, times=variable_times(COUNT)), path, SETTINGS, Seen())
    assert frame_hashes(path) == frame_hashes(whole)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_in_a_real_process_leaves_complete_segments_only(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "o.mp4"
    process = child(root, path)
    assert process.stdout
    for _, line in zip(range(35), process.stdout, strict=False):
        assert line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0
    names = {place.name for place in parts_folder(path).iterdir()}
    assert not [name for name in names if name.endswith(".part")]
    progress = SegmentFolder(path).read_state()
    assert progress is not None
    assert {segment.file for segment in progress.segments} == {name for name in names if name.endswith(".mp4")}


def test_finished_frames_are_not_made_again(tmp_path: Path) -> None:
    start(tmp_path / "o.mp4", 37)
    opened: list[int] = []
    seen = Seen()
    report = write_video(video(COUNT, opened=opened), tmp_path / "o.mp4", SETTINGS, seen)
    assert report.resumed_frames % SEGMENT == 0
    assert report.resumed_frames >= 30 - SEGMENT
    assert opened == list(range(report.resumed_frames, COUNT))
    assert seen.frames == COUNT
    assert f"Resuming after {report.resumed_frames} finished frames." in seen.messages


def test_a_recipe_without_a_short_cut_is_gone_on_with_too(tmp_path: Path) -> None:
    start(tmp_path / "o.mp4", 37)
    slow = replace(video(COUNT), open_at=None)
    report = write_video(slow, tmp_path / "o.mp4", SETTINGS, Seen())
    assert report.resumed_frames
    assert len(frame_times(tmp_path / "o.mp4")) == COUNT


def test_a_video_whose_frames_are_all_done_is_only_joined(tmp_path: Path) -> None:
    path, missing = tmp_path / "o.mp4", tmp_path / "gone.mkv"
    with pytest.raises(OSError, match=r"the source's audio and subtitles cannot be read: There is no file .*gone.mkv"):
        write_video(video(COUNT, source=missing), path, SETTINGS, Seen())
    assert not path.exists()
    opened: list[int] = []
    seen = Seen()
    report = write_video(video(COUNT, opened=opened), path, SETTINGS, seen)
    assert (report.resumed_frames, report.frames, opened) == (COUNT, COUNT, [])
    assert len(frame_hashes(path)) == COUNT


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"crf": 30}, "the encoder settings changed"),
        ({"codec": "h264"}, "the encoder changed (libx265 before, libx264 now)"),
        ({"bits": 8}, "the pixel format changed (yuv420p10le before, yuv420p now)"),
        ({"segment_seconds": Fraction(1, 2)}, "the encoder settings changed"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_another_setting_starts_anew_and_says_why(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    start(tmp_path / "o.mp4", 37)
    seen, opened = Seen(), list[int]()
    report = write_video(video(COUNT, opened=opened), tmp_path / "o.mp4", replace(SETTINGS, **change), seen)
    assert any(text.startswith(f"Starting anew: {reason}") for text in seen.messages), seen.messages
    assert report.resumed_frames == 0
    assert opened == list(range(COUNT))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"identity": "another video"}, "the source, the model or its settings changed"),
        ({"identity": ""}, "this video has no fingerprint"),
        ({"color": ColorInfo("smpte170m")}, "the colour changed"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_another_video_starts_anew_and_says_why(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    start(tmp_path / "o.mp4", 37)
    seen = Seen()
    report = write_video(video(COUNT, **change), tmp_path / "o.mp4", SETTINGS, seen)
    assert any(text.startswith(f"Starting anew: {reason}") for text in seen.messages), seen.messages
    assert report.resumed_frames == 0


def test_tags_and_sound_may_change_without_starting_anew(tmp_path: Path) -> None:
    start(tmp_path / "o.mp4", 37)
    changed = replace(SETTINGS, metadata={"prompt": "{}"}, audio="none")
    assert write_video(video(COUNT), tmp_path / "o.mp4", changed, Seen()).resumed_frames


def test_without_resume_it_starts_anew(tmp_path: Path) -> None:
    start(tmp_path / "o.mp4", 37)
    seen = Seen()
    assert write_video(video(COUNT), tmp_path / "o.mp4", SETTINGS, seen, resume=False).resumed_frames == 0
    assert any("resume is off" in text for text in seen.messages)


@pytest.mark.parametrize("damage", ["cut line", "flipped byte", "missing file", "nonsense", "path outside"])
def test_what_was_damaged_is_done_again(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "o.mp4"
    start(path, 45)
    folder = parts_folder(path)
    journal, second = folder / "journal.jsonl", folder / "000001.mp4"
    lines = journal.read_text().splitlines(keepends=True)
    assert len(lines) >= 4
    if damage == "cut line":
        journal.write_text("".join(lines[:2]) + lines[2][:40])
    elif damage == "flipped byte":
        data = bytearray(second.read_bytes())
        data[len(data) // 2] ^= 1
        second.write_bytes(data)
    elif damage == "missing file":
        second.unlink()
    elif damage == "nonsense":
        journal.write_text(lines[0] + lines[1] + json.dumps({"file": 3, "pts": "x"}) + "\n")
    else:
        journal.write_text(lines[0] + lines[1] + lines[2].replace("000001.mp4", "../000001.mp4"))
    made: list[int] = []
    report = write_video(video(COUNT, opened=made), path, SETTINGS, Seen())
    kept = [*range(SEGMENT), *range(2 * SEGMENT, (len(lines) - 1) * SEGMENT)]
    if damage not in ("flipped byte", "missing file"):  # of the others their lines are lost, too
        kept = kept[:SEGMENT]
    assert report.resumed_frames == len(kept)
    assert sorted({*made, *kept}) == list(range(COUNT))
    assert not {*made[:SEGMENT]} & {*kept}
    assert len(frame_hashes(path)) == COUNT


@pytest.mark.parametrize("lost", [["000000.mp4"], ["000001.mp4", "000002.mp4", "000004.mp4"], ["000006.mp4"]])
@pytest.mark.parametrize("version", [1, 2])
def test_segments_that_are_missing_are_made_alone_whatever_the_order_of_the_journal(
    tmp_path: Path, whole: Path, lost: list[str], version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, recipe = tmp_path / "o.mp4", video(COUNT, times=variable_times(COUNT), opened=(made := []))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(video_writer, "mux_segments", Mock(side_effect=KeyboardInterrupt))
        write_video(recipe, path, SETTINGS, Seen())
    journal = parts_folder(path) / "journal.jsonl"
    header, *lines = journal.read_text().splitlines(keepends=True)
    assert json.loads(header)["format"] == 1  # one that earlier releases read
    journal.write_text("".join([json.dumps({**json.loads(header), "format": version}) + "\n", *reversed(lines)]))
    for name in lost:
        (parts_folder(path) / name).unlink()
    made.clear()
    expected = [
        number for name in lost for number in range(int(name[:6]) * SEGMENT, min(COUNT, int(name[:6]) * SEGMENT + SEGMENT))
    ]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # killed again while it fills the gaps
        patch.setattr(SegmentFolder, "mark_complete", Mock(side_effect=KeyboardInterrupt))
        write_video(recipe, path, SETTINGS, Seen())
    write_video(recipe, path, SETTINGS, Seen())
    assert made == expected
    assert path.read_bytes() == whole.read_bytes()


def test_two_runs_do_not_write_the_same_video(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    with SegmentFolder(path).lock(), pytest.raises(OutputError, match=r"Another run is writing o.mp4"):
        write_video(video(3), path, SETTINGS, Seen())


def test_a_run_that_is_interrupted_at_once_leaves_no_folder(tmp_path: Path) -> None:
    start(tmp_path / "o.mp4", 2)
    assert not list(tmp_path.iterdir())


def test_an_older_video_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    path.write_bytes(b"the video of yesterday")
    start(path, 37)
    assert path.read_bytes() == b"the video of yesterday"
    write_video(video(COUNT), path, SETTINGS, Seen())
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == COUNT


def test_segments_are_on_the_disk_before_their_line_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that survives a power cut: bytes, name, line. Each is synced before the next."""
    events: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        name = Path(f"/proc/self/fd/{handle}")
        synced = name.readlink().name if name.exists() else "?"
        events.append("sync " + re.sub(r"\.\d+\.part$", ".part", synced))
        real_fsync(handle)

    def rename(self: Path, target: Path) -> Path:
        events.append(f"name {Path(target).name}")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", rename)
    write_video(video(5), tmp_path / "o.mp4", SETTINGS, Seen())
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc to tell files by")
    part = events.index("sync 000000.mp4.part")
    assert events[part : part + 4] == ["sync 000000.mp4.part", "name 000000.mp4", "sync o.mp4.parts", "sync journal.jsonl"]
    assert events[-3:-1] == ["sync o.mp4.part", "name o.mp4"]
