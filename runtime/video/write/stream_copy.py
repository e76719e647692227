"""Copy the source's audio and subtitles as packets; convert only what the container cannot hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Literal

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from ...progress import OnMessage
from ..read.container import to_fraction
from ..read.discontinuity import FollowingCorrector, find_clock_offsets
from .encoders import MUXER_NAMES, Container
from .pyav_output import AnyPacket, Muxer, can_write_header, encode_frame, transcode_subtitle

_AUDIO_FALLBACKS: dict[Container, tuple[str, str]] = {
    "mp4": ("aac", "AAC"),
    "mov": ("aac", "AAC"),
    "webm": ("libopus", "Opus"),
    "mkv": ("libopus", "Opus"),
}
_SUBTITLE_FALLBACKS: dict[Container, str] = {"mp4": "mov_text", "mov": "mov_text", "webm": "webvtt", "mkv": "subrip"}
_TEXT_CODECS = {"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"}
_BITRATE_PER_CHANNEL = 96_000
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
_SAMPLE_RATES = {
    "aac": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
    "libopus": (48000,),
}
_DROPPED_STREAM_TAGS = {"duration", "encoder", "vendor_id", "rotate", "alpha_mode", "timecode"}
"""Tags that the new stream has of its own."""
_SUBTITLE_UNIT = Fraction(1, 1000)
_MIN_PACKET_SPACING = Fraction(1, 4000)
"""Minimum seconds between packets: closer ones would get the same time in a container that counts samples."""
_SPLICE_SECONDS = 1
"""A clock that runs back by more seconds belongs to another recording."""


@dataclass(frozen=True)
class SourceWindow:
    """The part of the source to copy, in seconds of the source's clock."""

    start: Fraction | None
    """None: from the very beginning, including packets before zero (an AAC encoder's priming)."""
    end: Fraction | None
    shift: Fraction
    """Seconds to subtract from every time."""

    def contains(self, time: Fraction) -> bool:
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)

    def clip(self, time: Fraction, duration: Fraction) -> tuple[Fraction, Fraction] | None:
        """Return the (time, duration) of a subtitle in the window, not yet shifted; None if it is outside."""
        first = time if self.start is None else max(time, self.start)
        last = time + duration if self.end is None else min(time + duration, self.end)
        if last > first:
            return first, last - first
        return (time, duration) if duration <= 0 and self.contains(time) else None


class PacketCopier:
    """Copies the packets of one stream of the source."""

    moved_count = 0
    """Packets whose time was not after that of the packet before, which no container holds; they were moved after it."""

    def __init__(self, source: Stream, out: Stream, window: SourceWindow) -> None:
        self.index = source.index
        self.out = out
        self.window = window
        self._last_ticks: int | None = None
        self._last_duration = 1
        copy_stream_metadata(source, out)

    def process_packet(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        """Yield the packet with times of the output's clock if it is in the window. Its bytes stay unchanged."""
        time = packet.pts if packet.pts is not None else packet.dts
        unit = to_fraction(packet.time_base)
        if time is None or not packet.size or not self.window.contains(time * unit):
            return
        ticks = round(self.window.shift / unit)
        packet.pts = None if packet.pts is None else packet.pts - ticks
        packet.dts = None if packet.dts is None else packet.dts - ticks
        self._enforce_order(packet)
        packet.stream = self.out
        yield packet

    def _enforce_order(self, packet: AnyPacket, *, allow_equal: bool = False) -> None:
        """Move a packet after the one before it. Times run backwards a little where packets were lost (the next one is right
        again), and far where recordings were concatenated. ``allow_equal``: subtitles may begin at the same time."""
        time, unit = packet.dts if packet.dts is not None else packet.pts or 0, to_fraction(packet.time_base)
        spacing = 0 if allow_equal else max(1, ceil(_MIN_PACKET_SPACING / unit))
        if self._last_ticks is not None and time < self._last_ticks + spacing:
            self.moved_count += 1
            is_splice = (self._last_ticks - time) * unit > _SPLICE_SECONDS
            time = self._last_ticks + (max(spacing, self._last_duration) if is_splice and not allow_equal else spacing)
            packet.pts = packet.dts = time
        self._last_ticks, self._last_duration = time, packet.duration or self._last_duration

    def flush(self) -> Iterator[AnyPacket]:
        """Yield the packets that are delayed until the end."""
        yield from ()


class SubtitleCopier(PacketCopier):
    """Copies subtitle packets, clipped to the window."""

    def process_packet(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        unit = to_fraction(packet.time_base)
        clipped = None if packet.pts is None else self.window.clip(packet.pts * unit, (packet.duration or 0) * unit)
        converted = self._convert(packet) if clipped and packet.size else None
        if clipped is None or converted is None:
            return
        unit = to_fraction(converted.time_base)
        converted.pts = converted.dts = round((clipped[0] - self.window.shift) / unit)
        converted.duration = round(clipped[1] / unit)
        converted.stream = self.out
        self._enforce_order(converted, allow_equal=True)
        yield converted

    def _convert(self, packet: AnyPacket) -> AnyPacket | None:
        return packet


class AudioReencoder(PacketCopier):
    """Decodes and encodes audio again, frame by frame."""

    def __init__(self, source: AudioStream, out: AudioStream, window: SourceWindow) -> None:
        super().__init__(source, out, window)
        self._out = out
        self._next_seconds: Fraction | None = None

    def process_packet(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        try:
            frames = packet.decode()
        except FFmpegError:
            return  # a broken packet is a gap in the audio, not the end of the video
        for frame in frames:
            if not isinstance(frame, av.AudioFrame):
                continue
            time = self._compute_frame_time(frame)
            if time is not None and self.window.contains(time):
                frame.time_base = Fraction(1, frame.sample_rate)
                frame.pts = round((time - self.window.shift) * frame.sample_rate)
                yield from encode_frame(self._out, frame)

    def _compute_frame_time(self, frame: av.AudioFrame) -> Fraction | None:
        """Return the frame's time in seconds, or None to drop it because that time is taken.

        It follows the frame before if it has no time (the last one of a codec with delay), if another recording begins, and
        if it does so except for the rounding of its clock (Matroska counts milliseconds).
        """
        unit, expected = to_fraction(frame.time_base), self._next_seconds
        time = expected if frame.pts is None else frame.pts * unit
        if time is not None and expected is not None and time <= expected + unit:
            behind = expected - time
            self.moved_count += behind > unit
            if unit < behind <= _SPLICE_SECONDS:
                return None
            time = expected
        if time is not None:
            self._next_seconds = time + Fraction(frame.samples, frame.sample_rate)
        return time

    def flush(self) -> Iterator[AnyPacket]:
        yield from encode_frame(self._out, None)


class SubtitleConverter(SubtitleCopier):
    """Converts text subtitles to the container's format; fonts and positions that it cannot express are lost."""

    def __init__(self, source: SubtitleStream, out: SubtitleStream, window: SourceWindow) -> None:
        super().__init__(source, out, window)
        self._source, self._out = source, out

    def _convert(self, packet: AnyPacket) -> AnyPacket | None:
        try:
            converted = transcode_subtitle(self._source, self._out, packet)
        except FFmpegError:
            return None
        if converted is not None:
            converted.time_base = _SUBTITLE_UNIT
        return converted


def copy_stream_metadata(source: Stream, out: Stream) -> None:
    """Copy language, title and other tags, and the disposition."""
    for name, text in source.metadata.items():
        if name.lower() not in _DROPPED_STREAM_TAGS and not name.startswith(("NUMBER_OF_", "BPS", "_STATISTICS")):
            out.metadata[name] = text
    out.disposition = source.disposition


class StreamCopier:
    """Copies all audio and subtitle tracks of a source."""

    def __init__(
        self,
        source: InputContainer,
        out: Muxer,
        container: Container,
        window: SourceWindow,
        *,
        audio: Literal["copy", "none"],
        subtitles: Literal["copy", "none"],
        on_message: OnMessage,
    ) -> None:
        self._source, self._out, self._window, self._on_message = source, out, window, on_message
        self._container: Container = container
        self.tracks: list[PacketCopier] = []
        for stream in source.streams:
            track = None
            if isinstance(stream, AudioStream) and audio == "copy":
                track = self._add_audio(stream)
            elif isinstance(stream, SubtitleStream) and subtitles == "copy":
                track = self._add_subtitles(stream)
            if track:
                self.tracks.append(track)

    def iterate_packets(self) -> Iterator[AnyPacket]:
        """Yield all packets in the order of the source. A source that is damaged in the middle is reported, not raised."""
        tracks = {track.index: track for track in self.tracks}
        if not tracks:
            return
        streams = [self._source.streams[index] for index in tracks]
        offsets = find_clock_offsets(Path(self._source.name))
        clocks = {index: FollowingCorrector(offsets) for index in tracks}
        try:
            for packet in self._source.demux(streams):
                clocks[packet.stream.index].correct_packet(packet)
                yield from tracks[packet.stream.index].process_packet(packet)
        except FFmpegError as error:
            self._on_message(f"Audio and subtitles end where the source is damaged ({error.strerror}).")
        for track in self.tracks:
            yield from track.flush()
            if track.moved_count:
                packets = f"{track.moved_count} packet{'s' if track.moved_count != 1 else ''}"
                self._on_message(f"Track {track.index}: {packets} with times that run backwards moved after the one before.")

    def _add_audio(self, stream: AudioStream) -> PacketCopier | None:
        if not stream.codec_context:
            self._on_message(f"Audio track {stream.index} has a codec that FFmpeg cannot decode: it is left out.")
            return None
        if can_hold_stream(self._container, stream):
            return PacketCopier(stream, self._add_audio_copy(stream), self._window)
        name, display_name = _AUDIO_FALLBACKS[self._container]
        context = stream.codec_context
        rate = context.sample_rate if context.sample_rate in _SAMPLE_RATES[name] else 48000
        out = self._out.add_stream(name, rate=rate)
        assert isinstance(out, AudioStream)
        out.codec_context.layout = _LAYOUTS.get(context.layout.nb_channels, "stereo")
        channels = out.codec_context.layout.nb_channels
        out.codec_context.bit_rate = _BITRATE_PER_CHANNEL * channels
        self._on_message(
            f"Audio track {stream.index} is {context.name}, which {self._container} cannot hold: it is encoded again as "
            f"{display_name}, {_BITRATE_PER_CHANNEL * channels // 1000} kbit/s."
        )
        return AudioReencoder(stream, out, self._window)

    def _add_audio_copy(self, stream: AudioStream) -> Stream:
        out = self._out.add_stream_from_template(stream, opaque=True)
        layout = stream.codec_context.layout
        if isinstance(out, AudioStream) and layout.name.endswith(" channels") and layout.nb_channels in _LAYOUTS:
            out.codec_context.layout = _LAYOUTS[layout.nb_channels]  # Matroska does not store it, and MP4 needs it for PCM
        return out

    def _add_subtitles(self, stream: SubtitleStream) -> PacketCopier | None:
        name = stream.codec_context.name if stream.codec_context else "unknown"
        if stream.codec_context and can_hold_stream(self._container, stream):
            return SubtitleCopier(stream, self._out.add_stream_from_template(stream, opaque=True), self._window)
        if name not in _TEXT_CODECS:
            self._on_message(f"Subtitle track {stream.index} ({name}) is left out: {self._container} cannot hold it, mkv can.")
            return None
        codec_name = _SUBTITLE_FALLBACKS[self._container]
        out = self._out.add_stream(codec_name)
        assert isinstance(out, SubtitleStream)
        context = out.codec_context
        context.time_base = out.time_base = _SUBTITLE_UNIT
        stream.codec_context.open(strict=False)
        context.subtitle_header = stream.codec_context.subtitle_header
        what = f"Subtitle track {stream.index} ({name}) is converted to {codec_name}"
        self._on_message(f"{what}: fonts and positions may be lost.")
        return SubtitleConverter(stream, out, self._window)


def can_hold_stream(container: Container, stream: AudioStream | SubtitleStream) -> bool:
    """Return whether the container accepts packets of this stream unchanged."""
    return can_write_header(MUXER_NAMES[container], lambda out: out.add_stream_from_template(stream, opaque=True))
