"""Everything that is wrong with a prompt, found before anything runs.

The rules, the names of the errors and the coercion are those of ComfyUI's ``validate_prompt``. Three things differ, all of
them because a person waits at a command line: every problem of every node is reported, not the first of each output; an
unknown choice of a dynamic combo box is a problem; and the values that were coerced come back in a copy.
"""

from __future__ import annotations

import asyncio
import copy
import difflib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..errors import Problem, Upscale8KError
from .definitions import is_output
from .prompts import (
    Prompt,
    cycle_text,
    declared_inputs,
    edges,
    find_cycles,
    hidden_inputs,
    is_link,
    natural_key,
    reachable,
    title_of,
    unwrap,
)
from .specs import ANY_TYPE, COMBO, DYNAMIC_COMBO, MATCH_TYPE, InputSpec, dynamic_keys

_COERCIONS: Mapping[str, Callable[[Any], Any]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
_NEAREST = 3
_GUESSES = 200
"""Unknown classes for which a known one is suggested: it takes a while for each."""


@dataclass(frozen=True)
class Checked:
    """``prompt`` is the workflow with its values in their declared types; it may run when ``problems`` is empty."""

    prompt: Prompt
    problems: list[Problem]


def check(
    prompt: Mapping[str, Any],
    catalog: Mapping[str, type],
    *,
    packs: Mapping[str, str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Checked:
    """Check an API prompt against a catalog of V1 node classes.

    ``packs`` names the pack of classes that are not in the catalog; ``outputs`` limits the check to what these nodes need.
    The given prompt is not changed. As in ComfyUI, nodes that no output needs are checked for their class alone.
    """
    problems = list(_shape_problems(prompt))
    if problems:
        return Checked({}, problems)
    return _Checker(copy.deepcopy(dict(prompt)), catalog, packs or {}).run(outputs)


def _shape_problems(prompt: Mapping[str, Any]) -> Iterator[Problem]:
    if not prompt:
        yield Problem("prompt_no_outputs", "The workflow is empty.", "Save one with at least one node that writes something.")
    for node_id, node in prompt.items():
        fields: Mapping[str, Any] = cast("Mapping[str, Any]", node) if isinstance(node, dict) else {}
        if not isinstance(fields.get("inputs"), dict) or not isinstance(fields.get("class_type"), str):
            yield Problem("invalid_prompt", "It has no class_type or no inputs.", "Export the workflow again.", node_id)


class _Checker:
    def __init__(self, prompt: Prompt, catalog: Mapping[str, type], packs: Mapping[str, str]) -> None:
        self.prompt = prompt
        self.catalog = catalog
        self.packs = packs
        self.problems: list[Problem] = []
        self.meant: dict[str, list[str]] = {}

    def run(self, wanted: Sequence[str] | None) -> Checked:
        for node_id, node in self.prompt.items():
            if node["class_type"] not in self.catalog:
                self._report_unknown(node_id, node["class_type"])
        outputs = [node_id for node_id, node in self.prompt.items() if self._may_be_output(node)] if wanted is None else wanted
        if not outputs:
            what = "No node of the workflow writes or shows anything."
            self.problems.append(Problem("prompt_no_outputs", what, "Add a node such as SaveImage behind the last one."))
        needed = sorted(reachable(self.prompt, outputs), key=natural_key)
        for node_id in needed:
            if self.prompt[node_id]["class_type"] in self.catalog:
                self._check_node(node_id)
        self._report_cycles({node_id: self.prompt[node_id] for node_id in needed})
        return Checked(self.prompt, self.problems)

    def _may_be_output(self, node: Mapping[str, Any]) -> bool:
        """An output, or a node of a class that nobody knows: what it reads can be checked all the same."""
        cls = self.catalog.get(node["class_type"])
        return cls is None or is_output(cls)

    def _report(self, node_id: str, kind: str, what: str, hint: str = "", input_name: str | None = None) -> None:
        node = self.prompt[node_id]
        self.problems.append(Problem(kind, what, hint, node_id, node["class_type"], title_of(node), input_name))

    def _report_unknown(self, node_id: str, class_type: str) -> None:
        if class_type not in self.meant and len(self.meant) < _GUESSES:
            self.meant[class_type] = difflib.get_close_matches(class_type, self.catalog, 1)
        near = self.meant.get(class_type)
        pack = self.packs.get(class_type)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        hint += f"It belongs to the pack {pack}. " if pack else ""
        hint += "Replace the node by one that `nodes` lists, or mute it before saving."
        self._report(node_id, "missing_node_type", f"There is no node class {class_type!r} here.", hint)

    def _report_cycles(self, needed: Prompt) -> None:
        for cycle in find_cycles(needed):
            what = f"Its result depends on itself: {cycle_text(self.prompt, cycle)}."
            self._report(cycle[0], "dependency_cycle", what, "Take one of these links out.")

    # ------------------------------------------------------------------ one node

    def _check_node(self, node_id: str) -> None:
        node = self.prompt[node_id]
        cls = self.catalog[node["class_type"]]
        inputs: dict[str, Any] = node["inputs"]
        specs = declared_inputs(cls, inputs)
        before = len(self.problems)
        own_rules = _validator_arguments(cls)
        received = {edge.name: output for edge in edges(node) if (output := self._check_link(node_id, *edge)) is not None}
        for name, spec in specs.items():
            if name not in inputs:
                if spec.required:
                    self._report(node_id, "required_input_missing", "It is missing.", _supply_hint(spec), name)
            elif isinstance(inputs[name], list):
                self._check_linked(node_id, spec, received, "input_types" in own_rules)
            else:
                self._check_literal(node_id, spec, name in own_rules or "**" in own_rules)
        if own_rules and len(self.problems) == before:
            self._check_own_rules(node_id, cls, specs, own_rules, received)

    def _check_link(self, node_id: str, name: str, origin: str, slot: int) -> Any:
        """The type that arrives by a link; None when it is not known."""
        if origin not in self.prompt:
            what = f"It is linked to node {origin}, which is not in the workflow."
            self._report(node_id, "bad_linked_input", what, "Link it to a node that is there.", name)
            return None
        cls = self.catalog.get(self.prompt[origin]["class_type"])
        outputs = cast("Sequence[Any]", getattr(cls, "RETURN_TYPES", ()))
        if cls is not None and not 0 <= slot < len(outputs):
            what = f"It is linked to output {slot} of node {origin}, which has {len(outputs)}."
            self._report(node_id, "bad_linked_input", what, "Link it to an output that is there.", name)
            return None
        return outputs[slot] if cls is not None else None

    def _check_linked(self, node_id: str, spec: InputSpec, received: Mapping[str, Any], own_types: bool) -> None:
        value = self.prompt[node_id]["inputs"][spec.name]
        if not is_link(value):
            what = f"{value!r} is neither a value nor a link [node id, slot]."
            self._report(node_id, "bad_linked_input", what, 'Write a list of values as {"__value__": [...]}.', spec.name)
        elif spec.name in received and not own_types and not types_match(received[spec.name], spec.type):
            what = f"It takes {spec.type}, but node {value[0]} gives it {_type_name(received[spec.name])}."
            self._report(node_id, "return_type_mismatch", what, "Link it to an output of that type.", spec.name)

    def _check_literal(self, node_id: str, spec: InputSpec, own_rules: bool) -> None:
        inputs: dict[str, Any] = self.prompt[node_id]["inputs"]
        value: Any = unwrap(inputs[spec.name])
        try:
            value = coerce(spec.type, value)
        except (TypeError, ValueError, OverflowError):
            what = f"{value!r} is no {spec.type}."
            self._report(node_id, "invalid_input_type", what, _supply_hint(spec), spec.name)
            return
        inputs[spec.name] = {**inputs[spec.name], "__value__": value} if isinstance(value, list) else value
        if not own_rules:
            for kind, what, hint in _value_problems(spec, value):
                self._report(node_id, kind, what, hint, spec.name)

    def _check_own_rules(
        self, node_id: str, cls: type, specs: Mapping[str, InputSpec], wanted: frozenset[str], received: Mapping[str, Any]
    ) -> None:
        """Ask ``VALIDATE_INPUTS``: it gets the values it names, None for what is linked, and must answer True."""
        inputs: Mapping[str, Any] = self.prompt[node_id]["inputs"]
        given = {
            name: None if is_link(value) else unwrap(value) for name, value in inputs.items() if is_link(value) or name in specs
        }
        given |= {name: node_id for name, kind in hidden_inputs(cls).items() if kind == "UNIQUE_ID"}
        arguments = {name: value for name, value in given.items() if name in wanted or "**" in wanted}
        named = list(arguments)
        if "input_types" in wanted:
            arguments["input_types"] = dict(received)
        if not arguments:
            return
        try:
            answer = cast("Any", cls).VALIDATE_INPUTS(**arguments)
            answer = asyncio.run(answer) if inspect.iscoroutine(answer) else answer
        except Upscale8KError as error:
            answer = f"{error.what} {error.hint}".strip()
        except Exception as error:
            what = f"Its own check failed with {type(error).__name__}: {error}."
            self._report(node_id, "exception_during_validation", what, "This is a fault of the node.")
            return
        if answer is not True:
            what = answer if isinstance(answer, str) else "The node refuses these values."
            self._report(node_id, "custom_validation_failed", what, "", named[0] if len(named) == 1 else None)


def _validator_arguments(cls: type) -> frozenset[str]:
    """What ``VALIDATE_INPUTS`` asks for, ``**`` meaning everything; empty when the class has none."""
    validator = getattr(cls, "VALIDATE_INPUTS", None)
    if validator is None:
        return frozenset()
    parameters = inspect.signature(validator).parameters.values()
    return frozenset("**" if parameter.kind is parameter.VAR_KEYWORD else parameter.name for parameter in parameters)


def coerce(kind: str, value: Any) -> Any:
    """A value in the type that an input declares, by Python's own conversions; other types are left alone."""
    converted = _COERCIONS[kind](value) if kind in _COERCIONS else value
    if kind == "FLOAT" and math.isnan(converted):
        raise ValueError("not a number")
    return converted


def types_match(received: Any, wanted: Any) -> bool:
    """Whether an output of type ``received`` may feed an input of type ``wanted``. Lists ``A,B`` need one in common."""
    if not received != wanted:  # noqa: SIM202 # the operator itself: some packs' types for "anything" override it
        return True
    if received in (ANY_TYPE, MATCH_TYPE) or wanted in (ANY_TYPE, MATCH_TYPE):
        return True
    if isinstance(received, list | tuple):
        return wanted == COMBO
    if not isinstance(received, str) or not isinstance(wanted, str):
        return False
    return bool({part.strip() for part in received.split(",")} & {part.strip() for part in wanted.split(",")})


def _type_name(received: Any) -> str:
    return received if isinstance(received, str) else COMBO


def _value_problems(spec: InputSpec, value: Any) -> Iterator[tuple[str, str, str]]:
    least, most = spec.options.get("min"), spec.options.get("max")
    number = isinstance(value, int | float)
    if number and least is not None and value < least:
        yield "value_smaller_than_min", f"{value} is smaller than {least}.", f"The range is {_range(least, most)}."
    elif number and most is not None and value > most:
        yield "value_bigger_than_max", f"{value} is bigger than {most}.", f"The range is {_range(least, most)}."
    choices = dynamic_keys(spec) if spec.type == DYNAMIC_COMBO else spec.choices if spec.type == COMBO else None
    if choices is not None:
        several = spec.options.get("multiselect") and isinstance(value, list)
        given: list[Any] = cast("list[Any]", value) if several else [value]
        for wrong in [one for one in given if one not in choices]:
            yield "value_not_in_list", f"{wrong!r} is not one of its choices.", nearest(wrong, choices)


def _range(least: Any, most: Any) -> str:
    return f"{'any' if least is None else least} to {'any' if most is None else most}"


def nearest(value: Any, choices: Sequence[Any]) -> str:
    """A sentence with the choices that are nearest to a value, and how many others there are."""
    if not choices:
        return "There is nothing to choose from here."
    texts = [str(choice) for choice in choices]
    near = difflib.get_close_matches(str(value), texts, _NEAREST, 0.4) or texts[:_NEAREST]
    others = len(texts) - len(near)
    more = f" ({others} others)" if others > 1 else f" or {next(t for t in texts if t not in near)!r}" if others else ""
    return f"Use {', '.join(map(repr, near))}{more}."


def _supply_hint(spec: InputSpec) -> str:
    if spec.choices:
        return nearest("", spec.choices)
    return f"Give it a value of type {spec.type}." if spec.type in _COERCIONS else f"Link it to an output of type {spec.type}."
