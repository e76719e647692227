"""What each result was made of: one small file for each, in the cache folder, so that nothing is left beside the results.

A record is written before the work on a result begins and completed after it. A run that was killed at any moment continues:
a result with a complete record is done, and so is one that appeared after its record was begun, because a file has its final
name only when it is whole. A lock beside the record reserves the name while the work goes on.
"""

import hashlib
import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...atomic_write import atomic_write
from ...checksum import compute_sha256
from ...file_lock import exclusive_lock
from ...paths import get_cache_folder

_LARGEST_HASHED_BYTES = 1 << 30
"""Larger sources are known by size and time of change: hashing a long video would take minutes."""


@dataclass(frozen=True)
class JobRecord:
    """The record of one result. ``key`` stands for the content of its source and all settings."""

    result: Path
    key: str

    @property
    def _path(self) -> Path:
        name = hashlib.sha256(str(self.result.resolve()).encode()).hexdigest()[:32]
        return get_cache_folder() / "upscale" / f"{name}.json"

    def is_done(self) -> bool:
        """Whether the result is there, whole, made of the same source with the same settings, and unchanged since."""
        now = _describe_file(self.result)
        try:
            found: Any = json.loads(self._path.read_text(encoding="utf-8"))
            if now is None or found["key"] != self.key:
                return False
            return now == found["after"] if found["after"] is not None else now != found["before"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False

    @contextmanager
    def begin(self) -> Generator[None]:
        """Record the work of the block, and complete the record if it succeeds. A cache that cannot be written is ignored."""
        self._write(_describe_file(self.result), None)
        yield
        self._write(None, _describe_file(self.result))

    def _write(self, before: list[int] | None, after: list[int] | None) -> None:
        with suppress(OSError), atomic_write(self._path) as temp:
            temp.write_text(json.dumps({"key": self.key, "before": before, "after": after}), encoding="utf-8")

    @contextmanager
    def reserve(self) -> Generator[None]:
        """Keep other runs away from the result. Raises ``OutputLocked`` if another run writes it."""
        lock = self._path.with_suffix(".lock")
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
        except OSError:  # no cache: the result is still never replaced, because its writer refuses to
            yield
            return
        with exclusive_lock(lock, str(self.result)):
            yield


def compute_job_key(source: Path, settings: Sequence[str]) -> str:
    """Return the key of a source file and its settings. Raises ``OSError``."""
    stat = source.stat()
    content = f"{stat.st_size} {stat.st_mtime_ns}" if stat.st_size > _LARGEST_HASHED_BYTES else compute_sha256(source)
    return hashlib.sha256("\0".join((content, *settings)).encode()).hexdigest()


def _describe_file(path: Path) -> list[int] | None:
    """Return size and time of change; None if the file does not exist."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]
