"""Compute what decides a node's result besides its inputs: source code, data tables, libraries, the content of files.

Time stamps are not used, because a fresh checkout has new ones for the same code and images.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from ..checksum import compute_sha256
from ..graph import get_hidden_inputs, is_output_class
from ..upscale import list_backend_packages

LIBRARIES = ("torchvision", "numpy", "Pillow", "opencv-python-headless", "OpenImageIO", "av", "spandrel", "safetensors")
"""Beside those of the backends."""
NEVER_EQUAL = float("nan")
_WHOLE_PROMPT_INPUTS = frozenset({"PROMPT", "DYNPROMPT", "EXTRA_PNGINFO"})
_MAX_PATH_LENGTH = 1024


@dataclass
class VersionKeyBuilder:
    """Implements ``NodeCache.compute_version``.

    ``find_file`` returns the file that a text names, if any. ``pack_paths`` holds the folder or file of the classes of other
    packs; all other classes are ours, from ``own_paths``. All classes of a pack share one version, because a node depends on
    the code it calls. ``settings`` is whatever else decides results on this machine.
    """

    find_file: Callable[[str], Path | None]
    own_paths: Sequence[Path]
    pack_paths: Mapping[type, Path]
    settings: Sequence[object]
    _source_digests: dict[tuple[Path, ...], str] = field(default_factory=dict[tuple[Path, ...], str])
    _file_digests: dict[Path, str] = field(default_factory=dict[Path, str])

    def __call__(self, cls: type, literals: Mapping[str, Any], change_token: Any) -> Any:
        """Return JSON, or NaN for a node whose result may differ every time.

        Our own classes return file times from ``IS_CHANGED``; they are ignored where the content of the files is known.
        """
        hidden = {kind for kind in get_hidden_inputs(cls).values() if isinstance(kind, str)}
        ignores_prompt = is_output_class(cls) or getattr(cls, "PROMPT_CHANGES_NOTHING", False)
        if hidden & _WHOLE_PROMPT_INPUTS and not ignores_prompt:
            return NEVER_EQUAL
        if not _is_json(change_token):
            return NEVER_EQUAL
        files = self._digest_named_files(literals)
        root = self.pack_paths.get(cls)
        if files and root is None:
            change_token = None
        source = self._digest_roots(tuple(self.own_paths) if root is None else (root,))
        return [source, get_library_versions(), list(self.settings), files, change_token]

    def _digest_named_files(self, literals: Mapping[str, Any]) -> dict[str, str]:
        """Return text -> digest for every text among the literals that names a file."""
        paths_by_text = {text: self.find_file(text) for text in _iterate_texts(literals) if 0 < len(text) <= _MAX_PATH_LENGTH}
        return {text: self._digest_cached(path) for text, path in sorted(paths_by_text.items()) if path is not None}

    def _digest_cached(self, path: Path) -> str:
        if path not in self._file_digests:
            self._file_digests[path] = compute_sha256(path)
        return self._file_digests[path]

    def _digest_roots(self, roots: tuple[Path, ...]) -> str:
        if roots not in self._source_digests:
            self._source_digests[roots] = _digest_sources(roots)
        return self._source_digests[roots]


def get_library_versions() -> dict[str, str]:
    """Return the installed versions of the libraries that compute pixels."""
    names = dict.fromkeys((*LIBRARIES, *list_backend_packages()))
    return {name: installed for name in names if (installed := _find_installed_version(name))}


def _find_installed_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _digest_sources(roots: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for root in roots:
        for file in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            total.update(f"{file.relative_to(root.parent).as_posix()}\0{compute_sha256(file)}\0".encode())
    return total.hexdigest()


def _iterate_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in cast("Mapping[str, Any]", value).values():
            yield from _iterate_texts(one)
    elif isinstance(value, list):
        for one in cast("list[Any]", value):
            yield from _iterate_texts(one)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
