"""ComfyUI 0.30's VIDEO: a video in a file or of images in memory, with the methods that its nodes and other packs call.

Nothing is decoded until frames are requested. Formats are ``auto`` and ``mp4``, codecs ``auto`` and ``h264``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, cast

import av
import psutil
import torch
from torch import Tensor

from ...errors import MediaError, OutOfMemory, OutputError
from ...video import read_channel_layout
from . import video_decode as reading
from . import video_encode as writing
from .video_decode import TrimWindow, VideoSource
from .video_transcode import transcode

_FLOAT_BYTES = 4


@dataclass
class VideoComponents:
    """``images`` (N, H, W, 3) float32, ``alpha`` (N, H, W, 1); ``audio``: ``waveform`` (1, C, samples) and ``sample_rate``."""

    images: Tensor
    frame_rate: Fraction
    audio: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    alpha: Tensor | None = None


class Video(Protocol):
    """The methods of a VIDEO that the nodes call, ours or another pack's."""

    def get_components(self) -> VideoComponents: ...
    def get_dimensions(self) -> tuple[int, int]: ...
    def get_duration(self) -> float: ...
    def get_bit_depth(self) -> int: ...
    def as_trimmed(self, start_time: float, duration: float, strict_duration: bool) -> Video | None: ...
    def save_to(
        self, path: str, format: str, codec: str, metadata: Mapping[str, Any] | None = None, crf: float | None = None
    ) -> None: ...


class VideoFromFile:
    """A video in a file or in memory, or a part of it."""

    def __init__(self, file: str | PathLike[str] | BytesIO, *, start_time: float = 0, duration: float = 0) -> None:
        self._source: VideoSource = file if isinstance(file, BytesIO) else Path(file)
        self._start, self._duration = start_time, duration

    def get_stream_source(self) -> str | BytesIO:
        """Return the whole video as an argument for ``av.open``."""
        if isinstance(self._source, Path):
            return str(self._source)
        self._source.seek(0)
        return self._source

    def get_active_trim_window(self) -> tuple[float, float]:
        """Return start (0 or later) and duration in seconds; a duration of 0 means to the end."""
        start = self._start
        return float(max(self._get_full_duration() + start, 0.0) if start < 0 else start), float(self._duration)

    def get_dimensions(self) -> tuple[int, int]:
        """Return width and height as stored: as in ComfyUI, the rotation of a video is ignored here."""
        with reading.open_source(self._source) as container:
            stream = reading.get_first_video_stream(container, self._source)
            return stream.width, stream.height

    def get_bit_depth(self) -> int:
        with reading.open_source(self._source) as container:
            return reading.get_bit_depth(container.streams.video[0] if container.streams.video else None)

    def get_frame_rate(self) -> Fraction:
        """Return the average frames per second."""
        with reading.open_source(self._source) as container:
            stream = reading.get_first_video_stream(container, self._source)
            if not stream.average_rate and stream.frames and container.duration:
                return Fraction(stream.frames * av.time_base, container.duration)
            return reading.get_frame_rate(stream)

    def get_container_format(self) -> str:
        with reading.open_source(self._source) as container:
            return container.format.name

    def get_duration(self) -> float:
        """Return the duration of the part in seconds."""
        total = self._get_full_duration()
        remaining = min(total, -self._start) if self._start < 0 else total - self._start
        return min(self._duration, remaining) if self._duration else remaining

    def get_frame_count(self) -> int:
        """Return the file's frame count; for a part, or if the file has none, duration times frame rate."""
        with reading.open_source(self._source) as container:
            frame_count = reading.get_first_video_stream(container, self._source).frames
        if frame_count and not self._start and not self._duration:
            return frame_count
        return max(0, round(self.get_duration() * self.get_frame_rate()))

    def _get_full_duration(self) -> float:
        with reading.open_source(self._source) as container:
            if container.duration is not None:
                return container.duration / av.time_base
            stream = reading.get_first_video_stream(container, self._source)
            count = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
            if count and stream.average_rate:
                return float(count / stream.average_rate)
        raise MediaError(f"{reading.format_source_name(self._source)} has no duration.", "Remux it with FFmpeg first.")

    def memory_of_components(self) -> int:
        """Return the bytes that ``get_components`` takes, estimated from the file's header."""
        with reading.open_source(self._source) as container:
            stream = reading.get_first_video_stream(container, self._source)
            # Frames with alpha are split, which for a moment takes both.
            channels = 8 if reading.has_alpha(stream) else 3
            bytes_per_frame = stream.width * stream.height * channels * _FLOAT_BYTES
            audio = reading.get_last_audio_stream(container)
            audio_bytes_per_second = (
                (audio.sample_rate or 0) * read_channel_layout(audio.codec_context).nb_channels * 2 * _FLOAT_BYTES
                if audio is not None
                else 0
            )
        return bytes_per_frame * self.get_frame_count() + int(audio_bytes_per_second * self.get_duration())

    def get_components(self) -> VideoComponents:
        """Decode all frames and the audio into memory.

        Raises ``MediaError`` for a video that cannot be read, ``OutOfMemory`` when its frames exceed the free memory.
        """
        needed, free = self.memory_of_components(), psutil.virtual_memory().available
        if needed > free:
            name = reading.format_source_name(self._source)
            raise OutOfMemory(
                f"The frames of {name} take {needed / 1e9:.1f} GB as IMAGE, and {free / 1e9:.1f} GB of memory are free.",
                "Use TiledUpscaleVideo, which holds only a few frames, or cut the video with Video Slice.",
                device="cpu",
                tile=0,
            )
        window = TrimWindow(*self.get_active_trim_window())
        decoded = reading.decode_components(self._source, window, self.get_frame_count())
        with reading.open_source(self._source) as container:
            rate, metadata = (
                reading.get_frame_rate(reading.get_first_video_stream(container, self._source)),
                dict(container.metadata),
            )
        audio = None
        if decoded.audio is not None:
            audio = {"waveform": torch.as_tensor(decoded.audio)[None], "sample_rate": decoded.sample_rate}
        alpha = torch.as_tensor(decoded.alpha) if decoded.alpha is not None else None
        return VideoComponents(torch.as_tensor(decoded.images), rate, audio, metadata, alpha)

    def save_to(
        self,
        path: str | PathLike[str] | BytesIO,
        format: str = "auto",
        codec: str = "auto",
        metadata: Mapping[str, Any] | None = None,
        bit_depth: int | None = None,
        crf: float | None = None,
    ) -> None:
        """Write the video: copy its packets if the settings allow it, else encode H.264 and AAC in MP4.

        Raises ``MediaError`` for a video that cannot be read, ``OutputError`` for one that cannot be written.
        """
        target = path if isinstance(path, BytesIO) else Path(path)
        with reading.open_source(self._source) as container:
            stream = container.streams.video[0] if container.streams.video else None
            source_bits = reading.get_bit_depth(stream)
            can_copy = (
                _to_string(format) in ("auto", *container.format.name.split(","))
                and (stream is None or _to_string(codec) in ("auto", stream.codec.name))
                and (stream is None or bit_depth in (None, source_bits))
                and crf is None
                and not (self._start or self._duration)
            )
            if can_copy:
                muxer = _select_copy_muxer(container, format) if isinstance(target, BytesIO) else None
                with writing.create_container(target, muxer) as output:
                    writing.remux(container, output, metadata)
                return
            window = TrimWindow(*self.get_active_trim_window())
            with writing.create_container(target, _select_encode_muxer(target, format, codec)) as output:
                bits = source_bits if bit_depth is None else bit_depth
                transcode(container, self._source, output, window, metadata=metadata, bits=bits, crf=crf)

    def as_trimmed(self, start_time: float = 0, duration: float = 0, strict_duration: bool = True) -> VideoFromFile | None:
        """Return a part; a negative start counts from the end. None if it is too short with ``strict_duration``."""
        trimmed = VideoFromFile(self.get_stream_source(), start_time=start_time + self._start, duration=duration)
        return None if strict_duration and trimmed.get_duration() < duration else trimmed


class VideoFromComponents:
    """A video of images in memory; ``bit_depth`` is for writing."""

    def __init__(self, components: VideoComponents, bit_depth: int = 8) -> None:
        self._components = components
        self._bit_depth = bit_depth

    def get_components(self) -> VideoComponents:
        """Return images and audio, as in ComfyUI without alpha and metadata."""
        return VideoComponents(self._components.images, self._components.frame_rate, self._components.audio)

    def get_stream_source(self) -> BytesIO:
        """Return the encoded video in memory."""
        buffer = BytesIO()
        self.save_to(buffer)
        buffer.seek(0)
        return buffer

    def get_active_trim_window(self) -> tuple[float, float]:
        return 0.0, 0.0

    def get_dimensions(self) -> tuple[int, int]:
        height, width = self._components.images.shape[1:3]
        return width, height

    def get_bit_depth(self) -> int:
        return self._bit_depth

    def get_frame_rate(self) -> Fraction:
        return self._components.frame_rate

    def get_frame_count(self) -> int:
        return len(self._components.images)

    def get_duration(self) -> float:
        return float(len(self._components.images) / self._components.frame_rate)

    def get_container_format(self) -> str:
        with reading.open_source(self.get_stream_source()) as container:
            return container.format.name

    def memory_of_components(self) -> int:
        """Return 0: the images are in memory already."""
        return 0

    def save_to(
        self,
        path: str | PathLike[str] | BytesIO,
        format: str = "auto",
        codec: str = "auto",
        metadata: Mapping[str, Any] | None = None,
        bit_depth: int | None = None,
        crf: float | None = None,
    ) -> None:
        """Write H.264 and AAC. Raises ``OutputError`` for odd sizes, alpha, and what the disk refuses."""
        count, height, width, channels = self._components.images.shape
        if not count:
            raise OutputError("A video without images cannot be written.", "Connect at least one image.")
        if channels != 3:
            raise OutputError(
                f"H.264 holds RGB frames, not {count} frames of {channels} channels.", "Use SplitImageWithAlpha first."
            )
        if width % 2 or height % 2:
            raise writing.make_odd_size_error(width, height)
        target = path if isinstance(path, BytesIO) else Path(path)
        bits = self._bit_depth if bit_depth is None else bit_depth
        with writing.create_container(target, _select_encode_muxer(target, format, codec)) as output:
            writing.write_tags(output, metadata)
            parts = self._components
            writing.encode_images(output, parts.images, parts.frame_rate, parts.audio, bits, crf)

    def as_trimmed(self, start_time: float = 0, duration: float = 0, strict_duration: bool = True) -> VideoFromFile | None:
        """Return a part of the encoded video; as in ComfyUI None if it is too short, whatever ``strict_duration`` is."""
        if self.get_duration() < start_time + duration:
            return None
        return VideoFromFile(self.get_stream_source(), start_time=start_time, duration=duration)


def _to_string(choice: str) -> str:
    """Return the value of a ``str`` enumeration member, which other packs pass."""
    return str(getattr(choice, "value", choice))


def _select_copy_muxer(container: Any, format_name: str) -> str:
    return (
        _to_string(format_name) if _to_string(format_name) != "auto" else cast(str, container.format.name).split(",")[0].lower()
    )


def _select_encode_muxer(target: Path | BytesIO, format_name: str, codec: str) -> str | None:
    """Return the muxer for an encoded video; None selects it by the file name."""
    if _to_string(format_name) not in ("auto", "mp4") or _to_string(codec) not in ("auto", "h264"):
        what = f"Videos are encoded as H.264 in MP4 here, not as {_to_string(codec)} in {_to_string(format_name)}."
        raise OutputError(what, "Set format to mp4 and codec to h264, or use VideoOut, which writes other codecs.")
    return "mp4" if isinstance(target, BytesIO) or _to_string(format_name) == "mp4" else None
