"""Read any VIDEO of ComfyUI or of another pack as a video stream: frame by frame from its file or its images in memory."""

import hashlib
import inspect
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from ...errors import WorkflowError
from ...media import ColorInfo, Frame, Size, VideoInfo, VideoStream, snap_frame_rate
from ...progress import OnMessage
from ...video import IMAGE_COLOR, encode_frame, open_output, open_video, slice_time_range
from ..builtin.video import VideoFromFile
from .frame_edits import Step, edit_frames

OpenTimeRange = Callable[[Fraction, Fraction | None], VideoStream]
"""(start, duration) in seconds -> that part of a video; a duration of None means to the end."""

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def to_exact_seconds(seconds: float) -> Fraction:
    """Round to the microsecond: the decimal that the user entered, not its binary neighbor."""
    return Fraction(seconds).limit_denominator(1_000_000)


def make_temp_folder(owner: object) -> Path:
    """Create a temporary folder that is removed when ``owner`` is garbage-collected."""
    folder = tempfile.mkdtemp(prefix="upscale8k-video-")
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def make_range_opener(value: Any, on_message: OnMessage) -> OpenTimeRange:
    """Return a function that opens any part of a foreign VIDEO. Raises ``WorkflowError`` for other values."""
    if not hasattr(value, "get_components"):
        raise WorkflowError(f"A VIDEO was expected, not {type(value).__name__}.", "Connect Video In or Load Video.")
    if _has_frames_in_memory(value):
        return _FramesInMemory(value, on_message)
    steps = _find_pending_steps(value)
    if steps is None:  # edits of a class that we do not know: it applies them itself, in memory
        return _FramesInMemory(value, on_message)
    open_range = _make_file_range_opener(value, on_message)
    return (lambda start, duration: edit_frames(open_range(start, duration), steps)) if steps else open_range


def _find_pending_steps(value: Any) -> list[Step] | None:
    """Return the frame edits that ``get_stream_source`` does not contain; None if there are some in an unknown form."""
    if not (hasattr(value, "has_pending_frame_edits") and value.has_pending_frame_edits()):
        return []
    if isinstance(value, VideoFromFile):
        return [("crop", *value.crop)] if value.crop is not None else []
    steps: object = getattr(value, "_VideoFromFile__spatial_ops", None)  # ComfyUI 0.38's own list
    if not isinstance(steps, list | tuple):
        return None
    known = [tuple(step) for step in cast("list[Step]", steps) if step and step[0] in ("scale", "crop", "crop_aligned")]
    return known if len(known) == len(cast("list[Step]", steps)) else None


def _has_frames_in_memory(value: Any) -> bool:
    """Return whether the frames are in memory, because ``get_stream_source`` would then encode them with losses.

    ComfyUI's VideoFromComponents inherits ``get_stream_source`` from its abstract base class; our class, and packs that know
    ``memory_of_components``, return 0 from it.
    """
    if hasattr(value, "memory_of_components"):
        return value.memory_of_components() == 0
    owner = next((base for base in type(value).__mro__ if "get_stream_source" in vars(base)), None)
    return owner is None or inspect.isabstract(owner)


def _make_file_range_opener(value: Any, on_message: OnMessage) -> OpenTimeRange:
    # ComfyUI before 0.9 cannot trim
    trim_start, trim_duration = value.get_active_trim_window() if hasattr(value, "get_active_trim_window") else (0.0, 0.0)

    def open_range(start: Fraction, duration: Fraction | None) -> VideoStream:
        remaining = to_exact_seconds(trim_duration) - start if trim_duration else None
        limits = [limit for limit in (duration, remaining) if limit is not None]
        return open_video(
            path,
            start=to_exact_seconds(trim_start) + start,
            duration=min(limits, default=None),
            alpha=True,
            on_message=on_message,
        )

    source = value.get_stream_source()
    path = (
        Path(cast(str, source)) if isinstance(source, str | PathLike) else _spool_to_file(source, make_temp_folder(open_range))
    )
    return open_range


def _spool_to_file(source: Any, folder: Path) -> Path:
    """Write a video in memory to a file, because FFmpeg opens it more than once."""
    path = folder / "video"
    source.seek(0)
    with path.open("wb") as file:
        shutil.copyfileobj(source, file)
    return path


class _FramesInMemory:
    """Frames of one IMAGE (B, H, W, C) and their audio. Each frame becomes uint16 when it is read."""

    def __init__(self, value: Any, on_message: OnMessage) -> None:
        components = value.get_components()
        self._color = _get_color(value.get_color_space() if hasattr(value, "get_color_space") else "auto")
        self._images, self._frame_rate = components.images, snap_frame_rate(components.frame_rate)
        if not len(self._images):
            raise WorkflowError("The video has no frames.", "Connect at least one image to Create Video.")
        self._alpha = getattr(components, "alpha", None)
        self._has_alpha = self._alpha is not None or self._images.shape[-1] == 4
        self._audio_path = make_temp_folder(self) / "sound.flac" if components.audio else None
        if self._audio_path:
            _write_audio(self._audio_path, components.audio)
        digest = hashlib.sha256(f"{self._images.dtype}{' alpha' if self._has_alpha else ''}".encode())
        if self._color != IMAGE_COLOR:
            digest.update(self._color.transfer.encode())
        for index in range(len(self._images)):
            digest.update(np.ascontiguousarray(self._get_image(index)).data)
        self._identity = digest.hexdigest()

    def _get_image(self, index: int) -> NDArray[np.float32]:
        """Return (H, W, C), with the video's own alpha as the fourth channel if it has one."""
        image = _to_array(self._images[index])
        if self._alpha is None:
            return image
        return np.concatenate((image[..., :3], _to_array(self._alpha[index]).reshape(*image.shape[:2], 1)), axis=-1)

    def __call__(self, start: Fraction, duration: Fraction | None) -> VideoStream:
        selected = range(len(self._images))[slice_time_range(self._frame_rate, start, duration)]
        if not selected:
            raise WorkflowError(f"The video has no frame at {float(start):g} s.", "Choose an earlier start.")
        _, height, width, _ = self._images.shape
        info = VideoInfo(
            size=Size(width, height),
            frame_rate=self._frame_rate,
            time_base=1 / self._frame_rate,
            frame_count=len(selected),
            frame_count_source="files",
            duration=len(selected) / self._frame_rate,
            color=self._color,
            bit_depth=16,
            source=self._audio_path,
            start=selected[0] / self._frame_rate,
            end=(selected[-1] + 1) / self._frame_rate,
            audio_streams=1 if self._audio_path else 0,
            has_alpha=self._has_alpha,
            identity=f"{self._identity} | pictures {selected[0]}:{selected[-1]}",
        )

        def iterate_frames(first: int = 0) -> Iterator[Frame]:
            for number, index in enumerate(selected[first:], first):
                yield Frame(_to_uint16(self._get_image(index)), number, 1, 1 / self._frame_rate)

        return VideoStream(info, iterate_frames, iterate_frames)


def _get_color(color_space: str) -> ColorInfo:
    transfer = {"HDR": "arib-std-b67", "HDR PQ": "smpte2084"}.get(color_space)
    return ColorInfo("bt2020nc", "tv", transfer, "bt2020") if transfer else IMAGE_COLOR


def _to_array(image: Any) -> NDArray[np.float32]:
    return image.detach().float().cpu().numpy()


def _to_uint16(image: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round (H, W, C) in 0..1 to 16 bits: k / 255 becomes k * 257 exactly."""
    rgb = image[..., :4] if image.shape[-1] >= 3 else np.repeat(image[..., :1], 3, axis=-1)
    return (np.nan_to_num(rgb).clip(0.0, 1.0).astype(np.float64) * 65535 + 0.5).astype(np.uint16)


def _write_audio(path: Path, audio: Any) -> None:
    """Write a waveform (1, C, samples) in -1..1 as 24-bit FLAC, which every container but WebM and MOV accepts."""
    samples = audio["waveform"][0].detach().float().cpu().numpy()
    layout = _LAYOUTS.get(len(samples), "stereo")
    samples = samples[: av.AudioLayout(layout).nb_channels]
    pcm = (np.nan_to_num(samples).clip(-1.0, 1.0 - 2.0**-23) * 2.0**23).round().astype(np.int32) << 8
    rate = int(audio["sample_rate"])
    with open_output(path, "flac", {}) as out:
        stream = out.add_stream("flac", rate=rate)
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout, stream.codec_context.format = layout, "s32"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm.T).reshape(1, -1), format="s32", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for packet in [*encode_frame(stream, frame), *encode_frame(stream, None)]:
            out.mux(packet)
