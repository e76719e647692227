"""The cache of ``run --cache DIR``: entries with the results of nodes, their tensors, and the files of output nodes.

::

    DIR/entries/ab/<key>.json           the result of a node as JSON, with the names of its blobs and output files
    DIR/blobs/cd/<sha256>.safetensors   one tensor; equal tensors of several nodes share a file

A missing or damaged file only makes its node run again, which replaces it. So runs share the folder and delete from it
without a lock.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..checksum import compute_sha256
from ..errors import OutputError
from ..graph import CachedResult, NodeResults, is_output_class
from ..paths import resolve_inside
from .blobs import BlobStore, touch_if_present, write_chunks_atomically
from .serialize import UnserializableError, deserialize_value, serialize_value

FORMAT = 1
_CACHE_FILE_NAME = re.compile(r"[0-9a-f]{64}\.(json|safetensors)(\.\d+\.part)?")
_ABANDONED_SECONDS = 24 * 3600
_DAMAGE_ERRORS = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, RuntimeError)


class DiskCache:
    """``compute_version`` as in ``NodeCache``; ``output`` is the folder that files named in ``ui`` are in."""

    def __init__(
        self,
        folder: Path,
        limit: int,
        *,
        output: Path,
        compute_version: Callable[[type, Mapping[str, Any], Any], Any],
        on_message: Callable[[str], None],
    ) -> None:
        self.compute_version = compute_version
        self._entry_folder = folder / "entries"
        self._blobs = BlobStore(folder / "blobs")
        self._limit = limit
        self._output_folder = output
        self._on_message = on_message
        self._free_bytes: int | None = None
        self._has_warned = False
        _require_usable(folder, (self._entry_folder, self._blobs.folder))

    def find(self, key: str) -> CachedResult | None:
        path = self._get_entry_path(key)
        try:
            body = _read_entry_body(path)
            if not all(touch_if_present(self._blobs.get_path(digest), size) for digest, size in body["blobs"]):
                return None
            if not all(compute_sha256(self._resolve_file(file)) == file["sha256"] for file in body["files"]):
                return None
            found = _StoredResult(
                deserialize_value(body["ui"], ()), body["slots"], [digest for digest, _ in body["blobs"]], self._blobs
            )
            os.utime(path)
        except _DAMAGE_ERRORS:
            return None
        return found

    def store(self, key: str, cls: type, results: NodeResults) -> NodeResults:
        """Store results. Those of an output node only if it names the files it wrote and all are in the output folder."""
        tensors: list[Any] = []
        try:
            files = self._describe_files(results.ui)
            if is_output_class(cls) and not files:
                return results
            ui = serialize_value(results.ui, [])
            slots = serialize_value(results.slots, tensors)
        except (UnserializableError, *_DAMAGE_ERRORS):
            return results
        if sum(map(self._blobs.get_file_size, tensors)) <= self._limit:
            self._write_entry(key, {"ui": ui, "slots": slots, "files": files}, tensors)
        return NodeResults(deserialize_value(slots, tensors), results.ui)

    def get_node_object(self, node_id: str, cls: type) -> None:
        """Return None: no node object outlives its run."""

    def close(self) -> None:
        self._evict_unused()

    def _write_entry(self, key: str, body: dict[str, Any], tensors: Sequence[Any]) -> None:
        sizes = [self._blobs.get_file_size(tensor) for tensor in tensors]
        try:
            self._free_space(sum(sizes))
            body["blobs"] = [(self._blobs.store(tensor), size) for tensor, size in zip(tensors, sizes, strict=True)]
            content = json.dumps(body)
            entry = {"format": FORMAT, "sha256": _digest_text(content), "body": content}
            write_chunks_atomically(self._get_entry_path(key), [json.dumps(entry).encode()])
        except OSError as error:
            if not self._has_warned:
                self._has_warned = True
                self._on_message(f"The cache cannot be written: {error.strerror or error}. The run continues without it.")

    # ------------------------------------------------------------------ files of output nodes

    def _describe_files(self, ui: Mapping[str, list[Any]]) -> list[dict[str, str]]:
        """Return the files that ``ui`` names with their SHA-256. Raises ``UnserializableError`` for a temporary file."""
        items = [cast("dict[str, Any]", item) for values in ui.values() for item in values if isinstance(item, dict)]
        files: list[dict[str, str]] = []
        for item in items:
            if "filename" not in item:
                continue
            if item.get("type") != "output":
                raise UnserializableError("a temporary file")
            location = {"filename": str(item["filename"]), "subfolder": str(item.get("subfolder") or "")}
            files.append({**location, "sha256": compute_sha256(self._resolve_file(location))})
        return files

    def _resolve_file(self, file: Mapping[str, str]) -> Path:
        path = resolve_inside(self._output_folder, str(Path(file["subfolder"]) / file["filename"]))
        if path is None:
            raise ValueError(f"{file} is outside the output folder")
        return path

    # ------------------------------------------------------------------ disk space

    def _get_entry_path(self, key: str) -> Path:
        return self._entry_folder / key[:2] / f"{key}.json"

    def _free_space(self, size: int) -> None:
        if self._free_bytes is None or self._free_bytes < size:
            self._evict_unused(size)
        self._free_bytes = (self._free_bytes or 0) - size

    def _evict_unused(self, needed_bytes: int = 0) -> None:
        """Delete the least recently used files until ``needed_bytes`` fit below the limit."""
        files = sorted(self._iterate_files())
        total = sum(size for _, size, _ in files)
        for used, size, path in files:
            is_abandoned = path.suffix == ".part" and time.time() - used > _ABANDONED_SECONDS
            if is_abandoned or (total + needed_bytes > self._limit and path.suffix != ".part"):
                path.unlink(missing_ok=True)
                total -= size
        self._free_bytes = self._limit - total

    def _iterate_files(self) -> Iterator[tuple[float, int, Path]]:
        for folder in (self._entry_folder, self._blobs.folder):
            for path in folder.glob("??/*"):
                if _CACHE_FILE_NAME.fullmatch(path.name):
                    try:
                        stat = path.stat()
                    except OSError:  # deleted by another run
                        continue
                    yield stat.st_mtime, stat.st_size, path


@dataclass(frozen=True)
class _StoredResult:
    ui: Mapping[str, list[Any]]
    slots: Any
    digests: Sequence[str]
    blobs: BlobStore

    def load(self) -> NodeResults | None:
        try:
            return NodeResults(
                deserialize_value(self.slots, [self.blobs.load(digest) for digest in self.digests]), dict(self.ui)
            )
        except _DAMAGE_ERRORS:
            return None


def _read_entry_body(path: Path) -> dict[str, Any]:
    """Return the body of an entry. Raises one of ``_DAMAGE_ERRORS`` for a damaged one."""
    entry = json.loads(path.read_text(encoding="utf-8"))
    if entry["format"] != FORMAT or _digest_text(entry["body"]) != entry["sha256"]:
        raise ValueError(f"{path} is damaged")
    return json.loads(entry["body"])


def _digest_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _require_usable(folder: Path, subfolders: Sequence[Path]) -> None:
    try:
        for subfolder in subfolders:
            subfolder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        what = f"The cache folder {folder} cannot be used: {error.strerror or error}."
        raise OutputError(what, "Choose another folder with --cache.", path=folder) from error
