"""ComfyUI 0.38's VIDEO: a video in a file or of images in memory, with the methods that its nodes and other packs call.

Nothing is decoded until frames are requested. Formats are ``auto``, ``mp4``, ``mkv`` and ``webm``, codecs ``auto``, ``h264``
and ``av1``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, cast

import av
import psutil
import torch
from torch import Tensor

from ...errors import OutOfMemory, OutputError, WorkflowError
from ...progress import Progress
from ...video import read_channel_layout
from . import video_decode as reading
from . import video_encode as writing
from .mask_ops import resample_audio
from .video_decode import TrimWindow, VideoSource
from .video_encode import VideoEncoding, to_string
from .video_transcode import CropRectangle, transcode

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


def normalize_crop(x: int, y: int, width: int, height: int, size: tuple[int, int]) -> CropRectangle | None:
    """Return a crop inside a frame of ``size`` on even pixels, as encoders need it; None for nothing or the whole frame."""
    full_width, full_height = size
    if int(width) <= 0 or int(height) <= 0:
        return None
    left, top = (max(0, min(int(start), limit - 1)) // 2 * 2 for start, limit in ((x, full_width), (y, full_height)))
    kept = min(int(width), full_width - left), min(int(height), full_height - top)
    if (left, top, *kept) == (0, 0, full_width, full_height):
        return None
    rectangle = left, top, kept[0] // 2 * 2, kept[1] // 2 * 2
    return rectangle if rectangle[2] and rectangle[3] else None


class _Resizable:
    """Resizes a video that has ``get_components``, all frames in memory, as ComfyUI's base class does."""

    def as_resized(
        self, width: int, height: int, upscale_method: str, crop: str = "disabled", post_crop: CropRectangle | None = None
    ) -> VideoFromComponents:
        """Return the video scaled like the node Resize Image/Mask; ``post_crop`` cuts the result."""
        from .common_upscale import common_upscale

        this = cast("VideoFromFile | VideoFromComponents", self)
        parts = this.get_components()

        def resize(channels: Tensor) -> Tensor:
            x, y, w, h = post_crop or (0, 0, width, height)
            scaled = common_upscale(channels.movedim(-1, 1), width, height, upscale_method, crop)
            scaled = scaled if scaled.ndim == 4 else scaled.unsqueeze(1)
            return scaled.movedim(1, -1)[:, y : y + h, x : x + w].contiguous()

        alpha = None if parts.alpha is None else resize(parts.alpha)
        resized = VideoComponents(resize(parts.images), parts.frame_rate, parts.audio, parts.metadata, alpha)
        return VideoFromComponents(resized, this.get_bit_depth(), this.get_color_space())


class VideoFromFile(_Resizable):
    """A video in a file or in memory, or a part of it. ``crop`` is x, y, width and height on even pixels."""

    def __init__(
        self,
        file: str | PathLike[str] | BytesIO,
        *,
        start_time: float = 0,
        duration: float = 0,
        crop: CropRectangle | None = None,
    ) -> None:
        self._source: VideoSource = file if isinstance(file, BytesIO) else Path(file)
        self._start, self._duration, self.crop = start_time, duration, crop

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
        """Return width and height as stored: as in ComfyUI, rotation is ignored here unless the video is cropped."""
        if self.crop is not None:
            return self.crop[2:]
        with reading.open_source(self._source) as container:
            stream = reading.get_first_video_stream(container, self._source)
            return stream.width, stream.height

    def get_display_dimensions(self) -> tuple[int, int]:
        """Return width and height as shown, upright."""
        if self.crop is not None:
            return self.crop[2:]
        with reading.open_source(self._source) as container:
            return reading.get_display_size(container, self._source)

    def has_pending_frame_edits(self) -> bool:
        """Return whether ``get_stream_source`` is not cropped yet."""
        return self.crop is not None

    def get_color_space(self) -> str:
        with reading.open_source(self._source) as container:
            return reading.get_color_space(container.streams.video[0] if container.streams.video else None) or "sRGB"

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
        raise reading.make_source_error(self._source, "has no duration.", "Remux it with FFmpeg first.")

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
        decoded = reading.decode_components(self._source, window, self.get_frame_count(), self.crop)
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
        color_space: str | None = None,
        preset: str | None = None,
    ) -> None:
        """Write the video: copy its packets if the settings allow it, else encode it.

        Raises ``MediaError`` for a video that cannot be read, ``OutputError`` for one that cannot be written.
        """
        target = path if isinstance(path, BytesIO) else Path(path)
        writing.check_color_space(color_space)
        encoder = to_string(codec)
        container_name, codec_name = writing.select_container_and_codec(target, format, encoder)
        with reading.open_source(self._source) as container:
            stream = container.streams.video[0] if container.streams.video else None
            source_bits, source_color = reading.get_bit_depth(stream), reading.get_color_space(stream)
            if None not in (color_space, source_color) and color_space != source_color:
                what = f"A video in {source_color} cannot be saved as {color_space}: that would be a color conversion."
                raise OutputError(what, f"Set color_space to auto or {source_color}.")
            can_copy = (
                to_string(format) in ("auto", *_list_container_names(container))
                and (container_name != "webm" or writing.fits_webm(container))
                and (stream is None or encoder in ("auto", stream.codec.canonical_name))
                and (stream is None or bit_depth in (None, source_bits))
                and crf is None
                and color_space is None
                and not (self._start or self._duration or self.crop)
            )
            if can_copy:
                muxer = _select_copy_muxer(container, format) if isinstance(target, BytesIO) else None
                with writing.create_container(target, muxer) as output:
                    writing.remux(container, output, metadata)
                return
            window = TrimWindow(*self.get_active_trim_window())
            bits = source_bits if bit_depth is None else bit_depth
            encoding = VideoEncoding(container_name, codec_name, bits, crf, color_space, preset)
            with writing.create_container(target, _select_muxer(target, format, encoding)) as output:
                transcode(container, self._source, output, window, metadata=metadata, encoding=encoding, crop=self.crop)

    def as_trimmed(self, start_time: float = 0, duration: float = 0, strict_duration: bool = True) -> VideoFromFile | None:
        """Return a part; a negative start counts from the end. None if it is too short with ``strict_duration``."""
        trimmed = VideoFromFile(
            self.get_stream_source(), start_time=start_time + self._start, duration=duration, crop=self.crop
        )
        return None if strict_duration and trimmed.get_duration() < duration else trimmed

    def as_cropped(self, x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> VideoFromFile:
        """Return the video cropped to a rectangle of the frame as it is shown, on even pixels."""
        inner = normalize_crop(x, y, width, height, self.get_display_dimensions())
        if inner is None:
            return self
        left, top = self.crop[:2] if self.crop is not None else (0, 0)
        crop = left + inner[0], top + inner[1], *inner[2:]
        return VideoFromFile(self.get_stream_source(), start_time=self._start, duration=self._duration, crop=crop)


class VideoFromComponents(_Resizable):
    """A video of images in memory; ``bit_depth`` and ``color_space`` are for writing."""

    def __init__(self, components: VideoComponents, bit_depth: int = 8, color_space: str | None = "sRGB") -> None:
        writing.check_color_space(color_space)
        self._components = components
        self._bit_depth, self._color_space = bit_depth, color_space

    def get_components(self) -> VideoComponents:
        return replace(self._components)

    def get_color_space(self) -> str:
        return self._color_space or "sRGB"

    def get_display_dimensions(self) -> tuple[int, int]:
        return self.get_dimensions()

    def has_pending_frame_edits(self) -> bool:
        return False

    def as_cropped(self, x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> VideoFromComponents:
        """Return the video cropped to a rectangle on even pixels."""
        rectangle = normalize_crop(x, y, width, height, self.get_dimensions())
        if rectangle is None:
            return self
        left, top, width, height = rectangle
        images, alpha = self._components.images, self._components.alpha
        area = (slice(None), slice(top, top + height), slice(left, left + width))
        cropped = replace(self._components, images=images[area].clone(), alpha=None if alpha is None else alpha[area].clone())
        return VideoFromComponents(cropped, self._bit_depth, self._color_space)

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
        color_space: str | None = None,
        preset: str | None = None,
    ) -> None:
        """Encode the video. Raises ``OutputError`` for odd sizes, alpha, and what the disk refuses."""
        count, height, width, channels = self._components.images.shape
        if not count:
            raise OutputError("A video without images cannot be written.", "Connect at least one image.")
        if channels != 3:
            raise OutputError(
                f"H.264 and AV1 hold RGB frames, not {count} frames of {channels} channels.", "Use SplitImageWithAlpha first."
            )
        if width % 2 or height % 2:
            raise writing.make_odd_size_error(width, height)
        target = path if isinstance(path, BytesIO) else Path(path)
        bits = self._bit_depth if bit_depth is None else bit_depth
        color_space = self._color_space if color_space is None else color_space
        writing.check_color_space(color_space)
        names = writing.select_container_and_codec(target, format, codec)
        encoding = VideoEncoding(*names, bits, crf, color_space, preset)
        with writing.create_container(target, _select_muxer(target, format, encoding)) as output:
            writing.write_tags(output, metadata)
            parts = self._components
            writing.encode_images(output, parts.images, parts.frame_rate, parts.audio, encoding)

    def as_trimmed(self, start_time: float = 0, duration: float = 0, strict_duration: bool = True) -> VideoFromFile | None:
        """Return a part of the encoded video; as in ComfyUI None if it is too short, whatever ``strict_duration`` is."""
        if self.get_duration() < start_time + duration:
            return None
        return VideoFromFile(self.get_stream_source(), start_time=start_time, duration=duration)


def encode_to_memory(video: VideoFromComponents, codec: str) -> VideoFromFile:
    """Return the video encoded in memory as Matroska, which frees its images."""
    buffer = BytesIO()
    video.save_to(buffer, format="mkv", codec=codec)
    return VideoFromFile(buffer)


def _list_container_names(container: Any) -> list[str]:
    """Return FFmpeg's and ComfyUI's names of a container."""
    names = cast(str, container.format.name).split(",")
    return [*names, "mkv"] if "matroska" in names else names


def _select_copy_muxer(container: Any, format_name: str) -> str:
    name = to_string(format_name)
    return cast(str, container.format.name).split(",")[0].lower() if name == "auto" else "matroska" if name == "mkv" else name


def _select_muxer(target: Path | BytesIO, format_name: str, encoding: VideoEncoding) -> str | None:
    """Return the muxer for an encoded video; None selects it by the file name."""
    return None if to_string(format_name) == "auto" and not isinstance(target, BytesIO) else encoding.muxer


def join_videos(videos: Sequence[Any], audio: dict[str, Any] | None, progress: Progress) -> VideoFromComponents:
    """Return the frames of all videos, one after the other, with ``audio`` or the sound of each and silence where it has none.

    Raises ``WorkflowError`` when their sizes or frame rates differ.
    """
    parts: list[VideoComponents] = []
    for video in videos:
        parts.append(video.get_components())
        progress.advance()
    shapes = {(tuple(part.images.shape[1:]), part.frame_rate) for part in parts}
    if len(shapes) != 1:
        found = " and ".join(sorted(f"{shape[1]}x{shape[0]} at {float(rate):g} frames a second" for shape, rate in shapes))
        raise WorkflowError(
            f"These videos cannot be joined: {found or 'there are none'}.", "Resize them, or give them one rate."
        )
    joined = VideoComponents(torch.cat([part.images for part in parts]), parts[0].frame_rate, audio or _join_audio(parts))
    color_space = videos[0].get_color_space() if hasattr(videos[0], "get_color_space") else "sRGB"
    depth = max(video.get_bit_depth() for video in videos)
    return VideoFromComponents(joined, depth, None if color_space == "auto" else color_space)


def _join_audio(parts: Sequence[VideoComponents]) -> dict[str, Any] | None:
    sounds = [part.audio for part in parts if part.audio is not None]
    if not sounds:
        return None
    rate, channels = max(int(sound["sample_rate"]) for sound in sounds), max(sound["waveform"].shape[1] for sound in sounds)
    waves: list[Tensor] = []
    for part in parts:
        wave = torch.zeros(1, channels, round(len(part.images) / part.frame_rate * rate))
        if part.audio is not None:
            sound = resample_audio(part.audio["waveform"], int(part.audio["sample_rate"]), rate)[..., : wave.shape[-1]]
            wave[..., : sound.shape[-1]] = sound
        waves.append(wave)
    return {"waveform": torch.cat(waves, dim=-1), "sample_rate": rate}
