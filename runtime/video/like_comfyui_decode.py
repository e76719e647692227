"""What ComfyUI 0.30 makes of a film when a workflow asks for its frames: float32 RGB by FFmpeg's own conversion, bit for bit.

All frames are in memory at once, each of them once: that is what IMAGE means. Films go through TiledUpscaleVideo instead.
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
from av.video.stream import VideoStream

from ..errors import MediaError, Upscale8KError
from ..frames.like_comfyui import FrameConverter, Samples
from .container import OPEN_OPTIONS

Source = Path | BytesIO
Floats = npt.NDArray[np.float32]

_SPARE_FRAMES = 4  # beyond the estimate, so that a count that is off by one copies nothing

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Window:
    """The part of a film that is wanted, in seconds; a ``duration`` of 0 means to the end."""

    start: float = 0.0
    duration: float = 0.0

    def first(self, time_base: Fraction) -> int:
        return int(self.start / time_base)

    def end(self, time_base: Fraction) -> int | None:
        """The first time that is not wanted any more; None when all are."""
        return int((self.start + self.duration) / time_base) if self.duration else None


@dataclass(frozen=True)
class Decoded:
    """``images`` (N, H, W, 3), or (0, 0, 0, 3) without a frame, ``alpha`` (N, H, W, 1), ``sound`` (channels, samples)."""

    images: Floats
    alpha: Floats | None
    sound: Floats | None
    sample_rate: int


def name_of(source: Source) -> str:
    return source.name if isinstance(source, Path) else "The film in memory"


@contextmanager
def opened(source: Source) -> Generator[InputContainer, None, None]:
    """The container, for the time of the block. No file can make FFmpeg open another one or reach for the network.

    Raises ``MediaError`` for everything that goes wrong with reading it in the block.
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
        path = source if isinstance(source, Path) else None
        raise MediaError(
            f"{name_of(source)} cannot be read: {reason}.", "Give a film that FFmpeg can play.", path=path
        ) from error


def first_video(container: InputContainer, source: Source) -> VideoStream:
    """Raises ``MediaError`` when there is none."""
    if container.streams.video:
        return container.streams.video[0]
    path = source if isinstance(source, Path) else None
    raise MediaError(f"{name_of(source)} has no picture track.", "Give a film, not a sound file.", path=path)


def last_audio(container: InputContainer) -> AudioStream | None:
    """The last sound track that FFmpeg has a decoder for."""
    tracks = [track for track in container.streams.audio if cast(Any, track.codec_context) is not None]
    if container.streams.audio and not tracks:
        _log.warning("FFmpeg has no decoder for the sound of this film: it is left out.")
    return tracks[-1] if tracks else None


def bit_depth(stream: VideoStream | None) -> int:
    components = stream.format.components if stream is not None and cast(Any, stream.format) is not None else ()
    return max((component.bits for component in components), default=8)


def frame_rate(stream: VideoStream) -> Fraction:
    return Fraction(stream.average_rate) if stream.average_rate else Fraction(1)


def has_alpha(stream: VideoStream) -> bool:
    described = cast(Any, stream.format)
    return described is not None and (described.name == "pal8" or any(part.is_alpha for part in described.components))


def decode(source: Source, window: Window, expected: int) -> Decoded:
    """Every frame and the sound of a window. ``expected`` frames are made room for; more are possible.

    Packets that cannot be decoded are left out with a line in the log, as ComfyUI leaves them out.
    Raises ``MediaError`` for a film that cannot be read or that changes its size.
    """
    with opened(source) as container:
        video, audio = first_video(container, source), last_audio(container)
        pictures = _Pictures(video, window, expected, name_of(source))
        sound = _Sound(audio, window) if audio is not None else None
        if first := window.first(_time_base(video)):
            container.seek(first, stream=video)
        for packet in container.demux(*([video] if audio is None else [video, audio])):
            if pictures.done and (sound is None or sound.done):
                break
            if packet.stream is video:
                pictures.take(packet)
            elif sound is not None:
                sound.take(packet)
    return Decoded(
        *pictures.result(),
        sound=sound.result() if sound is not None else None,
        sample_rate=(audio.sample_rate or 1) if audio is not None else 1,
    )


def sound_between(source: Source, start: Fraction, end: Fraction | None) -> tuple[Floats | None, int]:
    """The sound alone of a part of a film, (channels, samples), and its samples a second; None where there is none."""
    window = Window(float(start), float(end - start) if end is not None else 0.0)
    with opened(source) as container:
        track = last_audio(container)
        if track is None:
            return None, 0
        sound = _Sound(track, window)
        if start:
            container.seek(int(start * av.time_base))
        for packet in container.demux(track):
            if sound.done:
                break
            sound.take(packet)
        return sound.result(), track.sample_rate or 1


def _time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, av.time_base)


def frames_of(packet: Packet[VideoStream]) -> Iterator[av.VideoFrame]:
    """The frames of a packet; none of one that is broken."""
    try:
        yield from packet.decode()
    except av.error.InvalidDataError:
        _log.warning("A packet of the film cannot be decoded: its frames are left out.")


def sound_of(packet: Packet[Any]) -> Iterator[av.AudioFrame]:
    """The sound of a packet; none of one that is broken, where ComfyUI gives up."""
    try:
        yield from packet.decode()
    except av.error.FFmpegError:  # a decoder of sound says what is broken in many ways
        _log.warning("A packet of the sound cannot be decoded: it is left out.")


class _Pictures:
    """Frames, converted and collected in one array that is made for as many as are expected."""

    def __init__(self, stream: VideoStream, window: Window, expected: int, name: str) -> None:
        self.done = False
        self._stream = stream
        self._first, self._end = window.first(_time_base(stream)), window.end(_time_base(stream))
        self._room = expected + _SPARE_FRAMES
        self._name = name
        self._count = 0
        self._converter: FrameConverter | None = None
        self._frames: Floats | None = None

    def take(self, packet: Packet[Any]) -> None:
        if self.done:
            return
        for frame in frames_of(packet):
            if frame.pts is not None and frame.pts < self._first:
                continue
            if self._end is not None and frame.pts is not None and frame.pts >= self._end:
                self.done = True
                return
            self._converter = self._converter or FrameConverter(frame, self._stream)
            self._add(self._converter(frame))

    def _add(self, samples: Samples) -> None:
        if self._frames is None:
            self._frames = np.empty((self._room, *samples.shape), np.float32)
        if samples.shape != self._frames.shape[1:]:
            old, new = (f"{shape[1]}x{shape[0]}" for shape in (self._frames.shape[1:], samples.shape))
            raise MediaError(f"{self._name} changes its size from {old} to {new}.", "Cut it there, and use each part alone.")
        if self._count == len(self._frames):
            grown = np.empty((self._count + self._count // 2 + 1, *samples.shape), np.float32)
            grown[: self._count] = self._frames
            self._frames = grown
        full = np.float32(255 if samples.dtype == np.uint8 else 1)
        np.divide(samples, full, out=self._frames[self._count], casting="same_kind")
        self._count += 1

    def result(self) -> tuple[Floats, Floats | None]:
        """The pictures and their alpha."""
        if self._frames is None:
            return np.zeros((0, 0, 0, 3), np.float32), None
        frames = self._frames[: self._count]
        if frames.shape[-1] == 3:
            return frames, None
        return np.ascontiguousarray(frames[..., :3]), np.ascontiguousarray(frames[..., 3:])


class _Sound:
    """Float samples at the track's own rate, from the start of the window on."""

    def __init__(self, stream: AudioStream, window: Window) -> None:
        self.done = False
        self._stream = stream
        self._window = window
        self._resampler = av.AudioResampler(format="fltp")
        self._pieces: list[Floats] = []

    def take(self, packet: Packet[Any]) -> None:
        if self.done:
            return
        for decoded in sound_of(packet):
            for frame in self._resampler.resample(decoded):
                if self._window.duration and (frame.time or 0.0) > self._window.start + self._window.duration:
                    self.done = True
                    return
                self._add(frame)

    def _add(self, frame: av.AudioFrame) -> None:
        samples = cast(Floats, frame.to_ndarray())
        if not self._pieces:
            late = self._window.start - (frame.pts or 0) * (self._stream.time_base or Fraction(0))
            skipped = max(0, int(late * self._stream.sample_rate))
            if skipped >= frame.samples:
                return
            samples = samples[..., skipped:]
        self._pieces.append(samples)

    def result(self) -> Floats | None:
        if not self._pieces:
            return None
        sound = np.concatenate(self._pieces, axis=1)
        return sound[..., : int(self._window.duration * self._stream.sample_rate)] if self._window.duration else sound
