"""How workers share out items by a folder alone: a try is a folder that only one worker can create.

Its files are written by its worker, the mark of its failure by the worker or by the driver. It needs no clock that machines
have in common: a sign of life is a change of its file.
"""

import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from threading import Event, Thread
from typing import Any, cast

from ..video import SegmentFolder

MAX_TRIES = 3
BEAT_SECONDS = 1.0
_POLL_SECONDS = 0.3
_PAUSE_SECONDS = 3.0
"""A worker leaves an item on which it failed to others for so long."""
_TRY_NAME = re.compile(r"(\d{6,})\.([1-9])\.(parts|failed|offer)")
_BEAT_NAME, _RESULT_NAME = "beat.json", "result.json"


@dataclass(frozen=True)
class TryName:
    """An item and the number of the try, from 1."""

    item: int
    number: int

    def __str__(self) -> str:
        return f"{self.item:06}.{self.number}"

    @property
    def is_last(self) -> bool:
        return self.number >= MAX_TRIES


@dataclass
class Beat:
    """The sign of life of a worker at a try."""

    worker: str
    frames: int = 0
    """Frames of this try that are made, though they may not be in a segment yet."""
    messages: list[str] = field(default_factory=list[str])
    count: int = 0


class WorkFolder:
    """The folder of an order in ``order.work``. A worker of an earlier order, whose items were others, does not find it.

    ``is_offered``: only what ``offer`` names is taken.
    """

    def __init__(self, segment_folder: SegmentFolder, order_id: str, is_offered: bool = False) -> None:
        self.path, self._is_offered = segment_folder.get_work_path() / order_id, is_offered

    def create(self) -> None:
        self.path.mkdir(parents=True)

    def list_tries(self) -> tuple[list[TryName], list[TryName]]:
        """Return the tries that were begun and those that failed; none when the folder is gone, because all is done."""
        found = self._list_names()
        return found["parts"], found["failed"]

    def _list_names(self) -> dict[str, list[TryName]]:
        names: dict[str, list[TryName]] = {"parts": [], "failed": [], "offer": []}
        with suppress(FileNotFoundError):
            for name in os.listdir(self.path):  # noqa: PTH208  names alone are three times faster
                if found := _TRY_NAME.fullmatch(name):
                    names[found[3]].append(TryName(int(found[1]), int(found[2])))
        return names

    def offer(self, name: TryName) -> None:
        (self.path / f"{name}.offer").touch()

    def _take_offers(self, worker: str) -> Iterator[tuple[TryName, SegmentFolder]]:
        while self.path.is_dir():
            for name in self._list_names()["offer"]:
                (self.path / f"{name}.offer").unlink()
                if segment_folder := self.begin_try(name, worker):
                    yield name, segment_folder
            time.sleep(_POLL_SECONDS)

    def open_try(self, name: TryName) -> SegmentFolder:
        return SegmentFolder(self.path / str(name))

    def begin_try(self, name: TryName, worker: str) -> SegmentFolder | None:
        """Begin a try; None if another worker has begun it, or all is done."""
        segment_folder = self.open_try(name)
        try:
            segment_folder.folder.mkdir()
            self.write_beat(name, Beat(worker))
            segment_folder.begin_journal()
        except (FileExistsError, FileNotFoundError):
            return None
        return segment_folder

    def fail_try(self, name: TryName, reason: str) -> None:
        """Mark a try as failed. Does nothing when all is done and the folder is gone. Raises ``OSError``."""
        temp = self.path / f"{name}.{secrets.token_hex(4)}.new"
        with suppress(FileNotFoundError):
            temp.write_text(json.dumps({"reason": reason}), encoding="utf-8")
            temp.replace(self.path / f"{name}.failed")

    def read_failure(self, name: TryName) -> str:
        return str(_read_json(self.path / f"{name}.failed").get("reason", ""))

    def write_beat(self, name: TryName, beat: Beat) -> None:
        """Raises ``OSError``: ``FileNotFoundError`` when all is done."""
        self._write_json(name, _BEAT_NAME, vars(beat))

    def finish_try(self, name: TryName, result: Mapping[str, Any]) -> None:
        """Hand in the result of a try that is no video. Raises ``OSError``."""
        self._write_json(name, _RESULT_NAME, result)

    def read_result(self, name: TryName) -> dict[str, Any] | None:
        """Return what ``finish_try`` wrote; None while the try goes on."""
        return _read_json(self.path / f"{name}.parts" / _RESULT_NAME) or None

    def _write_json(self, name: TryName, file: str, content: Mapping[str, Any]) -> None:
        temp = self.path / f"{name}.parts" / f"{file}.new"
        temp.write_text(json.dumps(content), encoding="utf-8")
        temp.replace(temp.with_name(file))

    def read_beat(self, name: TryName) -> Beat | None:
        values = _read_json(self.path / f"{name}.parts" / _BEAT_NAME)
        with suppress(KeyError, TypeError, ValueError):
            messages = [str(text) for text in values["messages"]]
            return Beat(str(values["worker"]), int(values["frames"]), messages, int(values["count"]))
        return None

    def take_items(
        self, items: Sequence[int], worker: str, is_stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[TryName, SegmentFolder]]:
        """Yield the items that this worker begins, until all are done and the folder is gone."""
        if self._is_offered:
            yield from self._take_offers(worker)
            return
        taker = ItemTaker(self, items, worker)
        while self.path.is_dir() and not is_stopped():
            if begun := taker.take():
                yield begun
            else:
                time.sleep(_POLL_SECONDS)


class ItemTaker:
    """Begins one item after another for a worker: new ones in their order, then those on which a try failed."""

    def __init__(self, work: WorkFolder, items: Sequence[int], worker: str) -> None:
        self._work, self._worker, self._new = work, worker, iter(items)
        self._last: int | None = None
        self._pauses: dict[int, float] = {}

    def take(self) -> tuple[TryName, SegmentFolder] | None:
        """Begin an item, after the one before has ended; None while there is none to begin."""
        if self._last is not None:
            self._pauses[self._last], self._last = time.monotonic() + _PAUSE_SECONDS, None
        for name in chain((TryName(item, 1) for item in self._new), self._list_failed()):
            if segment_folder := self._work.begin_try(name, self._worker):
                self._last = name.item
                return name, segment_folder
        return None

    def _list_failed(self) -> Iterator[TryName]:
        begun, failed = self._work.list_tries()
        waiting = {TryName(each.item, each.number + 1) for each in failed if not each.is_last} - set(begun)
        now = time.monotonic()
        yield from (name for name in sorted(waiting, key=lambda each: each.item) if now >= self._pauses.get(name.item, now))


class Heartbeat:
    """Writes the beat of a try every second from a thread of its own, which a frozen process stops too."""

    def __init__(self, work: WorkFolder, name: TryName, worker: str) -> None:
        self.beat = Beat(worker)
        self._work, self._name = work, name
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Beat:
        self._thread.start()
        return self.beat

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._write()

    def _run(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            self._write()

    def _write(self) -> None:
        self.beat.count += 1
        with suppress(OSError):  # a full disk: the try fails by itself; no folder: all is done
            self._work.write_beat(self._name, self.beat)


def _read_json(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, RecursionError):
        content: object = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return cast("dict[str, Any]", content)
    return {}
