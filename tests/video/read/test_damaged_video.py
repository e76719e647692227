"""Damaged videos: the same frames and the same words with any number of threads and from any frame on, nothing in silence."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from upscale8k.runtime.media.video_stream import VideoStream
from upscale8k.runtime.video.read import frame_decoder
from upscale8k.runtime.video.read.frame_decoder import Decoding
from upscale8k.runtime.video.read.video_reader import open_video

from ..clips import packets, write

COUNT = 60
X264 = "mbtree=0"  # with it x264 makes other bytes in each run on processors with AVX-512
H264 = {"preset": "fast", "g": "20", "bf": "3", "threads": "1", "x264-params": X264}
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "h264.mkv": ("libx264", H264),
    "h264.ts": ("libx264", H264),
    "h264_open_groups.mkv": ("libx264", H264 | {"x264-params": f"{X264}:open-gop=1:scenecut=0"}),
    "hevc.mkv": ("libx265", {"preset": "fast", "x265-params": "keyint=20:log-level=none:pools=1:frame-threads=1"}),
    "mpeg2.ts": ("mpeg2video", {"g": "20", "bf": "2", "b": "2M"}),
    "mpeg4.avi": ("mpeg4", {"g": "20", "bf": "2", "b": "2M"}),
}
Pixels = list[tuple[int, bytes]]
ERROR = "the decoder meets an error after frame"


def moving() -> list[av.VideoFrame]:
    """A texture that moves over noise, so that what a decoder puts in place of lost blocks shows."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:144, :176]
    images = []
    for n in range(COUNT):
        wave = np.sin((x + 3 * n) / 7) * np.cos((y - 2 * n) / 11) * 90 + 128
        noisy = wave[..., None] + random.normal(0, 6, (144, 176, 3))
        images.append(
            av.VideoFrame.from_ndarray(noisy.clip(0, 255).astype(np.uint8), format="rgb24").reformat(format="yuv420p")
        )
    return images


def damage(path: Path, *numbers: int) -> Path:
    """Return a copy of the video in which the second half of these packets is zeros."""
    copy = path.with_stem(path.stem + "_damaged")
    with av.open(str(path)) as source, av.open(str(copy), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            data = bytearray(bytes(packet))
            if number in numbers:
                data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
            written = av.Packet(bytes(data))
            written.pts, written.dts, written.duration = packet.pts, packet.dts, packet.duration
            written.time_base, written.is_keyframe, written.stream = packet.time_base, packet.is_keyframe, stream
            out.mux(written)
    return copy


def collect(stream: VideoStream, first: int = 0) -> list[tuple[int, bytes]]:
    with stream.frames(first) as frames:
        return [(frame.pts, frame.pixels.tobytes()) for frame in frames]


def read_by(
    threads: int, path: Path, monkeypatch: pytest.MonkeyPatch, first: int = 0
) -> tuple[list[tuple[int, bytes]], list[str]]:
    monkeypatch.setattr(frame_decoder, "count_usable_cores", lambda: threads)
    said: list[str] = []
    return collect(open_video(path, on_message=said.append), first), said


@pytest.fixture(params=CODECS)
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    codec, options = CODECS[request.param]
    return damage(write(tmp_path / request.param, moving(), codec=codec, options=options), 27, 45)


@pytest.mark.parametrize("number", [COUNT - 1, COUNT - 2, COUNT - 5])
@pytest.mark.parametrize("name", CODECS)
def test_an_error_in_the_last_packets_is_not_lost(
    tmp_path: Path, name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last packet PyAV 18 returns the frames before an error, and neither the error nor the frames after it."""
    codec, options = CODECS[name]
    path = damage(write(tmp_path / name, moving(), codec=codec, options=options), number)
    expected, said = read_by(1, path, monkeypatch)
    assert len(expected) >= COUNT - 1
    for threads in (2, 4, 8):
        frames, said_here = read_by(threads, path, monkeypatch)
        assert frames == expected
        assert [ERROR in line for line in said_here] == [ERROR in line for line in said]


def test_frames_do_not_depend_on_the_number_of_threads(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, said = read_by(1, damaged, monkeypatch)
    assert ERROR in said[0]
    for threads in (2, 3, 8):
        frames, said_here = read_by(threads, damaged, monkeypatch)
        assert frames == expected
        assert ERROR in said_here[0]
        assert said_here[1:] == said[1:]


def test_frames_do_not_depend_on_where_reading_begins(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = read_by(4, damaged, monkeypatch)
    for first in (1, 22, 30, 44, 55):
        assert read_by(4, damaged, monkeypatch, first)[0] == expected[first:]


def test_frames_are_those_of_one_thread_of_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = damage(write(tmp_path / "a.mkv", moving(), codec="libx264", options=H264), 27, 45)
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = list(container.decode(video=0))
    corrupt = sum(frame.is_corrupt for frame in frames)
    intact = open_video(write(tmp_path / "b.mkv", moving(), codec="libx264", options=H264)).open()
    monkeypatch.setattr(frame_decoder, "count_usable_cores", lambda: 8)
    said: list[str] = []
    read = [frame.pixels for frame in open_video(path, on_message=said.append).open()]
    assert len(read) == len(frames) == COUNT
    lossless = write(tmp_path / "c.mkv", frames, codec="ffv1")
    assert all((a == b.pixels).all() for a, b in zip(read, open_video(lossless).open(), strict=True))
    assert sum(bool((a != b.pixels).any()) for a, b in zip(read, intact, strict=True)) >= 2
    count = "1 frame was" if corrupt == 1 else f"{corrupt} frames were"
    assert said[1:] == [f"a_damaged.mkv: {count} damaged; the decoder filled in what it could not read."]


def test_intact_videos_are_decoded_by_many_threads_from_any_frame_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames before a key frame of an open group refer to others that are not read after a seek: no damage."""
    seen: list[Decoding] = []
    decode = frame_decoder._decode_packets
    monkeypatch.setattr(frame_decoder, "_decode_packets", lambda *a: seen.append(a[-1]) or decode(*a))
    refresh = {"h264_intra_refresh.ts": ("libx264", H264 | {"x264-params": f"{X264}:intra-refresh=1"})}
    for name, (codec, options) in (CODECS | refresh).items():
        path = write(tmp_path / name, moving(), codec=codec, options=options)
        whole, said = read_by(8, path, monkeypatch)
        assert set(seen) == {Decoding.INTACT}
        last = seen.copy()
        for first in (1, 38, 47, 58):
            seen.clear()
            assert read_by(8, path, monkeypatch, first)[0] == whole[first:]
            assert Decoding.DAMAGED not in seen
        seen.clear()
        assert last
        assert not said


def test_a_recording_that_begins_within_a_group_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = H264 | {"x264-params": f"{X264}:open-gop=1:scenecut=0"}
    whole = write(tmp_path / "whole.ts", moving(), codec="libx264", options=options)
    data, place = whole.read_bytes(), packets(whole)[7][1]
    cut = tmp_path / "cut.ts"
    cut.write_bytes(data[: 188 * 3] + data[place // 188 * 188 :])
    frames, said = read_by(8, cut, monkeypatch)
    expected, _ = read_by(8, whole, monkeypatch)
    assert frames
    assert [pixels for _, pixels in frames] == [pixels for _, pixels in expected[-len(frames) :]]
    assert not any("error" in line for line in said)
