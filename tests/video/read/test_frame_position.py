"""Reading from a frame on gives the frames of a reading from the beginning, without decoding what is before the key frame."""

from collections.abc import Callable
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from upscale8k.runtime.media.video_stream import FrameNumber, VideoStream
from upscale8k.runtime.video.read import frame_decoder
from upscale8k.runtime.video.read.video_reader import open_video
from upscale8k.runtime.video.sequence.write import SequenceSettings, write_sequence
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..child import run_child
from ..clips import overwrite, packets, write
from ..helpers import Seen, frame_hashes, variable_times
from ..helpers import image as textured

OPEN_GOP = {"preset": "fast", "g": "10", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}
COUNT = 60


def moving(count: int = COUNT) -> list[av.VideoFrame]:
    return [av.VideoFrame.from_ndarray(textured(n), format="rgb24").reformat(format="yuv420p") for n in range(count)]


def cut_by_edit_list(path: Path) -> Path:
    """A video whose edit list begins between two key frames."""
    whole = write(path.with_name("whole.mp4"), moving(), codec="libx264", options=OPEN_GOP)
    with av.open(str(whole)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.pts -= 7 * 512
                packet.dts -= 7 * 512
                packet.stream = stream
                out.mux(packet)
    return path


VIDEOS: dict[str, Callable[[Path], Path]] = {
    "h264.mp4": lambda path: write(path, moving(), codec="libx264", options=OPEN_GOP),
    "h264.ts": lambda path: write(path, moving(), codec="libx264", options=OPEN_GOP),
    "variable.mkv": lambda path: write(
        path, moving(), codec="libx264", options=OPEN_GOP, pts=variable_times(COUNT), time_base=Fraction(1, 90000)
    ),
    "hevc.mp4": lambda path: write(
        path,
        moving(),
        codec="libx265",
        options={"preset": "fast", "x265-params": "keyint=10:open-gop=1:log-level=none"},
    ),
    "av1.mkv": lambda path: write(path, moving(), codec="libsvtav1", options={"preset": "12", "g": "16"}),
    "vp9.webm": lambda path: write(path, moving(), codec="libvpx-vp9", options={"g": "12", "deadline": "realtime"}),
    "ffv1.mkv": lambda path: write(path, moving(), codec="ffv1", options={"g": "8"}),
    "prores.mov": lambda path: write(path, [frame.reformat(format="yuv422p10le") for frame in moving()], codec="prores_ks"),
    "mpeg2.ts": lambda path: write(path, moving(), codec="mpeg2video", options={"g": "12", "bf": "2", "b": "2M"}),
    "edited.mp4": cut_by_edit_list,
}


def collect(stream: VideoStream, first: int = 0) -> list[tuple[int, int, bytes]]:
    with stream.frames(first) as frames:
        return [(frame.pts, frame.duration, frame.pixels.tobytes()) for frame in frames]


def known(whole: list[tuple[int, int, bytes]], first: int, time_base: Fraction) -> FrameNumber:
    return FrameNumber.at(first, whole[first - 1][0] * time_base, whole[first][0] * time_base)


def count_decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of frames that are decoded from now on, one item for each opening of a file."""
    counts: list[int] = []
    original = frame_decoder._decode_packets

    def count(*arguments: object) -> object:
        counts.append(0)
        for frame in original(*arguments):  # type: ignore[arg-type]
            counts[-1] += 1
            yield frame

    monkeypatch.setattr(frame_decoder, "_decode_packets", count)
    return counts


decoded = pytest.fixture(count_decoded)


@pytest.mark.parametrize("name", list(VIDEOS))
@pytest.mark.parametrize("every_nth", [1, 3])
def test_every_frame_is_that_of_a_whole_reading(tmp_path: Path, name: str, every_nth: int, decoded: list[int]) -> None:
    said: list[str] = []
    stream = open_video(VIDEOS[name](tmp_path / name), every_nth=every_nth, on_message=said.append)
    whole = collect(stream)
    total = decoded[0]
    for first in range(1, len(whole), 1 if every_nth > 1 else 4):
        for number in (first, known(whole, first, stream.info.time_base)):
            decoded.clear()
            assert collect(stream, number) == whole[first:], first
    assert sum(decoded) < total  # the last one was read from a key frame at most a second earlier
    assert not [text for text in said if "decoded again" in text]
    assert collect(stream, len(whole)) == []


def test_a_range_and_a_cap_are_those_of_the_whole_video(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", moving(), codec="libx264", options=OPEN_GOP)
    stream = open_video(video, start=Fraction(13, 25), duration=Fraction(40, 25), frame_cap=35)
    whole = collect(stream)
    assert len(whole) == 35
    for first in (1, 7, 20, 34):
        assert collect(stream, first) == whole[first:]
        assert collect(stream, known(whole, first, stream.info.time_base)) == whole[first:]


def test_a_damaged_packet_misleads_no_frame_whose_time_is_known(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mkv", moving(), codec="ffv1", options={"g": "8"})
    _, position, size = packets(video)[20]
    overwrite(video, position, b"\xff" * size)
    stream = open_video(video)
    whole = collect(stream)
    assert len(whole) == COUNT - 4  # up to the next key frame
    for first in (10, 20, 21, 40):
        assert collect(stream, known(whole, first, stream.info.time_base)) == whole[first:]


def test_where_the_clock_jumps_the_frames_before_are_decoded_and_this_is_said(tmp_path: Path) -> None:
    parts = []
    for begin in (0, 5000):
        frames, times = moving(20), [begin * 25 + n for n in range(20)]
        parts.append(write(tmp_path / f"{begin}.ts", frames, codec="libx264", options=OPEN_GOP, pts=times).read_bytes())
    video = tmp_path / "joined.ts"
    video.write_bytes(b"".join(parts))
    said: list[str] = []
    stream = open_video(video, on_message=said.append)
    whole = collect(stream)
    for number in (30, known(whole, 30, stream.info.time_base)):
        said.clear()
        assert collect(stream, number) == whole[30:]
        assert "joined.ts: " in said[0]
        assert "so the 30 frames before are decoded again." in said[0]


def test_a_wrong_time_is_noticed_before_a_frame_is_given(tmp_path: Path) -> None:
    said: list[str] = []
    stream = open_video(write(tmp_path / "a.mp4", moving(), codec="libx264", options=OPEN_GOP), on_message=said.append)
    whole, step = collect(stream), Fraction(1, 25)
    for before, own in ((19, 21), (18, 20), (Fraction(39, 2), 20), (500, 501)):
        said.clear()
        assert collect(stream, FrameNumber.at(20, before * step, own * step)) == whole[20:]
        assert "so the 20 frames before are decoded again" in said[0]


def test_an_interrupted_video_and_sequence_go_on_from_the_key_frame(tmp_path: Path, decoded: list[int]) -> None:
    source = write(tmp_path / "a.mp4", moving(250), codec="libx264", options=OPEN_GOP)
    sequence = SequenceSettings(lambda path, pixels, depth: path.write_bytes(pixels.tobytes()) and None)

    def write_both(folder: Path, limit: int | None) -> list[bytes]:
        folder.mkdir(exist_ok=True)
        settings = VideoWriteSettings(codec="ffv1", container="mkv", bits=8, chroma="4:4:4")
        for run in (
            lambda: write_video(open_video(source), folder / "a.mkv", settings, Seen(limit=limit)),
            lambda: write_sequence(open_video(source), folder / "%05d.bin", sequence, Seen(limit=limit)),
        ):
            with nullcontext() if limit is None else pytest.raises(KeyboardInterrupt):
                run()
        return [path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix == ".bin"]

    images = write_both(tmp_path / "whole", None)
    write_both(tmp_path / "resumed", 230)
    decoded.clear()
    assert write_both(tmp_path / "resumed", None) == images
    assert frame_hashes(tmp_path / "resumed" / "a.mkv") == frame_hashes(tmp_path / "whole" / "a.mkv")
    assert sum(decoded) < 2 * (50 + 40)  # at most a segment, a second and a key frame's distance; all would be 500


def test_a_position_is_found_in_constant_memory(tmp_path: Path, root: Path) -> None:
    """10,000 packets of 20 kB are passed on the way to the last frame."""
    frame = av.VideoFrame.from_ndarray(np.random.default_rng(1).integers(0, 255, (80, 96, 3), np.uint8), format="rgb24")
    source = write(tmp_path / "a.mkv", [frame.reformat(format="bgr0")])
    with av.open(str(source)) as read, av.open(str(tmp_path / "long.mkv"), "w") as out:
        packet = next(read.demux(video=0))
        stream = out.add_stream_from_template(read.streams.video[0])
        packet.stream = stream
        for number in range(10_000):
            packet.pts = packet.dts = number * 40
            out.mux(packet)
    script = f"""
import resource
from pathlib import Path
from upscale8k.runtime.video import open_video
stream = open_video(Path({str(tmp_path / "long.mkv")!r}))
used = []
for first in (100, 9990):
    with stream.frames(first) as frames:
        assert next(frames).seconds * 25 == first
    used.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
assert used[1] - used[0] < 20_000, used
"""
    done = run_child(root, script)
    assert done.returncode == 0, done.stderr


@pytest.mark.full
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_frame_100000_is_decoded_from_the_key_frame_before_it(tmp_path: Path, suffix: str, decoded: list[int]) -> None:
    """Groups of ten frames with B-frames, again and again: an hour and seven minutes."""
    options = {**OPEN_GOP, "x264-params": "open-gop=0:scenecut=0"}
    clip = write(tmp_path / "a.mp4", moving(), codec="libx264", options=options)
    with av.open(str(clip)) as read, av.open(str(tmp_path / f"long.{suffix}"), "w") as out:
        packets = [packet for packet in read.demux(video=0) if packet.size]
        stream = out.add_stream_from_template(read.streams.video[0])
        ticks = [(packet.pts, packet.dts, packet.time_base) for packet in packets]
        for repeat in range(1668):
            for packet, (pts, dts, time_base) in zip(packets, ticks, strict=True):
                shift = round(repeat * COUNT / 25 / time_base)
                packet.pts, packet.dts, packet.time_base, packet.stream = pts + shift, dts + shift, time_base, stream
                out.mux(packet)
    source = open_video(tmp_path / f"long.{suffix}")
    whole, step = collect(open_video(clip)), Fraction(1, 25)
    with source.frames() as frames:
        start = next(frames).seconds
    for number in (100_000, FrameNumber.at(100_000, start + 99_999 * step, start + 100_000 * step)):
        decoded.clear()
        with source.frames(number) as frames:
            frame = next(frames)
        assert frame.seconds - start == 100_000 * step
        assert frame.pixels.tobytes() == whole[100_000 % COUNT][2]
        assert sum(decoded) < 60
