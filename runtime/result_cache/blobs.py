"""Store one tensor per safetensors file, named by the SHA-256 of its content.

safetensors' own writer copies the whole tensor first. An 8K image takes 400 MB, and a batch of them may fill the memory.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from ..atomic_write import atomic_write
from ..checksum import compute_sha256
from .serialize import get_dtype_names

SUFFIX = ".safetensors"
_CHUNK_BYTES = 16 * 2**20
_TENSOR_NAME = "value"


class BlobStore:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get_path(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest}{SUFFIX}"

    def get_file_size(self, tensor: Any) -> int:
        """Return the size of a tensor's file in bytes."""
        return len(_build_header(tensor)) + tensor.numel() * tensor.element_size()

    def store(self, tensor: Any) -> str:
        """Write a contiguous tensor unless it exists; return its digest. Raises ``OSError``."""
        digest = hashlib.sha256()
        for chunk in _iterate_chunks(tensor):
            digest.update(chunk)
        path = self.get_path(digest.hexdigest())
        if not touch_if_present(path, self.get_file_size(tensor)):
            write_chunks_atomically(path, _iterate_chunks(tensor))
        return digest.hexdigest()

    def load(self, digest: str) -> Any:
        """Return the tensor with a digest. Raises ``OSError`` when it is gone, ``ValueError`` when it is damaged."""
        path = self.get_path(digest)
        if compute_sha256(path) != digest:
            raise ValueError(f"{path} is damaged")
        from safetensors import torch as tensors

        return cast("Any", tensors).load_file(path)[_TENSOR_NAME]


def touch_if_present(path: Path, size: int) -> bool:
    """Return whether a file of this size exists; if so, set its modification time to now."""
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
    except OSError:
        return False
    return True


def write_chunks_atomically(path: Path, chunks: Iterable[Any]) -> None:
    """Write a file atomically; several processes may write it at once. Raises ``OSError``."""
    with atomic_write(path, durable=False) as temporary, temporary.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)


def _iterate_chunks(tensor: Any) -> Iterator[Any]:
    yield _build_header(tensor)
    import torch

    content = memoryview(tensor.reshape(-1).view(torch.uint8).numpy())
    for start in range(0, len(content), _CHUNK_BYTES):
        yield content[start : start + _CHUNK_BYTES]


def _build_header(tensor: Any) -> bytes:
    size = tensor.numel() * tensor.element_size()
    tensor_entry = {"dtype": get_dtype_names()[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [0, size]}
    text = json.dumps({_TENSOR_NAME: tensor_entry}).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
