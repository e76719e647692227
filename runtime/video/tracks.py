"""Sound and subtitles of the source: copied as packets, changed only where the container cannot hold them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
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

from .clock import Follower, jumps
from .encoders import MUXERS, Container
from .muxer import AnyPacket, Muxer, encode, open_output, recode_subtitle
from .probe import exact

_SOUND: dict[Container, tuple[str, str]] = {
    "mp4": ("aac", "AAC"),
    "mov": ("aac", "AAC"),
    "webm": ("libopus", "Opus"),
    "mkv": ("libopus", "Opus"),
}
_TEXT: dict[Container, str] = {"mp4": "mov_text", "mov": "mov_text", "webm": "webvtt", "mkv": "subrip"}
_TEXT_CODECS = {"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"}
_BITRATE_PER_CHANNEL = 96_000
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
_RATES = {"aac": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000), "libopus": (48000,)}
_OWN_TAGS = {"duration", "encoder", "vendor_id", "rotate", "alpha_mode", "timecode"}
"""Of a stream: what the new one has of its own."""
_SUBTITLE_UNIT = Fraction(1, 1000)
_APART = Fraction(1, 4000)
"""Seconds from packet to packet at least: two that are nearer have the same time in a container that counts samples."""
_SPLICE_SECONDS = 1
"""A clock that runs back by more belongs to another recording."""


@dataclass(frozen=True)
class Window:
    """The part of the source that goes along, in seconds of the source's clock."""

    start: Fraction | None
    """Nothing before it; None: from the very beginning, with what lies before zero (an AAC encoder's lead-in)."""
    end: Fraction | None
    shift: Fraction
    """Seconds taken off every time."""

    def holds(self, time: Fraction) -> bool:
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)

    def part(self, time: Fraction, duration: Fraction) -> tuple[Fraction, Fraction] | None:
        """What of a line shown from ``time`` on lies in the window: (time, duration), not yet moved."""
        first = time if self.start is None else max(time, self.start)
        last = time + duration if self.end is None else min(time + duration, self.end)
        if last > first:
            return first, last - first
        return (time, duration) if duration <= 0 and self.holds(time) else None


class Track:
    """One stream of the source and what becomes of its packets."""

    moved = 0
    """Packets whose time was not after that of the one before, which no container holds: they were moved behind it."""

    def __init__(self, source: Stream, out: Stream, window: Window) -> None:
        self.index = source.index
        self.out = out
        self.window = window
        self._last: int | None = None
        self._step = 1
        describe(source, out)

    def packets(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        """What of the packet goes into the film, moved to the film's clock. Its bytes stay as they are."""
        time = packet.pts if packet.pts is not None else packet.dts
        unit = exact(packet.time_base)
        if time is None or not packet.size or not self.window.holds(time * unit):
            return
        ticks = round(self.window.shift / unit)
        packet.pts = None if packet.pts is None else packet.pts - ticks
        packet.dts = None if packet.dts is None else packet.dts - ticks
        self._order(packet)
        packet.stream = self.out
        yield packet

    def _order(self, packet: AnyPacket, *, together: bool = False) -> None:
        """Times run backwards where a recording lost packets (a little: the next packet is in time again) and where it was put
        together of several (far: what follows is played on). ``together``: lines of text may begin at one time."""
        time, unit = packet.dts if packet.dts is not None else packet.pts or 0, exact(packet.time_base)
        apart = 0 if together else max(1, ceil(_APART / unit))
        if self._last is not None and time < self._last + apart:
            self.moved += 1
            far = (self._last - time) * unit > _SPLICE_SECONDS
            time = self._last + (max(apart, self._step) if far and not together else apart)
            packet.pts = packet.dts = time
        self._last, self._step = time, packet.duration or self._step

    def rest(self) -> Iterator[AnyPacket]:
        """What is still held back at the end."""
        yield from ()


class TextCopied(Track):
    """Subtitle packets; a line that is on the screen where the window begins or ends is shown for the part inside."""

    def packets(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        unit = exact(packet.time_base)
        part = None if packet.pts is None else self.window.part(packet.pts * unit, (packet.duration or 0) * unit)
        if part is None or not packet.size:
            return
        packet.pts = packet.dts = round((part[0] - self.window.shift) / unit)
        packet.duration = round(part[1] / unit)
        self._order(packet, together=True)
        packet.stream = self.out
        yield packet


class SoundEncoded(Track):
    """Decoded and encoded again, frame by frame."""

    def __init__(self, source: AudioStream, out: AudioStream, window: Window) -> None:
        super().__init__(source, out, window)
        self._out = out
        self._next: Fraction | None = None

    def packets(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        try:
            frames = packet.decode()
        except FFmpegError:
            return  # a broken packet: a gap in the sound, not the end of the film
        for frame in frames:
            if not isinstance(frame, av.AudioFrame):
                continue
            time = self._time(frame)
            if time is not None and self.window.holds(time):
                frame.time_base = Fraction(1, frame.sample_rate)
                frame.pts = round((time - self.window.shift) * frame.sample_rate)
                yield from encode(self._out, frame)

    def _time(self, frame: av.AudioFrame) -> Fraction | None:
        """Its time in seconds, or None to leave it out, because that time is taken.

        It follows the frame before it when it has none, as the last of a codec that holds one back, when another recording
        begins, and when it does but for the rounding of its clock: Matroska counts milliseconds.
        """
        unit, follows = exact(frame.time_base), self._next
        own = follows if frame.pts is None else frame.pts * unit
        if own is not None and follows is not None and own <= follows + unit:
            behind = follows - own
            self.moved += behind > unit
            if unit < behind <= _SPLICE_SECONDS:
                return None
            own = follows
        if own is not None:
            self._next = own + Fraction(frame.samples, frame.sample_rate)
        return own

    def rest(self) -> Iterator[AnyPacket]:
        yield from encode(self._out, None)


class TextConverted(Track):
    """Text subtitles in the container's own form; what the form cannot say of fonts and places is lost."""

    def __init__(self, source: SubtitleStream, out: SubtitleStream, window: Window) -> None:
        super().__init__(source, out, window)
        self._source, self._out = source, out

    def packets(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        unit = exact(packet.time_base)
        part = None if packet.pts is None else self.window.part(packet.pts * unit, (packet.duration or 0) * unit)
        if part is None:
            return
        try:
            coded = recode_subtitle(self._source, self._out, packet)
        except FFmpegError:
            return
        if coded is None:
            return
        coded.pts = coded.dts = round((part[0] - self.window.shift) / _SUBTITLE_UNIT)
        coded.duration = round(part[1] / _SUBTITLE_UNIT)
        coded.time_base = _SUBTITLE_UNIT
        coded.stream = self._out
        self._order(coded, together=True)
        yield coded


def describe(source: Stream, out: Stream) -> None:
    """Give ``out`` the language, title and the like of ``source``, and what it is for."""
    kept = {name: text for name, text in source.metadata.items() if name.lower() not in _OWN_TAGS}
    out.metadata.update(
        {name: text for name, text in kept.items() if not name.startswith(("NUMBER_OF_", "BPS", "_STATISTICS"))}
    )
    out.disposition = source.disposition


class Tracks:
    """All tracks of a source that go into a film."""

    def __init__(
        self,
        source: InputContainer,
        out: Muxer,
        container: Container,
        window: Window,
        *,
        sound: Literal["copy", "none"],
        subtitles: Literal["copy", "none"],
        say: Callable[[str], None],
    ) -> None:
        self._source, self._out, self._window, self._say = source, out, window, say
        self._container: Container = container
        self.found: list[Track] = []
        for stream in source.streams:
            track = None
            if isinstance(stream, AudioStream) and sound == "copy":
                track = self._sound(stream)
            elif isinstance(stream, SubtitleStream) and subtitles == "copy":
                track = self._subtitles(stream)
            if track:
                self.found.append(track)

    def packets(self) -> Iterator[AnyPacket]:
        """Everything in the order of the source. A source that breaks off in the middle is said, not raised."""
        tracks = {track.index: track for track in self.found}
        if not tracks:
            return
        streams = [self._source.streams[index] for index in tracks]
        offsets = jumps(Path(self._source.name))
        clocks = {index: Follower(offsets) for index in tracks}
        try:
            for packet in self._source.demux(streams):
                clocks[packet.stream.index].set(packet)
                yield from tracks[packet.stream.index].packets(packet)
        except FFmpegError as error:
            self._say(f"Sound and subtitles end where the source is damaged ({error.strerror}).")
        for track in self.found:
            yield from track.rest()
            if track.moved:
                packets = f"{track.moved} packet{'s' if track.moved != 1 else ''}"
                self._say(f"Track {track.index}: {packets} with times that run backwards moved behind the one before.")

    def _sound(self, stream: AudioStream) -> Track | None:
        if not stream.codec_context:
            self._say(f"Sound track {stream.index} is in a codec that is not known here: it is left out.")
            return None
        if holds(self._container, stream):
            return Track(stream, self._copied_sound(stream), self._window)
        name, spoken = _SOUND[self._container]
        context = stream.codec_context
        rate = context.sample_rate if context.sample_rate in _RATES[name] else 48000
        out = self._out.add_stream(name, rate=rate)
        assert isinstance(out, AudioStream)
        out.codec_context.layout = _LAYOUTS.get(context.layout.nb_channels, "stereo")
        channels = out.codec_context.layout.nb_channels
        out.codec_context.bit_rate = _BITRATE_PER_CHANNEL * channels
        self._say(
            f"Sound track {stream.index} is {context.name}, which {self._container} cannot hold: it is encoded again as "
            f"{spoken}, {_BITRATE_PER_CHANNEL * channels // 1000} kbit/s."
        )
        return SoundEncoded(stream, out, self._window)

    def _copied_sound(self, stream: AudioStream) -> Stream:
        out = self._out.add_stream_from_template(stream, opaque=True)
        layout = stream.codec_context.layout
        if isinstance(out, AudioStream) and layout.name.endswith(" channels") and layout.nb_channels in _LAYOUTS:
            out.codec_context.layout = _LAYOUTS[layout.nb_channels]  # Matroska does not say, and MP4 must for PCM
        return out

    def _subtitles(self, stream: SubtitleStream) -> Track | None:
        name = stream.codec_context.name if stream.codec_context else "unknown"
        if stream.codec_context and holds(self._container, stream):
            return TextCopied(stream, self._out.add_stream_from_template(stream, opaque=True), self._window)
        if name not in _TEXT_CODECS:
            self._say(
                f"Subtitle track {stream.index} ({name}) does not go into {self._container}: it is left out. mkv keeps it."
            )
            return None
        form = _TEXT[self._container]
        out = self._out.add_stream(form)
        assert isinstance(out, SubtitleStream)
        context = out.codec_context
        context.time_base = out.time_base = _SUBTITLE_UNIT
        stream.codec_context.open(strict=False)
        context.subtitle_header = stream.codec_context.subtitle_header
        self._say(f"Subtitle track {stream.index} ({name}) becomes {form} in {self._container}: fonts and places may be lost.")
        return TextConverted(stream, out, self._window)


def holds(container: Container, stream: AudioStream | SubtitleStream) -> bool:
    """Whether the container takes packets of this stream as they are: its header is written into memory to find out."""
    try:
        out = open_output(io.BytesIO(), MUXERS[container], {})
        out.add_stream_from_template(stream, opaque=True)
        out.start_encoding()
        out.close()
    except (FFmpegError, ValueError):
        return False
    return True
