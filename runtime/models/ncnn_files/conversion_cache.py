"""Converted weights, stored in the cache folder so that each source is converted once."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self, cast

import torch
from safetensors import SafetensorError, safe_open

# safetensors leaves the parameter of its PathLike open.
from safetensors.torch import load_file, save_file  # pyright: ignore[reportUnknownVariableType]

from ...atomic_write import atomic_write
from ...paths import get_cache_folder

StateDict = dict[str, torch.Tensor]


class _SafetensorsFile(Protocol):
    """The part of safetensors' untyped ``safe_open`` that is used here."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def metadata(self) -> dict[str, str] | None: ...


LAYOUT_VERSION = 1
"""Increase it when the same source converts to different tensors; older cached files are then ignored."""


def load_or_convert(source: Path, sha256: str, convert: Callable[[], StateDict], *, licence: str | None) -> StateDict:
    """Return ``convert()``, or its cached result for a source with this hash.

    The result is stored as .safetensors with the source, its hash and its licence in the metadata. A cache that cannot be
    read or written is not an error: every call then converts.
    """
    cached_file = get_cache_folder() / "weights" / f"{source.stem}-{sha256[:32]}-v{LAYOUT_VERSION}.safetensors"
    with suppress(OSError, SafetensorError):
        if _read_source_hash(cached_file) == sha256:
            return load_file(cached_file)
    state = convert()
    metadata = {"format": "pt", "source": source.name, "source_sha256": sha256, "licence": licence or "unknown"}
    with suppress(OSError, SafetensorError), atomic_write(cached_file) as temp_file:
        save_file(state, temp_file, metadata)
    return state


def _read_source_hash(cached_file: Path) -> str | None:
    with cast("_SafetensorsFile", safe_open(cached_file, framework="pt")) as file:
        return (file.metadata() or {}).get("source_sha256")
