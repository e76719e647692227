"""The queue before the encoder, and errors while joining."""

import hashlib
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Condition
from threading import enumerate as enumerate_threads
from types import SimpleNamespace
from typing import Any

import av
import pytest
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo
from upscale8k.runtime.video.write import encoder_options, segments
from upscale8k.runtime.video.write.encoding import resolve_encoding
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..helpers import Seen, image, packets, parts_folder, video

SETTINGS = VideoWriteSettings("h264", "mp4", 8, preset="ultrafast", segment_seconds=Fraction(1, 3))


@pytest.mark.parametrize(("cores", "free", "mb"), [(2, 64, 128), (8, 64, 512), (64, 64, 512), (64, 1, 128)])
def test_what_waits_for_the_encoder_follows_cores_and_memory(
    monkeypatch: pytest.MonkeyPatch, cores: int, free: int, mb: int
) -> None:
    monkeypatch.setattr(segments, "count_usable_cores", lambda: cores)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=free << 30, available=free << 30))
    assert segments.get_queue_byte_limit() == mb << 20


def test_segments_of_two_frames_are_written_and_have_always_the_same_bytes(tmp_path: Path) -> None:
    """x265 returns undefined decoding times for them: half of all runs failed in the muxer, others differed."""
    settings = VideoWriteSettings("hevc", "mp4", 10, preset="ultrafast", segment_seconds=Fraction(2, 30))
    paths = [write_video(video(5), tmp_path / f"{number}.mp4", settings, Seen()).path for number in range(6)]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}) == 1


def test_the_message_of_segments_that_differ_names_the_folder_to_delete(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    with pytest.raises(KeyboardInterrupt):
        write_video(video(30), path, SETTINGS, Seen(limit=24))
    folder = parts_folder(path)
    second = folder / "000001.mp4"
    with av.open(str(second), "w") as out:  # whole, and from another encoder
        stream = out.add_stream("libx264", rate=30, options={"profile": "high444", "qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv444p"
        for number in range(10):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image(number), format="rgb24").reformat(format="yuv444p")))
        out.mux(stream.encode(None))
    lines = (folder / "journal.jsonl").read_text().splitlines()
    line = json.loads(lines[2])
    line |= {"bytes": second.stat().st_size, "sha256": hashlib.sha256(second.read_bytes()).hexdigest()}
    (folder / "journal.jsonl").write_text("\n".join([*lines[:2], json.dumps(line)]) + "\n")
    with pytest.raises(OutputError, match=r"000001.mp4 was written by another encoder") as caught:
        write_video(video(30), path, SETTINGS, Seen())
    assert caught.value.hint == "Delete the folder o.mp4.parts and run it again."
    (folder / "000001.mp4").unlink()
    assert write_video(video(30), path, SETTINGS, Seen()).frames == 30


@pytest.mark.parametrize("codec", ["hevc", "av1", "ffv1", "prores"])
def test_a_file_has_the_same_bytes_whatever_the_number_of_cores(
    tmp_path: Path, codec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    container: Any = {"ffv1": "mkv", "prores": "mov"}.get(codec, "mp4")
    settings = VideoWriteSettings(codec, container, 10 if codec == "prores" else 8)
    found: list[list[tuple[Fraction, bytes]]] = []
    for cores in (1, 2, 8):
        monkeypatch.setattr(encoder_options, "count_usable_cores", lambda cores=cores: cores)
        path = tmp_path / f"{cores}.{container}"
        write_video(video(30, size=Size(320, 192)), path, settings, Seen())
        found.append(packets(path, "video"))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("is_large", [False, True])
def test_x264_whose_bytes_depend_on_its_threads_has_the_same_number_everywhere(
    is_large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = encoder_options.EncoderRequest(18, None, "medium", 30, is_large)
    found: list[dict[str, str]] = []
    for cores in (1, 2, 64):
        monkeypatch.setattr(encoder_options, "count_usable_cores", lambda cores=cores: cores)
        found.append(dict(encoder_options.build_x264_options(request)))
    assert found[0] == found[1] == found[2]


def test_h264_of_the_same_frames_has_always_the_same_bytes(tmp_path: Path) -> None:
    """On processors with AVX-512, twelve of fourteen runs differed: a video of 8 bits, 25 macroblocks wide."""
    settings = VideoWriteSettings("h264", "mp4", 8)
    size = Size(400, 304)
    paths = [write_video(video(40, size=size), tmp_path / f"{number}.mp4", settings, Seen()).path for number in range(8)]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}) == 1


@pytest.mark.parametrize("sets", [("AVX2",), ("AVX2", "AVX-512"), ("NEON",)])
def test_x264_does_not_use_avx_512(monkeypatch: pytest.MonkeyPatch, sets: tuple[str, ...]) -> None:
    monkeypatch.setattr(encoder_options, "query_cpu", lambda: SimpleNamespace(sets=sets))
    request = encoder_options.EncoderRequest(18, None, "medium", 30, is_large=False)
    parameters = encoder_options.build_x264_options(request)["x264-params"].split(":")
    assert [text for text in parameters if text.startswith("asm")] == (["asm=avx2"] if "AVX-512" in sets else [])


@pytest.mark.parametrize(
    ("cores", "free_gb", "hardware", "expected"),
    [
        *((2, 64, False, 1), (15, 64, False, 1), (16, 64, False, 2), (64, 256, False, 4), (64, 24, False, 2)),
        *((64, 8, False, 1), (64, 256, True, 1)),
    ],
)
def test_segments_in_work_follow_cores_and_memory(
    cores: int, free_gb: int, hardware: bool, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "count_usable_cores", lambda: cores)
    monkeypatch.setattr(segments, "query_memory", lambda: SimpleNamespace(available=free_gb << 30))
    encoding = resolve_encoding("hevc", "mp4", 10, "4:2:0", size=Size(7680, 4320), keyframe_interval=24)
    if hardware:
        encoding = replace(encoding, encoder=replace(encoding.encoder, name="hevc_nvenc"), pixel_format="p010le")
    plan = segments.SegmentPlan(encoding, Size(7680, 4320), ColorInfo(), *[Fraction(1, 24)] * 2, Fraction(1), 24)
    assert plan.frame_bytes == 7680 * 4320 * 3
    assert segments.count_parallel_segments(plan) == expected


@pytest.fixture
def three_encoders(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Three segments at once, each of which waits until three are in work; the list holds how many are."""
    in_work: list[int] = []
    opened, lock = segments.SegmentFile.__init__, Condition()

    def open_together(self: Any, path: Path, *values: Any) -> None:
        with lock:
            in_work.append(int(path.stem))
            lock.notify_all()
            lock.wait_for(lambda: len(in_work) >= 3, timeout=20)
        opened(self, path, *values)

    monkeypatch.setattr(segments, "count_parallel_segments", lambda plan: 3)
    monkeypatch.setattr(segments.SegmentFile, "__init__", open_together)
    return in_work


@pytest.mark.parametrize("frames", [30, 33, 64])
def test_several_segments_at_once_give_the_same_bytes(frames: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    alone = write_video(video(frames), tmp_path / "alone.mp4", SETTINGS, Seen()).path.read_bytes()
    in_work = request.getfixturevalue("three_encoders")
    assert write_video(video(frames), tmp_path / "together.mp4", SETTINGS, Seen()).path.read_bytes() == alone
    assert sorted(in_work) == list(range(-(-frames // 10)))


def test_several_segments_hold_no_more_frames_than_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoders do nothing until nothing more comes: three segments of ten frames, however long the video is."""
    add, put = segments.SegmentFile.add, segments.SegmentWriter.put
    alive, most, changed = [0], [0], Condition()

    def count(step: int) -> None:
        with changed:
            alive[0] += step
            most[0] = max(most[0], alive[0])
            changed.notify_all()

    def add_late(self: Any, frame: Any) -> None:
        with changed:
            assert changed.wait_for(lambda: most[0] >= 30, timeout=20)
        add(self, frame)
        count(-1)

    monkeypatch.setattr(segments, "count_parallel_segments", lambda plan: 3)
    monkeypatch.setattr(segments.SegmentWriter, "put", lambda self, frame: (count(1), put(self, frame)))
    monkeypatch.setattr(segments.SegmentFile, "add", add_late)
    for frames in (60, 120):
        write_video(video(frames), tmp_path / f"{frames}.mp4", SETTINGS, Seen())
        assert most[0] == 30


@pytest.mark.parametrize("limit", [5, 25, 34])
def test_a_run_that_is_stopped_with_several_in_work_goes_on(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = write_video(video(64), tmp_path / "alone.mp4", SETTINGS, Seen()).path.read_bytes()
    monkeypatch.setattr(segments, "count_parallel_segments", lambda plan: 3)
    with pytest.raises(KeyboardInterrupt):
        write_video(video(64), tmp_path / "o.mp4", SETTINGS, Seen(limit=limit))
    assert write_video(video(64), tmp_path / "o.mp4", SETTINGS, Seen()).path.read_bytes() == alone


def test_a_failure_of_one_encoder_ends_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = segments.SegmentFile.add

    def fail(self: Any, frame: Any) -> None:
        if self._path.stem == "000001":
            raise OutputError("the disk is gone")
        add(self, frame)

    monkeypatch.setattr(segments, "count_parallel_segments", lambda plan: 3)
    monkeypatch.setattr(segments.SegmentFile, "add", fail)
    with pytest.raises(OutputError, match="the disk is gone"):
        write_video(video(64), tmp_path / "o.mp4", SETTINGS, Seen())
    assert not any(thread.name == "video encoder" for thread in enumerate_threads())
    assert not list(tmp_path.rglob("*.part"))
