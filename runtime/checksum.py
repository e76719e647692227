"""SHA-256 of files."""

import hashlib
from collections.abc import Callable
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def compute_sha256(path: Path, on_read: Callable[[int], object] | None = None) -> str:
    """Return the SHA-256 of a file as lower-case hexadecimal; ``on_read`` gets the size of each chunk. Raises ``OSError``."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            if on_read:
                on_read(len(chunk))
    return digest.hexdigest()
