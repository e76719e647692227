"""What every reader of an API prompt needs: links, names for people, and an order for ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard, cast

from ..errors import NodeError, Upscale8KError, format_node_label
from .specs import AUTOGROW, DYNAMIC_COMBO, InputSpec, get_dynamic_children, parse_autogrow, parse_specs

Prompt = dict[str, dict[str, Any]]
_NUMBER = re.compile(r"(\d+)")


class Edge(NamedTuple):
    """Input ``name`` reads output ``slot`` of node ``origin``."""

    name: str
    origin: str
    slot: int


def is_link(value: object) -> TypeGuard[list[Any]]:
    """ComfyUI's own test: a list of a node id (text) and a slot (number)."""
    if not isinstance(value, list):
        return False
    pair = cast("list[Any]", value)
    return len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], int | float) and not isinstance(pair[1], bool)


def unwrap_literal(value: Any) -> Any:
    """A literal list is written ``{"__value__": [...]}``, since a bare one could be a link."""
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return fields.get("__value__", cast("Any", value))


def iterate_edges(node: Mapping[str, Any]) -> Iterator[Edge]:
    """The links of a node, in the order of its inputs."""
    for name, value in node["inputs"].items():
        if is_link(value):
            yield Edge(name, value[0], int(value[1]))


def find_reachable(prompt: Mapping[str, Mapping[str, Any]], node_ids: Iterable[str]) -> set[str]:
    """These nodes and everything they depend on, as far as it is there."""
    found: set[str] = set()
    pending = list(node_ids)
    while pending:
        node_id = pending.pop()
        if node_id in prompt and node_id not in found:
            found.add(node_id)
            pending += [edge.origin for edge in iterate_edges(prompt[node_id])]
    return found


def get_title(node: Mapping[str, Any]) -> str | None:
    """The title that the canvas showed, if the prompt still knows it."""
    meta = node.get("_meta")
    title = cast("Mapping[str, Any]", meta).get("title") if isinstance(meta, dict) else None
    return title if isinstance(title, str) else None


def format_label(prompt: Mapping[str, Mapping[str, Any]], node_id: str) -> str:
    """How messages name a node of a prompt."""
    node = prompt[node_id]
    return format_node_label(node_id, node.get("class_type"), get_title(node))


def make_natural_key(node_id: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sorts ``2`` before ``10`` and ``13:2`` before ``13:10``; ids may be of any length."""
    parts = (part for part in _NUMBER.split(node_id) if part)
    numbers = ((part, part.lstrip("0")) for part in parts)
    return tuple((0, len(digits), digits) if part.isdecimal() else (1, 0, part) for part, digits in numbers), node_id


def get_declared_inputs(cls: type, inputs: Mapping[str, Any]) -> dict[str, InputSpec]:
    """name -> the inputs that a class declares, given what is chosen in its dynamic combo boxes."""
    found: dict[str, InputSpec] = {}
    pending = parse_specs(get_input_types(cls))
    while pending:
        spec = pending.pop(0)
        if spec.type == AUTOGROW:
            pending = [*parse_autogrow(spec).get_all_inputs(), *pending]
            continue
        found[spec.name] = spec
        if spec.type == DYNAMIC_COMBO:
            pending = [*get_dynamic_children(spec, inputs.get(spec.name)), *pending]
    return found


def get_hidden_inputs(cls: type) -> Mapping[str, Any]:
    """name -> what the class asks the runner for: ``PROMPT``, ``EXTRA_PNGINFO``, ``UNIQUE_ID``, ``DYNPROMPT``, ..."""
    return cast("Mapping[str, Any]", get_input_types(cls).get("hidden") or {})


def get_input_types(cls: type) -> Mapping[str, Any]:
    """What a class declares. It may read folders, and fail: raises ``NodeError`` then."""
    try:
        return cast("Mapping[str, Any]", cast("Any", cls).INPUT_TYPES())
    except Upscale8KError:
        raise
    except Exception as error:
        what = f"The node class {cls.__name__} cannot say what its inputs are: {type(error).__name__}: {error}."
        raise NodeError(what, "This is a fault of the node.") from error


def find_cycles(prompt: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """One closed walk for each link that runs back to a node it depends on; ``[a, b, a]`` when a reads b reads a."""
    cycles: list[list[str]] = []
    done: set[str] = set()
    for start in prompt:
        path: dict[str, None] = {}
        pending: list[Iterator[Edge]] = []
        if start not in done:
            path[start] = None
            pending.append(iterate_edges(prompt[start]))
        while pending:
            origin = next((edge.origin for edge in pending[-1] if edge.origin in prompt and edge.origin not in done), None)
            if origin is None:
                pending.pop()
                done.add(path.popitem()[0])
            elif origin in path:
                # Read from the first node on, in the direction in which results flow.
                walk = list(path)
                cycles.append([origin, *reversed(walk[walk.index(origin) :])])
            else:
                path[origin] = None
                pending.append(iterate_edges(prompt[origin]))
    return cycles


def format_cycle(prompt: Mapping[str, Mapping[str, Any]], cycle: list[str]) -> str:
    """``5 (A) -> 7 (B) -> 5 (A)``, in the direction in which results flow."""
    return " -> ".join(f"{node_id} ({prompt[node_id].get('class_type')})" for node_id in cycle)
