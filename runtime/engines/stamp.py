"""What an engine was built from and for. It stands as JSON beside the engine: ``X.trt`` and ``X.trt.json``.

An engine is a program for one GPU and one version of TensorRT, and holds somebody's weights; nothing in the file itself says
which. So it is never loaded on the strength of its name.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from errno import EISDIR
from pathlib import Path
from typing import Any, cast

from ..errors import OutputError
from ..whole import beside, whole
from .shapes import Shapes

FORMAT = 1
_WORDS = {
    "weights": "other weights",
    "scale": "another scale",
    "multiple": "another size multiple",
    "precision": "another precision",
    "flavour": "the other TensorRT",
    "version": "another version of TensorRT",
    "target": "another GPU",
    "driver": "another driver",
    "workspace": "another workspace",
    "tile": "another tile",
    "least": "other sizes",
    "best": "other sizes",
    "most": "other sizes",
}


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """All that decides whether an engine is the one that is wanted."""

    weights: str
    """SHA-256 of the file with the weights, or of the ONNX file."""
    scale: int
    multiple: int
    precision: str
    flavour: str
    version: str
    target: str
    """Compute capabilities, or the name of the GPU."""
    driver: str
    """Empty for an engine that is not bound to one."""
    workspace: int
    """MB the builder might take; 0 for as much as there is."""
    tile: int
    least: tuple[int, int]
    best: tuple[int, int]
    most: tuple[int, int]

    @property
    def key(self) -> str:
        """One name for all of it."""
        return hashlib.sha256(json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True).encode()).hexdigest()

    @property
    def shapes(self) -> Shapes:
        return Shapes(self.tile, self.least, self.best, self.most)


def stamp_path(engine: Path) -> Path:
    return engine.with_name(f"{engine.name}.json")


def expect_place(path: Path) -> None:
    """Raises ``OutputError`` where no engine can be written: asked before the minutes that building takes."""
    part = beside(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(EISDIR, "It is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        part.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error


def write_engine(path: Path, content: bytes, stamp: Stamp) -> None:
    """The engine and then its stamp, each whole or not at all. Raises ``OutputError``."""
    facts = {"format": FORMAT, **asdict(stamp), "engine_bytes": len(content), "engine_sha256": _sha256(content)}
    try:
        stamp_path(path).unlink(missing_ok=True)  # the old one must not vouch for the new engine
        with whole(path) as part:
            part.write_bytes(content)
        with whole(stamp_path(path)) as part:
            part.write_text(json.dumps(facts, indent=2), encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"The engine {path} cannot be written: {error.strerror}.", "Choose another place for it.", path=path)


def read_stamp(engine: Path) -> Stamp | None:
    """The stamp beside an engine; None where there is none that can be read."""
    facts = _facts(engine)
    try:
        named: dict[str, Any] = {name: facts[name] for name in Stamp.__dataclass_fields__}
        sizes: dict[str, Any] = {name: (int(named[name][0]), int(named[name][1])) for name in ("least", "best", "most")}
        return Stamp(**{**named, **sizes})
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def what_differs(engine: Path, wanted: Stamp) -> list[str]:
    """Why this engine is not the one that is wanted, in words; an empty list where it is, byte for byte."""
    if not engine.is_file():
        return ["there is none yet"]
    found = read_stamp(engine)
    if found is None:
        return ["nothing beside it says what it was built from"]
    changed = [_WORDS[name] for name in Stamp.__dataclass_fields__ if getattr(found, name) != getattr(wanted, name)]
    if changed:
        return list(dict.fromkeys(changed))
    return [] if is_whole(engine) else ["its file is damaged"]


def is_whole(engine: Path) -> bool:
    """Whether the engine has the bytes that were written."""
    with suppress(OSError):
        return _sha256(engine.read_bytes()) == _facts(engine).get("engine_sha256")
    return False


def _facts(engine: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        content: object = json.loads(stamp_path(engine).read_text(encoding="utf-8"))
        if isinstance(content, dict):
            facts = cast("dict[str, Any]", content)
            return facts if facts.get("format") == FORMAT else {}
    return {}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
