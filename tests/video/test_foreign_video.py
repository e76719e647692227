"""VIDEO values of ComfyUI in our nodes, and ours in ComfyUI's: frames one by one, unchanged."""

import inspect
import sys
from abc import ABC, abstractmethod
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import psutil
import pytest
import torch
from upscale8k.runtime.comfyui.builtin.video import VideoComponents, VideoFromComponents, VideoFromFile
from upscale8k.runtime.comfyui.types.foreign_video import make_range_opener
from upscale8k.runtime.comfyui.types.video import (
    VideoValue,
    _find_video_input,
    map_video_value,
    open_video_value,
    write_video_value,
)
from upscale8k.runtime.errors import OutOfMemory, OutputError, WorkflowError
from upscale8k.runtime.media.video_stream import VideoStream
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings

from .helpers import make_source, packets

EXACT = VideoWriteSettings("ffv1", "mkv", 16, "4:4:4")


def silent(total: int, unit: str) -> SilentProgress:
    return SilentProgress()


def unchanged(value: Any) -> VideoValue:
    return map_video_value(value, silent, lambda stream, on_message: stream)


def opened(path: Path, **more: Any) -> VideoValue:
    asked = {"start": 0.0, "duration": 0.0, "frame_cap": None, "every_nth": 1, "deinterlace": "refuse"} | more
    return open_video_value(path, silent, **asked)


def images(count: int = 6, channels: int = 3) -> torch.Tensor:
    return torch.rand((count, 32, 48, channels), generator=torch.Generator().manual_seed(3))


def sound(seconds: float = 0.25) -> dict[str, Any]:
    at = torch.arange(int(48000 * seconds)) / 48000
    return {"waveform": torch.stack([torch.sin(at * 3000), torch.cos(at * 2000) / 2])[None], "sample_rate": 48000}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of 30 frames, sound and subtitles."""
    return make_source(tmp_path_factory.mktemp("clip") / "clip.mp4", text="mov_text")


def times(stream: VideoStream) -> list[float]:
    return [round(float(frame.seconds), 4) for frame in stream.open()]


# Into our nodes.


def test_images_in_memory_are_streamed_to_16_bits_exactly() -> None:
    eighths = (images() * 255).round() / 255
    stream = unchanged(VideoFromComponents(VideoComponents(eighths, Fraction(24), None))).stream
    frames = [frame.pixels.copy() for frame in stream.open()]
    assert frames[0].dtype == np.uint16
    np.testing.assert_array_equal(np.stack(frames), (eighths * 255).round().numpy().astype(np.uint16) * 257)
    assert (stream.info.frame_rate, stream.info.frame_count, times(stream)[1]) == (24, 6, round(1 / 24, 4))


def test_their_audio_is_copied_and_ends_with_the_frames(tmp_path: Path) -> None:
    """FLAC of 24 bits: what comes out differs from the floats by half a step at most."""
    heard = sound(1.0)  # the video is a quarter of a second long
    made = VideoFromComponents(VideoComponents(images(), Fraction(24), heard))
    path = write_video_value(made, silent, EXACT, lambda width, height: tmp_path / "o.mkv")
    parts = VideoFromFile(path).get_components()
    samples = parts.audio["waveform"]
    assert samples.shape[-1] == pytest.approx(12000, abs=4608)  # whole packets
    kept = min(samples.shape[-1], 12000)
    assert torch.allclose(samples[..., :kept], heard["waveform"][..., :kept], atol=2**-23)


def test_a_part_of_images_is_that_part() -> None:
    made = VideoFromComponents(VideoComponents(images(), Fraction(24), sound()))
    cut = unchanged(made).as_trimmed(2 / 24, 3 / 24)
    frames = [frame.pixels.copy() for frame in cut.stream.open()]
    whole = [frame.pixels.copy() for frame in unchanged(made).stream.open()]
    np.testing.assert_array_equal(np.stack(frames), np.stack(whole[2:5]))
    assert (cut.stream.info.start, cut.stream.info.end) == (Fraction(2, 24), Fraction(5, 24))


def test_equal_images_have_one_identity() -> None:
    def identity(images: torch.Tensor) -> str:
        return unchanged(VideoFromComponents(VideoComponents(images, Fraction(24), None))).stream.info.identity

    other = images()
    other[3, 3, 3, 1] += 0.01
    assert identity(images()) == identity(images()) != identity(other)


class TheirInput(ABC):
    """As in ``comfy_api``: a base class that would encode the frames to return a file."""

    @abstractmethod
    def get_components(self) -> Any: ...

    def get_stream_source(self) -> Any:
        raise AssertionError("the frames were encoded")


class TheirImages(TheirInput):
    def get_components(self) -> Any:
        return VideoComponents(images(), Fraction(24), None)


class TheirFile(TheirInput):
    def __init__(self, source: Any) -> None:
        self.source = source

    def get_components(self) -> Any:
        raise AssertionError("all frames were asked for")

    def get_stream_source(self) -> Any:
        return self.source

    def get_active_trim_window(self) -> tuple[float, float]:
        return 0.5, 1.0


def test_comfyuis_images_are_never_encoded_on_the_way() -> None:
    assert unchanged(TheirImages()).stream.info.frame_count == 6


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_video_of_comfyuis_is_read_from_its_file_and_only_its_part(clip: Path, in_memory: bool) -> None:
    video = unchanged(TheirFile(BytesIO(clip.read_bytes()) if in_memory else str(clip)))
    assert len(times(video.stream)) == 30
    assert video.get_duration() == pytest.approx(1.0)
    assert len(times(video.as_trimmed(0.5, 0.0).stream)) == 15


@pytest.mark.parametrize("value", [None, 3, "video.mp4", torch.zeros(1, 8, 8, 3)])
def test_a_value_that_is_not_a_video_has_a_message(value: Any) -> None:
    with pytest.raises(WorkflowError, match="A VIDEO was expected"):
        unchanged(value)


@pytest.mark.parametrize("apart", [False, True])
def test_alpha_goes_in_and_out(apart: bool) -> None:
    """As the fourth channel of IMAGE, or beside it, as ComfyUI's Load Video gives it."""
    rgba = images(channels=4)
    parts = (
        VideoComponents(rgba[..., :3], Fraction(24), None, alpha=rgba[..., 3:])
        if apart
        else VideoComponents(rgba, Fraction(24))
    )
    value = unchanged(VideoFromComponents(parts))
    codes = (rgba.double() * 65535 + 0.5).numpy().astype(np.uint16)
    frames = [frame.pixels for frame in value.stream.open()]
    assert value.stream.info.has_alpha
    np.testing.assert_array_equal(frames, codes)
    found = value.get_components()
    assert torch.equal(torch.cat((found.images, found.alpha), dim=-1), torch.as_tensor(codes / np.float32(65535)))
    opaque = unchanged(VideoFromComponents(VideoComponents(rgba[..., :3], Fraction(24), None)))
    assert opaque.stream.info.identity != value.stream.info.identity
    assert opaque.get_components().alpha is None


# Out of our nodes.


def test_our_video_taken_apart_is_what_comfyui_makes_of_its_file(clip: Path) -> None:
    ours, theirs = opened(clip).get_components(), VideoFromFile(clip).get_components()
    assert ours.images.shape == theirs.images.shape
    assert (ours.images - theirs.images).abs().mean() < 0.01  # their chroma is interpolated differently
    assert ours.frame_rate == theirs.frame_rate
    assert torch.equal(ours.audio["waveform"], theirs.audio["waveform"])


def test_a_part_of_ours_is_that_part_of_the_sound_too(clip: Path) -> None:
    parts = opened(clip).as_trimmed(0.5, 0.5).get_components()
    assert len(parts.images) == 15
    assert parts.audio["waveform"].shape[-1] == 24000


def test_frames_that_do_not_fit_are_refused_before_the_first(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = opened(clip)
    needed = value.memory_of_components()
    assert needed == 60 * 64 * 48 * 3 * 4

    class Memory:
        available = needed

    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory)
    with pytest.raises(OutOfMemory, match=r"60 frames of 64x48 take 0\.0 GB as IMAGE.*Tiled Upscale Video"):
        value.get_components()


def test_a_slice_reads_and_changes_its_own_frames_only(clip: Path) -> None:
    seconds: list[float] = []

    def transform(stream: VideoStream, on_message: Any) -> VideoStream:
        def record(frame: Any) -> Any:
            seconds.append(float(frame.seconds))
            return frame

        return stream.map(record, "recorded")

    video = map_video_value(opened(clip), silent, transform).as_trimmed(1.5, 0.25)
    assert len(times(video.stream)) == len(seconds) == 8
    assert video.as_trimmed(0.1, 0.1).get_duration() == pytest.approx(0.1)


def test_slices_are_counted_as_comfyui_counts_them(clip: Path) -> None:
    video = opened(clip)
    assert video.as_trimmed(-0.5, 0.0).get_duration() == pytest.approx(0.5, abs=0.01)
    assert video.as_trimmed(5.0, 0.0) is None
    assert video.as_trimmed(1.0, 5.0, strict_duration=True) is None
    assert video.as_trimmed(1.0, 5.0).get_duration() == pytest.approx(1.0, abs=0.01)


def test_a_slice_of_a_capped_video_ends_where_the_video_does(clip: Path) -> None:
    video = opened(clip, start=0.5, frame_cap=15)
    assert len(times(video.stream)) == 15
    assert len(times(video.as_trimmed(0.2, 0.0).stream)) == 9


def test_saved_as_comfyui_saves_it_it_is_h264_with_the_sound_and_the_workflow(clip: Path, tmp_path: Path) -> None:
    opened(clip).save_to(str(tmp_path / "o.mp4"), format="auto", codec="auto", metadata={"prompt": {"1": {}}}, crf=23.0)
    saved = VideoFromFile(tmp_path / "o.mp4").get_components()
    assert len(saved.images) == 60
    assert saved.metadata["prompt"] == '{"1": {}}'
    assert packets(tmp_path / "o.mp4", "audio") == packets(clip, "audio")
    buffer = BytesIO()
    opened(clip).save_to(buffer)
    assert VideoFromFile(buffer).get_frame_count() == 60


# The contract of ComfyUI 0.38, and videos with edits that their file does not contain.

# comfy_api/latest/_input/video_types.py
CONTRACT = {
    "get_components": [],
    "save_to": ["path", "format", "codec", "metadata", "bit_depth", "crf", "color_space", "preset"],
    "get_color_space": [],
    "as_trimmed": ["start_time", "duration", "strict_duration"],
    "as_cropped": ["x", "y", "width", "height"],
    "as_resized": ["width", "height", "upscale_method", "crop", "post_crop"],
    "get_stream_source": [],
    "has_pending_frame_edits": [],
    "get_active_trim_window": [],
    "get_dimensions": [],
    "get_display_dimensions": [],
    "get_bit_depth": [],
    "get_duration": [],
    "get_frame_count": [],
    "get_frame_rate": [],
    "get_container_format": [],
}


@pytest.mark.parametrize("cls", [VideoValue, VideoFromFile, VideoFromComponents])
def test_every_video_has_the_methods_of_comfyuis_video_input(cls: type) -> None:
    found = {name: list(inspect.signature(getattr(cls, name)).parameters)[1:] for name in CONTRACT}
    assert found == CONTRACT


def test_in_comfyui_our_video_inherits_comfyuis_class(monkeypatch: pytest.MonkeyPatch) -> None:
    class VideoInput(ABC):
        @abstractmethod
        def get_components(self) -> Any: ...

    module = ModuleType("comfy_api.latest")
    module.Input = type("Input", (), {"Video": VideoInput})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "comfy_api.latest", module)
    assert _find_video_input() is VideoInput
    monkeypatch.delitem(sys.modules, "comfy_api.latest")
    assert _find_video_input() is object


def frames_of(value: Any) -> list[np.ndarray]:
    return [frame.pixels.copy() for frame in unchanged(value).stream.open()]


def test_our_video_is_cropped_and_resized_frame_by_frame(clip: Path) -> None:
    video = opened(clip)
    whole = frames_of(video)
    cropped = video.as_cropped(5, 3, 21, 400)
    height = whole[0].shape[0]
    assert cropped.get_dimensions() == cropped.get_display_dimensions() == (20, height - 2)
    assert not cropped.has_pending_frame_edits()
    for before, after in zip(whole, frames_of(cropped), strict=True):
        assert np.array_equal(after, before[2:, 4:24])
    resized = video.as_resized(24, 16, "area", post_crop=(0, 0, 20, 10))
    first = torch.from_numpy(whole[0] / np.float32(np.iinfo(whole[0].dtype).max)).movedim(-1, 0)[None]
    expected = torch.nn.functional.interpolate(first, size=(16, 24), mode="area")[0].movedim(0, -1)[:10, :20]
    assert np.abs(frames_of(resized)[0] / 65535 - expected.numpy()).max() < 1e-5
    part = resized.as_trimmed(0.5, 0.5)
    assert part is not None
    assert part.get_dimensions() == (20, 10)
    assert len({video.stream.info.identity, cropped.stream.info.identity, resized.stream.info.identity}) == 3


@pytest.mark.parametrize(
    ("name", "more", "codec", "muxer"),
    [
        ("x.webm", {}, "av1", "matroska"),
        ("x.webm", {"format": "webm", "codec": "av1", "crf": 50.0}, "av1", "matroska"),
        ("x.mkv", {"format": "mkv", "codec": "av1"}, "av1", "matroska"),
        ("x.mkv", {}, "h264", "matroska"),
        ("x.mp4", {"codec": "av1", "bit_depth": 10, "color_space": "sRGB"}, "av1", "mov"),
        ("x.mp4", {"preset": "ultrafast"}, "h264", "mov"),
    ],
)
def test_our_video_is_saved_in_the_format_and_codec_of_save_video(
    clip: Path, tmp_path: Path, name: str, more: dict[str, Any], codec: str, muxer: str
) -> None:
    part = opened(clip).as_trimmed(0.0, 0.2)
    assert part is not None
    part.save_to(str(tmp_path / name), **more)
    with av.open(str(tmp_path / name)) as container:
        assert container.format.name.split(",")[0] == muxer
        assert container.streams.video[0].codec.canonical_name == codec
        sounds = [track.codec.canonical_name for track in container.streams.audio]
    assert sounds == ["opus" if name.endswith("webm") else "aac"]
    with pytest.raises(OutputError, match="HDR"):
        part.save_to(str(tmp_path / "no.mp4"), color_space="HDR")


def make_edited(clip: Path, steps: Any) -> Any:
    """ComfyUI 0.38's VideoFromFile with edits: the file of ``get_stream_source`` lacks them."""

    class Edited:
        def __init__(self) -> None:
            self._VideoFromFile__spatial_ops = steps

        def get_stream_source(self) -> str:
            return str(clip)

        def get_active_trim_window(self) -> tuple[float, float]:
            return 0.0, 0.5

        def has_pending_frame_edits(self) -> bool:
            return True

        def get_components(self) -> Any:
            parts = VideoFromFile(clip, duration=0.5).get_components()
            return VideoComponents(parts.images[:, :10, :8], parts.frame_rate, None)

    return Edited()


def test_edits_that_the_file_of_another_video_lacks_are_applied(clip: Path) -> None:
    """A video cropped in Load Video was upscaled uncropped."""
    whole = frames_of(VideoFromFile(clip, duration=0.5))
    edited = make_edited(clip, [("crop_aligned", 5, 3, 20, 16)])
    stream = unchanged(edited).stream
    assert (stream.info.size.width, stream.info.size.height) == (20, 16)
    for before, after in zip(whole, frames_of(edited), strict=True):
        assert np.array_equal(after, before[2:18, 4:24])
    scaled = make_edited(clip, [("crop", 5, 3, 20, 16), ("scale", 10, 8, "area", "disabled")])
    means = whole[0][3:19, 5:25].reshape(8, 2, 10, 2, 3).astype(np.float64).mean((1, 3)) / np.iinfo(whole[0].dtype).max
    assert np.abs(frames_of(scaled)[0] / 65535 - means).max() < 1e-4
    ours = VideoFromFile(clip, duration=0.5).as_cropped(4, 2, 20, 16)
    assert np.array_equal(frames_of(ours)[0], whole[0][2:18, 4:24])


@pytest.mark.parametrize("steps", [None, [("rotate", 90)]])
def test_edits_in_a_form_that_is_not_known_are_made_by_their_own_class(clip: Path, steps: Any) -> None:
    stream = unchanged(make_edited(clip, steps)).stream
    assert (stream.info.size.width, stream.info.size.height) == (8, 10)


def test_images_of_an_hdr_color_space_keep_it(tmp_path: Path) -> None:
    made = VideoFromComponents(VideoComponents(images(), Fraction(24), None), 10, "HDR PQ")
    value = unchanged(made)
    assert value.get_color_space() == "HDR PQ"
    value.save_to(str(tmp_path / "a.mp4"))
    assert VideoFromFile(tmp_path / "a.mp4").get_color_space() == "HDR PQ"
    assert VideoFromFile(tmp_path / "a.mp4").get_bit_depth() == 10


class _Untrimmed:
    """What a VIDEO of ComfyUI 0.3.64 and 0.8.0 is: a file, without a window or a frame count."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get_stream_source(self) -> str:
        return str(self.path)

    def get_components(self) -> None:
        raise AssertionError("its frames would all be decoded at once")


def test_a_video_of_an_older_comfyui_is_read_whole(tmp_path: Path) -> None:
    frames = [np.full((32, 48, 3), 40 * number, np.uint8) for number in range(5)]
    with av.open(str(tmp_path / "old.mkv"), "w") as container:
        track = container.add_stream("ffv1", rate=8)
        track.width, track.height, track.pix_fmt = 48, 32, "bgr0"
        for pixels in frames:
            container.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(track.encode(None))
    opened = make_range_opener(_Untrimmed(tmp_path / "old.mkv"), lambda text: None)(Fraction(0), None)
    with opened.frames() as read:
        assert [int(frame.pixels[0, 0, 0]) for frame in read] == [0, 40, 80, 120, 160]
