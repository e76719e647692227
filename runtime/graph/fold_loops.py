"""Fold the loops of a prompt: everything between a StartLoop and its EndLoop becomes a part of the EndLoop.

ComfyUI 0.38 runs such a body once per iteration. Here the folded EndLoop adds the copies of one iteration at a time, so only
the values that the next iteration or the result needs stay in memory.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import WorkflowError
from .prompts import Prompt, format_label, format_labels, is_link, iterate_edges, make_natural_key, walk

START, END = "StartLoop", "EndLoop"
LOOP = "_loop"
"""key of a folded EndLoop: ``start`` and ``initial``, nodes of the ``body``, and the ``inputs`` that EndLoop had"""
_CLOSED = "Every Start Loop needs an End Loop through which all of its results go."


def fold_loops(prompt: Prompt) -> Prompt:
    """Return a prompt without the bodies of loops; it is the same one if it has none.

    Raises ``WorkflowError`` for a start without an end, an end without a start, and a body that is read from outside.
    """
    folded = prompt
    while ends := [node_id for node_id in folded if _is_open(folded, node_id, END)]:
        inner = [end for end in ends if not any(_is_open(folded, one, END) for one in _walk_up(folded, end) - {end})]
        if not inner:
            raise WorkflowError("End Loops depend on each other.", _CLOSED, node_id=ends[0])
        folded = _fold_loop(folded, min(inner, key=make_natural_key))
    if starts := [
        node_id for node_id, node in folded.items() if node["class_type"] == START and not _is_folded(folded, node_id)
    ]:
        raise WorkflowError(f"{format_label(prompt, starts[0])} has no End Loop.", _CLOSED, node_id=starts[0])
    return folded


def _is_open(prompt: Prompt, node_id: str, class_type: str) -> bool:
    return prompt[node_id]["class_type"] == class_type and LOOP not in prompt[node_id]


def _is_folded(prompt: Prompt, start: str) -> bool:
    return any(node.get(LOOP, {}).get("start") == start for node in prompt.values())


def _walk_up(prompt: Prompt, node_id: str, stop: Iterable[str] = ()) -> set[str]:
    """Return a node and what it depends on, without what lies above the nodes of ``stop``."""
    return walk([node_id], lambda one: _list_origins(prompt[one]) if one in prompt and one not in stop else []) & prompt.keys()


def _list_origins(node: Mapping[str, Any]) -> list[str]:
    """Return what a node and, where it is a folded loop, the nodes of its body read."""
    loop = node.get(LOOP, {"body": {}, "inputs": {}})
    initial = loop.get("initial")
    origins = [edge.origin for one in (node, loop, *loop["body"].values()) for edge in iterate_edges(one)]
    return [*origins, initial[0]] if is_link(initial) else origins


def _fold_loop(prompt: Prompt, end: str) -> Prompt:
    starts = {node_id for node_id in prompt if _is_open(prompt, node_id, START) and not _is_folded(prompt, node_id)}
    reached = _walk_up(prompt, end, starts) & starts
    nearest = [start for start in reached if reached <= _walk_up(prompt, start)]
    if len(nearest) != 1:
        problem = (
            f"could close several Start Loops: {format_labels(prompt, sorted(reached))}" if reached else "has no Start Loop"
        )
        raise WorkflowError(f"{format_label(prompt, end)} {problem}.", _CLOSED, node_id=end)
    (start,) = nearest
    body = {node_id for node_id in prompt if node_id not in (start, end) and start in _walk_up(prompt, node_id, {end})}
    if outside := sorted(node_id for node_id in body if node_id not in _walk_up(prompt, end)):
        what = f"{format_label(prompt, outside[0])} reads the loop of node {start} without passing through its End Loop."
        raise WorkflowError(what, "Link its result to a termination of End Loop.", node_id=outside[0])
    inputs = prompt[end]["inputs"]
    loop = {
        "start": start,
        "initial": prompt[start]["inputs"].get("initial_iteration_value"),
        "body": {node_id: prompt[node_id] for node_id in sorted(body, key=make_natural_key)},
        "inputs": {name: value for name, value in inputs.items() if is_link(value) and name != "accumulate"},
    }
    kept = {name: value for name, value in inputs.items() if name == "accumulate"}
    node = {**prompt[end], "inputs": {"output_value": [start, 0], **kept}, LOOP: loop}
    return {node_id: node if node_id == end else prompt[node_id] for node_id in prompt if node_id not in body}


def link_iteration(loop: Mapping[str, Any], prefix: str, values: Mapping[int, Any]) -> tuple[Prompt, dict[str, Any]]:
    """Return copies of the body for one iteration, ids with a prefix, and the inputs of EndLoop linked to them.

    ``values`` are what the outputs of StartLoop give: a literal, or a link.
    """

    def relink(value: Any) -> Any:
        if not is_link(value):
            return value
        if value[0] == loop["start"]:
            return values[int(value[1])]
        return [f"{prefix}{value[0]}", value[1]] if value[0] in loop["body"] else value

    def relink_node(node: Mapping[str, Any]) -> dict[str, Any]:
        copied = {**node, "inputs": {name: relink(value) for name, value in node["inputs"].items()}}
        if LOOP in node:  # a loop in a loop: its body may read the outer one
            inner = node[LOOP]
            body = {name: relink_node(one) for name, one in inner["body"].items()}
            links = {name: relink(value) for name, value in inner["inputs"].items()}
            start = relink([inner["start"], 0])[0]
            copied[LOOP] = {"start": start, "initial": relink(inner["initial"]), "body": body, "inputs": links}
        return copied

    copies = {f"{prefix}{name}": relink_node(node) | {"override_display_id": name} for name, node in loop["body"].items()}
    return copies, {name: relink(value) for name, value in loop["inputs"].items()}
