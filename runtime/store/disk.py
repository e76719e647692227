"""The cache of ``run --cache DIR``: an entry for each result, the tensors beside it, the files that output nodes wrote.

::

    DIR/entries/ab/<key>.json           what a node returned, as JSON; which blobs and which files belong to it
    DIR/blobs/cd/<sha256>.safetensors   one tensor; equal ones of several nodes are one file

Every file stands for itself: one that is gone or damaged makes the node run again, which replaces it. So runs may share a
folder and delete from it, without a lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..errors import OutputError
from ..graph.cache import Found
from ..graph.calls import Results
from ..graph.definitions import is_output
from ..host import contained
from .blobs import Blobs, digest_of, is_there, write_whole
from .codec import Unstorable, pack, unpack

FORMAT = 1
_OURS = re.compile(r"[0-9a-f]{64}\.(json|safetensors)(\.\d+\.part)?")
_ABANDONED_SECONDS = 24 * 3600
_DAMAGED = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, RuntimeError)


class DiskCache:
    """``version`` as in ``graph.cache.Cache``; ``output`` is the folder of results, which ``ui`` names files of.

    ``settled`` says what was decided by measuring on this machine, and is asked again whenever a result is kept or looked for:
    the first run decides while it runs. A result counts as long as all stands that stood when it was kept.
    """

    def __init__(
        self,
        folder: Path,
        limit: int,
        *,
        output: Path,
        version: Callable[[type, Mapping[str, Any], Any], Any],
        settled: Callable[[], Mapping[str, str]],
        say: Callable[[str], None],
    ) -> None:
        self.version = version
        self._entries = folder / "entries"
        self._blobs = Blobs(folder / "blobs")
        self._limit = limit
        self._output = output
        self._settled = settled
        self._say = say
        self._room: int | None = None
        self._complained = False
        _expect_usable(folder, (self._entries, self._blobs.folder))

    def find(self, key: str) -> Found | None:
        path = self._entry(key)
        try:
            body = _checked(path)
            if not body["settled"].items() <= self._settled().items():
                return None
            if not all(is_there(self._blobs.path(digest), size) for digest, size in body["blobs"]):
                return None
            if not all(digest_of(self._file(file)) == file["sha256"] for file in body["files"]):
                return None
            found = _Stored(unpack(body["ui"], ()), body["slots"], [digest for digest, _ in body["blobs"]], self._blobs)
            os.utime(path)
        except _DAMAGED:
            return None
        return found

    def keep(self, key: str, cls: type, results: Results) -> Results:
        """Results of an output node are kept only if it says which files it wrote, and they stay: else it runs every time."""
        tensors: list[Any] = []
        try:
            files = self._files(results.ui)
            if is_output(cls) and not files:
                return results
            ui = pack(results.ui, [])
            slots = pack(results.slots, tensors)
        except (Unstorable, *_DAMAGED):
            return results
        if sum(map(self._blobs.size, tensors)) <= self._limit:
            self._write(key, {"ui": ui, "slots": slots, "files": files, "settled": dict(self._settled())}, tensors)
        return Results(unpack(slots, tensors), results.ui)

    def node(self, node_id: str, cls: type) -> None:
        """No object of a class outlives its run."""

    def close(self) -> None:
        self._trim()

    def _write(self, key: str, body: dict[str, Any], tensors: Sequence[Any]) -> None:
        sizes = [self._blobs.size(tensor) for tensor in tensors]
        try:
            self._make_room(sum(sizes))
            body["blobs"] = [(self._blobs.keep(tensor), size) for tensor, size in zip(tensors, sizes, strict=True)]
            content = json.dumps(body)
            entry = {"format": FORMAT, "sha256": _digest(content), "body": content}
            write_whole(self._entry(key), [json.dumps(entry).encode()])
        except OSError as error:
            if not self._complained:
                self._complained = True
                self._say(f"The cache cannot be written: {error.strerror or error}. The run goes on without it.")

    # ------------------------------------------------------------------ files of output nodes

    def _files(self, ui: Mapping[str, list[Any]]) -> list[dict[str, str]]:
        """The files that a node says it wrote, with their content. Raises ``Unstorable`` for one that will not stay."""
        items = [cast("dict[str, Any]", item) for shown in ui.values() for item in shown if isinstance(item, dict)]
        files: list[dict[str, str]] = []
        for item in items:
            if "filename" not in item:
                continue
            if item.get("type") != "output":
                raise Unstorable("a file that is gone when the run ends")
            named = {"filename": str(item["filename"]), "subfolder": str(item.get("subfolder") or "")}
            files.append({**named, "sha256": digest_of(self._file(named))})
        return files

    def _file(self, file: Mapping[str, str]) -> Path:
        path = contained(self._output, str(Path(file["subfolder"]) / file["filename"]))
        if path is None:
            raise ValueError(f"{file} lies outside the output folder")
        return path

    # ------------------------------------------------------------------ room

    def _entry(self, key: str) -> Path:
        return self._entries / key[:2] / f"{key}.json"

    def _make_room(self, size: int) -> None:
        if self._room is None or self._room < size:
            self._trim(size)
        self._room = (self._room or 0) - size

    def _trim(self, wanted: int = 0) -> None:
        """Delete what was not used for longest until ``wanted`` bytes fit under the limit."""
        files = sorted(self._all_files())
        total = sum(size for _, size, _ in files)
        for used, size, path in files:
            abandoned = path.suffix == ".part" and time.time() - used > _ABANDONED_SECONDS
            if abandoned or (total + wanted > self._limit and path.suffix != ".part"):
                path.unlink(missing_ok=True)
                total -= size
        self._room = self._limit - total

    def _all_files(self) -> Iterator[tuple[float, int, Path]]:
        for folder in (self._entries, self._blobs.folder):
            for path in folder.glob("??/*"):
                if _OURS.fullmatch(path.name):
                    try:
                        facts = path.stat()
                    except OSError:  # another run has just deleted it
                        continue
                    yield facts.st_mtime, facts.st_size, path


@dataclass(frozen=True)
class _Stored:
    ui: Mapping[str, list[Any]]
    slots: Any
    digests: Sequence[str]
    blobs: Blobs

    def load(self) -> Results | None:
        try:
            return Results(unpack(self.slots, [self.blobs.load(digest) for digest in self.digests]), dict(self.ui))
        except _DAMAGED:
            return None


def _checked(path: Path) -> dict[str, Any]:
    """The body of an entry. Raises one of ``_DAMAGED`` for what is none."""
    entry = json.loads(path.read_text(encoding="utf-8"))
    if entry["format"] != FORMAT or _digest(entry["body"]) != entry["sha256"]:
        raise ValueError(f"{path} is damaged")
    return json.loads(entry["body"])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _expect_usable(folder: Path, parts: Sequence[Path]) -> None:
    try:
        for part in parts:
            part.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        what = f"The cache folder {folder} cannot be used: {error.strerror or error}."
        raise OutputError(what, "Name another with --cache.", path=folder) from error
