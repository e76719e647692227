"""An image sequence made by several workers: items are runs of frames, whose images the driver gives their names.

Finished images get their names in any order, and are recorded in the order of the video: a run that is killed makes again what
was finished after the first gap.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..media import FrameNumber, FrameTimesUnknown, VideoStream
from ..paths import read_version
from ..progress import Progress
from ..video import (
    Gap,
    SegmentFolder,
    SequenceJob,
    SequenceSettings,
    WrittenImage,
    get_sequence_job_settings,
    write_images,
    write_missing_images,
)
from .collector import Collector, OpenPool, OpenTry, run_order
from .driver import cut_items, list_pts
from .order import Item, Order
from .tries import TryName, WorkFolder

IMAGES_KEY = "images"
"""In the result of a try: name, length, begin and end in seconds of each image."""


@dataclass(frozen=True)
class SharedSequence:
    """A ``WriteMissing`` that has the images made by workers."""

    template: Order
    open_pool: OpenPool
    worker_count: int

    def __call__(self, job: SequenceJob, progress: Progress) -> None:
        """Have them made. Where times of frames tell otherwise than the file, go on in this process and say so."""
        info, first = job.stream.info, job.state.count
        segment_folder = SegmentFolder(job.sequence.state_path.with_suffix(""))
        try:
            pts = list_pts(info)
            if first < len(pts):
                items = cut_items([Gap(first, first, None, None)], len(pts), 1, self.worker_count, pts)
                settings = get_sequence_job_settings(info, job.settings)
                order = replace(
                    self.template, id=secrets.token_hex(8), version=read_version(), settings=settings, items=tuple(items)
                )
                begins = [time * info.time_base for time in pts]
                say = progress.message
                run_order(
                    order, segment_folder, self.open_pool, lambda work: _ImageCollector(work, order, job, begins), say, progress
                )
        except FrameTimesUnknown as reason:
            progress.message(f"{info.source or job.sequence.get_path(0)} is not shared out, because {reason}.")
            progress.advance(job.state.count - first)
            write_missing_images(job, progress)
        finally:
            with suppress(OSError):  # another program has put something there
                segment_folder.folder.rmdir()


class _ImageCollector(Collector):
    """``begins``: when each frame of the video begins, in seconds."""

    def __init__(self, work: WorkFolder, order: Order, job: SequenceJob, begins: Sequence[Fraction]) -> None:
        super().__init__(work, len(order.items), order.timeout, job.progress.message)
        self._items, self._job, self._begins = order.items, job, begins
        self._made: dict[int, list[WrittenImage]] = {}
        self._recorded = 0
        self._lengths: dict[int, tuple[list[int], str]] = {}
        """Of the images of each item, and which worker made them."""

    def describe(self, item: int) -> str:
        return f"The work on the images from {self._job.sequence.get_path(self._items[item].first).name} on"

    def take_result(self, name: TryName, known: OpenTry) -> bool:
        result = self.work.read_result(name)
        if result is None:
            return False
        images = [_parse_image(self.work.open_try(name).folder, values) for values in result[IMAGES_KEY]]
        lengths = [length for _, length in images]
        if self.is_left(name.item):
            if not all(image.path.is_file() and image.path.stat().st_size == length for image, length in images):
                return False  # a slow folder does not show all of it yet
            self._take_images(self._items[name.item], name.item, [image for image, _ in images])
            self._lengths[name.item] = lengths, known.beat.worker
            self.steps_by_worker[known.beat.worker] += len(images)
        elif lengths != self._lengths[name.item][0]:
            self.on_message(
                f"{known.beat.worker} made images of other lengths than {self._lengths[name.item][1]}, whose are kept, "
                f"from frame {self._items[name.item].first} on: the machines compute differently."
            )
        return True

    def _take_images(self, item: Item, number: int, images: Sequence[WrittenImage]) -> None:
        end = None if item.count is None else item.first + item.count
        if [image.begin for image in images] != list(self._begins[item.first : end]):
            raise FrameTimesUnknown("its frames have other times than its packets, or do not decode")
        self._made[number] = [
            replace(image, path=image.path.replace(self._job.sequence.get_path(index)))
            for index, image in enumerate(images, item.first)
        ]
        while self._recorded in self._made:
            for image in self._made.pop(self._recorded):
                self._job.add_image(image)
            self._recorded += 1


def make_images(
    stream: VideoStream, item: Item, folder: Path, suffix: str, settings: SequenceSettings, progress: Progress
) -> Mapping[str, Any]:
    """Write the images of an item into ``folder``; return what its result says of them: a worker's side."""
    images: list[WrittenImage] = []
    first = item.first
    if item.before is not None:
        before, own = (time * stream.info.time_base for time in item.before)
        first = FrameNumber.at(first, before, own)
    depth = get_sequence_job_settings(stream.info, settings)["depth"]
    write_images(
        stream, first, item.count, lambda n: folder / f"{n}{suffix}", settings.write_image, depth, images.append, progress
    )
    found = [(image.path.name, image.path.stat().st_size, str(image.begin), str(image.end)) for image in images]
    return {IMAGES_KEY: found}


def _parse_image(folder: Path, values: Sequence[Any]) -> tuple[WrittenImage, int]:
    name, size, begin, end = values
    return WrittenImage(folder / Path(name).name, Fraction(begin), Fraction(end)), int(size)
