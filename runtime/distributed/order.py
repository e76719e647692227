"""The order of a video: everything that a worker needs to know, in one JSON file."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from ..atomic_write import atomic_write
from ..errors import WorkflowError
from ..paths import read_version
from ..video import Gap, Segment, SegmentFolder

_FORMAT_KEY, _FORMAT = "format", 1


@dataclass(frozen=True)
class Item:
    """Consecutive segments, which one worker makes."""

    number: int
    """Of its first segment."""
    first: int
    """Number of its first frame."""
    count: int | None
    """Frames; None up to the end of the video."""
    before: tuple[int, int] | None
    """``pts`` of the frame before it and of its first frame; None at the beginning of the video."""

    @property
    def gap(self) -> Gap:
        if self.before is None:
            return Gap(self.number, self.first, self.count, None)
        pts_before, pts = self.before
        return Gap(self.number, self.first, self.count, Segment("", self.first - 1, (pts_before,), pts - pts_before, 0, 0, ""))


@dataclass(frozen=True)
class Order:
    """What is to be made. Paths are those of the driver's machine; a worker elsewhere may be given others."""

    id: str
    version: str
    """Of this program."""
    prompt: Mapping[str, Any]
    node_id: str
    """The node of ``prompt`` that writes the video."""
    settings: Mapping[str, Any]
    """Everything that the bytes depend on, as in the journal: sources, weights, backend, precision, encoder, FFmpeg."""
    items: tuple[Item, ...]
    input_dir: str
    output_dir: str
    shipped_inputs: tuple[str, ...] = ()
    models_dirs: tuple[str, ...] = ()
    packs: tuple[str, ...] = ()
    """Folders of node packs, whose code a worker runs."""
    device: str = "auto"
    backend: str = "auto"
    max_pixels: int | None = None
    files: tuple[Mapping[str, Any], ...] = ()
    """Of ``upscale`` on many files: an item each, as ``cli.batch`` describes them. There is no prompt then."""
    bands: tuple[tuple[int, int, int], ...] = ()
    """Of one large image: number, first source row and the row after the last of each band; ``items`` is empty then."""
    tile_memory: int | None = None
    """Bytes that tiles may take on a CPU, on which the tile depends; None: what each worker has."""
    extra_pnginfo: Mapping[str, Any] | None = None
    """The workflow of the canvas, which images carry as text."""
    is_offered: bool = False
    """On a node of a cluster that does not see the driver's folder: items are made when they are offered."""
    timeout: float = 60.0
    """Seconds without a sign of life after which the item of a worker is given to another."""

    def write(self, path: Path) -> None:
        with atomic_write(path) as temp:
            temp.write_text(json.dumps({_FORMAT_KEY: _FORMAT, **asdict(self)}), encoding="utf-8")


def read_order(path: Path) -> Order:
    """Read an order. Raises ``WorkflowError`` for a file that is none, is damaged, or is of another version."""
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        what = f"There is no order {path}."
        raise WorkflowError(what, "An order is in NAME.mp4.parts while a run with --workers goes on.", path=path) from error
    except (OSError, ValueError, RecursionError) as error:
        raise WorkflowError(f"{path} cannot be read as an order: {error}.", "Name an order.json.", path=path) from error
    values = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    if values.get(_FORMAT_KEY) != _FORMAT:
        raise WorkflowError(
            f"{path} is not an order of this version.", "Run the same version of Upscale8K on every machine.", path=path
        )
    try:
        order = _parse_order(values)
    except (KeyError, TypeError, ValueError) as error:
        raise WorkflowError(f"{path} is damaged: {error}.", "Start the run that wrote it again.", path=path) from error
    if order.version != read_version():
        what = f"The order is of version {order.version} of Upscale8K, and this is {read_version()}."
        raise WorkflowError(what, "Install the same version on every machine.", path=path)
    return order


def _parse_order(values: Mapping[str, Any]) -> Order:
    known: dict[str, Any] = {name: values[name] for name in (each.name for each in fields(Order)) if name in values}
    known |= {name: tuple(map(str, known[name])) for name in ("shipped_inputs", "models_dirs", "packs") if name in known}
    known |= {"items": tuple(map(_parse_item, known["items"])), "timeout": float(known["timeout"])}
    known["bands"] = tuple((int(number), int(start), int(stop)) for number, start, stop in known.get("bands", ()))
    known["files"] = tuple(map(dict, known.get("files", ())))
    if not re.fullmatch(r"[0-9a-f]+", known["id"]):
        raise ValueError(f"{known['id']!r} is not an id")
    if not isinstance(known["prompt"], dict) or not isinstance(known["settings"], dict):
        raise ValueError("prompt and settings must be objects")
    return Order(**known)


def _parse_item(values: Mapping[str, Any]) -> Item:
    before, count = values["before"], values["count"]
    item = Item(
        int(values["number"]),
        int(values["first"]),
        None if count is None else int(count),
        None if before is None else (int(before[0]), int(before[1])),
    )
    if item.number < 0 or item.first < 0 or (item.count is not None and item.count < 1):
        raise ValueError(f"an item begins at segment {item.number}, frame {item.first}")
    return item


def find_segment_folder(order_path: Path) -> SegmentFolder:
    """Return the folder of the unfinished video beside whose segments the order is. Raises ``WorkflowError``."""
    folder = order_path.absolute().parent
    if not folder.name.endswith(".parts"):
        raise WorkflowError(f"{order_path} is not in a folder NAME.parts.", "Do not move an order.", path=order_path)
    return SegmentFolder(folder.with_name(folder.name.removesuffix(".parts")))
