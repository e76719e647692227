"""Frames to segments: files of whole, closed groups of pictures, each of which can be decoded without the others.

The encoder works in a thread of its own beside whoever makes the frames. Every segment has a fresh encoder, so that what it
holds depends on its own frames only: a run that goes on after a kill writes the same bytes as one that was never killed.

Memory at 8K: the producer waits for room, packs a lent picture into planes at once, so that it never keeps one, and hands the
planes over. At most ``ahead_bytes()`` of them are alive, the one being encoded included, but always one may be: on two cores
that is one picture of 100 MB (10 bit 4:2:0) besides what the encoder itself holds, and the model works on the next meanwhile.

What a kill costs: one segment at most, and the frame in the model's hands. No picture of the next segment is taken before the
last one is on the disk; the model has made the next frame meanwhile, so this costs time only where the encoder is the slower
one, and there the moment in which a segment is flushed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType

import av
import psutil
from av.error import FFmpegError
from av.video.stream import VideoStream

from ..errors import OutputError
from ..frames.geometry import Size
from ..frames.stream import Colour
from ..whole import sync
from .encoders import Encoding, cores
from .journal import Parts, Segment, digest
from .muxer import encode, open_output
from .pixels_out import Tags
from .probe import exact
from .refusal import translated


def ahead_bytes() -> int:
    """How much may wait for the encoder: 64 MB a core, as far as memory allows, and 512 MB at most.

    Where there are many cores, the encoder is what everybody waits for, and it must not wait for a picture itself; five of 8K
    are enough for that.
    """
    return min((64 << 20) * cores(), 512 << 20, psutil.virtual_memory().available // 8)


@dataclass(frozen=True)
class Plan:
    """What all segments of a film have in common."""

    encoding: Encoding
    size: Size
    """Of the coded picture."""
    colour: Colour
    """As coded."""
    time_base: Fraction
    frame_rate: Fraction
    pixel_aspect: Fraction
    frames: int
    """In every segment but the last."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A packed frame on its way to the encoder."""

    frame: av.VideoFrame
    pts: int
    duration: int
    bytes: int


class _Queue:
    """Pictures between two threads, bounded in bytes; one that is larger than the bound passes alone.

    At most ``frames`` of them were taken in and are not yet ``saved``.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._limit = ahead_bytes()
        self._unsaved = 0
        self._alive = 0
        self._encoding = 0
        self._items: deque[Picture | None] = deque()
        self._changed = Condition()
        self._closed = False

    def wait_for_room(self, size: int) -> None:
        """Until a picture of ``size`` bytes may be made, or nobody takes any more."""
        with self._changed:
            while self._full(size) and not self._closed:
                self._changed.wait(0.2)  # a limit, so that Ctrl-C comes through on every system

    def _full(self, size: int) -> bool:
        return self._unsaved >= self._frames or (self._alive > 0 and self._alive + size > self._limit)

    def put(self, item: Picture | None) -> bool:
        """False when nobody takes any more."""
        with self._changed:
            if self._closed:
                return False
            self._items.append(item)
            self._alive += item.bytes if item else 0
            self._unsaved += item is not None
            self._changed.notify_all()
            return True

    def take(self) -> Picture | None:
        """The next one, alive until ``done``; None at the end, or at once after ``close``."""
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            item = self._items[0]
            if item:  # the end stays where it is, for whoever asks again
                self._items.popleft()
                self._encoding = item.bytes
                self._changed.notify_all()
            return item

    def done(self) -> None:
        """The picture that was taken is gone."""
        with self._changed:
            self._alive -= self._encoding
            self._encoding = 0
            self._changed.notify_all()

    def saved(self, frames: int) -> None:
        """So many pictures are on the disk."""
        with self._changed:
            self._unsaved -= frames
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed


class SegmentWriter:
    """Give it pictures with ``put``; leaving the ``with`` block finishes the film, or drops the segment in work after an error.

    ``finished`` is called in the encoder's thread after every segment; what it raises ends the work like any other error.
    """

    def __init__(self, plan: Plan, parts: Parts, first: int, number: int, finished: Callable[[Segment], None]) -> None:
        self._plan, self._parts = plan, parts
        self._first, self._number = first, number
        self._finished = finished
        self._queue = _Queue(plan.frames)
        self._error: BaseException | None = None
        self._thread = Thread(target=self._work, name="video encoder", daemon=True)

    def __enter__(self) -> SegmentWriter:
        self._thread.start()
        return self

    def wait_for_room(self, size: int) -> None:
        """Until a picture of ``size`` bytes may be made; ask before every one."""
        self._queue.wait_for_room(size)

    def put(self, picture: Picture) -> None:
        """Hand a picture over. Raises what went wrong in the encoder's thread, if something did."""
        if not self._queue.put(picture) and self._error:
            raise self._error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._queue.put(None)
        else:
            self._queue.close()
        try:
            while self._thread.is_alive():
                self._thread.join(0.2)
        except BaseException:  # Ctrl-C while the last segment is being finished
            self._queue.close()
            self._thread.join()
            raise
        if error is None and self._error:
            raise self._error

    def _work(self) -> None:
        try:
            with translated(self._parts.folder):
                while self._segment():
                    pass
        except BaseException as error:
            self._error = error
        finally:
            self._queue.close()

    def _segment(self) -> bool:
        """Encode one segment. False when there is no picture left, or the work was called off meanwhile."""
        file: SegmentFile | None = None
        try:
            while picture := self._queue.take():
                file = file or SegmentFile(self._parts.folder / f"{self._number:06}.mp4", self._plan, picture.pts)
                file.add(picture)
                del picture  # nobody may hold it when the next one is made
                self._queue.done()
                if len(file.pts) == self._plan.frames:
                    break
            if file is None:
                return False
            if self._queue.closed:
                file.drop()
                return False
            segment = file.finish(self._first)
        except BaseException:
            if file:
                file.drop()
            raise
        self._parts.add(segment)
        self._queue.saved(segment.frames)
        self._first += segment.frames
        self._number += 1
        self._finished(segment)
        return True


class SegmentFile:
    """One segment in the making. Its times begin at 0; where it lies in the film is in the journal."""

    def __init__(self, path: Path, plan: Plan, start: int) -> None:
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._plan, self._start = plan, start
        self.pts: list[int] = []
        self._duration = 0
        self._decoded: list[int] = []
        # MP4 keeps every time exactly, in the film's own unit; so does MOV, which ProRes needs. Matroska would round to 1 ms.
        muxer = "mov" if plan.encoding.codec == "prores" else "mp4"
        self._container = open_output(self._part, muxer, exact_times(plan.time_base))
        try:
            self._stream = self._open_stream()
        except BaseException:
            self.drop()
            raise

    def add(self, picture: Picture) -> None:
        picture.frame.pts = picture.pts - self._start
        picture.frame.time_base = self._plan.time_base
        self.pts.append(picture.pts)
        self._duration = picture.duration
        self._encode(picture.frame)

    def finish(self, first: int) -> Segment:
        """Flush the encoder, have the file reach the disk, and give it its name."""
        self._encode(None)
        self._container.close()
        if sorted(self._decoded) != [pts - self._start for pts in self.pts]:
            raise OutputError(
                f"{self._plan.encoding.encoder.name} lost frames or their times: {len(self.pts)} went in and "
                f"{len(self._decoded)} came out.",
                "Choose another codec.",
                path=self._path,
            )
        sync(self._part)
        size, sha256 = self._part.stat().st_size, digest(self._part)
        self._part.replace(self._path)
        sync(self._path.parent)
        return Segment(self._path.name, first, tuple(self.pts), self._duration, _reorder(self._decoded), size, sha256)

    def drop(self) -> None:
        with suppress(FFmpegError, OSError, ValueError):  # it is thrown away
            self._container.close()
        self._part.unlink(missing_ok=True)

    def _encode(self, frame: av.VideoFrame | None) -> None:
        for packet in encode(self._stream, frame):
            assert packet.pts is not None
            self._decoded.append(round(packet.pts * exact(packet.time_base) / self._plan.time_base))
            self._container.mux(packet)

    def _open_stream(self) -> VideoStream:
        plan = self._plan
        encoding = plan.encoding
        options = dict(encoding.options)
        stream = self._container.add_stream(encoding.encoder.name, rate=plan.frame_rate, options=options)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = plan.size.width, plan.size.height, encoding.pixel_format
        context.time_base = stream.time_base = plan.time_base
        context.sample_aspect_ratio = plan.pixel_aspect
        if encoding.bitrate:
            context.bit_rate = encoding.bitrate
        Tags.of(plan.colour).put(context)
        self._container.start_encoding()
        return stream


def exact_times(time_base: Fraction) -> dict[str, str]:
    """Options of the MP4 and MOV muxers: count time in the film's own unit everywhere, the file's start offset included."""
    scale = str(time_base.denominator)
    return {"video_track_timescale": scale, "movie_timescale": scale}


def _reorder(decoded: list[int]) -> int:
    """How far decoding runs ahead of showing, in frames: the longest way a frame moves forward when they are sorted by time."""
    rank = {pts: position for position, pts in enumerate(sorted(decoded))}
    return max(position - rank[pts] for position, pts in enumerate(decoded))
