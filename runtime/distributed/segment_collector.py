"""Commits the segments of a video that workers hand in, and compares second results."""

from collections.abc import Callable, Sequence

from ..progress import OnMessage
from ..video import Segment, SegmentFolder
from .collector import Collector, OpenTry
from .order import Item
from .tries import TryName, WorkFolder


class SegmentCollector(Collector):
    """``check`` is called before a segment is committed, ``on_segment`` after it."""

    def __init__(
        self,
        work: WorkFolder,
        target: SegmentFolder,
        items: Sequence[Item],
        timeout: float,
        check: Callable[[Segment], None],
        on_segment: Callable[[Segment], None],
        on_message: OnMessage,
    ) -> None:
        super().__init__(work, len(items), timeout, on_message)
        self._target, self._items = target, items
        self._check, self._on_segment = check, on_segment
        self._committed: dict[str, tuple[str, str]] = {}

    def describe(self, item: int) -> str:
        first, count = self._items[item].first, self._items[item].count
        return f"The work from frame {first} on" if count is None else f"The work on frames {first} to {first + count - 1}"

    def take_result(self, name: TryName, known: OpenTry) -> bool:
        segment_folder = self.work.open_try(name)
        state = segment_folder.read_state(verify=False)
        is_whole = all([self._hand_in(known, segment_folder, segment) for segment in state.segments] if state else [])
        return state is not None and state.total is not None and is_whole

    def _hand_in(self, known: OpenTry, segment_folder: SegmentFolder, segment: Segment) -> bool:
        """Commit a segment, or compare it; return False while a slow folder does not show all of it."""
        if segment.file in known.handed_in:
            return True
        path = segment_folder.get_segment_path(segment)
        committed = self._committed.get(segment.file)
        if committed is None:
            if not segment_folder.is_intact(segment):
                return False
            self._check(segment)
            path.replace(self._target.get_segment_path(segment))
            self._target.append_segment(segment)
            self._committed[segment.file] = (segment.sha256, known.beat.worker)
            self.steps_by_worker[known.beat.worker] += segment.frame_count
            self._on_segment(segment)
        else:
            path.unlink(missing_ok=True)
            sha256, worker = committed
            if sha256 != segment.sha256:
                self.on_message(
                    f"{known.beat.worker} made other bytes of segment {segment.file} than {worker}, whose are kept: "
                    "the machines compute differently."
                )
        known.handed_in.add(segment.file)
        known.steps += segment.frame_count
        return True
