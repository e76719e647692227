"""``--set NODE.INPUT=VALUE``: change one value of a prompt from the command line."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import WorkflowError
from .convert.widgets import ABSENT, get_default_value, is_widget
from .prompts import Prompt, format_label, get_declared_inputs, make_natural_key
from .specs import COMBO, DYNAMIC_COMBO, InputSpec, get_dynamic_children, get_dynamic_keys
from .targets import find_nodes_by_name

_TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
_FALSE_WORDS = frozenset({"false", "no", "off", "0"})
_SYNTAX_HINT = "Write NODE.INPUT=VALUE, where NODE is an id, a title or a class id that only one node has."


def apply_override(prompt: Prompt, assignment: str, catalog: Mapping[str, type]) -> Prompt:
    """A copy of ``prompt`` with one value set; a linked input gets the value instead of its link.

    The value is read by the type that the class declares: INT, FLOAT, BOOLEAN, STRING, a choice, JSON for all others.
    Titles and inputs may hold dots. Raises ``WorkflowError`` for an unknown or ambiguous node, an input that the class
    does not have, and a value that does not fit, always with what is possible.
    """
    target, equals, text = assignment.partition("=")
    if not equals or "." not in target:
        raise WorkflowError(f"{assignment!r} sets nothing.", _SYNTAX_HINT)
    node_id, spec = _find_input(prompt, target.strip(), catalog)
    changed = copy.deepcopy(prompt)
    inputs = changed[node_id]["inputs"]
    inputs[spec.name] = parse_value(spec, text)
    if spec.type == DYNAMIC_COMBO:
        _replace_children(inputs, spec)
    return changed


def _find_input(prompt: Prompt, target: str, catalog: Mapping[str, type]) -> tuple[str, InputSpec]:
    """The node and the input that ``target`` names; every dot may be the one between them."""
    found: dict[tuple[str, str], InputSpec] = {}
    nodes: list[str] = []
    for name, input_name in _iterate_splits(target):
        for node_id in find_nodes_by_name(prompt, name):
            nodes.append(node_id)
            spec = _get_declared_inputs(prompt[node_id], catalog).get(input_name)
            if spec is not None:
                found[node_id, input_name] = spec
    if len(found) == 1:
        ((node_id, _), spec) = next(iter(found.items()))
        return node_id, spec
    if found:
        candidates = ", ".join(format_label(prompt, node_id) for node_id, _ in found)
        raise WorkflowError(f"{target!r} may be any of {candidates}.", "Name the node by its id.")
    raise _make_not_found_error(prompt, target, nodes, catalog)


def _iterate_splits(target: str) -> Iterator[tuple[str, str]]:
    for position, character in enumerate(target):
        if character == "." and target[:position] and target[position + 1 :]:
            yield target[:position], target[position + 1 :]


def _get_declared_inputs(node: Mapping[str, Any], catalog: Mapping[str, type]) -> dict[str, InputSpec]:
    cls = catalog.get(node["class_type"])
    return get_declared_inputs(cls, node["inputs"]) if cls is not None else {}


def _make_not_found_error(prompt: Prompt, target: str, nodes: list[str], catalog: Mapping[str, type]) -> WorkflowError:
    if not nodes:
        present = ", ".join(format_label(prompt, node_id) for node_id in sorted(prompt, key=make_natural_key)[:20])
        more = f" and {len(prompt) - 20} more" if len(prompt) > 20 else ""
        return WorkflowError(f"No node is called as in {target!r}.", f"There is {present}{more}.")
    label = format_label(prompt, nodes[0])
    inputs = ", ".join(_get_declared_inputs(prompt[nodes[0]], catalog))
    hint = f"It has {inputs}." if inputs else "Its class is not known here, so nothing can be set."
    return WorkflowError(f"{label} has no input as in {target!r}.", hint, node_id=nodes[0])


def parse_value(spec: InputSpec, text: str) -> Any:
    """Read the text of a command line as a value of one input."""
    if spec.type == "STRING":
        return text
    if spec.type in (COMBO, DYNAMIC_COMBO):
        choices = get_dynamic_keys(spec) if spec.type == DYNAMIC_COMBO else spec.choices or ()
        return next((choice for choice in choices if str(choice) == text), text)
    try:
        return _parse_number(spec.type, text) if spec.type in ("INT", "FLOAT", "BOOLEAN") else json.loads(text)
    except ValueError as error:
        wanted = {"INT": "a whole number", "FLOAT": "a number", "BOOLEAN": "true or false"}.get(spec.type, "JSON")
        raise WorkflowError(
            f"{spec.name}={text!r}: {wanted} is needed.", f"Its type is {spec.type}.", input_name=spec.name
        ) from error


def _parse_number(kind: str, text: str) -> int | float | bool:
    if kind == "INT":
        return int(text)
    if kind == "FLOAT":
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    if text.strip().lower() not in _TRUE_WORDS | _FALSE_WORDS:
        raise ValueError(text)
    return text.strip().lower() in _TRUE_WORDS


def _replace_children(inputs: dict[str, Any], spec: InputSpec) -> None:
    """Another choice has other inputs: drop those of the old one, give the new ones their defaults."""
    children = {child.name: child for child in get_dynamic_children(spec, inputs[spec.name])}
    for name in [name for name in inputs if name.startswith(f"{spec.name}.")]:
        if not any(name == child or name.startswith(f"{child}.") for child in children):
            del inputs[name]
    for name, child in children.items():
        default = get_default_value(child) if is_widget(child) else ABSENT
        if name not in inputs and default is not ABSENT:
            inputs[name] = default
            if child.type == DYNAMIC_COMBO:
                _replace_children(inputs, child)
