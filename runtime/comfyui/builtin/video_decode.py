"""Decode the frames of a video as ComfyUI 0.30 does: float32 RGB by FFmpeg's own conversion, bit for bit.

All frames are in memory at once, as IMAGE requires. TiledUpscaleVideo streams videos instead.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.reformatter import ColorTrc
from av.video.stream import VideoStream

from ...errors import MediaError, Upscale8KError
from ...video import OPEN_OPTIONS, decode_audio, demux_packets, to_channels
from .frame_conversion import ConvertedSamples, FrameConverter

VideoSource = Path | BytesIO
FloatArray = npt.NDArray[np.float32]

_SPARE_FRAMES = 4  # beyond the estimate, so that a count that is off by one copies nothing

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrimWindow:
    """A part of a video, in seconds; a ``duration`` of 0 means to the end."""

    start: float = 0.0
    duration: float = 0.0

    def get_first_pts(self, time_base: Fraction) -> int:
        return int(self.start / time_base)

    def get_end_pts(self, time_base: Fraction) -> int | None:
        """Return the first timestamp after the window; None if it ends with the video."""
        return int((self.start + self.duration) / time_base) if self.duration else None


@dataclass(frozen=True)
class DecodedVideo:
    """``images`` (N, H, W, 3), or (0, 0, 0, 3) without a frame, ``alpha`` (N, H, W, 1), ``audio`` (channels, samples)."""

    images: FloatArray
    alpha: FloatArray | None
    audio: FloatArray | None
    sample_rate: int


def format_source_name(source: VideoSource) -> str:
    return source.name if isinstance(source, Path) else "The video in memory"


def make_source_error(source: VideoSource, fact: str, hint: str) -> MediaError:
    """Return the error about a video: its name, then ``fact``."""
    return MediaError(f"{format_source_name(source)} {fact}", hint, path=source if isinstance(source, Path) else None)


def make_size_change_error(source: VideoSource, old: tuple[int, ...], new: tuple[int, ...]) -> MediaError:
    """Return the error about a video whose frames change from ``old`` (width, height) to ``new``."""
    fact = f"changes its size from {old[0]}x{old[1]} to {new[0]}x{new[1]}."
    return make_source_error(source, fact, "Cut it there and process each part alone.")


@contextmanager
def open_source(source: VideoSource) -> Generator[InputContainer, None, None]:
    """Open a container for the block. No file can make FFmpeg open another one or use the network.

    Raises ``MediaError`` for every read error in the block.
    """
    try:
        if isinstance(source, BytesIO):
            source.seek(0)
            container = av.open(source, "r", options=OPEN_OPTIONS)
        else:
            container = av.open(str(source.absolute()), "r", options=OPEN_OPTIONS)
        with container:
            yield container
    except Upscale8KError:
        raise
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise make_source_error(source, f"cannot be read: {reason}.", "Use a video that FFmpeg can play.") from error


def get_first_video_stream(container: InputContainer, source: VideoSource) -> VideoStream:
    """Return the first video stream. Raises ``MediaError`` when there is none."""
    if container.streams.video:
        return container.streams.video[0]
    raise make_source_error(source, "has no video stream.", "Use a video, not an audio file.")


def get_last_audio_stream(container: InputContainer) -> AudioStream | None:
    """Return the last audio stream that FFmpeg has a decoder for."""
    tracks = [track for track in container.streams.audio if cast(Any, track.codec_context) is not None]
    if container.streams.audio and not tracks:
        _log.warning("FFmpeg has no decoder for the audio of this video: it is left out.")
    return tracks[-1] if tracks else None


def get_bit_depth(stream: VideoStream | None) -> int:
    components = stream.format.components if stream is not None and cast(Any, stream.format) is not None else ()
    return max((component.bits for component in components), default=8)


_COLOR_SPACES = {
    ColorTrc.BT709: "sRGB",
    ColorTrc.IEC61966_2_1: "sRGB",
    ColorTrc.ARIB_STD_B67: "HDR",
    ColorTrc.SMPTE2084: "HDR PQ",
}


def get_color_space(stream: VideoStream | None) -> str | None:
    """Return ComfyUI's name of a stream's transfer function; None where the file names none."""
    return None if stream is None else _COLOR_SPACES.get(cast(Any, stream.codec_context.color_trc))


def get_frame_rate(stream: VideoStream) -> Fraction:
    return Fraction(stream.average_rate) if stream.average_rate else Fraction(1)


def get_display_size(container: InputContainer, source: VideoSource) -> tuple[int, int]:
    """Return width and height of the first frame as it is shown, upright."""
    stream = get_first_video_stream(container, source)
    try:
        frame = next(container.decode(stream), None)
    except av.error.FFmpegError:
        frame = None
    is_on_side = frame is not None and round(frame.rotation // 90) % 2
    return (stream.height, stream.width) if is_on_side else (stream.width, stream.height)


def has_alpha(stream: VideoStream) -> bool:
    pixel_format = cast(Any, stream.format)
    return pixel_format is not None and (pixel_format.name == "pal8" or any(part.is_alpha for part in pixel_format.components))


def decode_components(
    source: VideoSource, window: TrimWindow, expected_frames: int, crop: tuple[int, int, int, int] | None = None
) -> DecodedVideo:
    """Decode all frames and the audio of a window; ``crop`` is x, y, width and height.

    Memory is allocated for ``expected_frames``; more are possible.

    Packets that cannot be decoded are skipped with a log message, as ComfyUI skips them.
    Raises ``MediaError`` for a video that cannot be read or that changes its size.
    """
    with open_source(source) as container:
        video, audio = get_first_video_stream(container, source), get_last_audio_stream(container)
        frame_collector = _FrameCollector(video, window, expected_frames, source, crop)
        audio_collector = _AudioCollector(audio, window) if audio is not None else None
        if first_pts := window.get_first_pts(get_time_base(video)):
            container.seek(first_pts, stream=video)
        for packet in demux_packets(container, *([video] if audio is None else [video, audio])):
            if frame_collector.is_done and (audio_collector is None or audio_collector.is_done):
                break
            if packet.stream is video:
                frame_collector.add_packet(packet)
            elif audio_collector is not None:
                audio_collector.add_packet(packet)
    return DecodedVideo(
        *frame_collector.get_result(),
        audio=audio_collector.get_result() if audio_collector is not None else None,
        sample_rate=(audio.sample_rate or 1) if audio is not None else 1,
    )


def decode_audio_range(source: VideoSource, start: Fraction, end: Fraction | None) -> tuple[FloatArray | None, int]:
    """Decode the audio of a part of a video; return (channels, samples), None without audio, and the sample rate in Hz."""
    window = TrimWindow(float(start), float(end - start) if end is not None else 0.0)
    with open_source(source) as container:
        track = get_last_audio_stream(container)
        if track is None:
            return None, 0
        audio_collector = _AudioCollector(track, window)
        if start:
            container.seek(int(start * av.time_base))
        for packet in demux_packets(container, track):
            if audio_collector.is_done:
                break
            audio_collector.add_packet(packet)
        return audio_collector.get_result(), track.sample_rate or 1


def get_time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, av.time_base)


def decode_video_packet(packet: Packet[VideoStream], window: TrimWindow) -> Iterator[av.VideoFrame | None]:
    """Yield the frames of a packet that are in the window, None for one after it; nothing if the packet is damaged."""
    time_base = get_time_base(packet.stream)
    first, end = window.get_first_pts(time_base), window.get_end_pts(time_base)
    try:
        for frame in packet.decode():
            if frame.pts is None or frame.pts >= first:
                yield None if frame.pts is not None and end is not None and frame.pts >= end else frame
    except av.error.InvalidDataError:
        _log.warning("A packet of the video cannot be decoded: its frames are left out.")


def decode_audio_packet(packet: Packet[Any]) -> Iterator[av.AudioFrame]:
    """Yield the audio of a packet; none if it is damaged, where ComfyUI fails."""
    try:
        yield from decode_audio(packet)
    except av.error.FFmpegError:  # audio decoders report damage with many error codes
        _log.warning("A packet of the audio cannot be decoded: it is left out.")


class _FrameCollector:
    """Converts frames and collects them in one array, allocated for the expected number."""

    def __init__(
        self,
        stream: VideoStream,
        window: TrimWindow,
        expected_frames: int,
        source: VideoSource,
        crop: tuple[int, int, int, int] | None,
    ) -> None:
        self.is_done = False
        self._crop = crop
        self._stream = stream
        self._window = window
        self._capacity = expected_frames + _SPARE_FRAMES
        self._source = source
        self._count = 0
        self._converter: FrameConverter | None = None
        self._frames: FloatArray | None = None

    def add_packet(self, packet: Packet[Any]) -> None:
        if self.is_done:
            return
        for frame in decode_video_packet(packet, self._window):
            if frame is None:
                self.is_done = True
                return
            self._converter = self._converter or FrameConverter(frame, self._stream)
            samples = self._converter(frame)
            if self._crop is not None:
                x, y, width, height = self._crop
                samples = samples[y : y + height, x : x + width]
            self._append(samples)

    def _append(self, samples: ConvertedSamples) -> None:
        if self._frames is None:
            self._frames = np.empty((self._capacity, *samples.shape), np.float32)
        if samples.shape != self._frames.shape[1:]:
            raise make_size_change_error(self._source, self._frames.shape[2:0:-1], samples.shape[1::-1])
        if self._count == len(self._frames):
            grown = np.empty((self._count + self._count // 2 + 1, *samples.shape), np.float32)
            grown[: self._count] = self._frames
            self._frames = grown
        full_scale = np.float32(255 if samples.dtype == np.uint8 else 1)
        np.divide(samples, full_scale, out=self._frames[self._count], casting="same_kind")
        self._count += 1

    def get_result(self) -> tuple[FloatArray, FloatArray | None]:
        """Return the images and their alpha."""
        if self._frames is None:
            return np.zeros((0, 0, 0, 3), np.float32), None
        frames = self._frames[: self._count]
        if frames.shape[-1] == 3:
            return frames, None
        return np.ascontiguousarray(frames[..., :3]), np.ascontiguousarray(frames[..., 3:])


class _AudioCollector:
    """Collects float samples at the stream's own rate, from the start of the window."""

    def __init__(self, stream: AudioStream, window: TrimWindow) -> None:
        self.is_done = False
        self._stream = stream
        self._window = window
        self._resampler = av.AudioResampler(format="fltp")  # as ComfyUI: what is so already keeps its times
        self._chunks: list[FloatArray] = []

    def add_packet(self, packet: Packet[Any]) -> None:
        if self.is_done:
            return
        for decoded in decode_audio_packet(packet):
            for frame in self._resampler.resample(decoded):
                if self._window.duration and (frame.time or 0.0) > self._window.start + self._window.duration:
                    self.is_done = True
                    return
                self._append(frame)

    def _append(self, frame: av.AudioFrame) -> None:
        samples: FloatArray = to_channels(frame)
        if not self._chunks:
            lead_seconds = self._window.start - (frame.pts or 0) * (self._stream.time_base or Fraction(0))
            skipped = max(0, int(lead_seconds * self._stream.sample_rate))
            if skipped >= frame.samples:
                return
            samples = samples[..., skipped:]
        self._chunks.append(samples)

    def get_result(self) -> FloatArray | None:
        if not self._chunks:
            return None
        sound = np.concatenate(self._chunks, axis=1)
        return sound[..., : int(self._window.duration * self._stream.sample_rate)] if self._window.duration else sound
