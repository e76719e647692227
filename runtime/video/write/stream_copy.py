"""Copy the source's audio and subtitles as packets; convert only what the container cannot hold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Literal, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from ...errors import OutputError
from ...progress import OnMessage
from ..read.channel_layout import decode_audio, has_custom_order, read_channel_layout
from ..read.container import demux_packets, open_container, to_fraction
from ..read.timestamps import FollowingCorrector, find_clock_offsets
from .encoders import MUXER_NAMES, Container
from .pyav_output import AnyPacket, Muxer, can_write_header, encode_frame, open_output, transcode_subtitle

_AUDIO_FALLBACKS: dict[Container, tuple[str, str]] = {
    "mp4": ("aac", "AAC"),
    "mov": ("aac", "AAC"),
    "webm": ("libopus", "Opus"),
    "mkv": ("libopus", "Opus"),
}
_SUBTITLE_FALLBACKS: dict[Container, str] = {"mp4": "mov_text", "mov": "mov_text", "webm": "webvtt", "mkv": "subrip"}
_TEXT_CODECS = {"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"}
_BITRATE_PER_CHANNEL = 96_000
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""By number of channels; both fallback encoders accept all of them."""
_SAMPLE_RATES = {
    "aac": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
    "libopus": (48000,),
}
_DROPPED_STREAM_TAGS = {"duration", "encoder", "vendor_id", "rotate", "alpha_mode", "timecode"}
"""Tags that the new stream has of its own."""
_SUBTITLE_UNIT = Fraction(1, 1000)
_MIN_PACKET_SPACING = Fraction(1, 4000)
"""Minimum seconds between packets: closer ones would get the same time in a container that counts samples."""
_TRIAL_PACKETS, _TRIAL_SECONDS = 200, 5
"""How much of an audio track is written to memory before the work begins. TrueHD can be entered every 128 packets."""
_MAX_DRIFT = Fraction(1, 10)
"""Seconds by which a copied track may end later than in the source before that is reported."""
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
    packet_count = written_count = broken_count = 0
    """Packets of the source in the window, packets written, and packets that could not be decoded."""
    drift = Fraction(0)
    """Seconds by which the last packet was moved."""

    def __init__(self, source: Stream, out: Stream, window: SourceWindow) -> None:
        self.index = source.index
        self.out = out
        self.window = window
        self._last_ticks: int | None = None
        self._last_source_ticks = 0
        self._last_duration = 1
        copy_stream_metadata(source, out)

    def process_packet(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        """Yield the packet with times of the output's clock if it is in the window. Its bytes stay unchanged."""
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or not packet.size or not self.window.contains(time * to_fraction(packet.time_base)):
            return
        self.packet_count += 1
        is_rounded = _refine_clock(packet)
        ticks = round(self.window.shift / to_fraction(packet.time_base))
        packet.pts = None if packet.pts is None else packet.pts - ticks
        packet.dts = None if packet.dts is None else packet.dts - ticks
        self._enforce_order(packet, is_rounded=is_rounded)
        packet.stream = self.out
        self.written_count += 1
        yield packet

    def _enforce_order(self, packet: AnyPacket, *, allow_equal: bool = False, is_rounded: bool = False) -> None:
        """Move a packet after the one before it. Times run backwards a little where packets were lost (the next one is right
        again), and far where recordings were concatenated. ``allow_equal``: subtitles may begin at the same time.
        ``is_rounded``: packets shorter than a tick of the source's clock have equal times there, which is not an error."""
        time, unit = packet.dts if packet.dts is not None else packet.pts or 0, to_fraction(packet.time_base)
        source_time = time
        spacing = 0 if allow_equal else max(1, ceil(_MIN_PACKET_SPACING / unit))
        if self._last_ticks is not None and time < self._last_ticks + spacing:
            self.moved_count += not (is_rounded and time >= self._last_source_ticks)
            is_splice = (self._last_ticks - time) * unit > _SPLICE_SECONDS
            time = self._last_ticks + (max(spacing, self._last_duration) if is_splice and not allow_equal else spacing)
            packet.pts = packet.dts = time
        self._last_ticks, self._last_source_ticks, self._last_duration = (
            time,
            source_time,
            packet.duration or self._last_duration,
        )
        self.drift = (time - source_time) * unit

    def flush(self) -> Iterator[AnyPacket]:
        """Yield the packets that are delayed until the end."""
        yield from ()

    def iterate_losses(self) -> Iterator[str]:
        """Yield a sentence for everything that is not as in the source."""
        if self.moved_count:
            yield f"{_count_packets(self.moved_count)} with times that run backwards moved after the one before."
        if self.drift > _MAX_DRIFT:
            yield f"it ends {float(self.drift):.3f} s later than in the source."


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
        self._resampler: av.AudioResampler | None = None
        self._frame_format: tuple[str, str, int] | None = None

    def process_packet(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        self.packet_count += bool(packet.size)
        try:
            frames = decode_audio(packet)
        except FFmpegError:
            self.broken_count += 1  # a broken packet is a gap in the audio, not the end of the video
            return
        for frame in frames:
            time = self._compute_frame_time(frame)
            if time is not None and self.window.contains(time):
                frame.time_base = Fraction(1, frame.sample_rate)
                frame.pts = round((time - self.window.shift) * frame.sample_rate)
                yield from self._encode(self._resample(frame))

    def _resample(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        """Convert to the encoder's format. The source's may change on the way; what the old resampler holds comes first."""
        frame_format = (frame.format.name, frame.layout.name, frame.sample_rate)
        pending: list[av.AudioFrame] = []
        if self._resampler is None or frame_format != self._frame_format:
            pending = self._resampler.resample(None) if self._resampler else []
            context = self._out.codec_context
            self._resampler = av.AudioResampler("fltp", read_channel_layout(context), context.sample_rate)
            self._frame_format = frame_format
        return [*pending, *self._resampler.resample(frame)]

    def _encode(self, frames: list[av.AudioFrame]) -> Iterator[AnyPacket]:
        for frame in frames:
            packets = encode_frame(self._out, frame)
            self.written_count += len(packets)
            yield from packets

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
        yield from self._encode(self._resampler.resample(None) if self._resampler else [])
        packets = encode_frame(self._out, None) if self._resampler else []
        self.written_count += len(packets)
        yield from packets

    def iterate_losses(self) -> Iterator[str]:
        yield from super().iterate_losses()
        if self.broken_count:
            yield f"{_count_packets(self.broken_count)} could not be decoded and left a gap."


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


def _count_packets(count: int) -> str:
    return f"{count} packet{'s' if count != 1 else ''}"


def _refine_clock(packet: AnyPacket) -> bool:
    """Count the packet's times in ticks of at most 1/4000 s; return whether its own clock is coarser (Matroska: 1 ms).

    A TrueHD packet lasts 1/1200 s: in ticks of 1 ms, each would be pushed behind the one before.
    """
    factor = ceil(to_fraction(packet.time_base) / _MIN_PACKET_SPACING)
    if factor > 1:
        packet.pts = None if packet.pts is None else packet.pts * factor
        packet.dts = None if packet.dts is None else packet.dts * factor
        packet.duration = (packet.duration or 0) * factor
        packet.time_base = to_fraction(packet.time_base) / factor
    return factor > 1


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
            for packet in demux_packets(self._source, *streams):
                clocks[packet.stream.index].correct_packet(packet)
                yield from tracks[packet.stream.index].process_packet(packet)
        except FFmpegError as error:
            self._on_message(f"Audio and subtitles end where the source is damaged ({error.strerror}).")
        for track in self.tracks:
            yield from track.flush()
            for loss in track.iterate_losses():
                self._on_message(f"Track {track.index}: {loss}")
            if track.packet_count and not track.written_count and isinstance(track.out, AudioStream):
                raise make_audio_error(self._source, track.index, self._container, "none of its packets can be decoded")

    def _add_audio(self, stream: AudioStream) -> PacketCopier | None:
        if not stream.codec_context:
            self._on_message(f"Audio track {stream.index} has a codec that FFmpeg cannot decode: it is left out.")
            return None
        path, context = Path(self._source.name), stream.codec_context
        if not try_track(path, stream.index, self._container, copy_audio):
            layout = read_channel_layout(context)
            if has_custom_order(layout) and self._container != "mov":
                self._on_message(
                    f"Audio track {stream.index} has {layout.name}, an order that {self._container} does not store."
                )
            return copy_audio(stream, self._out, self._container, self._window)
        reason = try_track(path, stream.index, self._container, reencode_audio)
        if reason:
            raise make_audio_error(self._source, stream.index, self._container, reason)
        track = reencode_audio(stream, self._out, self._container, self._window)
        source_channels, channels = (read_channel_layout(each).nb_channels for each in (context, track.out.codec_context))
        bitrate = _BITRATE_PER_CHANNEL * channels // 1000
        mixed = f", its {source_channels} channels mixed to {channels}" if source_channels > channels else ""
        self._on_message(
            f"Audio track {stream.index} is {context.name}, which {self._container} cannot hold: it is encoded again as "
            f"{_AUDIO_FALLBACKS[self._container][1]}, {bitrate} kbit/s{mixed}."
        )
        return track

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


def copy_audio(stream: AudioStream, out: Muxer, container: Container, window: SourceWindow) -> PacketCopier:
    """Add a track to ``out`` that holds the packets of ``stream`` unchanged."""
    copy, layout = out.add_stream_from_template(stream, opaque=True), read_channel_layout(stream.codec_context)
    if isinstance(copy, AudioStream) and layout.name.endswith(" channels") and layout.nb_channels in _LAYOUTS:
        copy.codec_context.layout = _LAYOUTS[layout.nb_channels]  # Matroska does not store it, and MP4 needs it for PCM
    return PacketCopier(stream, copy, window)


def reencode_audio(stream: AudioStream, out: Muxer, container: Container, window: SourceWindow) -> AudioReencoder:
    """Add a track to ``out`` in the container's own codec, with as many channels as the source has, up to eight."""
    name, _ = _AUDIO_FALLBACKS[container]
    context = stream.codec_context
    rate = context.sample_rate if context.sample_rate in _SAMPLE_RATES[name] else 48000
    encoded = out.add_stream(name, rate=rate)
    assert isinstance(encoded, AudioStream)
    channels = read_channel_layout(context).nb_channels or 2
    encoded.codec_context.layout = _LAYOUTS[min(channels, max(_LAYOUTS))]
    encoded.codec_context.bit_rate = _BITRATE_PER_CHANNEL * min(channels, max(_LAYOUTS))
    return AudioReencoder(stream, encoded, window)


def try_track(
    source: Path,
    index: int,
    container: Container,
    add_track: Callable[[AudioStream, Muxer, Container, SourceWindow], PacketCopier],
) -> str:
    """Write the first packets of an audio track to memory, trailer included; return why that fails, or "".

    A header alone does not tell: MP4 rejects some layouts of PCM and damaged AC-3 only in its trailer.
    """
    try:
        with open_container(source) as file, open_output(BytesIO(), MUXER_NAMES[container], {}) as out:
            stream = file.streams[index]
            assert isinstance(stream, AudioStream)
            track = add_track(stream, out, container, SourceWindow(None, None, Fraction(0)))
            out.start_encoding()
            for packet in _iterate_first_packets(file, stream):
                for written in track.process_packet(packet):
                    out.mux(written)
            for written in track.flush():
                out.mux(written)
    except (FFmpegError, ValueError) as error:
        return " ".join(str(getattr(error, "strerror", None) or error).split()).rstrip(".")
    return "none of its packets can be decoded" if track.packet_count and not track.written_count else ""


def _iterate_first_packets(file: InputContainer, stream: AudioStream) -> Iterator[AnyPacket]:
    first_time: Fraction | None = None
    for packet in islice(cast("Iterator[AnyPacket]", demux_packets(file, stream)), _TRIAL_PACKETS):
        if packet.dts is not None:
            time = packet.dts * to_fraction(packet.time_base)
            first_time = time if first_time is None else first_time
            if time - first_time > _TRIAL_SECONDS:
                return
        yield packet


def check_audio(source: Path, container: Container) -> None:
    """Raise ``OutputError`` if an audio track of ``source`` can neither be copied to the container nor encoded again for it."""
    window = SourceWindow(None, None, Fraction(0))
    with open_container(source) as file, open_output(BytesIO(), MUXER_NAMES[container], {}) as out:
        StreamCopier(file, out, container, window, audio="copy", subtitles="none", on_message=lambda _: None)


def make_audio_error(source: InputContainer, index: int, container: Container, reason: str) -> OutputError:
    path = Path(source.name)
    return OutputError(
        f"Audio track {index} of {path.name} cannot be written to {container}: {reason}.",
        "Set the container to mkv, which holds almost every codec, or audio to none.",
        path=path,
    )
