"""Encode frames to segments: files of closed GOPs, each of which decodes without the others.

The encoder runs in its own thread beside the producer of the frames. Every segment has a new encoder, so that its bytes depend
on its own frames only: a run that resumes after a kill writes the same bytes as one that was never killed.

Memory at 8K: the producer waits for capacity, packs a lent frame into planes at once, and hands them over. At most
``get_queue_byte_limit()`` bytes of them are alive, the one being encoded included, but always one may be: on two cores that is
one frame of 100 MB (10 bit 4:2:0) besides the encoder's own, while the model works on the next one.

A kill costs one segment at most, and the frame in the model. No frame of the next segment is taken before the last segment is
on the disk; the model computes the next frame meanwhile, so this costs time only if the encoder is slower than the model, and
then only while a segment is flushed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Semaphore, Thread
from types import TracebackType

import av
from av.error import FFmpegError
from av.video.stream import VideoStream

from ...atomic_write import publish_file, temp_path
from ...checksum import compute_sha256
from ...errors import OutputError
from ...hardware import compute_queue_bytes, count_usable_cores, query_memory
from ...media import POLL_SECONDS, BoundedQueue, ColorInfo, Size
from ..color.color_codes import ColorTags
from ..read.container import to_fraction
from .disk_space import translate_write_errors
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


@dataclass(frozen=True, eq=False)
class PackedFrame:
    """A frame in the encoder's pixel format, with its time."""

    make_frame: Callable[[], av.VideoFrame]
    """Called in the encoder's thread, which waits there for a device that still works on the frame."""
    pts: int
    duration: int
    nbytes: int


class SegmentWriter:
    """Writes the frames of ``put``; leaving the ``with`` block finishes the last segment, or drops it after an error.

    ``on_segment`` is called in the encoder's thread after every segment; what it raises ends the writer like other errors.
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
        self._queue: BoundedQueue[PackedFrame] = BoundedQueue(get_queue_byte_limit())
        self._unsaved = Semaphore(plan.frames_per_segment)  # counts the frames that may be put before others are on the disk
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="video encoder", daemon=True)

    def __enter__(self) -> SegmentWriter:
        self._thread.start()
        return self

    def wait_for_capacity(self, nbytes: int) -> None:
        """Wait until a frame of ``nbytes`` may be made; to be called before every frame."""
        while not self._unsaved.acquire(timeout=POLL_SECONDS):
            if self._queue.is_closed:
                return
        self._queue.wait_for_space(nbytes)

    def put(self, frame: PackedFrame) -> None:
        """Pass a frame to the encoder. Raises the error of the encoder's thread, if there was one."""
        if not self._queue.put(frame, frame.nbytes) and self._error:
            raise self._error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._queue.finish()
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

    def _run(self) -> None:
        try:
            with translate_write_errors(self._segment_folder.folder):
                while self._write_segment():
                    pass
        except BaseException as error:
            self._error = error
        finally:
            self._queue.close()

    def _write_segment(self) -> bool:
        """Encode one segment. Return False if no frame is left, or the queue was closed meanwhile."""
        file: SegmentFile | None = None
        try:
            while frame := self._queue.take():
                file = file or SegmentFile(self._segment_folder.folder / f"{self._number:06}.mp4", self._plan, frame.pts)
                file.add(frame)
                nbytes = frame.nbytes
                del frame  # it must not be alive when the next one is made
                self._queue.release(nbytes)
                if len(file.pts) == self._plan.frames_per_segment:
                    break
            if file is None:
                return False
            if self._queue.is_closed:
                file.discard()
                return False
            segment = file.finish(self._first_frame)
        except BaseException:
            if file:
                file.discard()
            raise
        self._segment_folder.append_segment(segment)
        self._unsaved.release(segment.frame_count)
        self._first_frame += segment.frame_count
        self._number += 1
        self._on_segment(segment)
        return True


class SegmentFile:
    """A segment being written. Its times begin at 0; the journal holds its position in the video."""

    def __init__(self, path: Path, plan: SegmentPlan, start_pts: int) -> None:
        self._path, self._temp = path, temp_path(path)
        self._plan, self._start_pts = plan, start_pts
        self.pts: list[int] = []
        self._duration = 0
        self._packet_pts: list[int] = []
        # MP4 and MOV (for ProRes) store every time exactly, in the video's own unit; Matroska would round to 1 ms.
        muxer = plan.encoding.encoder.segment_muxer
        self._container = open_output(self._temp, muxer, build_timescale_options(plan.time_base))
        try:
            self._stream = self._open_stream()
        except BaseException:
            self.discard()
            raise

    def add(self, packed: PackedFrame) -> None:
        frame = packed.make_frame()
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
        ColorTags.from_color_info(plan.color).apply(context)
        self._container.start_encoding()
        return stream


def build_timescale_options(time_base: Fraction) -> dict[str, str]:
    """Return the MP4 and MOV muxer options that count all times, also the file's start offset, in the video's unit."""
    scale = str(time_base.denominator)
    return {"video_track_timescale": scale, "movie_timescale": scale}


def _compute_reorder_depth(packet_pts: list[int]) -> int:
    """Return the largest number of frames that are decoded before the one displayed first."""
    rank = {pts: position for position, pts in enumerate(sorted(packet_pts))}
    return max(position - rank[pts] for position, pts in enumerate(packet_pts))
