"""The files that the workflow of an order names, for nodes that do not see them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

from ...errors import MediaError, ModelError
from ...host import LocalHost
from ...models import find_entry, find_model, find_model_file, split_chain
from ...paths import split_annotation
from ...video import list_sequence_frames
from ..order import Order

_Named = Iterator[tuple[str, Path]]
_BUILT_SUFFIXES = (".trt", ".engine", ".plan")
"""Engines of TensorRT are for one kind of GPU: each machine builds its own."""


@dataclass(frozen=True)
class NeededFile:
    """A file of the driver's machine."""

    kind: Literal["input", "model"]
    name: str
    """Its path in the folder of its kind, as the workflow names it."""
    path: str
    bytes: int
    modified: int
    """In nanoseconds: image sequences are told apart by it."""
    sha256: str = ""
    """Empty until a node is found not to see the file."""


def list_needed_files(order: Order) -> list[NeededFile]:
    """Return the files of the input and models folders that texts of the prompt name. Raises ``OSError``."""
    host = LocalHost(
        input_dir=Path(order.input_dir),
        shipped_inputs=tuple(map(Path, order.shipped_inputs)),
        models_dirs=tuple(map(Path, order.models_dirs)),
    )
    found: dict[tuple[str, str], NeededFile] = {}
    for node in order.prompt.values():
        inputs: dict[str, Any] = node["inputs"]
        for text in filter(None, (value for value in inputs.values() if isinstance(value, str))):
            found |= {("input", name): _describe("input", name, path) for name, path in _find_inputs(host, text, node)}
            found |= {("model", name): _describe("model", name, path) for name, path in _find_weights(text, host.models_dirs)}
    return list(found.values())


def _describe(kind: Literal["input", "model"], name: str, path: Path) -> NeededFile:
    stat = path.stat()
    return NeededFile(kind, name, str(path), stat.st_size, stat.st_mtime_ns)


def _find_inputs(host: LocalHost, text: str, node: dict[str, Any]) -> _Named:
    name, folder = split_annotation(text)
    if folder != "input":
        return
    with suppress(MediaError, OSError, ValueError):
        if node["class_type"] != "SequenceIn":
            yield name, host.find_input(name)
            return
        location = host.find_sequence(name)
        folder_name = PurePath(name) if location.is_dir() else PurePath(name).parent
        for frame in list_sequence_frames(location, "close up"):
            yield str(folder_name / frame.path.name), frame.path


def _find_weights(text: str, folders: tuple[Path, ...]) -> _Named:
    """Yield weights of the models folders: those of the package that ours depends on are on every node."""
    for name in split_chain(text, folders):
        suffix = PurePath(name).suffix
        if suffix in _BUILT_SUFFIXES or not (suffix or find_entry(name)):
            continue
        with suppress(ModelError, OSError, ValueError):
            try:
                found = find_model(name, folders)
                path = found.path
            except ModelError:
                found, path = None, find_model_file(name, folders)
            if found and found.source == "dependency":
                continue
            placed = PurePath(name if suffix else path.name)
            for each in filter(Path.is_file, (path, path.with_suffix(".param"))):
                yield str(placed.with_suffix(each.suffix)), each
