"""What an engine was built from and for, as JSON beside the engine: ``X.trt`` and ``X.trt.json``.

An engine is a program for one GPU and one version of TensorRT, and contains the weights of one model; the file itself does not
say which. So it is never loaded because of its name alone. Its optimization profile: the smallest and largest size that it
takes, and the one it is tuned for.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from errno import EISDIR
from pathlib import Path
from typing import Any, NamedTuple, cast

from ..atomic_write import atomic_write, temp_path, translate_os_errors
from ..errors import OutputError, WorkflowError
from ..paths import resolve_inside

MIN_SIDE = 32


@dataclass(frozen=True)
class ShapeProfile:
    """(height, width) of the network's input, halo included; ``tile`` is the largest without its halo. The batch size is 1."""

    tile: int
    min: tuple[int, int]
    opt: tuple[int, int]
    max: tuple[int, int]


def make_profile_for_tile(tile: int, halo: int, multiple: int, *, fixed: bool) -> ShapeProfile:
    """For tiles of ``tile`` pixels with ``halo`` on each side, in a network whose input sides are multiples of ``multiple``.

    Tuned for the whole tile: most tiles of an image have that size, and none is larger. Raises ``WorkflowError`` for a tile
    below 32.
    """
    if tile < MIN_SIDE:
        raise WorkflowError(f"A tile of {tile} pixels is too small.", f"Use at least {MIN_SIDE}.")
    side = -(-(tile + 2 * halo) // multiple) * multiple
    smallest = side if fixed else -(-MIN_SIDE // multiple) * multiple
    return ShapeProfile(tile, (smallest, smallest), (side, side), (side, side))


def make_profile_for_fixed_size(size: tuple[int, int], halo: int) -> ShapeProfile:
    """For an ONNX file with one input (height, width). Raises ``WorkflowError`` where the halo leaves less than 32 pixels."""
    tile = min(size) - 2 * halo
    if tile < MIN_SIDE:
        raise WorkflowError(
            f"The ONNX file takes {size[1]}x{size[0]} pixels, of which a halo of {halo} leaves less than {MIN_SIDE}.",
            "Export it for a larger tile.",
        )
    return ShapeProfile(tile, size, size, size)


FORMAT = 1
_DIFFERENCE_TEXTS = {
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
class EngineInfo:
    """Everything that decides whether an engine is the requested one. The field names are JSON keys on disk."""

    weights: str
    """SHA-256 of the weights file or of the ONNX file."""
    scale: int
    multiple: int
    precision: str
    flavour: str
    version: str
    target: str
    """Compute capabilities, or the name of the GPU."""
    driver: str
    """Empty for an engine that runs with any driver."""
    workspace: int
    """MB that the builder could use; 0 for no limit."""
    tile: int
    least: tuple[int, int]
    best: tuple[int, int]
    most: tuple[int, int]

    @property
    def key(self) -> str:
        """A hash of all fields."""
        return hashlib.sha256(json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True).encode()).hexdigest()

    @property
    def shape_profile(self) -> ShapeProfile:
        return ShapeProfile(self.tile, self.least, self.best, self.most)


_OUTPUT_HINT = "Choose another path for the engine."


def get_info_path(engine: Path) -> Path:
    return engine.with_name(f"{engine.name}.json")


def get_kernel_cache_path(engine: Path) -> Path:
    return engine.with_name(f"{engine.name}.cache")


def check_engine_path(path: Path) -> None:
    """Raise ``OutputError`` where no engine can be written, before minutes are spent on building."""
    temp_file = temp_path(path)
    with translate_os_errors(path, _OUTPUT_HINT):
        if path.is_dir():
            raise IsADirectoryError(EISDIR, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        temp_file.touch()
        temp_file.unlink()


def check_engine_owner(path: Path) -> None:
    """Raise ``OutputError`` if ``path``, or a file that belongs to an engine there, exists and no info of ours describes it."""
    found = [each.name for each in (path, get_info_path(path), get_kernel_cache_path(path)) if each.exists()]
    if found and not _read_facts(path):
        what = f"In {path.parent} there is {' and '.join(found)}, of another program or damaged."
        raise OutputError(what, f"Delete or rename it, or choose another name than {path.name}.", path=path)


class GraphStamp(NamedTuple):
    """The graph that an engine was built from, and what exported it; not part of ``EngineInfo``, which needs no export."""

    graph: str
    exporter: str


def write_engine(path: Path, content: bytes, info: EngineInfo, stamp: GraphStamp) -> None:
    """Write the engine and then its info, each atomically. Raises ``OutputError``.

    A run that is stopped in between leaves an engine that may be replaced, and that is not used.
    """
    hashes = {"engine_bytes": len(content), "engine_sha256": _hash_bytes(content), **stamp._asdict()}
    with translate_os_errors(path, _OUTPUT_HINT):
        _write_facts(path, {"format": FORMAT})  # the old info must never describe the new engine
        get_kernel_cache_path(path).unlink(missing_ok=True)
        with atomic_write(path) as temp_file:
            temp_file.write_bytes(content)
        _write_facts(path, {"format": FORMAT, **asdict(info), **hashes})


def read_graph_stamp(engine: Path) -> GraphStamp | None:
    """Return the stamp beside an engine; None for one that was made before there were stamps."""
    facts = _read_facts(engine)
    return GraphStamp(str(facts["graph"]), str(facts["exporter"])) if {"graph", "exporter"} <= facts.keys() else None


def write_graph_stamp(engine: Path, stamp: GraphStamp) -> None:
    """Replace the stamp beside an engine. In a folder that cannot be written the graph is exported again each time."""
    with suppress(OSError):
        _write_facts(engine, {**_read_facts(engine), **stamp._asdict()})


def _write_facts(engine: Path, facts: dict[str, Any]) -> None:
    with atomic_write(get_info_path(engine)) as temp_file:
        temp_file.write_text(json.dumps(facts, indent=2), encoding="utf-8")


def read_engine_info(engine: Path) -> EngineInfo | None:
    """Read the info beside an engine; None where it is missing or invalid."""
    facts = _read_facts(engine)
    try:
        values: dict[str, Any] = {name: facts[name] for name in EngineInfo.__dataclass_fields__}
        sizes: dict[str, Any] = {name: (int(values[name][0]), int(values[name][1])) for name in ("least", "best", "most")}
        return EngineInfo(**{**values, **sizes})
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def list_differences(engine: Path, wanted: EngineInfo) -> list[str]:
    """Describe why an engine is not the wanted one; an empty list if it is, byte for byte."""
    if not engine.is_file():
        return ["it does not exist yet"]
    found = read_engine_info(engine)
    if found is None:
        return ["the file that describes it is missing or invalid"]
    changed = [
        _DIFFERENCE_TEXTS[name] for name in EngineInfo.__dataclass_fields__ if getattr(found, name) != getattr(wanted, name)
    ]
    if changed:
        return list(dict.fromkeys(changed))
    return [] if is_intact(engine) else ["its file is damaged"]


def is_intact(engine: Path) -> bool:
    """Whether the engine still has the bytes that were written."""
    with suppress(OSError):
        return _hash_bytes(engine.read_bytes()) == _read_facts(engine).get("engine_sha256")
    return False


def _read_facts(engine: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, RecursionError):
        content: object = json.loads(get_info_path(engine).read_text(encoding="utf-8"))
        if isinstance(content, dict):
            facts = cast("dict[str, Any]", content)
            return facts if facts.get("format") == FORMAT else {}
    return {}


def _hash_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def find_engine_path(name: str, folders: Sequence[Path]) -> Path | None:
    """Return the file called ``name`` in the models ``folders``, else a new path in the first of them; None without a name.

    Raises ``WorkflowError`` for a name that leads outside the folders.
    """
    if not name.strip():
        return None
    name = name if name.endswith(".trt") else f"{name}.trt"
    paths = [resolve_inside(folder, name) for folder in folders]
    if not paths or any(path is None for path in paths):
        raise WorkflowError(f"The engine {name!r} is outside the models folders.", "Use a plain name.")
    return next((path for path in paths if path and path.is_file()), paths[0])
