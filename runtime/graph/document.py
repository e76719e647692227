"""Read workflow files: saved by the canvas, exported for the API, or embedded in an image or a video.

The workflow itself is not interpreted here, only its kind is determined.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ..errors import WorkflowError
from ..file_types import WORKFLOW_VIDEO_SUFFIXES
from .embedded_workflow import TEXT_LIMIT, is_supported_image, read_embedded_texts

SIZE_LIMIT = 256 * 2**20
"""Bytes. Larger files are not workflows, nor images that hold one."""
VALUE_LIMIT = 1_500_000
"""Commas and opening brackets of a workflow, each an object in memory. A large workflow of 1000 nodes has 200,000."""
EXPORT_HINT = "Save the workflow in ComfyUI (Workflow > Save, or Export (API)) and pass that file."


@dataclass(frozen=True)
class Document:
    """``ui`` holds a canvas workflow, ``prompt`` an API prompt; exactly one of them is not None."""

    path: Path
    kind: Literal["ui", "api"]
    ui: dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None


_MAX_DEPTH = 200


def read_document(path: Path, read_video_tags: Callable[[Path], Mapping[str, str]]) -> Document:
    """Read a workflow file: JSON in UI or API format, or a PNG, JPEG, WebP or video that holds either.

    ``read_video_tags`` returns the tags of a video by lower-case name. Raises ``WorkflowError`` (with ``path``) for a file
    that is not a workflow, and what ``read_video_tags`` raises.
    """
    if path.suffix.lower() in WORKFLOW_VIDEO_SUFFIXES and _is_nonempty_file(path):
        return _find_embedded_workflow(path, read_video_tags(path), "a video")
    data = _read_bytes(path)
    if is_supported_image(data):
        return _read_image(path, data)
    if len(data) > TEXT_LIMIT:
        what = f"{path} is not a workflow: it is larger than {TEXT_LIMIT >> 20} MB."
        raise WorkflowError(what, EXPORT_HINT, path=path)
    return _classify_json(path, _parse_json(path, _decode_text(path, data)))


def _is_nonempty_file(path: Path) -> bool:
    """Return whether the path is a file with content; ``_read_bytes`` reports everything else."""
    try:
        return path.is_file() and path.stat().st_size > 0
    except (OSError, ValueError):
        return False


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise WorkflowError(f"{path} is a folder, not a workflow file.", "Name one file inside it.", path=path)
        if path.stat().st_size > SIZE_LIMIT:
            raise WorkflowError(
                f"{path} is larger than {SIZE_LIMIT >> 20} MB, so it is not a workflow.", EXPORT_HINT, path=path
            )
        data = path.read_bytes()
    except WorkflowError:
        raise
    except FileNotFoundError as error:
        raise WorkflowError(f"There is no file {path.absolute()}.", "Check the path.", path=path) from error
    except (OSError, ValueError) as error:
        raise WorkflowError(f"{path} cannot be read: {error}.", "Check the path and its permissions.", path=path) from error
    if not data.strip():
        raise WorkflowError(f"{path} is empty.", EXPORT_HINT, path=path)
    return data


def _decode_text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise WorkflowError(f"{path} is not text: byte {error.start} is not UTF-8.", EXPORT_HINT, path=path) from error


def _parse_json(path: Path, text: str) -> Any:
    if sum(map(text.count, ",[{")) > VALUE_LIMIT:
        what = f"{path} is not a workflow: it has more than {VALUE_LIMIT} values."
        raise WorkflowError(what, EXPORT_HINT, path=path)
    try:
        # JavaScript has no NaN in JSON: Python tools write it, and the canvas reads it as null.
        content = json.loads(text, parse_constant=lambda _: None)
        _check_depth(content)
        return content
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise WorkflowError(f"{path} is not JSON: {error.msg} at {where}.", EXPORT_HINT, path=path) from error
    except (RecursionError, ValueError) as error:
        raise WorkflowError(
            f"{path} is not a workflow: its JSON is nested too deeply or has numbers that are too long.", EXPORT_HINT, path=path
        ) from error


def _check_depth(content: Any) -> None:
    """Raise ``RecursionError`` for lists and objects nested deeper than what works on them can follow."""
    level: list[Any] = [content]
    for _ in range(_MAX_DEPTH):
        level = [child for value in level for child in _get_children(value)]
        if not level:
            return
    raise RecursionError


def _get_children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()


def _read_image(path: Path, data: bytes) -> Document:
    try:
        texts = read_embedded_texts(data)
    except (ValueError, IndexError, KeyError) as error:
        raise WorkflowError(f"{path} is a damaged image: {error}.", EXPORT_HINT, path=path) from error
    return _find_embedded_workflow(path, texts, "an image")


def _find_embedded_workflow(path: Path, texts: Mapping[str, str], kind: str) -> Document:
    for key in ("workflow", "prompt"):
        if key in texts:
            return _classify_json(path, _parse_json(path, texts[key]))
    raise WorkflowError(f"{path} is {kind} without a workflow.", EXPORT_HINT, path=path)


def _classify_json(path: Path, root: Any) -> Document:
    if not isinstance(root, dict):
        raise WorkflowError(
            f"{path} is not a workflow: its JSON is a {_get_json_type_name(root)}, not an object.", EXPORT_HINT, path=path
        )
    fields = cast("dict[str, Any]", root)
    posted = fields.get("prompt")  # the body of POST /prompt
    if isinstance(posted, dict) and is_api_prompt(cast("dict[str, Any]", posted)):
        return Document(path, "api", prompt=cast("dict[str, Any]", posted))
    if is_ui_workflow(fields):
        return Document(path, "ui", ui=fields)
    if is_api_prompt(fields):
        return Document(path, "api", prompt=fields)
    raise WorkflowError(f"{path} is not a workflow: {_describe_mismatch(fields)}.", EXPORT_HINT, path=path)


def is_ui_workflow(root: Mapping[str, Any]) -> bool:
    """Return whether this is a canvas workflow: a list of nodes, each with an id and a type."""
    nodes = root.get("nodes")
    if not isinstance(nodes, list):
        return False
    return all(isinstance(node, dict) and "id" in node and "type" in node for node in cast("list[Any]", nodes))


def is_api_prompt(root: Mapping[str, Any]) -> bool:
    """Return whether this is an API prompt: node ids with objects that have ``class_type`` and ``inputs``."""
    return bool(root) and all(_is_api_node(node) for node in root.values())


def _is_api_node(node: Any) -> bool:
    fields = cast("dict[str, Any]", node) if isinstance(node, dict) else {}
    return isinstance(fields.get("class_type"), str) and isinstance(fields.get("inputs"), dict)


def _describe_mismatch(root: Mapping[str, Any]) -> str:
    if not root:
        return "it is an empty object"
    broken = [key for key, node in root.items() if not _is_api_node(node)]
    if len(broken) < len(root):
        return f"its node {broken[0]!r} has no class_type or no inputs"
    if "nodes" in root:
        return "its `nodes` are not a list of objects with id and type"
    if isinstance(root.get("last_node_id"), int) or "links" in root:
        return "it has no `nodes`"
    return f"it has the keys {', '.join(map(repr, list(root)[:5]))}, and neither `nodes` nor nodes with a class_type"


def _get_json_type_name(value: Any) -> str:
    if value is None:
        return "null"
    return {list: "list", str: "string", bool: "boolean", int: "number", float: "number"}[type(value)]
