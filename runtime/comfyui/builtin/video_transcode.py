"""Encode a part of a video file again as ComfyUI does, one frame at a time."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

import av
import av.error
import av.filter
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from ...video import decode_audio, demux_packets, read_channel_layout
from .video_decode import (
    FloatArray,
    TrimWindow,
    VideoSource,
    decode_audio_packet,
    decode_video_packet,
    get_color_space,
    get_first_video_stream,
    get_frame_rate,
    get_last_audio_stream,
    get_time_base,
    make_size_change_error,
    make_source_error,
)
from .video_encode import AUDIO_LAYOUTS, Output, Track, VideoEncoding, make_audio_frame, make_odd_size_error, write_tags

_PROBED_PACKETS = 200
_ROTATIONS: Mapping[int, tuple[tuple[str, str | None], ...]] = {
    1: (("transpose", "cclock"),),
    2: (("hflip", None), ("vflip", None)),
    3: (("transpose", "clock"),),
}

CropRectangle = tuple[int, int, int, int]
"""x, y, width and height in pixels"""

_log = logging.getLogger(__name__)


def transcode(
    source: InputContainer,
    video_source: VideoSource,
    target: Output,
    window: TrimWindow,
    *,
    metadata: Mapping[str, Any] | None,
    encoding: VideoEncoding,
    crop: CropRectangle | None = None,
) -> None:
    """Encode a window of a video: timestamps start at 0, frames are upright, cropped and in limited range.

    A video with a color space of its own keeps its tags.

    Raises ``MediaError`` for a video without frames or of changing size, ``OutputError`` for odd sizes.
    """
    write_tags(target, metadata, source)
    stream = get_first_video_stream(source, video_source)
    if first_pts := window.get_first_pts(get_time_base(stream)):
        source.seek(first_pts, stream=stream)
    track = _find_audio_track(source, stream, window)
    video = _EncodedVideo(stream, video_source, target, window, encoding, crop)
    audio = _EncodedAudio(track, target, window, video, encoding) if track is not None else None
    for packet in demux_packets(source, *([stream] if track is None else [stream, track[0]])):
        if video.is_done and (audio is None or audio.is_done):
            break
        if packet.stream is stream:
            video.process_packet(packet, audio)
        elif audio is not None:
            audio.process_packet(packet)
    if video.track is None:
        raise make_source_error(video_source, "has no frame in this part that can be decoded.", "Choose another part.")
    if audio is not None and not audio.is_done:
        audio.drain(final=True)
    video.finish()
    if audio is not None and audio.track is not None:
        target.mux(audio.track.encode(None))


class _EncodedVideo:
    """Encodes frames of the source to a stream, which is created for the first frame."""

    def __init__(
        self,
        stream: VideoStream,
        video_source: VideoSource,
        target: Output,
        window: TrimWindow,
        encoding: VideoEncoding,
        crop: CropRectangle | None,
    ) -> None:
        self.is_done = False
        self.track: Track = None
        self.time_base = get_time_base(stream)
        self.end_ticks: int | None = None
        """The end of the last frame, counted from the new start"""
        self._video_source, self._target, self._window = video_source, target, window
        self._encoding, self._crop = encoding, crop
        self._color_source = stream.codec_context if get_color_space(stream) else None
        self._rate = get_frame_rate(stream)
        self._step = max(1, round(1 / self._rate / self.time_base))
        self._first_pts, self._end_pts = window.get_first_pts(self.time_base), window.get_end_pts(self.time_base)
        ends = [self._end_pts] if self._end_pts is not None else []
        if stream.duration is not None:
            ends.append((stream.start_time or 0) + stream.duration)
        self._source_end = min(ends, default=None)
        self._offset: int | None = None
        self._pts: int | None = None
        # The real durations, because the MP4 muxer would give the last frame the average duration.
        self._durations: dict[int | None, int] = {}
        self._size = (0, 0)
        self._filter: _FrameFilter | None = None

    def process_packet(self, packet: Any, audio: _EncodedAudio | None) -> None:
        if self.is_done:
            return
        for frame in decode_video_packet(packet, self._window):
            if frame is None:
                self._close_window()
                return
            if self.track is None:
                self.track = self._open_track(frame, audio)
            self._encode_frame(self.track, frame)
            if audio is not None:
                audio.drain()

    def _close_window(self) -> None:
        """Extend the last frame to the end of the window, because the video continues after it."""
        self.is_done = True
        if self.end_ticks is not None and self._end_pts is not None:
            self.end_ticks = max(self.end_ticks, self._end_pts - (self._first_pts if self._offset is None else self._offset))

    def _open_track(self, frame: av.VideoFrame, audio: _EncodedAudio | None) -> Track:
        quarter_turns = round(frame.rotation // 90) % 4 if frame.rotation else 0
        width, height = (frame.height, frame.width) if quarter_turns % 2 else (frame.width, frame.height)
        steps = _ROTATIONS.get(quarter_turns, ())
        if self._crop is not None:
            x, y, width, height = self._crop
            steps = (*steps, ("crop", f"{width}:{height}:{x}:{y}"))
        if width % 2 or height % 2:
            raise make_odd_size_error(width, height)
        track = self._encoding.add_video_stream(self._target, self._rate, (width, height))
        if self._color_source is not None:
            _copy_color(self._color_source, track.codec_context)
        track.codec_context.max_b_frames = 0  # reordered frames would swap their durations in MP4
        track.codec_context.time_base = self.time_base
        self._size = (frame.width, frame.height)
        self._filter = _FrameFilter(frame, self.time_base, steps) if steps else None
        if audio is not None:
            audio.open_track()
        return track

    def _encode_frame(self, track: Track, frame: av.VideoFrame) -> None:
        if (frame.width, frame.height) != self._size:
            raise make_size_change_error(self._video_source, self._size, (frame.width, frame.height))
        duration = frame.duration or self._step
        if self._end_pts is not None and frame.pts is not None:
            duration = min(duration, self._end_pts - frame.pts)
        if self._filter is not None:
            frame = self._filter(frame)
        is_compressed = frame.color_range == ColorRange.JPEG and self._color_source is None
        ranges: dict[str, str] = {"src_color_range": "JPEG", "dst_color_range": "MPEG"} if is_compressed else {}
        frame = frame.reformat(format=self._encoding.pixel_format, **cast(Any, ranges))
        if self._color_source is not None:
            _copy_color(self._color_source, frame)
        else:
            self._encoding.apply_color(frame)
        if not self._assign_timestamp(frame, duration):
            return
        frame.pict_type = cast(Any, 0)  # the types of an intra-only source would make every frame a key frame
        for packet in track.encode(frame):
            packet.duration = self._durations.pop(packet.pts, 0)
            self._target.mux(packet)

    def _assign_timestamp(self, frame: av.VideoFrame, duration: int) -> bool:
        """Set the timestamp of a frame in the new video; return False if it does not fit."""
        end: int | None = None
        pts = frame.pts
        if pts is not None:
            self._offset = pts if self._offset is None else self._offset
            pts -= self._offset
            end = self._source_end - self._offset if self._source_end is not None else None
            if end is not None and pts + duration > end:
                clamped = end - duration
                if clamped >= 0 and (self._pts is None or clamped > self._pts):
                    pts = min(pts, clamped)
                elif pts < end:
                    duration = end - pts
                else:
                    return False
        if pts is None or (self._pts is not None and pts <= self._pts):
            # Damaged videos have repeated or decreasing timestamps, which muxers reject.
            pts = 0 if self._pts is None else self._pts + self._step
            if end is not None and pts + duration > end:
                if pts >= end:
                    return False
                duration = end - pts
        frame.pts = self._pts = pts
        self.end_ticks = pts + duration
        self._durations[pts] = duration
        return True

    def finish(self) -> None:
        """Flush the encoder; the last frame of a window lasts until its end."""
        last_duration = (
            self.end_ticks - self._pts if self.is_done and self.end_ticks is not None and self._pts is not None else 0
        )
        for packet in self.track.encode(None):
            duration = self._durations.pop(packet.pts, 0)
            packet.duration = max(duration, last_duration) if packet.pts == self._pts else duration
            self._target.mux(packet)


def _copy_color(source: Any, target: Any) -> None:
    for name in ("color_primaries", "color_trc", "colorspace", "color_range"):
        setattr(target, name, getattr(source, name))


class _FrameFilter:
    """Passes frames through filters of FFmpeg, given as (name, argument)."""

    def __init__(self, template: av.VideoFrame, time_base: Fraction, steps: Sequence[tuple[str, str | None]]) -> None:
        self._graph = av.filter.Graph()  # kept: its source and sink hold no reference to it
        self._source = self._graph.add_buffer(None, template.width, template.height, template.format, time_base=time_base)
        tail = self._source
        for name, argument in steps:
            filter_context = self._graph.add(name, argument)
            tail.link_to(filter_context)
            tail = filter_context
        self._sink = self._graph.add("buffersink")
        tail.link_to(self._sink)
        self._graph.configure()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        self._source.push(frame)
        return cast(av.VideoFrame, self._sink.pull())


def _find_audio_track(source: InputContainer, video: VideoStream, window: TrimWindow) -> tuple[AudioStream, int, int] | None:
    """Return the audio stream, its rate and channel count, which some containers reveal only by decoding."""
    stream = get_last_audio_stream(source)
    if stream is None:
        return None
    rate, channels = stream.codec_context.sample_rate, read_channel_layout(stream.codec_context).nb_channels
    if not rate:
        rate, channels = _probe_audio_format(source, stream)
        source.seek(window.get_first_pts(get_time_base(video)), stream=video)
        if not rate:
            _log.warning("The audio format of this video is unknown: the audio is left out.")
            return None
        stream.codec_context.flush_buffers()
    return stream, rate, channels


def _probe_audio_format(source: InputContainer, stream: AudioStream) -> tuple[int, int]:
    for number, packet in enumerate(demux_packets(source, stream)):
        try:
            frames = decode_audio(packet)
        except av.error.FFmpegError:
            frames = []
        if frames:
            return frames[0].sample_rate, frames[0].layout.nb_channels
        if number >= _PROBED_PACKETS:
            break
    return 0, 0


class _EncodedAudio:
    """Encodes audio of the source to a stream, never ahead of the video."""

    def __init__(
        self,
        source: tuple[AudioStream, int, int],
        target: Output,
        window: TrimWindow,
        video: _EncodedVideo,
        encoding: VideoEncoding,
    ) -> None:
        self.is_done = False
        self.track: Track = None
        _, source_rate, channels = source
        self._encoding, self._rate = encoding, encoding.get_audio_rate(source_rate)
        self._layout = AUDIO_LAYOUTS.get(channels, "stereo")
        self._target, self._window, self._video = target, window, video
        self._resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
        self._max_samples = math.ceil(window.duration * self._rate) if window.duration else None
        self._pending: list[av.AudioFrame] = []
        self._written = 0
        self._has_started = False

    def open_track(self) -> None:
        self.track = self._encoding.add_audio_stream(self._target, self._rate, self._layout)

    def process_packet(self, packet: Any) -> None:
        if self.is_done:
            return
        for decoded in decode_audio_packet(packet):
            for frame in self._resampler.resample(decoded):
                if not self._enqueue(frame):
                    return

    def _enqueue(self, frame: av.AudioFrame) -> bool:
        """Queue a frame; return False when the stream is complete."""
        start = None
        if frame.pts is not None:
            start = float(frame.pts * (frame.time_base or Fraction(1, self._rate)))
            if self._window.duration and not self._has_started and start >= self._window.start + self._window.duration:
                self.is_done = True
                return False
        if not self._has_started:
            return self._enqueue_first(frame, start or 0.0)
        self._pending.append(frame)
        return not self._finish_if_complete()

    def _enqueue_first(self, frame: av.AudioFrame, start: float) -> bool:
        skipped = max(0, int((self._window.start - start) * self._rate))
        if skipped >= frame.samples:
            return True
        self._has_started = True
        if self._max_samples is not None and start > self._window.start:
            self._max_samples = min(
                self._max_samples, math.ceil((self._window.start + self._window.duration - start) * self._rate)
            )
        if skipped:
            self._pending.append(
                make_audio_frame(cast(FloatArray, frame.to_ndarray())[..., skipped:], self._rate, self._layout, 0)
            )
            return True
        self._pending.append(frame)
        return not self._finish_if_complete()

    def _finish_if_complete(self) -> bool:
        """Finish when the video is done and the audio read so far covers it: some containers store it far behind."""
        if not self._video.is_done:
            return False
        allowed = self.drain()
        if not (self._pending or self._written >= allowed):
            return False
        self.drain(final=True)
        self.is_done = True
        return True

    def drain(self, *, final: bool = False) -> int:
        """Encode the audio up to the end of the video so far; with ``final`` cut the last frame. Return the sample limit."""
        end = self._video.end_ticks
        allowed = 0 if end is None else math.ceil(end * self._video.time_base * self._rate)
        allowed = allowed if self._max_samples is None else min(allowed, self._max_samples)
        while self._pending and not self.is_done:
            frame = self._pending[0]
            if self._written + frame.samples > allowed:
                if final:
                    self._encode_partial_frame(frame, allowed - self._written)
                    self._pending.clear()
                break
            self._encode_frame(self._pending.pop(0))
        self.is_done = self.is_done or (self._max_samples is not None and self._written >= self._max_samples)
        return allowed

    def _encode_partial_frame(self, frame: av.AudioFrame, samples: int) -> None:
        kept = cast(FloatArray, frame.to_ndarray())[..., :samples]
        if kept.shape[-1]:
            self._encode_frame(make_audio_frame(kept, self._rate, self._layout, 0))

    def _encode_frame(self, frame: av.AudioFrame) -> None:
        frame.pts, frame.time_base = self._written, Fraction(1, self._rate)
        self._written += frame.samples
        self._target.mux(self.track.encode(frame))
