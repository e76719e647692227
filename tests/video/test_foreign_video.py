"""VIDEO values of ComfyUI in our nodes, and ours in ComfyUI's: frames one by one, unchanged."""

from abc import ABC, abstractmethod
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from upscale8k.runtime.comfyui.builtin.video import VideoComponents, VideoFromComponents, VideoFromFile
from upscale8k.runtime.comfyui.types.video import VideoValue, map_video_value, open_video_value, write_video_value
from upscale8k.runtime.errors import OutOfMemory, WorkflowError
from upscale8k.runtime.media.video_stream import VideoStream
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings

from .helpers import Seen, make_source, packets

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


def test_alpha_is_left_out_with_a_message() -> None:
    value = unchanged(VideoFromComponents(VideoComponents(images(channels=4), Fraction(24), None)))
    seen = Seen()
    with value.messages.forward_to(seen):
        assert next(iter(value.stream.open())).pixels.shape == (32, 48, 3)
    assert "alpha" in seen.messages[0]


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
