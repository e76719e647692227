"""A worker: takes items of an order, and writes their segments instead of a video."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from ..errors import WorkflowError
from ..host import LocalHost
from ..paths import Folder
from ..progress import Progress, SilentProgress
from ..upscale import fix_tile_memory, keep_backends_open
from ..video import (
    SOURCE_KEY,
    SequenceSettings,
    VideoWriteSettings,
    WriteJob,
    WriteReport,
    encode_gaps,
    get_sequence_job_settings,
)
from .order import Order, find_segment_folder
from .shared_sequence import make_images
from .tries import Beat, Heartbeat, TryName, WorkFolder
from .worker_choice import IN_ORDER

_MAX_FAILURES = 3
"""In a row, after which a worker gives up."""


@dataclass(kw_only=True)
class WorkerHost(LocalHost):
    """The command line as the host of a worker: the video of the order is written as segments."""

    order: Order
    order_path: Path
    name: str
    target: Path = field(init=False)
    worker_progress: _WorkerProgress = field(init=False)
    has_worked: bool = field(default=False, init=False)
    """Whether the workflow reached what the order is for."""

    def __post_init__(self) -> None:
        self.target = self.order_path.absolute().parent.with_suffix("")
        self.worker_progress = _WorkerProgress()
        self.show_progress = lambda _total, _unit: self.worker_progress
        self.workers_name = IN_ORDER
        if self.order.tile_memory is not None:
            fix_tile_memory(self.order.tile_memory)

    @classmethod
    def open(cls, order: Order, path: Path, name: str, input_dir: Path | None, models_dirs: tuple[Path, ...]) -> WorkerHost:
        """Raises ``WorkflowError`` for an order that was moved out of its folder."""
        find_segment_folder(path)
        return cls(
            input_dir=input_dir or Path(order.input_dir),
            output_dir=Path(order.output_dir),
            shipped_inputs=tuple(map(Path, order.shipped_inputs)),
            models_dirs=models_dirs or tuple(map(Path, order.models_dirs)),
            device_name=order.device,
            backend_name=order.backend,
            max_pixels=order.max_pixels,
            order=order,
            order_path=path,
            name=name,
        )

    def folder(self, folder: Folder) -> Path:
        """Return the root of one of the three folders; once items are begun, the output folder is that of the order here."""
        return self.target.parent if folder == "output" and self.has_worked else super().folder(folder)

    def check_output(self, folder: Folder, name: str) -> None:
        """Accept every name: the driver has checked it."""

    def output_path(self, folder: Folder, prefix: str, suffix: str, *, width: int = 0, height: int = 0) -> Path:
        return self.target

    def output_file(self, folder: Folder, name: str) -> Path:
        return self.target

    def write_items(
        self, stream: Any, path: Path, settings: VideoWriteSettings, progress: Progress, **_: object
    ) -> WriteReport:
        """Make items until none is left. Raises ``WorkflowError`` if this machine would make other frames than the order's."""
        job = WriteJob(stream.find_variant(self.order.settings[SOURCE_KEY]), self.target, settings, progress.message)
        _check_same_settings(self.order, job.job_settings)
        work = self._open_work()

        def make(name: TryName, _: Path) -> None:
            segment_folder, gap = work.open_try(name), self.order.items[name.item].gap
            encode_gaps(job, segment_folder, [gap], lambda _: None, self.worker_progress)

        with keep_backends_open():
            self.make_items(len(self.order.items), make)
        return WriteReport(self.target, 0, 0.0, 0, 0, job.plan.encoding.encoder.name, ())

    def write_images(
        self, stream: Any, pattern: Path, settings: SequenceSettings, progress: Progress, **_: object
    ) -> list[Path]:
        """Make items of an image sequence until none is left. Raises ``WorkflowError`` as ``write_items``."""
        stream = stream.find_variant(self.order.settings[SOURCE_KEY])
        _check_same_settings(self.order, get_sequence_job_settings(stream.info, settings))

        def make(name: TryName, folder: Path) -> Mapping[str, Any]:
            return make_images(stream, self.order.items[name.item], folder, pattern.suffix, settings, self.worker_progress)

        with keep_backends_open():
            self.make_items(len(self.order.items), make)
        return []

    def make_items(self, count: int, make: Callable[[TryName, Path], Mapping[str, Any] | None]) -> None:
        """Make items until none is left: ``make`` gets the try and its folder, and returns more of its result.

        Raises what it raises three times in a row.
        """
        self.has_worked = True
        work = self._open_work()
        failures = 0
        for name, segment_folder in work.take_items(range(count), self.name):
            try:
                with Heartbeat(work, name, self.name) as beat:
                    self.worker_progress.move_to(beat)
                    found = make(name, segment_folder.folder)
                segment_folder.mark_complete(beat.frames)
                work.finish_try(name, {"steps": beat.frames, **(found or {})})
                failures = 0
            except Exception as error:
                failures += 1
                work.fail_try(name, f"{self.name}: {error}")
                if failures == _MAX_FAILURES:
                    raise

    def _open_work(self) -> WorkFolder:
        return WorkFolder(find_segment_folder(self.order_path), self.order.id, self.order.is_offered)


class _WorkerProgress(SilentProgress):
    """Counts frames and keeps messages in the beat of the current try."""

    def __init__(self) -> None:
        self._beat = Beat("")

    def move_to(self, beat: Beat) -> None:
        beat.messages = self._beat.messages
        self._beat = beat

    def advance(self, steps: int = 1) -> None:
        self._beat.frames += steps

    def message(self, text: str) -> None:
        if text not in self._beat.messages:
            self._beat.messages.append(text)


def _check_same_settings(order: Order, job_settings: Mapping[str, Any]) -> None:
    here: dict[str, Any] = json.loads(json.dumps(job_settings))
    changed = next((name for name in here if here[name] != order.settings.get(name)), None)
    if changed == SOURCE_KEY:
        raise WorkflowError(
            "This machine would make other frames than the order asks for: the source, the weights, the backend or the "
            f"precision differ ({here[changed]} here, {order.settings.get(changed)} in the order).",
            "Copy the same files there, and name backend and precision instead of auto.",
        )
    if changed:
        raise WorkflowError(
            f"This machine would encode otherwise than the order asks for: the {changed} is {here[changed]} here and "
            f"{order.settings.get(changed)} in the order.",
            "Install the same versions on every machine.",
        )


def limit_cores(text: str) -> None:
    """Use only these cores, such as ``0,1``. Raises ``WorkflowError`` for what are none."""
    try:
        cores = {int(number) for number in text.split(",")}
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)
    except (ValueError, OSError) as error:
        raise WorkflowError(f"--cores {text}: these are not cores of this machine.", "Name some, such as 0,1.") from error


def follow_parent() -> None:
    """End this process as soon as its standard input ends, which its driver holds open."""

    def wait() -> None:
        with suppress(OSError, ValueError):
            sys.stdin.buffer.read()
        os._exit(1)

    Thread(target=wait, name="follow the driver", daemon=True).start()
