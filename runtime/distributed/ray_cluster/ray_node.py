"""A node of a Ray cluster: gets what its worker lacks, starts the process that works, and hands over what that makes.

What was sent lies in the cache folder of the node::

    ray/files/SHA256             sources and weights; beyond ``_MAX_CACHE_BYTES`` the least recently used are removed
    ray/jobs/ID.lock             held as long as a worker has the folder; the next one removes the folders of dead ones
    ray/jobs/ID/input, model     the same files by the names that the workflow has for them
    ray/jobs/ID/NAME.parts       the order and its tries, where the node does not see those of the driver
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...checksum import compute_sha256
from ...errors import ModelError, OutputError
from ...file_lock import OutputLocked, exclusive_lock
from ...hardware import detect_machine, format_bytes
from ...models import find_model
from ...paths import PACK_ROOT, get_cache_folder, get_default_models_dir, is_checkout, read_version
from ...video import SegmentFolder
from ..tries import TryName, WorkFolder
from .needed_files import NeededFile

_MAX_CACHE_BYTES = 100_000_000_000
_SAME_DATE_NS = 2_000_000_000
"""Shared folders round the dates of files."""
_ABANDONED_SECONDS = 86_400
Values = Mapping[str, Any]


class RayNode:
    """What an actor on a node does, one for each worker.

    Methods take and return plain values: the driver may be ComfyUI, where our classes have other names than here.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        root = get_cache_folder().absolute() / "ray"
        self._files, self._job = root / "files", root / "jobs" / secrets.token_hex(8)
        self._held = ExitStack()
        self._places: dict[str, Path] = {}
        """Files on this node by the path that the driver has for them."""
        self._process: subprocess.Popen[bytes] | None = None
        self._work: WorkFolder | None = None

    def describe(self) -> dict[str, Any]:
        """Return the versions of packages and the GPUs of this node."""
        machine = detect_machine()
        return {"version": read_version(), "versions": machine.versions, "gpus": [gpu.name for gpu in machine.gpus]}

    def find_folders(self, paths: Sequence[str]) -> list[bool]:
        """Return which folders are here."""
        return [Path(path).is_dir() for path in paths]

    def sees_order(self, path: str, order_id: str) -> bool:
        """Return whether the order at ``path`` here is that of the driver."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return bool(json.loads(Path(path).read_text(encoding="utf-8"))["id"] == order_id)
        return False

    def find_unseen(self, files: Sequence[Values], paths: Sequence[str]) -> list[int]:
        """Return the numbers of the files that are not at their ``paths`` here: of all inputs, if one of them is not."""
        needed = [NeededFile(**values) for values in files]
        unseen = {number for number, (file, path) in enumerate(zip(needed, paths, strict=True)) if not _is_at(file, Path(path))}
        if any(needed[number].kind == "input" for number in unseen):
            unseen |= {number for number, file in enumerate(needed) if file.kind == "input"}
        self._places |= {file.path: Path(paths[number]) for number, file in enumerate(needed) if number not in unseen}
        return sorted(unseen)

    def find_missing(self, files: Sequence[Values]) -> list[int]:
        """Return the numbers of the files, now with SHA-256, that are neither in the cache nor own weights."""
        missing: list[int] = []
        for number, file in enumerate(NeededFile(**values) for values in files):
            cached = self._files / file.sha256
            if cached.is_file() and cached.stat().st_size == file.bytes:
                self._places[file.path] = cached
            elif own := _find_own_weights(file):
                self._places[file.path] = own
            else:
                missing.append(number)
        return missing

    def begin_file(self, sha256: str, size: int) -> None:
        """Prepare for a file that is sent. Raises ``OutputError`` for a disk on which it does not fit."""
        self._files.mkdir(parents=True, exist_ok=True)
        _remove_unused(self._files, size)
        free = shutil.disk_usage(self._files).free
        if free < size:
            what = f"{self._files} has {format_bytes(free)} free, and what is sent needs {format_bytes(size)}."
            raise OutputError(what, "Free disk space there, or name a folder that all machines see with --share.")
        self._get_sent_path(sha256).touch()

    def write_piece(self, sha256: str, offset: int, piece: bytes) -> None:
        with self._get_sent_path(sha256).open("r+b") as out:
            out.seek(offset)
            out.write(piece)

    def finish_file(self, sha256: str) -> None:
        """Give a file that was sent its name. Raises ``OutputError`` for one that changed meanwhile."""
        sent = self._get_sent_path(sha256)
        if compute_sha256(sent) != sha256:
            sent.unlink()
            raise OutputError("A file changed while it was sent, or was damaged on the way.", "Run it again.", path=sent)
        sent.replace(self._files / sha256)

    def _get_sent_path(self, sha256: str) -> Path:
        return self._files / f"{sha256}.{self._job.name}.part"

    def start(self, order_path: str, order_text: str, files: Sequence[Values], folders: Mapping[str, Sequence[str]]) -> None:
        """Start the process that works: in the folder of the order, or with ``order_text`` in one of this node.

        ``folders`` are those of the order by kind, as they are called here. Raises ``OSError``.
        """
        _remove_dead_jobs(self._job.parent)
        self._held.enter_context(exclusive_lock(_get_lock_path(self._job), self._name))
        self._job.mkdir()
        needed = [NeededFile(**values) for values in files]
        path = Path(order_path)
        if order_text:
            order: dict[str, Any] = json.loads(order_text)
            folder = SegmentFolder(self._job / path.parent.name.removesuffix(".parts"))
            self._work = WorkFolder(folder, order["id"])
            self._work.create()
            path = folder.get_order_path()
            path.write_text(json.dumps({**order, "is_offered": True}), encoding="utf-8")
        module = "runtime" if is_checkout() else "upscale8k"
        command = [sys.executable, "-m", module, "work", str(path), "--attached", self._name]
        for kind, option in (("input", "--input-dir"), ("model", "--models-dir")):
            own = self._place_files(needed, kind)
            command += [text for folder in ([own] if own else folders[kind]) for text in (option, str(folder))]
        with (self._job / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=PACK_ROOT if is_checkout() else None,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def _place_files(self, files: Sequence[NeededFile], kind: str) -> Path | None:
        """Give files of a kind the names that the workflow has for them; None if all are where the order says."""
        placed = [file for file in files if file.kind == kind]
        if not any(file.sha256 for file in placed):
            return None
        for file in placed:
            source = self._places[file.path]
            _place(source, self._job / kind / file.name, file.modified if source.parent == self._files else None)
        return self._job / kind

    def find_end(self) -> tuple[int, str] | None:
        """Return exit code and last line of the process; None while it works."""
        assert self._process
        code = self._process.poll()
        if code is None:
            return None
        lines = (self._job / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return code, lines[-1] if lines else ""

    def offer(self, item: int, number: int) -> None:
        """Let the process make an item."""
        assert self._work
        self._work.offer(TryName(item, number))

    def read_try(self, item: int, number: int) -> dict[str, Any]:
        """Return how far a try is; how it ended is read before what it made."""
        assert self._work
        name = TryName(item, number)
        ended, failure, result = self.find_end(), self._work.read_failure(name), self._work.read_result(name)
        beat, state = self._work.read_beat(name), self._work.open_try(name).read_state(verify=False)
        segments = [asdict(segment) for segment in state.segments] if state else []
        found = {"ended": ended, "failure": failure, "result": result, "beat": beat and vars(beat)}
        return {**found, "segments": segments, "total": state.total if state else None}

    def read_piece(self, item: int, number: int, file: str, offset: int, length: int) -> bytes:
        """Return bytes of a finished file of a try."""
        with self._get_file_path(item, number, file).open("rb") as source:
            source.seek(offset)
            return source.read(length)

    def drop_file(self, item: int, number: int, file: str) -> None:
        """Remove a file that the driver has."""
        self._get_file_path(item, number, file).unlink()

    def _get_file_path(self, item: int, number: int, file: str) -> Path:
        assert self._work
        return self._work.open_try(TryName(item, number)).folder / file

    def close(self) -> None:
        """End the process, and remove the folder of the job."""
        if self._process:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._job, ignore_errors=True)
        self._held.close()


def _is_at(file: NeededFile, path: Path) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    return stat.st_size == file.bytes and abs(stat.st_mtime_ns - file.modified) < _SAME_DATE_NS


def _find_own_weights(file: NeededFile) -> Path | None:
    """Return the file among the weights of this node that has the same bytes."""
    if file.kind == "model":
        with suppress(ModelError, OSError):
            path = find_model(file.name, (get_default_models_dir(),)).path.with_suffix(Path(file.name).suffix)
            if path.stat().st_size == file.bytes and compute_sha256(path) == file.sha256:
                return path
    return None


def _place(source: Path, target: Path, modified: int | None) -> None:
    """Link a file to a name, or copy it. One of the cache gets the date ``modified``, as a copy if in use with another."""
    target.parent.mkdir(parents=True, exist_ok=True)
    stat = source.stat()
    try:
        if modified is not None and stat.st_nlink > 1 and stat.st_mtime_ns != modified:
            raise FileExistsError(f"{source} is in use with another date")
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    if modified is not None:
        os.utime(target, ns=(time.time_ns(), modified))


def _remove_unused(folder: Path, needed: int) -> None:
    """Remove the least recently used files until ``needed`` bytes fit; those that a job has a link to stay."""
    files = sorted((stat.st_atime, stat.st_size, stat.st_nlink, path) for path, stat in _list_files(folder))
    total = needed + sum(size for _, size, _, _ in files)
    for used, size, links, path in files:
        is_abandoned = path.suffix == ".part" and time.time() - used > _ABANDONED_SECONDS
        if is_abandoned or (total > _MAX_CACHE_BYTES and links == 1 and path.suffix != ".part"):
            path.unlink(missing_ok=True)
            total -= size


def _list_files(folder: Path) -> list[tuple[Path, os.stat_result]]:
    found: list[tuple[Path, os.stat_result]] = []
    for path in folder.iterdir():
        with suppress(OSError):  # removed by another job
            found.append((path, path.stat()))
    return found


def _remove_dead_jobs(folder: Path) -> None:
    """Remove the folders of jobs whose actors were killed, and whose lock nothing holds: a folder is made under its lock."""
    for job in filter(Path.is_dir, folder.iterdir() if folder.is_dir() else ()):
        with suppress(OutputLocked, OSError), exclusive_lock(_get_lock_path(job), job.name):
            shutil.rmtree(job, ignore_errors=True)


def _get_lock_path(job: Path) -> Path:
    return job.with_name(f"{job.name}.lock")
