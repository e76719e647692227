"""What decides a node's result besides its inputs: the source code of its class and the tables it reads, the libraries, the
content of files.

Never a time stamp: a fresh checkout has the same code and pictures with new ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from ..graph.definitions import is_output
from ..graph.prompts import hidden_inputs
from .blobs import digest_of

LIBRARIES = (
    "torch",
    "torchvision",
    "numpy",
    "Pillow",
    "opencv-python-headless",
    "OpenImageIO",
    "av",
    "spandrel",
    "safetensors",
    "openvino",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx",
)
NEVER_EQUAL = float("nan")
_SEES_ALL = frozenset({"PROMPT", "DYNPROMPT", "EXTRA_PNGINFO"})
_LONGEST_NAME = 1024


@dataclass
class Versions:
    """Called by ``graph``'s executor as ``Cache.version``.

    ``find`` says which file a text names, if any. ``packs`` names the folder (or file) that a class of another pack came
    from; all others are ours, from the folders and files ``own``. The classes of a pack have one version together, because a
    node is mostly what it calls. ``settings`` is whatever else decides results here.
    """

    find: Callable[[str], Path | None]
    own: Sequence[Path]
    packs: Mapping[type, Path]
    settings: Sequence[object]
    _sources: dict[tuple[Path, ...], str] = field(default_factory=dict[tuple[Path, ...], str])
    _digests: dict[Path, str] = field(default_factory=dict[Path, str])

    def __call__(self, cls: type, literals: Mapping[str, Any], changed: Any) -> Any:
        """JSON, or NaN for a node whose result may differ every time.

        What our own classes say of a file's time is left out when its content is known.
        """
        if not is_output(cls) and _SEES_ALL & {kind for kind in hidden_inputs(cls).values() if isinstance(kind, str)}:
            return NEVER_EQUAL
        if not _is_json(changed):
            return NEVER_EQUAL
        files = self._files(literals)
        root = self.packs.get(cls)
        if files and root is None:
            changed = None
        source = self._source(tuple(self.own) if root is None else (root,))
        return [source, libraries(), list(self.settings), files, changed]

    def _files(self, literals: Mapping[str, Any]) -> dict[str, str]:
        """text -> digest, for every text among the literals that names a file."""
        named = {text: self.find(text) for text in _texts(literals) if 0 < len(text) <= _LONGEST_NAME}
        return {text: self._digest(path) for text, path in sorted(named.items()) if path is not None}

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = digest_of(path)
        return self._digests[path]

    def _source(self, roots: tuple[Path, ...]) -> str:
        if roots not in self._sources:
            self._sources[roots] = _digest_of_sources(roots)
        return self._sources[roots]


def libraries() -> dict[str, str]:
    """The installed versions of what computes pixels."""
    return {name: found for name in LIBRARIES if (found := _installed(name))}


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _digest_of_sources(roots: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for root in roots:
        for file in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            total.update(f"{file.relative_to(root.parent).as_posix()}\0{digest_of(file)}\0".encode())
    return total.hexdigest()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in cast("Mapping[str, Any]", value).values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in cast("list[Any]", value):
            yield from _texts(one)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
