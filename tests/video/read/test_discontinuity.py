"""Clocks that jump, and frames missing from the file: time continues, nothing fails, and a message reports it."""

from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from upscale8k.runtime.comfyui.types.video import open_video_value
from upscale8k.runtime.video.read import timestamps
from upscale8k.runtime.video.read.probe import read_video_info
from upscale8k.runtime.video.read.video_reader import open_video
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..clips import numbered, write
from ..helpers import Seen, frame_times, packets

WRAP = Fraction(2**33, 90000)
"""Seconds after which the clock of MPEG-TS begins again, ISO/IEC 13818-1 section 2.4.2.2: a bit more than 26 hours."""
FRAMES = 50
QUICK = VideoWriteSettings("h264", "mp4", 8, preset="ultrafast")


def recording(path: Path, begin: Fraction) -> bytes:
    """Two seconds of MPEG-TS whose clock begins at ``begin`` seconds: 25 frames a second, audio packets of 24 ms."""
    with av.open(str(path), "w", format="mpegts", options={"mpegts_copyts": "1"}) as out:
        image = out.add_stream("mpeg2video", rate=25, options={"g": "10"})
        image.width, image.height, image.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream("mp2", rate=48000, layout="mono")
        for number, frame in enumerate(numbered(FRAMES)):
            frame.time_base = Fraction(1, 25)
            frame.pts = number + round(begin * 25)
            out.mux(image.encode(frame))
        out.mux(image.encode(None))
        for number in range(FRAMES * 40 // 24):
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
            tone.sample_rate, tone.time_base = 48000, Fraction(1, 48000)
            tone.pts = number * 1152 + round(begin * 48000)
            out.mux(sound.encode(tone))
        out.mux(sound.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize(
    "begins",
    [(100, 36_000), (36_000, 100), (100, 36_000, 10), (WRAP - 1,)],
    ids=["hours forward", "hours back", "forward and back", "the clock wraps"],
)
def test_a_clock_that_jumps_by_hours_makes_a_video_without_a_break(tmp_path: Path, begins: tuple[Fraction | int, ...]) -> None:
    source, out = tmp_path / "source.ts", tmp_path / "out.mp4"
    source.write_bytes(b"".join(recording(tmp_path / f"{place}.ts", Fraction(begin)) for place, begin in enumerate(begins)))
    seen = Seen()
    stream = open_video(source, on_message=seen.message)
    assert stream.info.frame_count in (None, FRAMES * len(begins))
    write_video(stream, out, QUICK, seen)
    times = frame_times(out)
    assert len(times) == FRAMES * len(begins)
    steps = {round(after - before, 4) for before, after in pairwise(times)}
    assert steps == {Fraction(1, 25)}
    assert times[0] >= 0
    sound = [time for time, _ in packets(out, "audio")]
    assert len(sound) == FRAMES * 40 // 24 * len(begins)
    assert abs((sound[0] - times[0]) - (_first(source, "audio") - _first(source, "video"))) < Fraction(1, 1000)
    assert abs((sound[-1] - sound[0]) - (times[-1] - times[0])) < Fraction(1, 10)
    jumps = len(begins) - 1
    assert len([text for text in seen.messages if "its clock jumps at" in text]) == (jumps > 0)


def _first(path: Path, kind: str) -> Fraction:
    return packets(path, kind)[0][0]


def test_a_range_after_a_jump_is_found_by_continuous_time(tmp_path: Path) -> None:
    source = tmp_path / "source.ts"
    source.write_bytes(recording(tmp_path / "a.ts", Fraction(100)) + recording(tmp_path / "b.ts", Fraction(36_000)))
    frames = list(open_video(source, start=Fraction(3), duration=Fraction(1, 2)).open())
    assert [int(frame.pixels[0, 0, 0]) for frame in frames] == _levels(source)[75:88]
    assert abs(frames[0].seconds) < Fraction(1, 50)


def _levels(path: Path) -> list[int]:
    return [int(frame.pixels[0, 0, 0]) for frame in open_video(path).open()]


def test_a_recording_is_read_through_once_for_its_jumps_and_again_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source.ts"
    parts = [recording(tmp_path / f"{begin}.ts", Fraction(begin)) for begin in (100, 36_000)]
    source.write_bytes(parts[0] + parts[1])
    read: list[str] = []

    def counted(container: Any, stream: Any) -> Any:
        read.append(container.name)
        return packets_of(container, stream)

    packets_of = timestamps.demux_packets
    monkeypatch.setattr(timestamps, "demux_packets", counted)
    assert [len(timestamps.find_clock_offsets(source)) for _ in range(3)] == [2, 2, 2]
    assert len(read) == 1
    source.write_bytes(parts[0] + parts[1] + parts[0])
    assert len(timestamps.find_clock_offsets(source)) == 3
    assert len(read) == 2


def test_an_hour_that_the_clock_skips_is_not_counted_as_frames(tmp_path: Path) -> None:
    """Two recordings of four minutes and a bit, ten hours apart: the container announces ten hours."""
    images = numbered(130)
    parts = []
    for begin in (0, 36_000):
        pts = [number * 2 + begin for number in range(len(images))]
        video = write(
            tmp_path / f"{begin}.ts", images, codec="mpeg2video", rate=25, pts=pts, time_base=Fraction(1), format_="mpegts"
        )
        parts.append(video.read_bytes())
    video = tmp_path / "both.ts"
    video.write_bytes(b"".join(parts))
    info = read_video_info(video)
    assert info.duration is not None
    assert info.duration > 36_000
    assert (info.frame_count, info.frame_count_source) == (None, "unknown")


def test_a_cluster_that_is_cut_out_of_matroska_is_reported_and_the_others_keep_their_times(tmp_path: Path) -> None:
    video = write(
        tmp_path / "whole.mkv", numbered(100), codec="ffv1", container_options={"cluster_time_limit": "400", "live": "1"}
    )
    clusters = _places(video.read_bytes(), b"\x1f\x43\xb6\x75")
    assert len(clusters) > 5
    cut = tmp_path / "cut.mkv"
    data = video.read_bytes()
    cut.write_bytes(data[: clusters[3]] + data[clusters[4] :])
    was, now = frame_times(video), frame_times(cut)
    lost = [time for time in was if time not in now]
    assert lost
    said: list[str] = []
    frames = list(open_video(cut, on_message=said.append).open())
    assert [frame.seconds for frame in frames] == now
    gap = float(lost[-1] - lost[0] + Fraction(2, 25))
    begin = float(lost[0] - Fraction(1, 25))
    count = f"{len(lost)} frame{'s' if len(lost) > 1 else ''}"
    lacks = f"the file seems to lack about {count}, first for {gap:.3f} s at {begin:.3f} s"
    assert said == [f"cut.mkv: {lacks} (or the video stands still there); the others keep their times."]


def test_progress_has_no_total_if_the_number_of_frames_is_unknown(tmp_path: Path) -> None:
    source, totals = tmp_path / "source.ts", []
    source.write_bytes(recording(tmp_path / "a.ts", Fraction(100)) + recording(tmp_path / "b.ts", Fraction(36_000)))

    @contextmanager
    def progress(total: int, unit: str) -> Generator[Any]:
        totals.append((total, unit))
        yield Watching()

    open_video_value(source, progress, 0.0, 0.0, None, 1, "refuse").write(tmp_path / "out.mp4", QUICK)
    assert totals == [(0, "frame")]
    assert len(frame_times(tmp_path / "out.mp4")) == 2 * FRAMES


class Watching(Seen):
    def preview(self, pixels: np.ndarray) -> None:
        assert pixels.shape == (48, 64, 3)


def _places(data: bytes, what: bytes) -> list[int]:
    found = [0]
    while (place := data.find(what, found[-1] + 1)) >= 0:
        found.append(place)
    return found[1:]


def test_a_video_with_uneven_times_lacks_nothing(tmp_path: Path) -> None:
    times = [0]
    for step in [40, 33, 40, 200, 41, 33] * 10:
        times.append(times[-1] + step)
    video = write(tmp_path / "vfr.mkv", numbered(len(times)), pts=times, time_base=Fraction(1, 1000))
    said: list[str] = []
    assert len(list(open_video(video, on_message=said.append).open())) == len(times)
    assert said == []
