"""``--set NODE.INPUT=VALUE``: change one value of a prompt from the command line."""

import copy
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import WorkflowError
from .convert.widgets import ABSENT, get_default_value, is_widget
from .definitions import get_declared_inputs
from .prompts import Prompt, find_nodes_by_name, format_label, format_labels, make_natural_key
from .specs import COMBO, DYNAMIC_COMBO, TYPE_NOUNS, InputSpec, get_dynamic_children, get_dynamic_keys

_TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
_FALSE_WORDS = frozenset({"false", "no", "off", "0"})
_SYNTAX_HINT = "Write NODE.INPUT=VALUE, where NODE is an id, a title or a class id that only one node has."


def apply_override(prompt: Prompt, assignment: str, catalog: Mapping[str, type]) -> Prompt:
    """Return a copy of ``prompt`` with one value set. On a linked input the value replaces the link.

    The value is parsed by the type that the class declares: INT, FLOAT, BOOLEAN, STRING, a choice, else JSON. Titles and
    input names may contain dots. Raises ``WorkflowError``, with what is possible in its hint, for an unknown or ambiguous
    node, an unknown input and a value of the wrong type.
    """
    target, equals, text = assignment.partition("=")
    if not equals or "." not in target:
        raise WorkflowError(f"{assignment!r} is not an assignment.", _SYNTAX_HINT)
    node_id, spec = _find_input(prompt, target.strip(), catalog)
    changed = copy.deepcopy(prompt)
    inputs = changed[node_id]["inputs"]
    inputs[spec.name] = parse_value(spec, text)
    if spec.type == DYNAMIC_COMBO:
        _replace_children(inputs, spec)
    return changed


def _find_input(prompt: Prompt, target: str, catalog: Mapping[str, type]) -> tuple[str, InputSpec]:
    """Return the node and the input that ``target`` names; any of its dots may separate them."""
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
        raise WorkflowError(f"{target!r} fits several nodes: {candidates}.", "Name the node by its id.")
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
        nodes = sorted(prompt, key=make_natural_key)
        return WorkflowError(f"No node fits {target!r}.", f"The workflow has {format_labels(prompt, nodes)}.")
    label = format_label(prompt, nodes[0])
    inputs = ", ".join(_get_declared_inputs(prompt[nodes[0]], catalog))
    hint = f"It has {inputs}." if inputs else "Its class is not installed, so its inputs cannot be set."
    return WorkflowError(f"{label} has no input that fits {target!r}.", hint, node_id=nodes[0])


def parse_value(spec: InputSpec, text: str) -> Any:
    """Parse a text from the command line as a value for one input. Raises ``WorkflowError``."""
    if spec.type == "STRING":
        return text
    if spec.type in (COMBO, DYNAMIC_COMBO):
        choices = get_dynamic_keys(spec) if spec.type == DYNAMIC_COMBO else spec.choices or ()
        return next((choice for choice in choices if str(choice) == text), text)
    try:
        return _parse_number(spec.type, text) if spec.type in ("INT", "FLOAT", "BOOLEAN") else json.loads(text)
    except ValueError as error:
        expected = TYPE_NOUNS.get(spec.type, "JSON")
        what = f"Input {spec.name!r} of type {spec.type} must be {expected}, not {text!r}."
        raise WorkflowError(what, f"Write NODE.{spec.name}=VALUE with {expected}.", input_name=spec.name) from error


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
    """Remove the inputs of the previous choice of a dynamic combo box and add those of the new one with their defaults."""
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
