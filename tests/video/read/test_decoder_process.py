"""Videos that another process decodes: the same frames and messages, and a crash there is an error here."""

from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from upscale8k.runtime.errors import MediaError
from upscale8k.runtime.media.video_stream import FrameNumber
from upscale8k.runtime.video.read import decoder_process, video_reader
from upscale8k.runtime.video.read.video_reader import open_video
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..helpers import Seen, frame_hashes, make_source, video

SEGFAULT = "import ctypes; ctypes.string_at(0)"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.mkv"
    write_video(video(12), path, VideoWriteSettings("h264", "mkv", 10, preset="ultrafast"), Seen())
    return path


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(decoder_process.ENV, "1")
    decoder_process._open_once.cache_clear()


def crash_in(monkeypatch: pytest.MonkeyPatch, function: str, calls: int) -> None:
    """Let the process that decodes read a null pointer at a call of a function of ``video_reader``."""
    before_main = (
        f"from upscale8k.runtime.video.read import video_reader as r; f, n = r.{function}, []; "
        f"r.{function} = lambda *a, **k: (n.append(1), len(n) > {calls} and exec({SEGFAULT!r}), f(*a, **k))[2]; main()"
    )
    script = decoder_process._SCRIPT
    assert script.endswith("; main()")
    monkeypatch.setattr(decoder_process, "_SCRIPT", f"{script.removesuffix('main()')}{before_main}")


def list_frames(stream: Any, first_frame: int = 0) -> list[tuple[Any, ...]]:
    with stream.frames(first_frame) as frames:
        return [
            (frame.pts, frame.duration, frame.time_base, frame.pixels.dtype, frame.pixels.shape, frame.pixels.tobytes())
            for frame in frames
        ]


def test_frames_are_the_same_from_the_beginning_and_from_a_position(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list_frames(open_video(source))
    monkeypatch.setattr(video_reader, "_read_frames", lambda *_: pytest.fail("decoded here"))
    monkeypatch.setenv(decoder_process.ENV, "1")
    stream = open_video(source)
    assert list_frames(stream) == expected
    assert list_frames(stream, 7) == expected[7:]
    times = [frame[0] * frame[2] for frame in expected]
    assert list_frames(stream, FrameNumber.at(7, times[6], times[7])) == expected[7:]
    part = open_video(source, start=times[2], duration=times[6] - times[2], every_nth=2)
    assert [frame[-1] for frame in list_frames(part)] == [frame[-1] for frame in expected[2:6:2]]


def test_messages_and_errors_are_the_same(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(source.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    source.write_bytes(data)
    here, there = list[str](), list[str]()
    expected = list_frames(open_video(source, on_message=here.append))
    monkeypatch.setenv(decoder_process.ENV, "1")
    assert list_frames(open_video(source, on_message=there.append)) == expected
    assert there == here != []
    source.write_bytes(b"no video")
    with pytest.raises(MediaError, match=r"source\.mkv is a text file"):
        open_video(source)


@pytest.mark.usefixtures("apart")
def test_a_crash_names_file_and_frame(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = list_frames(open_video(source))
    crash_in(monkeypatch, "_FrameConverter.make_frame", 3)
    seen: list[Any] = []
    with pytest.raises(MediaError, match=r"source\.mkv: FFmpeg crashes after frame 3 \(SIGSEGV\)"):
        seen.extend(frame.pixels.tobytes() for frame in open_video(source).open())
    assert seen == [frame[-1] for frame in frames[:3]]
    monkeypatch.undo()
    monkeypatch.setenv(decoder_process.ENV, "1")
    crash_in(monkeypatch, "probe", 0)
    source.touch()
    monkeypatch.setattr(video_reader, "probe", lambda _: pytest.fail("opened here"))
    with pytest.raises(MediaError, match=r"source\.mkv: FFmpeg crashes when it opens it \(SIGSEGV\)"):
        open_video(source)


@pytest.mark.usefixtures("apart")
def test_closing_ends_the_process(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    popen = decoder_process.subprocess.Popen
    monkeypatch.setattr(
        decoder_process.subprocess, "Popen", lambda *args, **kwargs: started.append(popen(*args, **kwargs)) or started[-1]
    )
    with open_video(source).frames() as frames:
        assert len(list(islice(frames, 2))) == 2
    assert [process.poll() is not None for process in started] == [True, True]


def test_a_stopped_video_goes_on_with_the_same_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_source(tmp_path / "in.mkv", seconds=1, text=None)
    settings = VideoWriteSettings("h264", "mp4", 8, preset="ultrafast", segment_seconds=Fraction(1, 5))
    write_video(open_video(tmp_path / "in.mkv"), tmp_path / "here.mp4", settings, Seen())
    monkeypatch.setenv(decoder_process.ENV, "1")
    with pytest.raises(KeyboardInterrupt):
        write_video(open_video(tmp_path / "in.mkv"), tmp_path / "there.mp4", settings, Seen(limit=13))
    seen = Seen()
    write_video(open_video(tmp_path / "in.mkv"), tmp_path / "there.mp4", settings, seen)
    assert any("after 12 finished frames" in text for text in seen.messages), seen.messages
    assert frame_hashes(tmp_path / "there.mp4") == frame_hashes(tmp_path / "here.mp4")
