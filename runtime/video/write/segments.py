"""Encode frames to segments: files of closed GOPs, each of which decodes without the others.

Encoders run in their own threads beside the producer of the frames. Every segment has a new encoder, so that its bytes depend
on its own frames only: whatever the number of encoders, and whether it was resumed after a kill, a run writes the same bytes.

Memory at 8K: the producer waits for capacity, packs a lent frame into planes at once, and hands them over. At most
``get_queue_byte_limit()`` bytes of them are alive, those being encoded included, but always one frame may be: on two cores that
is one frame of 100 MB (10 bit 4:2:0) besides the encoder's own, while the model works on the next one. With many cores
``count_parallel_segments`` are encoded at once, as one encoder does not use them all; each further one adds its own memory and
that of a segment's frames to the limit, because frames arrive in order.

A kill costs as many segments as are in work, and the frame in the model. No frame is taken that belongs to one more before one
is on the disk; the model computes the next frame meanwhile, so this costs time only if the encoders are slower than the model.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Lock, Semaphore, Thread
from types import TracebackType

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ...atomic_write import publish_file, temp_path
from ...checksum import compute_sha256
from ...errors import OutputError
from ...hardware import compute_queue_bytes, count_usable_cores, query_memory
from ...media import POLL_SECONDS, BoundedQueue, ColorInfo, Size
from ..color.color_codes import ColorTags
from ..read.container import to_fraction
from .disk_space import translate_write_errors
from .encoders import ENCODERS
from .encoding import Encoding
from .journal import Segment, SegmentFolder
from .pyav_output import encode_frame, open_output

_X265_MAX_DELAY = 2
"""Frames by which x265 delays decoding. It leaves the decoding times of a shorter segment undefined, which has no B-frame."""


def get_queue_byte_limit() -> int:
    """Return the bytes of frames that may wait for the encoder: 64 MB per core, at most 512 MB and 1/8 of free memory.

    With many cores the encoder is the bottleneck and must not wait for a frame; five of 8K are enough for that.
    """
    return compute_queue_bytes(count_usable_cores(), query_memory().available)


_CORES_PER_ENCODER = 8
_MAX_ENCODERS = 4
_ENCODER_FRAMES = 24
"""What an encoder holds, in frames: x265 takes four of 536 MB at 8K, the others less."""


def count_parallel_segments(plan: SegmentPlan) -> int:
    """Return how many segments are encoded at once: one for every eight cores, at most four, and as a quarter of memory allows.

    A hardware encoder has one, which the driver shares out over the engines of the card.
    """
    if plan.encoding.encoder != ENCODERS[plan.encoding.codec]:
        return 1
    further_bytes = plan.frame_bytes * (_ENCODER_FRAMES + plan.frames_per_segment)
    further = min(count_usable_cores() // _CORES_PER_ENCODER, _MAX_ENCODERS) - 1
    return 1 + max(0, min(further, query_memory().available // 4 // further_bytes))


@dataclass(frozen=True)
class SegmentPlan:
    """What all segments of a video have in common."""

    encoding: Encoding
    size: Size
    """Size of the encoded frames."""
    color: ColorInfo
    """Color as encoded."""
    time_base: Fraction
    frame_rate: Fraction
    pixel_aspect: Fraction
    frames_per_segment: int
    """In every segment but the last."""

    @property
    def frame_bytes(self) -> int:
        """Of a frame in the encoder's pixel format."""
        components = av.VideoFormat(self.encoding.pixel_format, self.size.width, self.size.height).components
        return sum(each.width * each.height * (1 if each.bits <= 8 else 2) for each in components)


@dataclass(frozen=True, eq=False)
class PackedFrame:
    """A frame in the encoder's pixel format, with its time."""

    make_frame: Callable[[], av.VideoFrame]
    """Called in the encoder's thread, which waits there for a device that still works on the frame."""
    pts: int
    duration: int
    nbytes: int


class _SegmentFrames:
    """The frames of one segment on their way to its encoder."""

    def __init__(self, number: int, first_frame: int) -> None:
        self.number, self.first_frame, self.count = number, first_frame, 0
        self.queue: BoundedQueue[PackedFrame] = BoundedQueue(0)


class SegmentWriter:
    """Writes the frames of ``put``; leaving the ``with`` block finishes the last segments, or drops them after an error.

    ``on_segment`` is called in a thread of an encoder after every segment, never twice at once; what it raises ends the writer
    like other errors.
    """

    def __init__(
        self,
        plan: SegmentPlan,
        segment_folder: SegmentFolder,
        first_frame: int,
        number: int,
        on_segment: Callable[[Segment], None],
    ) -> None:
        self._plan, self._segment_folder = plan, segment_folder
        self._first_frame, self._number = first_frame, number
        self._on_segment = on_segment
        count = count_parallel_segments(plan)
        further_bytes = (count - 1) * plan.frames_per_segment * plan.frame_bytes
        self._space: BoundedQueue[PackedFrame] = BoundedQueue(get_queue_byte_limit() + further_bytes)
        self._segments: BoundedQueue[_SegmentFrames] = BoundedQueue(0)
        self._current: _SegmentFrames | None = None
        # Counts the frames that may be put before others are on the disk.
        self._unsaved = Semaphore(count * plan.frames_per_segment)
        self._journal_lock = Lock()
        self._error: BaseException | None = None
        self._threads = [Thread(target=self._run, name="video encoder", daemon=True) for _ in range(count)]

    def __enter__(self) -> SegmentWriter:
        for thread in self._threads:
            thread.start()
        return self

    def wait_for_capacity(self, nbytes: int) -> None:
        """Wait until a frame of ``nbytes`` may be made; to be called before every frame."""
        while not self._unsaved.acquire(timeout=POLL_SECONDS):
            if self._space.is_closed:
                return
        self._space.wait_for_space(nbytes)

    def put(self, frame: PackedFrame) -> None:
        """Pass a frame to its encoder. Raises the error of an encoder's thread, if there was one."""
        if not self._space.reserve(frame.nbytes):
            if self._error:
                raise self._error
            return
        if self._current is None:
            self._current = _SegmentFrames(self._number, self._first_frame)
            self._segments.put(self._current, 0)
        self._current.queue.put(frame, 0)
        self._current.count += 1
        if self._current.count == self._plan.frames_per_segment:
            self._finish_segment()

    def _finish_segment(self) -> None:
        if self._current is not None:
            self._current.queue.finish()
            self._number, self._first_frame = self._number + 1, self._first_frame + self._current.count
            self._current = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._finish_segment()
            self._segments.finish()
        else:
            self._close()
        try:
            for thread in self._threads:
                while thread.is_alive():
                    thread.join(0.2)
        except BaseException:  # Ctrl-C while the last segments are being finished
            self._close()
            for thread in self._threads:
                thread.join()
            raise
        if error is None and self._error:
            raise self._error

    def _close(self) -> None:
        self._space.close()
        self._segments.close()
        if current := self._current:  # the only one whose encoder may be waiting for a frame
            current.queue.close()

    def _run(self) -> None:
        try:
            with translate_write_errors(self._segment_folder.folder):
                while frames := self._segments.take():
                    self._write_segment(frames)
        except BaseException as error:
            self._error = self._error or error
            self._close()

    def _write_segment(self, frames: _SegmentFrames) -> None:
        """Encode one segment, unless the writer was closed meanwhile."""
        file: SegmentFile | None = None
        try:
            while (frame := frames.queue.take()) and not self._space.is_closed:
                file = file or SegmentFile(self._segment_folder.folder / f"{frames.number:06}.mp4", self._plan, frame.pts)
                file.add(frame)
                nbytes = frame.nbytes
                del frame  # it must not be alive when the next one is made
                self._space.release(nbytes)
            if file is None:
                return
            if self._space.is_closed:
                file.discard()
                return
            segment = file.finish(frames.first_frame)
        except BaseException:
            if file:
                file.discard()
            raise
        with self._journal_lock:
            self._segment_folder.append_segment(segment)
            self._unsaved.release(segment.frame_count)
            self._on_segment(segment)


class SegmentFile:
    """A segment being written. Its times begin at 0; the journal holds its position in the video."""

    def __init__(self, path: Path, plan: SegmentPlan, start_pts: int) -> None:
        self._path, self._temp = path, temp_path(path)
        self._plan, self._start_pts = plan, start_pts
        self.pts: list[int] = []
        self._duration = 0
        self._packet_pts: list[int] = []
        # MP4 and MOV (for ProRes) store every time exactly, in the video's own unit; Matroska would round to 1 ms.
        muxer = plan.encoding.segment_muxer
        self._container = open_output(self._temp, muxer, build_timescale_options(plan.time_base))
        try:
            self._stream = self._open_stream()
        except BaseException:
            self.discard()
            raise

    def add(self, packed: PackedFrame) -> None:
        frame = packed.make_frame()
        if not self.pts:  # the encoder opens with its first frame, which says where the memory of all is
            self._stream.codec_context.pix_fmt = frame.format.name
        frame.pts = packed.pts - self._start_pts
        frame.time_base = self._plan.time_base
        self.pts.append(packed.pts)
        self._duration = packed.duration
        self._encode(frame)

    def finish(self, first_frame: int) -> Segment:
        """Flush the encoder, sync the file to the disk, and give it its final name."""
        self._encode(None)
        self._container.close()
        if sorted(self._packet_pts) != [pts - self._start_pts for pts in self.pts]:
            raise OutputError(
                f"{self._plan.encoding.encoder.name} lost frames or their times: it was given {len(self.pts)} and returned "
                f"{len(self._packet_pts)}.",
                "Choose another codec.",
                path=self._path,
            )
        publish_file(self._temp, self._path)
        path, reorder = self._path, _compute_reorder_depth(self._packet_pts)
        size, sha256 = path.stat().st_size, compute_sha256(path)
        return Segment(path.name, first_frame, tuple(self.pts), self._duration, reorder, size, sha256)

    def discard(self) -> None:
        with suppress(FFmpegError, OSError, ValueError):  # the file is deleted anyway
            self._container.close()
        self._temp.unlink(missing_ok=True)

    def _encode(self, frame: av.VideoFrame | None) -> None:
        for packet in encode_frame(self._stream, frame):
            assert packet.pts is not None
            if len(self.pts) <= _X265_MAX_DELAY and self._plan.encoding.encoder.name == "libx265":
                packet.dts = packet.pts
            self._packet_pts.append(round(packet.pts * to_fraction(packet.time_base) / self._plan.time_base))
            self._container.mux(packet)

    def _open_stream(self) -> VideoStream:
        encoding = self._plan.encoding
        options = dict(encoding.options)
        stream = self._container.add_stream(encoding.encoder.name, rate=self._plan.frame_rate, options=options)
        assert isinstance(stream, VideoStream)
        configure_encoder(stream.codec_context, self._plan)
        stream.time_base = self._plan.time_base
        return stream


def configure_encoder(context: VideoCodecContext, plan: SegmentPlan) -> None:
    """Set all but the options and the pixel format, which is that of the frames."""
    context.width, context.height = plan.size.width, plan.size.height
    context.time_base, context.framerate = plan.time_base, plan.frame_rate
    context.sample_aspect_ratio = plan.pixel_aspect
    if plan.encoding.bitrate:
        context.bit_rate = plan.encoding.bitrate
    ColorTags.from_color_info(plan.color).apply(context)


def build_timescale_options(time_base: Fraction) -> dict[str, str]:
    """Return the MP4 and MOV muxer options that count all times, also the file's start offset, in the video's unit."""
    scale = str(time_base.denominator)
    return {"video_track_timescale": scale, "movie_timescale": scale}


def _compute_reorder_depth(packet_pts: list[int]) -> int:
    """Return the largest number of frames that are decoded before the one displayed first."""
    rank = {pts: position for position, pts in enumerate(sorted(packet_pts))}
    return max(position - rank[pts] for position, pts in enumerate(packet_pts))
