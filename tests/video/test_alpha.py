"""Alpha through videos: read, written and resumed by every codec that holds it, and named where one does not."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from upscale8k.runtime.errors import MediaError
from upscale8k.runtime.images.sequence_frames import make_frame_reader, make_frame_writer
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import Frame, VideoInfo, VideoStream
from upscale8k.runtime.video.read import decoder_process
from upscale8k.runtime.video.read.video_reader import open_video
from upscale8k.runtime.video.sequence.read import SequenceFrame, list_sequence_frames, open_sequence
from upscale8k.runtime.video.sequence.write import SequenceSettings, write_sequence
from upscale8k.runtime.video.write.encoders import ENCODERS
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from .helpers import RGB, Seen

SIZE = Size(66, 48)
TICK = Fraction(1, 1000)
TIMES = [0, 107, 200, 307, 400, 513]


def rgba(number: int) -> np.ndarray:
    """(48, 66, 4) uint16: smooth colors, and a soft edge of alpha that moves."""
    rows, columns = np.mgrid[: SIZE.height, : SIZE.width]
    alpha = np.clip((columns - 20 - 2 * number) * 4001, 0, 65535)
    colors = [columns * 900, rows * 1300, (rows + columns + 3 * number) * 500]
    return np.stack([*colors, alpha], axis=2).astype(np.uint16)


def video(**info: Any) -> VideoStream:
    def frames(first: int = 0) -> Iterator[Frame]:
        for number in range(first, len(TIMES)):
            yield Frame(rgba(number), TIMES[number], 0, TICK)

    facts = VideoInfo(SIZE, Fraction(10), TICK, len(TIMES), "header", None, RGB, 16, has_alpha=True, identity="rgba", **info)
    return VideoStream(facts, frames, frames)


def read(path: Path, first: int = 0) -> list[tuple[Fraction, np.ndarray]]:
    """Times in seconds, and (H, W, C) in 0..1."""
    with open_video(path, alpha=True).frames(first) as frames:
        return [(frame.seconds, frame.pixels / np.float64(np.iinfo(frame.pixels.dtype).max)) for frame in frames]


@pytest.mark.parametrize(
    ("codec", "container", "bits", "chroma", "limits"),
    [  # of colors and of alpha, in 8-bit steps: half a code of its depth, and what a lossy codec adds
        ("ffv1", "mkv", 16, "4:4:4", (0, 0)),
        ("ffv1", "mkv", 10, "4:4:4", (0.13, 0.13)),
        ("ffv1", "mkv", 8, "4:4:4", (0.5, 0.5)),
        ("ffv1", "mkv", 10, "4:2:0", (4, 0.13)),
        ("ffv1", "mkv", 8, "4:2:0", (5, 0.5)),
        ("prores", "mov", 10, "4:2:0", (2, 0.13)),
        ("vp9", "webm", 10, "4:2:0", (12, 2)),
        ("vp9", "mkv", 8, "4:2:0", (12, 2)),
    ],
)
def test_written_alpha_is_read_back_at_its_times(
    codec: Any, container: Any, bits: Any, chroma: Any, limits: tuple[float, float], tmp_path: Path
) -> None:
    path = tmp_path / f"out.{container}"
    write_video(video(), path, VideoWriteSettings(codec, container, bits, chroma, segment_seconds=Fraction(3, 10)), Seen())
    frames = read(path)
    assert [time for time, _ in frames] == [number * TICK for number in TIMES]
    for number, (_, pixels) in enumerate(frames):
        error = np.abs(pixels - rgba(number) / 65535).max(axis=(0, 1)) * 255
        assert error[:3].max() <= limits[0] + 1e-6
        assert error[3] <= limits[1] + 1e-6
    later = read(path, 4)  # VP9 goes on from a key frame, with a decoder of its own
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(later, frames[4:], strict=True))


def test_another_decoder_sees_the_alpha_of_prores_and_the_mark_of_vp9(tmp_path: Path) -> None:
    write_video(video(), tmp_path / "out.mov", VideoWriteSettings("prores", "mov"), Seen())
    with av.open(str(tmp_path / "out.mov")) as file:
        frame = next(file.decode(video=0))
        assert (frame.format.name, file.streams.video[0].codec_context.codec_tag) == ("yuva444p12le", "ap4h")
        alpha = frame.to_ndarray(format="rgba64le")[:, :, 3]
    assert np.abs(alpha.astype(int) - rgba(0)[:, :, 3]).max() <= 65535 / 1023
    write_video(video(), tmp_path / "out.webm", VideoWriteSettings("vp9", "webm"), Seen())
    assert b"\x53\xc0\x81\x01" in (tmp_path / "out.webm").read_bytes()  # AlphaMode 1 (Matroska, 53C0)


@pytest.mark.parametrize(("codec", "container"), [("prores", "mov"), ("ffv1", "mkv"), ("vp9", "webm")])
def test_a_killed_run_goes_on_with_the_same_bytes(codec: Any, container: Any, tmp_path: Path) -> None:
    settings = VideoWriteSettings(codec, container, segment_seconds=Fraction(2, 10))
    write_video(video(), tmp_path / f"whole.{container}", settings, Seen())
    with pytest.raises(KeyboardInterrupt):
        write_video(video(), tmp_path / f"killed.{container}", settings, Seen(limit=5))
    resumed = write_video(video(), tmp_path / f"killed.{container}", settings, Seen()).resumed_frames
    assert 0 < resumed < len(TIMES)
    assert (tmp_path / f"killed.{container}").read_bytes() == (tmp_path / f"whole.{container}").read_bytes()


@pytest.mark.parametrize("codec", ["hevc", "av1", "h264", "vp9"])
def test_a_codec_or_container_without_alpha_says_so_before_the_work(codec: Any, tmp_path: Path) -> None:
    seen = Seen()
    write_video(video(), tmp_path / "out.mp4", VideoWriteSettings(codec, "mp4", 8), seen)
    assert seen.messages[0] == (
        f"The video has an alpha channel, which {ENCODERS[codec].title} in mp4 cannot hold: it is left out. These codecs keep "
        "it: prores (mov or mkv), ffv1 (mkv), vp9 (webm or mkv)."
    )
    assert all(pixels.shape[2] == 3 for _, pixels in read(tmp_path / "out.mp4"))


@pytest.mark.parametrize(
    ("container", "has_alpha", "codec"),
    [("mov", True, "prores"), ("mkv", True, "ffv1"), ("webm", True, "vp9"), ("mp4", True, "hevc"), ("webm", False, "av1")],
)
def test_auto_takes_the_codec_of_the_container_that_keeps_alpha(
    container: Any, has_alpha: bool, codec: str, tmp_path: Path
) -> None:
    opaque = VideoStream(
        replace(video().info, has_alpha=False),
        lambda: (Frame(rgba(number)[:, :, :3], TIMES[number], 0, TICK) for number in range(2)),
    )
    path = tmp_path / f"out.{container}"
    write_video(video() if has_alpha else opaque, path, VideoWriteSettings("auto", container, 10), Seen())
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.codec.canonical_name == codec


@pytest.mark.parametrize("pixel_format", ["rgba", "rgba64be", "ya8", "ya16be", "argb"])
def test_alpha_of_packed_formats(pixel_format: str, tmp_path: Path) -> None:
    """Of an animated PNG, which has its bytes in the other order, and of QuickTime Animation, which has alpha first."""
    deep = "16" in pixel_format or "64" in pixel_format
    codec, container = ("qtrle", "mov") if pixel_format == "argb" else ("apng", "apng")
    path = tmp_path / f"in.{container}"
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = SIZE.width, SIZE.height, pixel_format
        for number in range(2):
            source = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgba(number)), format="rgba64le")
            file.mux(stream.encode(source.reformat(format=pixel_format)))
        file.mux(stream.encode(None))
    for number, (_, pixels) in enumerate(read(path)):
        error = np.abs(pixels[:, :, 3] - rgba(number)[:, :, 3] / 65535).max()
        assert error <= (1e-9 if deep else 1.2 / 255)  # swscale drops the lower bits


def test_alpha_comes_from_a_decoder_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(video(), tmp_path / "out.mkv", VideoWriteSettings("ffv1", "mkv", 16, "4:4:4"), Seen())
    monkeypatch.setenv("UPSCALE8K_DECODER_PROCESS", "1")
    monkeypatch.setattr(decoder_process, "check_survives", lambda request: None)  # saves one of two processes
    assert all(np.array_equal(pixels * 65535, rgba(number)) for number, (_, pixels) in enumerate(read(tmp_path / "out.mkv")))


def test_who_asks_for_no_alpha_is_told_that_there_is_one(tmp_path: Path) -> None:
    write_video(video(), tmp_path / "out.webm", VideoWriteSettings("vp9", "webm"), Seen())
    messages: list[str] = []
    with open_video(tmp_path / "out.webm", on_message=messages.append).frames() as frames:
        assert next(frames).pixels.shape[2] == 3
    assert messages == ["out.webm has an alpha channel, which is left out here."]


def test_images_keep_alpha_and_jpeg_says_that_it_does_not(tmp_path: Path) -> None:
    for suffix, channels in (("png", 4), ("tif", 4), ("jpg", 3)):
        seen, pattern = Seen(), tmp_path / f"%d.{suffix}"
        write_sequence(video(), pattern, SequenceSettings(make_frame_writer({}), 8 if suffix == "jpg" else 16), seen)
        said = [message for message in seen.messages if "alpha" in message]
        assert len(said) == (suffix == "jpg")
        stream = open_sequence(list_sequence_frames(pattern), Fraction(10), make_frame_reader(10_000, seen.message))
        assert stream.info.has_alpha == (channels == 4)
        with stream.frames() as frames:
            for number, frame in enumerate(frames):
                assert frame.pixels.shape[2] == channels
                if channels == 4:
                    np.testing.assert_array_equal(frame.pixels, rgba(number))


def test_an_image_without_alpha_among_others_is_opaque_and_the_only_transparent_one_is_refused(tmp_path: Path) -> None:
    pixels = {1: rgba(0), 2: rgba(0)[:, :, :3]}

    def open_images(first: int, second: int) -> VideoStream:
        frames = [SequenceFrame(tmp_path / str(number), index) for index, number in enumerate((first, second))]
        return open_sequence(frames, Fraction(10), lambda path: pixels[int(path.name)])

    for number in pixels:
        (tmp_path / str(number)).touch()
    with open_images(1, 2).frames() as opened:
        assert [frame.pixels[:, :, 3].min() for frame in opened] == [0, 65535]
    with open_images(2, 1).frames() as opened, pytest.raises(MediaError, match="1 has transparent pixels, and the first image"):
        list(opened)
