"""Several videos under one name, which counts up: each resumes its own work, and none touches another's."""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from upscale8k.runtime.comfyui.types.video import VideoValue, write_sequence_value, write_video_value
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.images.sequence_frames import make_frame_writer
from upscale8k.runtime.media.video_stream import VideoStream
from upscale8k.runtime.progress import ProgressRelay
from upscale8k.runtime.video.sequence.write import SequenceSettings
from upscale8k.runtime.video.write.journal import SegmentFolder
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..helpers import Seen, frame_hashes, video

COUNT = 24
SETTINGS = VideoWriteSettings("h264", "mp4", 8, preset="ultrafast", segment_seconds=Fraction(1, 6))  # five frames
IMAGES = SequenceSettings(make_frame_writer({}))


class Preview(Seen):
    def preview(self, pixels: object) -> None:
        pass


class Out:
    """An output folder in which videos of the default name are written; ``said`` are the messages of the last run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = LocalHost(output_dir=folder)
        self.said: list[str] = []

    def value(self, stream: VideoStream, limit: int | None = None) -> VideoValue:
        progress = Preview(limit=limit)
        self.said = progress.messages
        return VideoValue(lambda start, duration: stream, lambda total, unit: nullcontext(progress), ProgressRelay())

    def video(self, name: str, settings: VideoWriteSettings = SETTINGS, *, limit: int | None = None, **more: object) -> str:
        """Return the name of the file that a run of the video ``name`` writes, or "" if it is interrupted."""
        value = self.value(video(COUNT, identity=name, **more), limit)
        try:
            return write_video_value(value, value._open_progress, settings, lambda w, h: self.place("video", ".mp4")).name
        except KeyboardInterrupt:
            return ""

    def images(self, name: str, settings: SequenceSettings = IMAGES, *, limit: int | None = None, **more: object) -> str:
        """Do the same with an image sequence; return the name of its folder."""
        value = self.value(video(COUNT, identity=name, **more), limit)
        try:
            pattern, _ = write_sequence_value(
                value, value._open_progress, settings, lambda w, h: self.place("shots", "") / "%03d.png"
            )
        except KeyboardInterrupt:
            return ""
        return pattern.parent.name

    def place(self, prefix: str, suffix: str) -> Path:
        return self.host.output_path("output", prefix, suffix)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def out(tmp_path: Path) -> Out:
    return Out(tmp_path / "out")


def test_an_interrupted_video_is_not_changed_by_the_next_and_resumes_afterwards(out: Out) -> None:
    assert out.video("A", limit=18) == ""
    before = {path.name: path.read_bytes() for path in (out.folder / "video_00001_.mp4.parts").glob("*.mp4")}
    assert len(before) >= 2
    assert out.video("B") == "video_00002_.mp4"
    assert out.video("C") == "video_00003_.mp4"
    assert {path.name: path.read_bytes() for path in (out.folder / "video_00001_.mp4.parts").glob("*.mp4")} == before
    assert not [text for text in out.said if "video_00001_" in text]
    opened: list[int] = []
    assert out.video("A", opened=opened) == "video_00001_.mp4"
    assert opened == list(range(5 * len(before), COUNT))
    assert out.names() == [f"video_0000{number}_.mp4" for number in (1, 2, 3)]
    assert len(frame_hashes(out.folder / "video_00001_.mp4")) == COUNT
    assert out.video("A") == "video_00004_.mp4"


@pytest.mark.parametrize("kind", ["video", "images"])
def test_a_video_goes_on_with_the_rounding_it_was_begun_with(kind: str, out: Out) -> None:
    """``auto`` was OpenVINO in fp32 when it was stopped, and is torch in bf16 now: no finished frame is thrown away."""
    opened: dict[str, list[int]] = {"fp32": [], "bf16": []}
    begun = video(COUNT, identity="A openvino fp32", opened=opened["fp32"])
    now = replace(video(COUNT, identity="A torch bf16", opened=opened["bf16"]), variants={"A openvino fp32": lambda: begun})

    def write(stream: VideoStream, limit: int | None = None) -> str:
        value = out.value(stream, limit)
        if kind == "video":
            return write_video_value(value, value._open_progress, SETTINGS, lambda w, h: out.place("video", ".mp4")).name
        place = lambda w, h: out.place("video", "") / "%03d.png"  # noqa: E731
        return write_sequence_value(value, value._open_progress, IMAGES, place)[0].parent.name

    with pytest.raises(KeyboardInterrupt):
        write(begun, 14)
    opened["fp32"].clear()
    assert write(now).startswith("video_00001_")
    assert opened["fp32"][0] >= 5
    assert opened["fp32"][-1] == COUNT - 1
    assert opened["bf16"] == []
    assert not [text for text in out.said if "anew" in text]
    assert write(now).startswith("video_00002_")
    assert opened["bf16"] == list(range(COUNT)), "a new one takes what auto is now"


def test_each_of_several_interrupted_videos_resumes_its_own(out: Out) -> None:
    for name in "ABC":
        assert out.video(name, limit=14) == ""
    for name, number in (("B", 2), ("C", 3), ("A", 1)):
        opened: list[int] = []
        assert out.video(name, opened=opened) == f"video_0000{number}_.mp4"
        assert opened[0] >= 5


def test_interrupted_images_are_not_changed_by_the_next_video_and_resume_afterwards(out: Out) -> None:
    assert out.images("A", limit=12) == ""
    before = {path.name: path.stat().st_mtime_ns for path in (out.folder / "shots_00001_").glob("*.png")}
    assert len(before) >= 12
    assert out.images("B") == "shots_00002_"
    assert out.images("C") == "shots_00003_"
    assert {path.name: path.stat().st_mtime_ns for path in (out.folder / "shots_00001_").glob("*.png")} == before
    opened: list[int] = []
    assert out.images("A", opened=opened) == "shots_00001_"
    assert opened == list(range(12, COUNT))
    assert [len(list((out.folder / f"shots_0000{number}_").iterdir())) for number in (1, 2, 3)] == [COUNT] * 3


@pytest.mark.parametrize("segments", [0, 1])
def test_a_video_that_another_run_is_writing_is_passed_by(out: Out, segments: int) -> None:
    parts = SegmentFolder(out.folder / "video_00001_.mp4")
    with parts.lock():
        for number in range(segments):
            (parts.folder / f"{number:06}.mp4").write_bytes(b"a segment")
        assert out.video("B") == "video_00002_.mp4"
        assert out.video("C", limit=14) == ""
        assert out.video("C") == "video_00003_.mp4"


@pytest.mark.parametrize("kind", ["video", "images"])
def test_two_videos_that_begin_at_the_same_time_get_two_paths(out: Out, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have searched for a path before either has taken it."""
    barrier = threading.Barrier(2, timeout=30)
    output_path = LocalHost.output_path
    first: set[int] = set()

    def find_path(self: LocalHost, *args: str, **more: int) -> Path:
        place = output_path(self, *args, **more)
        if threading.get_ident() not in first:
            first.add(threading.get_ident())
            barrier.wait()
        return place

    monkeypatch.setattr(LocalHost, "output_path", find_path)
    outs = {name: Out(out.folder) for name in "AB"}
    written: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda name=name: written.update({name: getattr(outs[name], kind)(name)})) for name in outs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stem, ending = ("video", ".mp4") if kind == "video" else ("shots", "")
    assert sorted(written.values()) == [f"{stem}_00001_{ending}", f"{stem}_00002_{ending}"]
    assert out.names() == sorted(written.values())


def test_the_very_same_video_is_not_made_twice_at_the_same_time(out: Out) -> None:
    assert out.video("A", limit=14) == ""
    with (
        SegmentFolder(out.folder / "video_00001_.mp4").lock(),
        pytest.raises(OutputError, match=r"Another run is writing video_00001_"),
    ):
        out.video("A")


def test_another_setting_of_the_same_video_is_a_new_video_with_a_message(out: Out) -> None:
    assert out.video("A", limit=14) == ""
    assert out.video("A", replace(SETTINGS, crf=30)) == "video_00002_.mp4"
    assert out.said[0] == (
        "Starting anew as video_00002_.mp4: the encoder settings changed since video_00001_.mp4 was begun. "
        "Delete video_00001_.mp4.parts unless that run is to be continued."
    )
    assert out.video("A") == "video_00001_.mp4"
    assert out.images("A", limit=9) == ""
    assert out.images("A", replace(IMAGES, start_number=5)) == "shots_00002_"
    assert out.said[0].startswith("Starting anew as shots_00002_: the first number changed since shots_00001_ was begun.")


def test_a_video_without_a_fingerprint_never_resumes(out: Out) -> None:
    assert out.video("", limit=14) == ""
    assert out.video("") == "video_00002_.mp4"
    assert (out.folder / "video_00001_.mp4.parts").is_dir()


def test_an_exact_name_is_not_counted(out: Out) -> None:
    assert out.video("A", limit=14) == ""
    path = out.folder / "video_00002_.mp4"
    path.write_bytes(b"the video of yesterday")
    value = out.value(video(COUNT, identity="A"))
    assert write_video_value(value, value._open_progress, SETTINGS, lambda w, h: path, overwrite=True) == path
    assert len(frame_hashes(path)) == COUNT
    assert (out.folder / "video_00001_.mp4.parts").is_dir()


@pytest.mark.parametrize("make", [Out.video, Out.images], ids=["video", "images"])
def test_the_result_of_a_run_that_finished_meanwhile_is_not_replaced(
    out: Out, make: Callable[[Out, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did not exist when a path was searched for, and does when the path is taken."""
    output_path, raced = LocalHost.output_path, list[Path]()

    def find_path(self: LocalHost, *args: str, **more: int) -> Path:
        place = output_path(self, *args, **more)
        if not raced:
            raced.append(place if place.suffix else place / "001.png")
            raced[0].parent.mkdir(exist_ok=True)
            raced[0].write_bytes(b"quicker")
        return place

    monkeypatch.setattr(LocalHost, "output_path", find_path)
    assert "_00002_" in make(out, "A")
    assert raced[0].read_bytes() == b"quicker"


def test_a_file_that_takes_the_name_while_a_video_is_made_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "video_00001_.mp4"

    class OtherProgram(list[int]):
        def append(self, number: int) -> None:
            path.write_bytes(b"of another program")

    report = write_video(video(8, opened=OtherProgram()), path, SETTINGS, Seen(), fail_if_exists=True)
    assert report.path == tmp_path / "video_00002_.mp4"
    assert path.read_bytes() == b"of another program"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["video_00001_.mp4", "video_00002_.mp4"]
