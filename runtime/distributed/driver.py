"""The run that gives a video's order: cuts items, watches the workers, commits what they hand in."""

import secrets
from array import array
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile

from ..media import FrameTimesUnknown, VideoInfo
from ..paths import read_version
from ..progress import Progress, SilentProgress
from ..upscale import keep_backends_open
from ..video import Gap, Segment, SegmentFolder, WriteJob, encode_gaps
from .collector import MakeItem, OpenPool, run_order
from .order import Item, Order
from .processes import WorkerSlot, use_cores
from .segment_collector import SegmentCollector
from .tries import Beat, Heartbeat, ItemTaker, WorkFolder

_ITEMS_PER_WORKER = 8
"""So that a fast worker takes more, and the last items end at about the same time."""
_MAX_ITEM_SEGMENTS = 60


@dataclass(frozen=True)
class SharedEncode:
    """An ``EncodeGaps`` that has the segments made by workers."""

    template: Order
    """Without settings and items."""
    open_pool: OpenPool
    worker_count: int
    own_slot: WorkerSlot | None = None
    """Of this process, which makes segments too; None: it only waits for workers."""

    def __call__(
        self,
        job: WriteJob,
        segment_folder: SegmentFolder,
        gaps: Sequence[Gap],
        on_segment: Callable[[Segment], None],
        progress: Progress,
    ) -> None:
        """Have the gaps made. Where times of frames tell otherwise than the file, go on in this process and say so."""
        try:
            pts = list_pts(job.info)
            items = cut_items(gaps, len(pts), job.plan.frames_per_segment, self.worker_count, pts)
            order = replace(
                self.template, id=secrets.token_hex(8), version=read_version(), settings=job.job_settings, items=tuple(items)
            )
            check, own_slot = _TimesCheck(pts, job.plan.frames_per_segment), self.own_slot
            run_order(
                order,
                segment_folder,
                self.open_pool,
                lambda work: SegmentCollector(work, segment_folder, items, order.timeout, check, on_segment, job.on_message),
                job.on_message,
                progress,
                partial(_open_own_items, job, order, own_slot) if own_slot else None,
            )
        except FrameTimesUnknown as reason:
            name = (job.info.source or job.path).name
            job.on_message(f"{name} is not shared out, because {reason}: one process makes it.")
            gaps = _keep_contiguous(segment_folder, progress)
            encode_gaps(job, segment_folder, gaps, on_segment, progress)


def list_pts(info: VideoInfo) -> Sequence[int]:
    """Return the times of all frames. Raises ``FrameTimesUnknown`` for a source that must be decoded for them."""
    if info.list_pts is None:
        raise FrameTimesUnknown("the times of its frames are known only after decoding")
    return array("q", info.list_pts())


@dataclass(frozen=True)
class _TimesCheck:
    pts: Sequence[int]
    segment_frames: int

    def __call__(self, segment: Segment) -> None:
        """Raise ``FrameTimesUnknown`` for a segment that one process would have cut otherwise: a frame did not decode."""
        if segment.pts != tuple(self.pts[segment.first : segment.first + self.segment_frames]):
            raise FrameTimesUnknown("its frames have other times than its packets, or do not decode")


@contextmanager
def _open_own_items(job: WriteJob, order: Order, slot: WorkerSlot, work: WorkFolder) -> Generator[MakeItem]:
    with use_cores(slot.cores), keep_backends_open():
        yield _OwnItems(job, order, work, slot.name)


class _OwnItems:
    """Makes items in the driver's process. What goes wrong with them ends the run, as it does without workers."""

    def __init__(self, job: WriteJob, order: Order, work: WorkFolder, name: str) -> None:
        self._job, self._order, self._work, self._name = job, order, work, name
        self._taker = ItemTaker(work, range(len(order.items)), name)

    def __call__(self, poll: Callable[[], None]) -> bool:
        """See ``MakeItem``."""
        if (begun := self._taker.take()) is None:
            return False
        name, segment_folder = begun
        with Heartbeat(self._work, name, self._name) as beat:
            gap = self._order.items[name.item].gap
            encode_gaps(self._job, segment_folder, [gap], lambda _: None, _CountedFrames(beat, poll))
        segment_folder.mark_complete(beat.frames)
        return True


class _CountedFrames(SilentProgress):
    """Counts the frames of a try in its beat, and polls after each."""

    def __init__(self, beat: Beat, poll: Callable[[], None]) -> None:
        self._beat, self._poll = beat, poll

    def advance(self, steps: int = 1) -> None:
        self._beat.frames += steps
        self._poll()


def cut_items(gaps: Sequence[Gap], total: int, segment_frames: int, workers: int, pts: Sequence[int]) -> list[Item]:
    """Cut gaps into runs of whole segments, all about the same size. ``total``: frames of the video.

    Raises ``FrameTimesUnknown`` for a gap beyond the last frame.
    """
    sizes = [total - gap.first_frame if gap.frame_count is None else gap.frame_count for gap in gaps]
    if min(sizes, default=0) <= 0:
        raise FrameTimesUnknown("it has fewer frames than an earlier run found")
    segment_count = sum(-(-size // segment_frames) for size in sizes)
    run = max(1, min(_MAX_ITEM_SEGMENTS, segment_count // (max(workers, 1) * _ITEMS_PER_WORKER)))
    items: list[Item] = []
    for gap, size in zip(gaps, sizes, strict=True):
        for start in range(0, size, run * segment_frames):
            first = gap.first_frame + start
            is_open = gap.frame_count is None and start + run * segment_frames >= size
            count = None if is_open else min(run * segment_frames, size - start)
            before = (pts[first - 1], pts[first]) if first else None
            items.append(Item(gap.number + start // segment_frames, first, count, before))
    return items


def _keep_contiguous(segment_folder: SegmentFolder, progress: Progress) -> list[Gap]:
    """Drop finished segments after the first gap, which may be cut otherwise; return what is missing."""
    state = segment_folder.read_state(verify=False)
    assert state is not None
    kept = tuple(segment for segment, _ in takewhile(_follows, zip(state.segments, _list_starts(state.segments), strict=True)))
    dropped = state.frame_count - sum(segment.frame_count for segment in kept)
    state = replace(state, segments=kept, total=None)
    segment_folder.write_state(state)
    progress.advance(-dropped)
    return state.list_gaps()


def _list_starts(segments: Sequence[Segment]) -> list[int]:
    """Return where each segment begins if none is missing before it."""
    starts = [0]
    for segment in segments[:-1]:
        starts.append(starts[-1] + segment.frame_count)
    return starts[: len(segments)]


def _follows(pair: tuple[Segment, int]) -> bool:
    return pair[0].first == pair[1]
