"""Where loaded weights came from; travels on the descriptor, so that it survives the wire between two nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .catalog import CatalogEntry
from .locate import ModelSource

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Provenance:
    """The file that weights were read from. ``entry`` is what its name claims."""

    path: Path
    source: ModelSource
    sha256: str
    entry: CatalogEntry | None

    @property
    def licence(self) -> str | None:
        return self.entry.licence if self.entry else None


def compute_sha256(path: Path, progress: Callable[[int], object] | None = None) -> str:
    """SHA-256 of a file in lower-case hexadecimal; ``progress`` is told the bytes of each piece read. Raises ``OSError``."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            if progress:
                progress(len(chunk))
    return digest.hexdigest()
