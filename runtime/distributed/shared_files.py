"""Many files made by several workers: an item of the order is a file, which its worker makes as a run in one process does."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..paths import read_version
from ..progress import OnMessage, OpenProgress
from ..video import SegmentFolder
from .collector import Collector, OpenTry, run_order
from .order import Order, find_segment_folder
from .tries import Heartbeat, TryName, WorkFolder
from .worker_choice import WorkerChoice
from .writer import choose_pool, divide_tile_memory, read_timeout

_FOLDER_NAME = "upscale8k-files"
"""With ``.parts``, in the folder of the results while workers make them."""
OnResult = Callable[[int, Mapping[str, Any]], None]
"""Gets the number of a file and what its worker made of it: with ``error``, ``exit_code`` and ``fatal`` if it failed."""


def share_files(
    files: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    folder: Path,
    choice: WorkerChoice,
    open_progress: OpenProgress,
    on_result: OnResult,
) -> None:
    """Have each of ``files`` made by a worker: JSON with ``source``, and whatever else the worker's ``make`` needs.

    ``folder`` is that of the results; the order is in it meanwhile.
    Raises ``OutputLocked`` while another run shares out files of the same folder, ``Upscale8KError`` when no worker is left.
    """
    open_pool, processes = choose_pool(choice)
    segment_folder = SegmentFolder(folder.absolute() / _FOLDER_NAME)
    order = Order(
        id=secrets.token_hex(8),
        version=read_version(),
        prompt={},
        node_id=secrets.token_hex(8),
        settings=settings,
        items=(),
        input_dir="",
        output_dir="",
        files=tuple(files),
        tile_memory=divide_tile_memory(max(processes, 1)),
        timeout=read_timeout(),
    )
    with segment_folder.lock(), open_progress(len(files), "file") as progress:
        say = progress.message
        run_order(
            order,
            segment_folder,
            open_pool,
            lambda work: _FileCollector(work, files, order.timeout, say, on_result),
            say,
            progress,
        )


class _FileCollector(Collector):
    def __init__(
        self,
        work: WorkFolder,
        files: Sequence[Mapping[str, Any]],
        timeout: float,
        on_message: OnMessage,
        on_result: OnResult,
    ) -> None:
        super().__init__(work, len(files), timeout, on_message)
        self._files, self._on_result = files, on_result

    def describe(self, item: int) -> str:
        return f"The work on {self._files[item]['source']}"

    def take_result(self, name: TryName, known: OpenTry) -> bool:
        result = self.work.read_result(name)
        if result is None:
            return False
        if self.is_left(name.item):  # a second result is of the same file
            self.steps_by_worker[known.beat.worker] += 1
            self._on_result(name.item, result)
        return True

    def give_up(self, item: int, reason: str) -> None:
        self._on_result(item, {"error": f"{self.describe(item)} failed: {reason}", "exit_code": 1, "fatal": False})


def work_on_files(order: Order, order_path: Path, worker: str, make: Callable[[int, OnMessage], Mapping[str, Any]]) -> None:
    """Make files until none is left: ``make`` gets the number of a file, and returns what ``OnResult`` gets.

    What it raises ends a try, which is repeated later: another run or a frozen worker may hold a result.
    """
    work = WorkFolder(find_segment_folder(order_path), order.id)
    for name, _ in work.take_items(range(len(order.files)), worker):
        try:
            with Heartbeat(work, name, worker) as beat:
                result = make(name.item, beat.messages.append)
            work.finish_try(name, result)
        except Exception as error:  # also a full disk, and no folder when all is done
            work.fail_try(name, f"{worker}: {error}")
