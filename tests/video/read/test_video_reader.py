import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from upscale8k.runtime.errors import MediaError, WorkflowError
from upscale8k.runtime.media.bounded_queue import prefetch_items
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import VideoStream
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.video.read.container import demux_packets as packets_of
from upscale8k.runtime.video.read.side_data import read_side_data
from upscale8k.runtime.video.read.video_reader import open_video
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..child import run_child
from ..clips import image, numbered, overwrite, packets, write

H264 = {"preset": "ultrafast", "qp": "0"}
GOP = {"preset": "medium", "qp": "0", "g": "12", "bf": "3"}
"""Key frames twelve apart, and B-frames, so that frames are stored in another order than they are displayed."""
WOVEN = {"flags": "+ildct+ilme", "preset": "ultrafast", "qp": "0", "x264-params": "tff=1"}
VFR = [0, 1001, 2002, 3003, 9000, 9100, 9200, 30000, 30100, 60000]


def numbers(stream: VideoStream) -> list[int]:
    """Return which frames of ``numbered`` these are, by their gray: Y' = 20 + 2 n."""
    grays = [float(frame.pixels.mean()) for frame in stream.open()]
    return [round((gray * 219 / 255 + 16 - 20) / 2) for gray in grays]


def times(stream: VideoStream) -> list[Fraction]:
    return [frame.seconds for frame in stream.open()]


def test_opening_twice_gives_equal_frames(tmp_path: Path) -> None:
    stream = open_video(write(tmp_path / "a.mp4", numbered(30), codec="libx264", options=GOP))
    first = [(f.pts, f.duration, f.pixels.tobytes()) for f in stream.open()]
    second = [(f.pts, f.duration, f.pixels.tobytes()) for f in stream.open()]
    assert first == second
    assert len(first) == stream.info.frame_count == 30


def test_two_readings_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    stream = open_video(write(tmp_path / "a.mp4", numbered(20), codec="libx264", options=GOP))
    pairs = list(zip(stream.open(), stream.open(), strict=True))
    assert len(pairs) == 20
    assert all((a.pixels == b.pixels).all() and a.pts == b.pts for a, b in pairs)


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", "mp4"), ("libx264", "mkv"), ("libx264", "ts"), ("ffv1", "mkv")])
def test_variable_frame_times_are_the_ones_written(tmp_path: Path, codec: str, suffix: str) -> None:
    base = Fraction(1, 90000)
    pts = [time // 90 * 90 for time in VFR] if suffix == "mkv" else VFR  # Matroska counts milliseconds
    options = GOP if codec == "libx264" else {}
    video = write(tmp_path / f"a.{suffix}", numbered(len(pts)), codec=codec, pts=pts, time_base=base, options=options)
    read = times(open_video(video))
    assert [time - read[0] for time in read] == [time * base for time in pts]


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [
        ("libx264", "mp4", GOP),
        ("libx264", "mkv", GOP),
        ("libx264", "ts", GOP),
        ("libx264", "avi", GOP),
        ("mpeg4", "avi", {"bf": "2"}),
        ("mpeg2video", "mpg", {"b": "2M"}),
        ("libvpx-vp9", "webm", {"deadline": "realtime"}),
    ],
)
def test_times_are_those_of_ffprobe(tmp_path: Path, codec: str, suffix: str, options: dict[str, str]) -> None:
    video = write(tmp_path / f"a.{suffix}", numbered(30), codec=codec, options=options)
    show = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp", "-of", "json"]
    said = json.loads(subprocess.run([*show, str(video)], capture_output=True, text=True, check=True).stdout)["frames"]
    read = [frame.pts for frame in open_video(video).open()]
    assert len(read) == len(said) == 30
    # The frames that an AVI decoder delayed to the end have no time there; ours continue at the same distance.
    assert [pts for pts, frame in zip(read, said, strict=True) if "best_effort_timestamp" in frame] == [
        frame["best_effort_timestamp"] for frame in said if "best_effort_timestamp" in frame
    ]
    if suffix == "avi":
        assert {after - before for before, after in pairwise(read)} == {1}


def test_frames_last_until_the_next_one(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", numbered(10), codec="libx264", pts=VFR, time_base=Fraction(1, 90000), options=H264)
    frames = list(open_video(video).open())
    assert [frame.duration for frame in frames[:-1]] == [b - a for a, b in pairwise(VFR)]


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("ts", "libx264"), ("avi", "mpeg4"), ("mpg", "mpeg2video")]
)
@pytest.mark.parametrize("first", [1, 11, 12, 13, 37, 59])
def test_start_is_exact_wherever_key_frames_are(tmp_path: Path, suffix: str, codec: str, first: int) -> None:
    options = GOP if codec == "libx264" else {"g": "12", "bf": "2", "b": "2M"}
    video = write(tmp_path / f"a.{suffix}", numbered(60), codec=codec, options=options)
    whole = list(open_video(video).open())
    begin = whole[0].seconds
    if suffix == "avi":
        begin = Fraction(0)  # the video begins at 0; its first frame is displayed later
    start = whole[first].seconds - begin
    stream = open_video(video, start=start)
    frames = list(stream.open())
    assert [frame.pixels.tobytes() for frame in frames] == [frame.pixels.tobytes() for frame in whole[first:]]
    assert [frame.seconds + stream.info.start for frame in frames] == [frame.seconds for frame in whole[first:]]
    assert frames[0].pts == 0


def test_start_is_exact_far_into_a_video_with_open_groups(tmp_path: Path) -> None:
    options = {"preset": "medium", "g": "40", "bf": "3", "x264-params": "open-gop=1", "qp": "0"}
    video = write(tmp_path / "a.mp4", numbered(200), codec="libx264", options=options, rate=10)
    for first in (39, 40, 41, 79, 80, 81, 120, 199):
        assert numbers(open_video(video, start=Fraction(first, 10)))[:3] == [n % 100 for n in range(first, min(first + 3, 200))]


def test_duration_and_cap_and_every_nth(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", numbered(50), codec="libx264", options=GOP)
    part = open_video(video, start=Fraction(2, 5), duration=Fraction(4, 5))
    assert numbers(part) == list(range(10, 30))
    assert (part.info.start, part.info.end) == (Fraction(2, 5), Fraction(6, 5))
    assert part.info.frame_count == 20
    assert part.info.duration == Fraction(4, 5)
    third = open_video(video, start=Fraction(2, 5), duration=Fraction(4, 5), every_nth=3)
    assert numbers(third) == [10, 13, 16, 19, 22, 25, 28]
    assert times(third) == [Fraction(3 * i, 25) for i in range(7)]
    assert [frame.duration * frame.time_base * 25 for frame in third.open()] == [3, 3, 3, 3, 3, 3, 2]
    assert third.info.frame_rate == Fraction(25, 3)
    assert third.info.frame_count == 7
    capped = open_video(video, every_nth=2, frame_cap=5)
    assert numbers(capped) == [0, 2, 4, 6, 8]
    assert capped.info.frame_count == 5
    assert capped.info.frame_count_source == "header"
    assert capped.info.end == Fraction(10, 25)
    assert len({stream.info.identity for stream in (part, third, capped, open_video(video))}) == 4


def test_a_cap_ends_the_sound_where_the_last_frame_ends_though_times_vary(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", numbered(10), codec="libx264", pts=VFR, time_base=Fraction(1, 90000), options=GOP)
    assert open_video(video, frame_cap=4).info.end == Fraction(9000, 90000)
    assert open_video(video, start=Fraction(3003, 90000), frame_cap=2).info.end == Fraction(9100, 90000)
    assert open_video(video, frame_cap=10).info.end is None


def test_a_video_whose_clock_begins_late_is_cut_by_the_video_and_not_by_the_clock(tmp_path: Path) -> None:
    video = write(tmp_path / "a.ts", numbered(50), codec="libx264", options=GOP, pts=list(range(35, 85)))
    begin = times(open_video(video))[0]
    assert begin == Fraction(35, 25)
    part = open_video(video, start=Fraction(1), duration=Fraction(1, 5))
    assert numbers(part) == [25, 26, 27, 28, 29]
    assert part.info.start == begin + 1
    assert times(part)[0] == 0


def test_reading_from_a_frame_number_on(tmp_path: Path) -> None:
    stream = open_video(write(tmp_path / "a.mp4", numbered(40), codec="libx264", options=GOP), every_nth=3)
    whole = [(frame.pts, frame.duration, frame.pixels.tobytes()) for frame in stream.open()]
    with stream.frames(9) as frames:
        assert [(frame.pts, frame.duration, frame.pixels.tobytes()) for frame in frames] == whole[9:]
    with stream.frames(len(whole)) as frames:
        assert list(frames) == []


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("start", {"start": Fraction(-1)}),
        ("start", {"start": Fraction(5)}),
        ("duration", {"duration": Fraction(0)}),
        ("frame_cap", {"frame_cap": 0}),
        ("every_nth", {"every_nth": 0}),
    ],
)
def test_ranges_without_a_frame_are_refused(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    video = write(tmp_path / "a.mkv", numbered(10))
    with pytest.raises(WorkflowError, match=name) as caught:
        open_video(video, **options)  # type: ignore[arg-type]
    assert caught.value.input_name == name


def quadrants(width: int, height: int) -> av.VideoFrame:
    """Brightness 60, 120 (upper left, right), 180, 220 (lower)."""
    luma = np.empty((height, width))
    luma[: height // 2, : width // 2], luma[: height // 2, width // 2 :] = 60, 120
    luma[height // 2 :, : width // 2], luma[height // 2 :, width // 2 :] = 180, 220
    chroma = np.full((height // 2, width // 2), 128)
    return image([luma, chroma, chroma], "yuv420p")


def corners(pixels: np.ndarray) -> list[int]:
    level = pixels[..., 1].astype(float) * 219 / 255 + 16
    return [round(level[y, x]) for y in (2, -3) for x in (2, -3)]


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [  # counter-clockwise, as in FFmpeg's av_display_rotation_get
        (0, [60, 120, 180, 220]),
        (90, [120, 220, 60, 180]),
        (180, [220, 180, 120, 60]),
        (-90, [180, 60, 220, 120]),
    ],
)
def test_videos_are_read_the_way_up_they_are_shown(tmp_path: Path, degrees: int, expected: list[int]) -> None:
    video = write(tmp_path / "a.mp4", [quadrants(64, 48)], codec="libx264", options=H264, rotation=degrees)
    stream = open_video(video)
    (frame,) = stream.open()
    assert frame.pixels.shape[:2] == (stream.info.size.height, stream.info.size.width)
    assert frame.pixels.flags.c_contiguous
    assert corners(frame.pixels) == expected


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_turning_agrees_with_ffmpeg(tmp_path: Path, degrees: int) -> None:
    video = write(tmp_path / "a.mp4", [quadrants(64, 48)], codec="libx264", options=H264, rotation=degrees)
    stream = open_video(video)
    (frame,) = stream.open()
    turn = ["ffmpeg", "-v", "error", "-i", str(video), "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    raw = subprocess.run(turn, capture_output=True, check=True).stdout
    theirs = np.frombuffer(raw, np.uint8).reshape(stream.info.size.height, stream.info.size.width)
    assert np.abs(theirs.astype(int) - frame.pixels[..., 1]).max() <= 2


@pytest.mark.parametrize("size", [(33, 47), (1, 1), (3, 2), (639, 5)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    stream = open_video(write(tmp_path / "a.mkv", numbered(2, *size)))
    assert stream.info.size == Size(*size)
    assert [frame.pixels.shape for frame in stream.open()] == [(size[1], size[0], 3)] * 2
    assert numbers(stream) == [0, 1]


def test_hdr_is_not_converted(tmp_path: Path) -> None:
    codes = [np.full((32, 32), 940), np.full((32, 32), 512), np.full((32, 32), 512)]
    tags = {"matrix": "bt2020nc", "range": "tv", "transfer": "smpte2084", "primaries": "bt2020"}
    stream = open_video(write(tmp_path / "a.mkv", [image(codes, "yuv444p10le")], tags=tags))
    (frame,) = stream.open()
    assert stream.info.color.is_hdr
    assert (frame.pixels == 65535).all()  # PQ code 940 is the top of the range, 10000 cd/m2, and stays the top


def test_alpha_is_dropped_with_a_message(tmp_path: Path) -> None:
    planes = [np.full((32, 32), 126), np.full((32, 32), 128), np.full((32, 32), 128), np.zeros((32, 32))]
    said: list[str] = []
    stream = open_video(write(tmp_path / "a.mkv", [image(planes, "yuva444p")], tags={"range": "tv"}), on_message=said.append)
    (frame,) = stream.open()
    assert (frame.pixels == 128).all()
    assert said == ["a.mkv has an alpha channel, which is left out here."]


@pytest.mark.parametrize(("suffix", "is_kept"), [("mkv", True), ("webm", True), ("mp4", False)])
def test_two_views_in_a_frame_are_said_because_not_every_container_keeps_their_mark(
    tmp_path: Path, suffix: Any, is_kept: bool
) -> None:
    plain, marked = write(tmp_path / "plain.mkv", numbered(3), codec="libx264", options=H264), tmp_path / "a.mkv"
    with av.open(plain) as source, av.open(marked, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.metadata["stereo_mode"] = "left_right"
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    said: list[str] = []
    opened = open_video(marked, on_message=said.append)
    assert len(said) == 1
    assert "a.mkv is stereo 3D" in said[0]
    settings = VideoWriteSettings("vp9" if suffix == "webm" else "h264", container=suffix, bits=8)
    with av.open(write_video(opened, tmp_path / f"b.{suffix}", settings, SilentProgress()).path) as container:
        frame = next(container.decode(video=0))
    assert ("STEREO3D" in read_side_data(frame)) is is_kept


@pytest.mark.parametrize("suffix", ["mov", "mp4"])
def test_times_in_units_of_half_a_nanosecond_are_kept_to_the_end(tmp_path: Path, suffix: Any) -> None:
    units, rate = 2_000_000_011, Fraction(30000, 1001)
    source = write(
        tmp_path / "a.mp4", numbered(300), codec="libx264", options=H264, rate=rate,
        container_options={"video_track_timescale": str(units)},
    )  # fmt: skip
    opened = open_video(source)
    assert opened.info.time_base == Fraction(1, units)
    settings = VideoWriteSettings("h264", container=suffix, bits=8)
    result = write_video(opened, tmp_path / f"b.{suffix}", settings, SilentProgress()).path
    assert times(open_video(result)) == [Fraction(round(number / rate * units), units) for number in range(300)]


def test_broken_packets_are_left_out_counted_and_leave_their_time_free(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", numbered(30), codec="libx264", options=H264 | {"g": "1"})
    for number in (7, 8, 20):
        _, place, size = packets(video)[number]
        overwrite(video, place, b"\xff" * size)
    said: list[str] = []
    stream = open_video(video, on_message=said.append)
    assert numbers(stream) == [n for n in range(30) if n not in (7, 8, 20)]
    assert times(open_video(video)) == [Fraction(n, 25) for n in range(30) if n not in (7, 8, 20)]
    assert said == [
        "a.mp4: the decoder meets an error after frame 6, so the 6 frames before are decoded again; one thread decodes the "
        "rest.",
        "a.mp4: 3 packets could not be decoded and left out; the frames around them keep their times.",
    ]


def test_frames_without_times_follow_the_frame_rate(tmp_path: Path) -> None:
    video = write(tmp_path / "a.h264", numbered(10), codec="libx264", options=GOP, format_="h264", rate=50)
    said: list[str] = []
    stream = open_video(video, on_message=said.append)
    assert times(stream) == [Fraction(n, 50) for n in range(10)]
    assert numbers(open_video(video)) == list(range(10))
    assert stream.info.frame_count is None
    assert stream.info.frame_count_source == "unknown"
    assert said == ["a.h264: 10 frames had no usable time; it was computed from the frames before."]


def test_times_that_run_backwards_are_fixed(tmp_path: Path) -> None:
    one = write(tmp_path / "1.ts", numbered(10), codec="mpeg2video", options={"b": "2M"}, format_="mpegts")
    video = tmp_path / "twice.ts"
    video.write_bytes(one.read_bytes() * 2)  # two recordings joined by hand: the clock begins again in the middle
    read = times(open_video(video))
    assert len(read) == 20
    assert all(after > before for before, after in pairwise(read))


def test_pyav_failing_on_a_stream_that_appeared_on_the_way_is_the_end_of_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyAV 18 looks up new MPEG-TS streams in its old list after the last packet of the ones it knows."""
    stream = open_video(write(tmp_path / "a.mkv", numbered(10)))

    class FailingContainer:
        def __init__(self, container: av.container.InputContainer) -> None:
            self.container = container

        def demux(self, video: object) -> Iterator[object]:
            yield from self.container.demux(video)
            raise IndexError("list index out of range")

    monkeypatch.setattr(
        "upscale8k.runtime.video.read.frame_decoder.demux_packets",
        lambda opened, video: packets_of(FailingContainer(opened), video),
    )
    assert numbers(stream) == list(range(10))


def test_a_cap_ends_the_sound_of_an_avi_too(tmp_path: Path) -> None:
    video = write(tmp_path / "a.avi", numbered(50), codec="mpeg4", sound="pcm_s16le")
    assert open_video(video, start=Fraction(1, 5), frame_cap=10).info.end == Fraction(15, 25)


def test_a_video_that_changes_its_size_is_refused_with_the_position(tmp_path: Path) -> None:
    small = write(tmp_path / "1.ts", numbered(10), codec="mpeg2video", options={"b": "2M"}, format_="mpegts")
    pts = list(range(10, 20))
    large = write(tmp_path / "2.ts", numbered(10, 96, 80), codec="mpeg2video", options={"b": "2M"}, format_="mpegts", pts=pts)
    video = tmp_path / "both.ts"
    video.write_bytes(small.read_bytes() + large.read_bytes())
    frames = open_video(video).open()
    assert [frame.pixels.shape for _, frame in zip(range(8), frames, strict=False)] == [(48, 64, 3)] * 8
    with pytest.raises(MediaError, match=r"both\.ts changes from 64x48 yuv420p to 96x80 yuv420p at frame 1[01] \(0\.\d+ s\)"):
        list(frames)  # the decoder may swallow a frame where the size changes, and one waits for the time of the next


def test_a_failing_disk_is_an_error_with_the_position_and_not_the_end_of_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write(tmp_path / "a.mkv", numbered(10))
    stream = open_video(video)

    def demux(*_: object) -> Iterator[object]:
        yield from read[:5]
        raise av.error.OSError(5, "Input/output error")

    with av.open(str(video)) as container:
        read = list(container.demux(video=0))
        monkeypatch.setattr("upscale8k.runtime.video.read.frame_decoder._demux_past_errors", demux)
        with pytest.raises(MediaError, match=r"a\.mkv cannot be read past frame \d \(0\.\d+ s\): Input/output error") as caught:
            list(stream.open())
    assert isinstance(caught.value.__cause__, av.error.FFmpegError)


def make_interlaced(count: int) -> list[av.VideoFrame]:
    """A bar that moves by four columns from field to field, the upper field first."""
    frames: list[av.VideoFrame] = []
    for number in range(count):
        luma = np.full((64, 96), 40)
        for field in (0, 1):
            left = 8 + 4 * (2 * number + field)
            luma[field::2, left : left + 16] = 200
        frames.append(image([luma, np.full((32, 48), 128), np.full((32, 48), 128)], "yuv420p"))
    return frames


def measure_combing(pixels: np.ndarray) -> float:
    """Return the mean difference between neighboring lines."""
    return float(np.abs(np.diff(pixels[..., 1].astype(float), axis=0)).mean())


def test_interlaced_videos_are_refused_unless_a_mode_is_chosen(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mkv", make_interlaced(8), codec="libx264", options=WOVEN)
    with pytest.raises(MediaError, match="interlaced") as caught:
        open_video(video)
    assert "bwdif" in caught.value.hint
    said: list[str] = []
    kept = list(open_video(video, deinterlace="keep", on_message=said.append).open())
    assert said == []
    whole = list(open_video(video, deinterlace="bwdif").open())
    assert [frame.seconds for frame in whole] == [frame.seconds for frame in kept]
    assert [frame.pixels.shape for frame in whole] == [(64, 96, 3)] * 8
    assert max(measure_combing(frame.pixels) for frame in whole[1:-1]) < 0.5 * min(
        measure_combing(frame.pixels) for frame in kept[1:-1]
    )


def render(*filters: tuple[str, str]) -> list[av.VideoFrame]:
    """The frames of a chain of FFmpeg's filters, the first of which is a source."""
    graph = av.filter.Graph()
    steps = [graph.add(name, options) for name, options in (*filters, ("format", "pix_fmts=yuv420p"))]
    steps.append(graph.add("buffersink"))
    for step, following in pairwise(steps):
        step.link_to(following)
    graph.configure()
    frames: list[av.VideoFrame] = []
    with suppress(av.error.EOFError):
        while True:
            frames.append(graph.vpull())
    return frames


FILM = ("testsrc2", "size=96x64:rate=24000/1001:duration=1.3")


@pytest.mark.parametrize("name", ["a.mkv", "a.avi"])
def test_inverse_telecine_finds_the_frames_of_the_film(tmp_path: Path, name: str) -> None:
    frames, film = render(FILM, ("telecine", "pattern=23")), render(FILM)
    rate, rebuilt = Fraction(30000, 1001), tmp_path / "film.mkv"
    video = write(tmp_path / name, frames, codec="ffv1", rate=rate)
    wanted = list(open_video(write(rebuilt, film, codec="ffv1", rate=Fraction(24000, 1001))).open())
    stream = open_video(video, deinterlace="telecine")
    found = list(stream.open())
    assert stream.info.frame_rate == Fraction(24000, 1001)
    assert len(found) == len(wanted) == 32
    assert [one.pixels.tobytes() for one in found] == [one.pixels.tobytes() for one in wanted]
    assert [float(one.seconds) for one in found] == pytest.approx([float(one.seconds) for one in wanted], abs=2e-3)
    with stream.frames(13) as later:  # where a killed run goes on
        assert [(one.pts, one.pixels.tobytes()) for one in later] == [(one.pts, one.pixels.tobytes()) for one in found[13:]]


@pytest.mark.parametrize("name", ["a.mkv", "a.avi"])
def test_double_rate_makes_a_frame_of_each_field(tmp_path: Path, name: str) -> None:
    video = write(tmp_path / name, make_interlaced(8), codec="mpeg2video", options={"flags": "+ildct+ilme", "b": "4M"})
    single, stream = list(open_video(video, deinterlace="bwdif").open()), open_video(video, deinterlace="bwdif double rate")
    double = list(stream.open())
    assert (stream.info.frame_rate, len(double)) == (2 * open_video(video, deinterlace="bwdif").info.frame_rate, 16)
    step = 1 / float(stream.info.frame_rate)
    assert np.diff([float(one.seconds) for one in double]) == pytest.approx([step] * 15, abs=2e-3)
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(double[::2], single, strict=True))
    assert all(not np.array_equal(one.pixels, other.pixels) for one, other in zip(double[1::2], single, strict=True))
    with stream.frames(5) as later:
        assert [(one.pts, one.pixels.tobytes()) for one in later] == [(one.pts, one.pixels.tobytes()) for one in double[5:]]
    part = open_video(video, deinterlace="bwdif double rate", frame_cap=5)
    assert (len(list(part.open())), part.info.frame_count) == (5, 5)


def test_inverse_telecine_refuses_what_it_would_round(tmp_path: Path) -> None:
    deep = [frame.reformat(format="yuv420p10le") for frame in render(FILM, ("telecine", ""))]
    video = write(tmp_path / "a.mkv", deep, codec="ffv1")
    with pytest.raises(MediaError, match="from yuv420p10le to yuv420p"):
        next(open_video(video, deinterlace="telecine").open())


def test_interlaced_frames_far_into_a_video_are_counted_and_reported(tmp_path: Path) -> None:
    """Between the positions that are probed before."""
    parts = [("progressive", {}, 36), ("woven", {"flags": "+ildct+ilme"}, 6), ("again", {}, 58)]
    video, begin = tmp_path / "all.ts", 0
    for name, flags, count in parts:
        options = {"b": "2M", "g": "1"} | flags
        pts = list(range(begin, begin + count))
        part = write(tmp_path / f"{name}.ts", numbered(count), codec="mpeg2video", options=options, format_="mpegts", pts=pts)
        video.write_bytes((video.read_bytes() if begin else b"") + part.read_bytes())
        begin += count
    said: list[str] = []
    assert len(list(open_video(video, on_message=said.append).open())) >= 98  # the decoder swallows a frame at each change
    assert said[-1:] in ([f"all.ts: {count} frames further in were interlaced and read as they are."] for count in (5, 6))


def test_frames_that_are_not_interlaced_pass_the_deinterlacer_unchanged(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", numbered(10), codec="libx264", options=GOP)
    plain = [(frame.pts, frame.pixels.tobytes()) for frame in open_video(video).open()]
    assert [(frame.pts, frame.pixels.tobytes()) for frame in open_video(video, deinterlace="bwdif").open()] == plain


def decoding_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("decode")]


def open_videos(folder: Path) -> list[str]:
    return [file.path for file in psutil.Process().open_files() if Path(file.path).is_relative_to(folder)]


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_closing_early_stops_the_thread_and_closes_the_file(tmp_path: Path, taken: int) -> None:
    stream = open_video(write(tmp_path / "a.mkv", numbered(50)), prefetch_bytes=20000)
    frames = stream.open()
    for _ in range(taken):
        next(frames)
    if taken:
        assert decoding_threads() == ["decode a.mkv"]
        assert open_videos(tmp_path)
    frames.close()  # type: ignore[attr-defined]
    assert decoding_threads() == []
    assert open_videos(tmp_path) == []


def test_a_deleted_video_is_an_error_and_closes_everything(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mkv", numbered(10))
    stream = open_video(video)
    video.unlink()
    with pytest.raises(MediaError, match="There is no file"):
        next(stream.open())
    assert decoding_threads() == []
    assert open_videos(tmp_path) == []


def test_no_more_than_the_allowed_bytes_wait() -> None:
    made: list[int] = []

    def produce() -> Iterator[bytes]:
        for number in range(40):
            made.append(number)
            yield bytes(1000)

    items = prefetch_items(produce, len, max_bytes=5000, name="test")
    for taken, _ in enumerate(items, start=1):
        time.sleep(0.002)
        assert len(made) <= taken + 5 + 1  # five wait, one is being produced
    assert len(made) == 40


def test_two_items_may_wait_however_large_they_are() -> None:
    items = prefetch_items(lambda: iter([bytes(1000)] * 5), len, max_bytes=10, name="test")
    assert [len(item) for item in items] == [1000] * 5


def test_reading_300_frames_takes_no_more_memory_than_reading_50(tmp_path: Path, root: Path) -> None:
    gray = np.full((180, 320), 128)
    frames = [image([np.full((360, 640), 50 + i % 100), gray, gray], "yuv420p") for i in range(300)]
    video = write(tmp_path / "a.mp4", frames, codec="libx264", options=H264)
    script = f"""
from pathlib import Path
import psutil
from upscale8k.runtime.video.read.video_reader import open_video
process = psutil.Process()
for _ in open_video(Path({str(video)!r}), prefetch_bytes=2 << 20).open():
    print(process.memory_info().rss)
"""
    done = run_child(root, script)
    levels = [int(line) for line in done.stdout.split()]
    assert len(levels) == 300, done.stderr
    assert levels[-1] - levels[49] < 250 * 50_000  # a frame is 691200 bytes


def _join(path: Path, colors: list[dict[str, str]]) -> Path:
    """Append recordings of one gray and one red image whose color tags differ."""
    y, u, v = np.full((48, 64), 90), np.full((24, 32), 100), np.full((24, 32), 200)
    parts = [
        write(path.with_name(f"{number}.ts"), [image([y, u, v], "yuv420p")] * 10, codec="libx264", options=H264, tags=tags)
        for number, tags in enumerate(colors)
    ]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def test_each_part_of_a_recording_is_converted_by_its_own_tags(tmp_path: Path) -> None:
    tags = [{"matrix": name, "transfer": name, "primaries": name, "range": "tv"} for name in ("bt709", "smpte170m", "bt709")]
    alone = {each["matrix"]: next(open_video(_join(tmp_path / "one.ts", [each])).open()).pixels.copy() for each in tags}
    assert np.abs(alone["bt709"].astype(int) - alone["smpte170m"]).max() > 10
    said: list[str] = []
    frames = [frame.pixels.copy() for frame in open_video(_join(tmp_path / "a.ts", tags), on_message=said.append).open()]
    assert len(frames) == 30
    for number, frame in enumerate(frames):
        assert np.array_equal(frame, alone[("bt709", "smpte170m", "bt709")[number // 10]]), number
    assert any("changes its colors from bt709/bt709/bt709 to smpte170m/smpte170m/smpte170m at frame 1" in text for text in said)


def test_a_change_from_sdr_to_hdr_is_an_error(tmp_path: Path) -> None:
    sdr = {"matrix": "bt709", "transfer": "bt709", "primaries": "bt709", "range": "tv"}
    hdr = {"matrix": "bt2020nc", "transfer": "smpte2084", "primaries": "bt2020", "range": "tv"}
    with pytest.raises(MediaError, match=r"changes its colors from bt709/bt709/bt709 to bt2020nc/smpte2084/bt2020 at frame 1"):
        list(open_video(_join(tmp_path / "a.ts", [sdr, hdr])).open())


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "avi"])
def test_a_video_that_ends_before_its_header_says_is_reported(tmp_path: Path, suffix: str) -> None:
    video = write(tmp_path / f"a.{suffix}", numbered(100), codec="mpeg4", options={"g": "1"})
    said: list[str] = []
    assert len(list(open_video(video, on_message=said.append).open())) == 100
    assert not said
    quarter = packets(video)[25][1]
    if suffix == "mkv":
        overwrite(video, quarter + 200, bytes(video.stat().st_size - quarter - 200))
    else:
        end = packets(video)[-1][1]
        overwrite(video, quarter, bytes(end - quarter))
    count = len(list(open_video(video, on_message=said.append).open()))
    assert count < 100
    assert any("announces 4.000 s, and its video ends after" in text or "could not be decoded" in text for text in said), said


def test_a_part_is_not_reported_as_an_early_end(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", numbered(100), codec="libx264", options=H264)
    said: list[str] = []
    for part in ({"duration": Fraction(1)}, {"frame_cap": 9}, {"start": Fraction(3)}, {"every_nth": 7}):
        list(open_video(video, on_message=said.append, **part).open())
    assert not said
