"""The driver's side of a Ray cluster: a thread for each worker prepares it and, where nothing is shared, works in its name.

Such a thread takes items as a worker of this machine does, offers them to its node, and writes what comes back into the tries.
So results, lost workers and second results are handled as everywhere, and each piece is in memory for a moment only.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from ...checksum import compute_sha256
from ...errors import NodeError, WorkflowError
from ...hardware import format_bytes
from ...progress import OnMessage
from ...video import Segment, SegmentFolder
from ..order import find_segment_folder, read_order
from ..shared_sequence import IMAGES_KEY
from ..tries import Beat, TryName, WorkFolder
from .cluster import ClusterNode, find_refusal, join_cluster, list_nodes, start_actor
from .needed_files import NeededFile, list_needed_files

Shares = Sequence[tuple[str, str]]

_PIECE_BYTES = 8 << 20
_PIECES_ON_THE_WAY = 3
_POLL_SECONDS = 0.3
_PATIENCE_SECONDS = 30.0
_CLOSE_SECONDS = 5.0


class _Refused(Exception):
    """A worker cannot work, for the reason given."""


@dataclass
class _Worker:
    name: str
    node: ClusterNode
    ray: Any
    actor: Any
    thread: Thread | None = None
    reason: str = ""
    """Why it ended."""
    is_lost: bool = False
    """Whether its end was reported."""

    def call(self, method: str, *arguments: Any, timeout: float | None = None) -> Any:
        """Call a method of ``RayNode``. Raises ``_Refused`` with what that raised, ``RayError`` for a node that is gone."""
        error, result = self.ray.get(self.actor.call.remote(method, *arguments), timeout=timeout)
        if error:
            raise _Refused(error)
        return result


@dataclass
class _Sources:
    """The files that an order needs, hashed when the first node is found not to see them."""

    files: list[NeededFile]
    locks: dict[str, Lock] = field(default_factory=dict[str, Lock])
    """By node: its first worker gets the files, which the others find there."""
    _hashing: Lock = field(default_factory=Lock)
    _hashes: dict[str, str] = field(default_factory=dict[str, str])

    def hash(self, numbers: Sequence[int]) -> list[NeededFile]:
        with self._hashing:
            for path in (self.files[number].path for number in numbers):
                self._hashes[path] = self._hashes.get(path) or compute_sha256(Path(path))
        return [replace(self.files[number], sha256=self._hashes[self.files[number].path]) for number in numbers]


class RayPool:
    """Processes on the nodes of a cluster."""

    def __init__(self, ray: Any, order_path: Path, shares: Shares, on_message: OnMessage) -> None:
        self._order_path, self._order, self._on_message = order_path, read_order(order_path), on_message
        self._shares = [(Path(here).absolute(), Path(there)) for here, there in shares]
        self._stopped = Event()
        self._ray = ray
        self._workers = _start_workers(ray)
        locks = {worker.node.id: Lock() for worker in self._workers}
        self._sources = _Sources(list_needed_files(self._order), locks)
        for worker in self._workers:
            worker.thread = Thread(target=self._run, args=(worker,), name=worker.name, daemon=True)
            worker.thread.start()

    def find_lost(self) -> list[str]:
        """See ``WorkerPool``. Ray does not start a process again: the others go on."""
        ended = [each for each in self._workers if not each.is_lost and each.thread and not each.thread.is_alive()]
        for worker in ended:
            worker.is_lost = True
            self._on_message(f"{worker.name} ended: {worker.reason}")
        if all(worker.is_lost for worker in self._workers):
            reason = self._workers[-1].reason
            raise NodeError(f"No worker is left. {reason}", "Finished parts are kept: run the same command again to go on.")
        return [worker.name for worker in ended]

    def close(self) -> None:
        """End the processes: they keep nothing that is needed."""
        self._stopped.set()
        end = time.monotonic() + _CLOSE_SECONDS
        for worker in self._workers:
            if worker.thread:
                worker.thread.join(max(0, end - time.monotonic()))
        for worker in self._workers:
            self._ray.kill(worker.actor)

    def _run(self, worker: _Worker) -> None:
        """Prepare a worker, and follow it up to its end."""
        try:
            self._wait_for_start(worker)
            is_shared = self._check_shares(worker)
            with self._sources.locks[worker.node.id]:
                self._prepare(worker, is_shared)
            if is_shared:
                while not self._stopped.wait(_POLL_SECONDS):
                    _check_end(worker.call("find_end"))
            else:
                self._on_message(f"{worker.name} does not see the folder of the result: its results come as bytes.")
                self._work_for(worker)
        except _Refused as error:
            worker.reason = str(error).removeprefix("Error: ")
        except self._ray.exceptions.RayError:
            worker.reason = "its node is gone"
        except Exception as error:  # also a full disk here
            worker.reason = f"{type(error).__name__}: {error}"
        finally:
            with suppress(Exception):  # its node may be gone
                worker.call("close", timeout=_CLOSE_SECONDS)

    def _wait_for_start(self, worker: _Worker) -> None:
        """Wait until the node has started the actor, and check its versions."""
        try:
            description = worker.call("describe", timeout=_PATIENCE_SECONDS)
        except self._ray.exceptions.GetTimeoutError:
            self._on_message(f"{worker.name} waits for its cores or GPU, which others may be using.")
            description = worker.call("describe")
        if refusal := find_refusal(description):
            raise _Refused(refusal)

    def _check_shares(self, worker: _Worker) -> bool:
        """Return whether a node sees the order. Raises ``_Refused`` if it does not see what it should."""
        there = [str(folder) for _, folder in self._shares]
        for folder, is_there in zip(there, worker.call("find_folders", there), strict=True):
            if not is_there:
                raise _Refused(f"It does not see the shared folder {folder}.")
        is_shared = worker.call("sees_order", self._map(self._order_path), self._order.id)
        path = self._order_path.absolute()
        if not is_shared and any(path.is_relative_to(here) for here, _ in self._shares):
            raise _Refused(f"It does not see {self._map(path)}, which is in a shared folder.")
        if not is_shared and not self._order.items:
            what = f"It does not see the folder of the result {path.parent.parent}, as a large image and many files need."
            raise _Refused(f"{what} Choose one that all machines see.")
        if self._order.files and any(Path(here) != there for here, there in self._shares):
            raise _Refused("Many files need a shared folder that has the same path on every machine.")
        return is_shared

    def _map(self, path: Path | str) -> str:
        """Return what a path of this machine is called on the nodes."""
        path = Path(path).absolute()
        for here, there in self._shares:
            if path.is_relative_to(here):
                return str(there / path.relative_to(here))
        return str(path)

    def _prepare(self, worker: _Worker, is_shared: bool) -> None:
        """Send the files that a node lacks, and start the process."""
        files = list(self._sources.files)
        unseen = worker.call("find_unseen", [asdict(file) for file in files], [self._map(file.path) for file in files])
        hashed = self._sources.hash(unseen)
        missing: list[int] = worker.call("find_missing", [asdict(file) for file in hashed])
        distinct = {hashed[number].sha256: hashed[number] for number in missing}
        if missing:
            size = format_bytes(sum(file.bytes for file in distinct.values()))
            rest = f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
            self._on_message(f"{worker.node.name} lacks {hashed[missing[0]].name}{rest}: {size} are sent once.")
        for file in distinct.values():
            self._send(worker, file)
        worker.call("find_missing", [asdict(file) for file in hashed])  # now it knows where they are
        for number, file in zip(unseen, hashed, strict=True):
            files[number] = file
        text = "" if is_shared else self._order_path.read_text(encoding="utf-8")
        folders = {"input": [self._map(self._order.input_dir)], "model": [self._map(path) for path in self._order.models_dirs]}
        worker.call("start", self._map(self._order_path), text, [asdict(file) for file in files], folders)

    def _send(self, worker: _Worker, file: NeededFile) -> None:
        """Send a file through the object store, of which a few pieces are on the way at a time."""
        worker.call("begin_file", file.sha256, file.bytes)
        pieces: deque[Any] = deque()
        offset = 0
        with Path(file.path).open("rb") as source:
            while (piece := source.read(_PIECE_BYTES)) and not self._stopped.is_set():
                pieces.append(worker.actor.call.remote("write_piece", file.sha256, offset, piece))
                offset += len(piece)
                if len(pieces) == _PIECES_ON_THE_WAY:
                    self._take_answer(pieces.popleft())
        for answer in pieces:
            self._take_answer(answer)
        worker.call("finish_file", file.sha256)

    def _take_answer(self, answer: Any) -> None:
        error, _ = self._ray.get(answer)
        if error:
            raise _Refused(error)

    def _work_for(self, worker: _Worker) -> None:
        """Take items in the name of a worker, up to its end."""
        work = WorkFolder(find_segment_folder(self._order_path), self._order.id)
        for name, segment_folder in work.take_items(range(len(self._order.items)), worker.name, self._stopped.is_set):
            worker.call("offer", name.item, name.number)
            with suppress(FileNotFoundError):  # all is done
                self._follow_try(worker, work, name, segment_folder)

    def _follow_try(self, worker: _Worker, work: WorkFolder, name: TryName, segment_folder: SegmentFolder) -> None:
        """Write into a try what a node makes of it. Raises ``_Refused`` when the process there has ended."""
        fetched: set[str] = set()
        while not self._stopped.wait(_POLL_SECONDS):
            found = worker.call("read_try", name.item, name.number)
            for values in found["segments"]:
                segment = Segment(**values)
                if segment.file not in fetched:
                    self._fetch(worker, name, segment.file, segment.bytes, segment_folder)
                    segment_folder.append_segment(segment)
                    fetched.add(segment.file)
            if found["beat"]:
                work.write_beat(name, Beat(**found["beat"]))
            if (result := found["result"]) is not None:
                for file, size, *_ in result.get(IMAGES_KEY, ()):
                    self._fetch(worker, name, file, size, segment_folder)
                segment_folder.mark_complete(found["total"])
                work.finish_try(name, result)
                return
            if found["failure"]:
                work.fail_try(name, found["failure"])
                return
            _check_end(found["ended"])

    def _fetch(self, worker: _Worker, name: TryName, file: str, size: int, segment_folder: SegmentFolder) -> None:
        """Move a finished file of a try from a node to this machine."""
        with (segment_folder.folder / Path(file).name).open("xb") as out:
            while out.tell() < size:
                piece = worker.call("read_piece", name.item, name.number, file, out.tell(), _PIECE_BYTES)
                if not piece:
                    raise _Refused(f"Its file {file} is shorter than it said.")
                out.write(piece)
        worker.call("drop_file", name.item, name.number, file)


def _check_end(ended: tuple[int, str] | None) -> None:
    if ended:
        code, line = ended
        raise _Refused(line or f"it ended with code {code}")


def _start_workers(ray: Any) -> list[_Worker]:
    """Start an actor for each GPU of the cluster; without any, for each node with all its cores."""
    nodes = list_nodes(ray)
    has_gpus = any(node.gpus for node in nodes)
    workers: list[_Worker] = []
    for node in nodes:
        slots = node.gpus if has_gpus else min(node.cores, 1)
        for _ in range(slots):
            name = f"worker {len(workers) + 1} on {node.name}"
            workers.append(_Worker(name, node, ray, start_actor(ray, node, name, node.cores // slots, int(has_gpus))))
    if not workers:
        what = "The Ray cluster has neither GPUs nor cores, so there are no workers."
        raise WorkflowError(what, "Add nodes: ray start --address=HOST:PORT.", input_name="workers")
    return workers


@contextmanager
def open_ray_pool(address: str, shares: Shares, order_path: Path, on_message: OnMessage) -> Generator[RayPool]:
    """Join the cluster at ``address`` and start a worker for each GPU or node; end them afterwards.

    ``shares``: folders that the nodes see, as they are called here and there. Raises ``WorkflowError`` if no cluster answers,
    or it has neither GPUs nor cores.
    """
    with join_cluster(address) as ray:
        pool = RayPool(ray, order_path, shares, on_message)
        try:
            yield pool
        finally:
            pool.close()
