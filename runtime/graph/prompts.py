"""Basics of API prompts: links, labels for messages, the order of node ids, cycles, and finding nodes by title or class id."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard, cast

from ..errors import WorkflowError, format_node_label
from .definitions import is_output_class

Prompt = dict[str, dict[str, Any]]
_NUMBER = re.compile(r"(\d+)")


class Edge(NamedTuple):
    """Input ``name`` reads output ``slot`` of node ``origin``."""

    name: str
    origin: str
    slot: int


def is_link(value: object) -> TypeGuard[list[Any]]:
    """Return whether a value is a link by ComfyUI's test: a list of a node id (str) and a slot (number)."""
    if not isinstance(value, list):
        return False
    pair = cast("list[Any]", value)
    return len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], int | float) and not isinstance(pair[1], bool)


def unwrap_literal(value: Any) -> Any:
    """Return the value of a literal. Lists are written ``{"__value__": [...]}``, because a bare list could be a link."""
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return fields.get("__value__", cast("Any", value))


def iterate_edges(node: Mapping[str, Any]) -> Iterator[Edge]:
    """Yield the links of a node, in the order of its inputs."""
    for name, value in node["inputs"].items():
        if is_link(value):
            yield Edge(name, value[0], int(value[1]))


def walk(starts: Iterable[str], get_next: Callable[[str], Iterable[str]]) -> set[str]:
    """Return these nodes and all that ``get_next`` leads to from them."""
    found: set[str] = set()
    pending = list(starts)
    while pending:
        node_id = pending.pop()
        if node_id not in found:
            found.add(node_id)
            pending += get_next(node_id)
    return found


def find_reachable(prompt: Mapping[str, Mapping[str, Any]], node_ids: Iterable[str]) -> set[str]:
    """Return these nodes and all nodes they depend on, without those that the prompt does not contain."""

    def list_origins(node_id: str) -> list[str]:
        return [edge.origin for edge in iterate_edges(prompt[node_id])] if node_id in prompt else []

    return walk(node_ids, list_origins) & prompt.keys()


def get_title(node: Mapping[str, Any]) -> str | None:
    """Return the title from the canvas; None if the prompt does not hold it."""
    meta = node.get("_meta")
    title = cast("Mapping[str, Any]", meta).get("title") if isinstance(meta, dict) else None
    return title if isinstance(title, str) else None


def format_label(prompt: Mapping[str, Mapping[str, Any]], node_id: str) -> str:
    """Return how messages name a node of a prompt."""
    node = prompt[node_id]
    return format_node_label(node_id, node.get("class_type"), get_title(node))


def format_labels(prompt: Mapping[str, Mapping[str, Any]], node_ids: Sequence[str]) -> str:
    """Return the labels of the first 20 nodes, and how many more there are."""
    labels = ", ".join(format_label(prompt, node_id) for node_id in node_ids[:20])
    return f"{labels} and {len(node_ids) - 20} more" if len(node_ids) > 20 else labels


def make_natural_key(node_id: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Return a sort key that puts ``2`` before ``10`` and ``13:2`` before ``13:10``; ids may have any length."""
    parts = (part for part in _NUMBER.split(node_id) if part)
    numbers = ((part, part.lstrip("0")) for part in parts)
    return tuple((0, len(digits), digits) if part.isdecimal() else (1, 0, part) for part, digits in numbers), node_id


def find_cycles(prompt: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Return one closed path for each link that closes a cycle, in the direction of the data: ``[a, b, a]``."""
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
                walk = list(path)
                cycles.append([origin, *reversed(walk[walk.index(origin) :])])
            else:
                path[origin] = None
                pending.append(iterate_edges(prompt[origin]))
    return cycles


def format_cycle(prompt: Mapping[str, Mapping[str, Any]], cycle: list[str]) -> str:
    """Return a cycle as ``5 (A) -> 7 (B) -> 5 (A)``."""
    return " -> ".join(f"{node_id} ({prompt[node_id].get('class_type')})" for node_id in cycle)


def find_nodes_by_name(prompt: Prompt, name: str) -> list[str]:
    """Return the ids of the nodes with this id, else with this title, else of this class."""
    if name in prompt:
        return [name]
    titled = [node_id for node_id, node in prompt.items() if get_title(node) == name]
    return titled or [node_id for node_id, node in prompt.items() if node.get("class_type") == name]


def list_outputs(prompt: Prompt, catalog: Mapping[str, type]) -> list[str]:
    """Return the ids of the output nodes, in natural order."""
    outputs = [node_id for node_id, node in prompt.items() if is_output_class(catalog.get(node["class_type"], object))]
    return sorted(outputs, key=make_natural_key)


def find_outputs(prompt: Prompt, names: Sequence[str], catalog: Mapping[str, type]) -> list[str]:
    """Return the output nodes with these names. Raises ``WorkflowError`` for a name that fits no output, or several."""
    return list(dict.fromkeys(_find_output(prompt, name, catalog) for name in names))


def _find_output(prompt: Prompt, name: str, catalog: Mapping[str, type]) -> str:
    matches = find_nodes_by_name(prompt, name)
    outputs = list_outputs({node_id: prompt[node_id] for node_id in matches}, catalog)
    if len(outputs) == 1:
        return outputs[0]
    if outputs:
        candidates = ", ".join(format_label(prompt, node_id) for node_id in outputs)
        raise WorkflowError(f"The output {name!r} fits several nodes: {candidates}.", "Name the node by its id.")
    if matches and prompt[matches[0]]["class_type"] not in catalog:
        what = f"{format_label(prompt, matches[0])} has a class that is not installed."
        raise WorkflowError(what, "Run `check` to see what is missing.", node_id=matches[0])
    if matches:
        what = f"{format_label(prompt, matches[0])} is not an output: it neither writes nor shows anything."
        raise WorkflowError(what, _describe_outputs(prompt, catalog), node_id=matches[0])
    raise WorkflowError(f"No node has the id, title or class {name!r}.", _describe_outputs(prompt, catalog))


def _describe_outputs(prompt: Prompt, catalog: Mapping[str, type]) -> str:
    outputs = list_outputs(prompt, catalog)
    return f"The outputs are {format_labels(prompt, outputs)}." if outputs else "The workflow has no output."
