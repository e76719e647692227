"""Written videos: exact frames, exact times, tags that other programs read, and every way to fail."""

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from upscale8k.runtime.errors import HardwareMissing, MediaError, OutputError
from upscale8k.runtime.hardware.capacity import get_reserved_gpu_memory
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo, Frame, MasteringDisplay, VideoStream
from upscale8k.runtime.video.write import disk_space, video_writer
from upscale8k.runtime.video.write.encoders import ENCODERS
from upscale8k.runtime.video.write.encoding import Encoding, resolve_encoding
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..child import run_child
from ..helpers import RGB, SMALL, TICKS, Seen, frame_times, image, parts_folder, variable_times, video

QUICK = VideoWriteSettings("h264", "mp4", 8, preset="ultrafast", segment_seconds=Fraction(1, 3))
EXACT = VideoWriteSettings("ffv1", "mkv", 8, "4:4:4", segment_seconds=Fraction(1, 3))


def decoded(path: Path, format_: str) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format=format_) for frame in container.decode(video=0)]


def ffprobe(path: Path) -> dict[str, str]:
    if not shutil.which("ffprobe"):
        pytest.skip("ffprobe is not installed")
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_streams", "-of", "json", str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"][0]


def test_ffv1_in_444_gives_every_8_bit_frame_back_exactly(tmp_path: Path) -> None:
    size = Size(95, 79)
    report = write_video(video(25, size=size, color=RGB), tmp_path / "out.mkv", EXACT, Seen())
    frames = decoded(tmp_path / "out.mkv", "rgb24")
    assert [np.array_equal(frame, image(number, size)) for number, frame in enumerate(frames)] == [True] * 25
    assert (report.frames, report.resumed_frames, report.encoder) == (25, 0, "ffv1")
    assert report.bytes == (tmp_path / "out.mkv").stat().st_size


def test_frames_are_made_while_the_memory_of_a_hardware_encoder_is_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*arguments: Any, **more: Any) -> Encoding:
        return replace(resolve_encoding(*arguments, **more), gpu_bytes=123)

    stream, reserved = video(3), list[int]()

    def frames() -> Iterator[Frame]:
        for frame in stream.open():
            reserved.append(get_reserved_gpu_memory())
            yield frame

    monkeypatch.setattr(video_writer, "resolve_encoding", resolve)
    write_video(VideoStream(stream.info, frames), tmp_path / "out.mp4", QUICK, Seen())
    assert reserved == [123] * 3
    assert get_reserved_gpu_memory() == 0


def test_ffv1_in_16_bits_gives_every_16_bit_frame_back_exactly(tmp_path: Path) -> None:
    write_video(video(8, color=RGB, dtype=np.uint16), tmp_path / "out.mkv", replace(EXACT, bits=16), Seen())
    same: list[bool] = []
    with av.open(str(tmp_path / "out.mkv")) as container:
        for number, frame in enumerate(container.decode(video=0)):
            green, blue, red = (
                np.frombuffer(plane, np.uint16).reshape(-1, plane.line_size // 2)[:, : frame.width] for plane in frame.planes
            )
            same.append(np.array_equal(np.stack([red, green, blue], axis=-1), image(number, SMALL, np.uint16)))
    assert same == [True] * 8


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize(
    "color", [ColorInfo("bt709"), ColorInfo("smpte170m", "pc", "smpte170m", "smpte170m")], ids=["709", "601 full"]
)
def test_patches_come_back_from_a_lossless_file_as_the_equations_say(tmp_path: Path, bits: int, color: ColorInfo) -> None:
    """Rounding to Y'CbCr is all that may be lost: half a code each, which in 8 bits is up to 1.5 codes of blue."""
    patches = np.random.default_rng(5).integers(0, 256, (5, 6, 3), np.uint8)
    pixels = np.repeat(np.repeat(patches, 16, axis=0), 16, axis=1)
    stream = VideoStream(video(1, color=color).info, lambda: iter([Frame(pixels, 0, 0, TICKS)]))
    write_video(stream, tmp_path / "out.mkv", VideoWriteSettings("ffv1", "mkv", bits), Seen())
    with av.open(str(tmp_path / "out.mkv")) as container:
        frame = next(container.decode(video=0))
    dtype = np.uint8 if bits == 8 else np.uint16
    luma, cb, cr = (np.frombuffer(p, dtype).reshape(p.height, -1)[:, : p.width].astype(float) for p in frame.planes)
    luma, cb, cr = luma[8::16, 8::16], cb[4::8, 4::8], cr[4::8, 4::8]  # the middle of each patch
    kr, kb = (0.2126, 0.0722) if color.matrix == "bt709" else (0.299, 0.114)
    step = 2 ** (bits - 8)
    swing, chroma, black = (2**bits - 1, 2**bits - 1, 0) if color.range == "pc" else (219 * step, 224 * step, 16 * step)
    luma, cb, cr = (luma - black) / swing, (cb - 128 * step) / chroma, (cr - 128 * step) / chroma
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    error = np.stack([red, green, blue], axis=-1) * 255 - patches
    assert np.abs(error).max() < (1.7 if bits == 8 else 0.45)


@pytest.mark.parametrize("codec", ENCODERS)
def test_variable_times_survive_every_codec_in_every_container(tmp_path: Path, codec: str) -> None:
    times = variable_times(24)
    for container in ENCODERS[codec].containers:
        path = tmp_path / f"out.{container}"
        bits, chroma = next(iter(ENCODERS[codec].pixel_formats))
        settings = VideoWriteSettings(codec, container, bits, chroma, segment_seconds=Fraction(1, 3))
        write_video(video(24, times=[900 + time for time in times]), path, settings, Seen())
        expected = [(900 + time) * TICKS for time in times]
        found = frame_times(path)
        if container in ("mp4", "mov"):
            assert found == expected
        else:  # Matroska counts in milliseconds
            assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= Fraction(1, 2000)
        assert not parts_folder(path).exists()


def test_half_an_hour_of_variable_times_does_not_drift(tmp_path: Path) -> None:
    count = 1800  # one frame a second on average, at 1/90000 s
    times = [number * 90000 + (number * 7919) % 60000 for number in range(count)]
    stream = video(count, size=Size(16, 16), times=times)
    settings = VideoWriteSettings("h264", "mp4", 8, preset="ultrafast", segment_seconds=Fraction(20))
    write_video(stream, tmp_path / "out.mp4", settings, Seen())
    assert frame_times(tmp_path / "out.mp4") == [time * TICKS for time in times]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (VideoWriteSettings("hevc", "mp4", 10), {"codec_name": "hevc", "codec_tag_string": "hvc1", "pix_fmt": "yuv420p10le"}),
        (VideoWriteSettings("hevc", "mov", 10), {"codec_tag_string": "hvc1", "profile": "Main 10"}),
        (VideoWriteSettings("h264", "mkv", 8), {"codec_name": "h264", "pix_fmt": "yuv420p"}),
        (VideoWriteSettings("av1", "mp4", 10), {"codec_name": "av1", "pix_fmt": "yuv420p10le"}),
        (VideoWriteSettings("prores", "mov", 10), {"codec_name": "prores", "pix_fmt": "yuv422p10le"}),
        (VideoWriteSettings("vp9", "webm", 8), {"codec_name": "vp9", "pix_fmt": "yuv420p"}),
    ],
    ids=lambda value: f"{value.codec}-{value.container}" if isinstance(value, VideoWriteSettings) else "",
)
def test_ffprobe_reads_size_codec_and_color(tmp_path: Path, settings: VideoWriteSettings, expected: dict[str, str]) -> None:
    path = tmp_path / f"out.{settings.container}"
    color = ColorInfo("bt2020nc", "tv", "arib-std-b67" if settings.bits == 10 else "bt709", "bt2020")
    write_video(video(6, color=color), path, settings, Seen())
    found = ffprobe(path)
    assert {name: found[name] for name in expected} == expected
    assert (found["width"], found["height"]) == (SMALL.width, SMALL.height)
    assert found["color_space"] == "bt2020nc"
    assert found["color_primaries"] == "bt2020"
    assert found["color_transfer"] == color.transfer
    assert found["color_range"] == "tv"


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_hdr10_keeps_its_brightness_metadata(tmp_path: Path, codec: str) -> None:
    """A P3 display of 1000 cd/m2, as FFmpeg's decoder reads it."""

    def point(x: str, y: str) -> tuple[Fraction, Fraction]:
        return Fraction(x), Fraction(y)

    screen = MasteringDisplay(
        point("0.68", "0.32"),
        point("0.265", "0.69"),
        point("0.15", "0.06"),
        point("0.3127", "0.329"),
        Fraction("0.005"),
        Fraction(1000),
    )
    color = ColorInfo("bt2020nc", "tv", "smpte2084", "bt2020")
    made = video(6, color=color, mastering_display=screen, content_light=(1000, 400))
    write_video(made, tmp_path / "o.mp4", VideoWriteSettings(codec, "mp4", 10), Seen())
    with av.open(str(tmp_path / "o.mp4")) as container:
        frame = next(container.decode(video=0))
        display = bytes(frame.side_data.get("MASTERING_DISPLAY_METADATA"))
        light = bytes(frame.side_data.get("CONTENT_LIGHT_LEVEL"))
    numbers = struct.unpack_from("=22i", display)
    values = [Fraction(*numbers[i : i + 2]) for i in range(0, 20, 2)]
    expected = [*screen.red, *screen.green, *screen.blue, *screen.white, screen.min_luminance, screen.max_luminance]
    # AV1 keeps chromaticity in steps of 1/65536 and luminance in 1/256 and 1/16384
    assert max(abs(a - b) for a, b in zip(values, expected, strict=True)) < Fraction(1, 16000)
    assert struct.unpack_from("=2I", light) == (1000, 400)


def test_full_range_is_tagged_as_such(tmp_path: Path) -> None:
    write_video(video(3, color=ColorInfo("smpte170m", "pc", "smpte170m", "smpte170m")), tmp_path / "o.mp4", QUICK, Seen())
    found = ffprobe(tmp_path / "o.mp4")
    assert (found["color_range"], found["color_space"]) == ("pc", "smpte170m")


@pytest.mark.parametrize("codec", ENCODERS)
def test_pixels_that_are_not_square_stay_so(tmp_path: Path, codec: str) -> None:
    """In every container, as ffprobe and FFmpeg's decoder read it; WebM's own field counts whole pixels: 137 for 136.5."""
    for container in ENCODERS[codec].containers:
        path = tmp_path / f"o.{container}"
        formats = ENCODERS[codec].pixel_formats
        has_10_bits = (10, "4:2:0") in formats and codec != "vp9"  # which PyAV's libvpx writes in 8 bits only
        bits, chroma = (10, "4:2:0") if has_10_bits else next(iter(formats))
        write_video(video(3, pixel_aspect=Fraction(64, 45)), path, VideoWriteSettings(codec, container, bits, chroma), Seen())
        found = Fraction(*map(int, ffprobe(path)["sample_aspect_ratio"].split(":")))
        assert found == (Fraction(137, 96) if container == "webm" else Fraction(64, 45)), container
        assert len(decoded(path, "rgb24")) == 3


def test_odd_sizes_become_even_where_they_must_with_a_message(tmp_path: Path) -> None:
    seen = Seen()
    report = write_video(video(4, size=Size(97, 81)), tmp_path / "o.mp4", QUICK, seen)
    assert decoded(tmp_path / "o.mp4", "rgb24")[0].shape == (82, 98, 3)
    assert any("98x82 instead of 97x81" in note for note in report.notes)
    write_video(video(4, size=Size(97, 81)), tmp_path / "k.mkv", replace(EXACT, codec="hevc"), seen)
    assert decoded(tmp_path / "k.mkv", "rgb24")[0].shape == (81, 97, 3)


def test_metadata_is_where_comfyui_reads_it(tmp_path: Path) -> None:
    texts = {"prompt": json.dumps({"1": {"class_type": "VideoOut"}}), "workflow": json.dumps({"nodes": ["ä" * 3000]})}
    for name in ("o.mp4", "o.mkv", "o.mov"):
        write_video(video(3), tmp_path / name, replace(QUICK, container=name[2:], metadata=texts), Seen())
        with av.open(str(tmp_path / name)) as container:
            found = {key.lower(): text for key, text in container.metadata.items()}
        assert {key: found[key] for key in texts} == texts


def test_an_mp4_can_be_played_before_it_is_complete(tmp_path: Path) -> None:
    write_video(video(3), tmp_path / "o.mp4", QUICK, Seen())
    data = (tmp_path / "o.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_every_group_is_closed_and_every_segment_begins_with_a_key_frame(tmp_path: Path) -> None:
    write_video(video(35), tmp_path / "o.mp4", replace(QUICK, codec="hevc", preset=""), Seen())
    with av.open(str(tmp_path / "o.mp4")) as container:
        found = [(packet.pts, packet.is_keyframe) for packet in container.demux(video=0) if packet.size]
    keys = {pts for pts, key in found if key}
    assert {number * 3003 for number in range(0, 35, 10)} <= keys
    latest = 0
    for pts, key in found:  # in decoding order no frame after a key frame is displayed before it
        latest = pts if key else latest
        assert pts >= latest


def test_frames_whose_times_do_not_rise_are_moved_and_counted(tmp_path: Path) -> None:
    seen = Seen()
    write_video(video(4, times=[0, 3003, 3003, 9009]), tmp_path / "o.mp4", QUICK, seen)
    assert frame_times(tmp_path / "o.mp4") == [Fraction(time, 90000) for time in (0, 3003, 3004, 9009)]
    assert any("1 frames had a time" in text for text in seen.messages)


def test_progress_counts_every_frame(tmp_path: Path) -> None:
    seen = Seen()
    write_video(video(7), tmp_path / "o.mp4", QUICK, seen)
    assert seen.frames == 7


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (VideoWriteSettings("theora", "mp4"), "Unknown codec 'theora'"),
        (VideoWriteSettings("hevc", "avi"), "Unknown container 'avi'"),  # type: ignore[arg-type]
        (VideoWriteSettings("hevc", "webm"), "webm cannot hold HEVC. Choose mp4 or mkv or mov"),
        (VideoWriteSettings("av1", "mp4", 10, "4:4:4"), "libsvtav1 does not write AV1 with 10 bit 4:4:4"),
        (VideoWriteSettings("vp9", "webm", 10), "It writes 8 bit 4:2:0, 8 bit 4:4:4"),
        (VideoWriteSettings("hevc", "mp4", crf=18, bitrate=10_000_000), "both set"),
        (VideoWriteSettings("hevc", "mp4", crf=99), "Choose 0 (best) to 51"),
        (VideoWriteSettings("hevc", "mp4", bitrate=20), "too low"),
        (VideoWriteSettings("hevc", "mp4", preset="warp"), "Presets of libx265: ultrafast"),
    ],
    ids=lambda value: "" if isinstance(value, str) else f"{value.codec}-{value.container}",
)
def test_settings_that_do_not_go_together_are_refused_before_anything_is_made(
    tmp_path: Path, settings: VideoWriteSettings, words: str
) -> None:
    opened: list[int] = []
    with pytest.raises(OutputError) as caught:
        write_video(video(3, opened=opened), tmp_path / "o", settings, Seen())
    assert words in str(caught.value)
    assert not opened
    assert not list(tmp_path.iterdir())


def test_x265_buffers_no_frame_at_8k_and_keeps_the_requested_quality() -> None:
    at_4k, at_8k = (
        resolve_encoding("hevc", "mp4", 10, "4:2:0", size=Size(w, w * 9 // 16), keyframe_interval=24) for w in (3840, 7680)
    )
    asked = resolve_encoding("hevc", "mp4", 10, "4:2:0", size=Size(7680, 4320), keyframe_interval=24, crf=17)
    assert "rc-lookahead=10:bframes=3:frame-threads=1" in at_4k.options["x265-params"]
    assert "rc-lookahead=0:bframes=0:frame-threads=1" in at_8k.options["x265-params"]
    assert (at_4k.options["crf"], at_8k.options["crf"], asked.options["crf"]) == ("20", "24", "17")


def test_hdr_in_8_bits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Set bits to 10"):
        write_video(video(3, color=ColorInfo("bt2020nc", "tv", "smpte2084", "bt2020")), tmp_path / "o.mp4", QUICK, Seen())


@pytest.mark.parametrize("hardware", ["nvenc", "qsv", "amf", "videotoolbox"])
def test_hardware_either_works_or_is_reported_missing(tmp_path: Path, hardware: str) -> None:
    settings = VideoWriteSettings("hevc", "mp4", 10, hardware=hardware)  # type: ignore[arg-type]
    try:
        report = write_video(video(3, size=Size(256, 256)), tmp_path / "o.mp4", settings, Seen())
    except HardwareMissing as error:
        assert f"hevc_{hardware} does not work here" in error.what
        assert not list(tmp_path.iterdir())
    else:
        assert report.encoder == f"hevc_{hardware}"


def test_a_folder_that_cannot_be_written_has_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError) as caught:
        write_video(video(3), tmp_path / "file" / "o.mp4", QUICK, Seen())
    assert "not a folder" in str(caught.value)
    with pytest.raises(OutputError, match="is a folder"):
        write_video(video(3), tmp_path, QUICK, Seen())


def test_a_video_is_never_written_over_the_one_being_read(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes(b"precious")
    with pytest.raises(OutputError, match="is the source video"):
        write_video(video(3, source=source), source, QUICK, Seen())
    assert source.read_bytes() == b"precious"


def test_a_video_without_frames_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no frames"):
        write_video(video(0), tmp_path / "o.mp4", QUICK, Seen())
    assert not list(tmp_path.iterdir())


def test_a_frame_of_another_size_is_named_with_its_time(tmp_path: Path) -> None:
    def frames() -> Iterator[Frame]:
        yield Frame(image(0), 0, 0, TICKS)
        yield Frame(image(1, Size(48, 40)), 45000, 0, TICKS)

    with pytest.raises(MediaError, match=r"0.500 s is 48x40, but the video began as 96x80"):
        write_video(VideoStream(video(2).info, frames), tmp_path / "o.mp4", QUICK, Seen())
    assert not list(tmp_path.iterdir())


def test_what_the_producer_raises_comes_out_as_it_is(tmp_path: Path) -> None:
    closed: list[bool] = []

    def frames() -> Iterator[Frame]:
        try:
            yield Frame(image(0), 0, 0, TICKS)
            raise ZeroDivisionError("the model")
        finally:
            closed.append(True)

    with pytest.raises(ZeroDivisionError, match="the model"):
        write_video(VideoStream(video(2).info, frames), tmp_path / "o.mp4", QUICK, Seen())
    assert closed == [True]


def test_stopping_closes_the_recipe(tmp_path: Path) -> None:
    closed: list[bool] = []
    made = video(50)

    def frames() -> Iterator[Frame]:
        try:
            yield from made.open()
        finally:
            closed.append(True)

    with pytest.raises(KeyboardInterrupt):
        write_video(VideoStream(made.info, frames), tmp_path / "o.mp4", QUICK, Seen(limit=12))
    assert closed == [True]


def test_a_video_that_cannot_fit_is_refused_before_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    opened: list[int] = []
    long = video(3, opened=opened)
    long = VideoStream(replace(long.info, frame_count=100_000, size=Size(7680, 4320)), long.open, long.open_at)
    with pytest.raises(OutputError, match=r"too small: at least .* GB are needed and 1.0 MB are free"):
        write_video(long, tmp_path / "o.mp4", VideoWriteSettings(), Seen())
    assert not opened


def test_a_disk_that_fills_up_on_the_way_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([10**9, 10**9, 10**9, 10**5])
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, next(free, 10**5)))
    with pytest.raises(OutputError, match="for the next segment"):
        write_video(video(80), tmp_path / "o.mp4", QUICK, Seen())
    assert not (tmp_path / "o.mp4").exists()
    monkeypatch.undo()
    report = write_video(video(80), tmp_path / "o.mp4", QUICK, Seen())
    assert report.resumed_frames == 30
    assert len(frame_times(tmp_path / "o.mp4")) == 80


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_real_write_error_has_a_message_and_no_broken_file_has_the_final_name(tmp_path: Path, root: Path) -> None:
    script = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video
from video.helpers import Seen, video
from pathlib import Path
try:
    write_video(video(60), Path({str(tmp_path / "o.mkv")!r}), VideoWriteSettings("ffv1", "mkv", 8, "4:4:4"), Seen())
except OutputError as error:
    print(error)
"""
    done = run_child(root, script)
    assert "o.mkv: the file is larger than allowed there" in done.stdout, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) in ([], ["o.mkv.parts"])


@pytest.mark.slow
def test_memory_is_flat_over_300_frames(root: Path) -> None:
    """In its own process, with the encoder: the peak of the last 100 frames is that of the 100 before."""
    done = run_child(
        root,
        """
import json, tempfile
from dataclasses import replace
from pathlib import Path
import psutil
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.video.write.video_writer import write_video
from video.helpers import Seen, video
from video.write.test_video_writer import QUICK

process, held = psutil.Process(), []

class Measuring(Seen):
    def advance(self, frames: int = 1) -> None:
        super().advance(frames)
        held.append(process.memory_info().rss)

with tempfile.TemporaryDirectory() as folder:
    settings = replace(QUICK, codec="hevc", preset="ultrafast")
    write_video(video(300, size=Size(320, 240)), Path(folder) / "o.mp4", settings, Measuring())
print(json.dumps(held))
""",
    )
    assert done.returncode == 0, done.stderr
    held = json.loads(done.stdout.splitlines()[-1])
    assert len(held) == 301  # the first is reported before the work, for what an earlier run finished
    assert max(held[201:]) - max(held[101:201]) < 100 * 50_000  # a tenth of what is allowed; a frame kept would be 230 kB
