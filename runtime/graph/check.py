"""Find everything that is wrong with a prompt before it runs.

Rules, error names and coercion are those of ComfyUI's ``validate_prompt``, with three differences: all problems of all nodes
are reported, not the first of each output; an unknown choice of a dynamic combo box is a problem; coerced values are
returned in a copy of the prompt.
"""

import asyncio
import copy
import difflib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ..errors import NODE_BUG_HINT, Problem, Upscale8KError, WorkflowError
from .definitions import find_accepted_inputs, get_declared_inputs, get_hidden_inputs, is_output_class
from .fold_loops import fold_loops
from .prompts import (
    Prompt,
    find_cycles,
    find_reachable,
    format_cycle,
    get_title,
    is_link,
    iterate_edges,
    make_natural_key,
    unwrap_literal,
)
from .specs import ANY_TYPE, COMBO, DYNAMIC_COMBO, MATCH_TYPE, TYPE_NOUNS, InputSpec, get_dynamic_keys

_COERCIONS: Mapping[str, Callable[[Any], Any]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
_CANVAS_BUTTONS = frozenset({"upload", "refresh", "image_upload", "control_after_generate"})
"""Widgets without meaning that some prompts hold as inputs"""
_SUGGESTION_COUNT = 3
_MAX_GUESSED_CLASSES = 200
"""Number of unknown classes for which a similar one is suggested, which is slow."""


@dataclass(frozen=True)
class CheckResult:
    """``prompt`` holds the values in their declared types; it can run when ``problems`` is empty.

    ``notes`` name values that the run ignores, because their class declares no such input.
    """

    prompt: Prompt
    problems: list[Problem]
    notes: list[Problem] = field(default_factory=list[Problem])


def check_prompt(
    prompt: Mapping[str, Any],
    catalog: Mapping[str, type],
    *,
    packs: Mapping[str, str] | None = None,
    outputs: Sequence[str] | None = None,
) -> CheckResult:
    """Check an API prompt against a catalog of V1 node classes.

    ``packs`` names the node packs of classes that are not in the catalog; ``outputs`` limits the check to what these nodes
    need. The given prompt is not changed. As in ComfyUI, nodes that no output needs are only checked for their class.
    """
    problems = list(_find_shape_problems(prompt))
    if problems:
        return CheckResult({}, problems)
    return _PromptChecker(copy.deepcopy(dict(prompt)), catalog, packs or {}).run(outputs)


def _find_shape_problems(prompt: Mapping[str, Any]) -> Iterator[Problem]:
    if not prompt:
        yield Problem("prompt_no_outputs", "The workflow is empty.", "Add an output node such as SaveImage and save it again.")
    for node_id, node in prompt.items():
        fields: Mapping[str, Any] = cast("Mapping[str, Any]", node) if isinstance(node, dict) else {}
        if not isinstance(fields.get("inputs"), dict) or not isinstance(fields.get("class_type"), str):
            yield Problem("invalid_prompt", "The node has no class_type or no inputs.", "Export the workflow again.", node_id)


class _PromptChecker:
    def __init__(self, prompt: Prompt, catalog: Mapping[str, type], packs: Mapping[str, str]) -> None:
        self.prompt = prompt
        self.catalog = catalog
        self.packs = packs
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []
        self.suggestions: dict[str, list[str]] = {}

    def run(self, output_ids: Sequence[str] | None) -> CheckResult:
        for node_id, node in self.prompt.items():
            if node["class_type"] not in self.catalog:
                self._report_unknown_class(node_id, node["class_type"])
        outputs = (
            [node_id for node_id, node in self.prompt.items() if self._can_be_output(node)]
            if output_ids is None
            else output_ids
        )
        if not outputs:
            what = "No node of the workflow writes or shows anything."
            self.problems.append(Problem("prompt_no_outputs", what, "Add a node such as SaveImage after the last one."))
        needed = sorted(find_reachable(self.prompt, outputs), key=make_natural_key)
        for node_id in needed:
            if self.prompt[node_id]["class_type"] in self.catalog:
                self._check_node(node_id)
        self._report_cycles({node_id: self.prompt[node_id] for node_id in needed})
        if not self.problems:
            try:
                fold_loops(self.prompt)
            except WorkflowError as error:
                self.problems.append(Problem("loop_boundary", error.what, error.hint, error.node_id))
        return CheckResult(self.prompt, self.problems, self.notes)

    def _can_be_output(self, node: Mapping[str, Any]) -> bool:
        """Return whether a node is an output, or of an unknown class: what it reads can be checked all the same."""
        cls = self.catalog.get(node["class_type"])
        return cls is None or is_output_class(cls)

    def _report(self, node_id: str, kind: str, what: str, hint: str = "", input_name: str | None = None) -> None:
        self.problems.append(self._make_problem(node_id, kind, what, hint, input_name))

    def _make_problem(self, node_id: str, kind: str, what: str, hint: str, input_name: str | None) -> Problem:
        node = self.prompt[node_id]
        return Problem(kind, what, hint, node_id, node["class_type"], get_title(node), input_name)

    def _report_unknown_class(self, node_id: str, class_type: str) -> None:
        if class_type not in self.suggestions and len(self.suggestions) < _MAX_GUESSED_CLASSES:
            self.suggestions[class_type] = difflib.get_close_matches(class_type, self.catalog, 1)
        suggested = self.suggestions.get(class_type)
        pack = self.packs.get(class_type)
        hint = f"Did you mean {suggested[0]!r}? " if suggested else ""
        hint += f"It belongs to the pack {pack}. " if pack else ""
        hint += "Replace the node with one that `nodes` lists, or mute it before saving."
        self._report(node_id, "missing_node_type", f"Unknown node class {class_type!r}.", hint)

    def _report_cycles(self, needed: Prompt) -> None:
        for cycle in find_cycles(needed):
            what = f"Its result depends on itself: {format_cycle(self.prompt, cycle)}."
            self._report(cycle[0], "dependency_cycle", what, "Remove one of these links.")

    # ------------------------------------------------------------------ one node

    def _check_node(self, node_id: str) -> None:
        node = self.prompt[node_id]
        cls = self.catalog[node["class_type"]]
        inputs: dict[str, Any] = node["inputs"]
        specs = get_declared_inputs(cls, inputs)
        problem_count = len(self.problems)
        validator_parameters = _get_validator_parameters(cls)
        received_types = {
            edge.name: output for edge in iterate_edges(node) if (output := self._check_link_origin(node_id, *edge)) is not None
        }
        for name, spec in specs.items():
            if name not in inputs:
                if spec.required:
                    self._report(
                        node_id, "required_input_missing", "A required input is missing.", _make_supply_hint(spec), name
                    )
            elif isinstance(inputs[name], list):
                self._check_link_type(node_id, spec, received_types, "input_types" in validator_parameters)
            else:
                self._check_literal(node_id, spec, name in validator_parameters or "**" in validator_parameters)
        accepts = find_accepted_inputs(cls, specs, inputs)
        for name in [name for name, value in inputs.items() if name not in accepts and not is_link(value)]:
            if name not in _CANVAS_BUTTONS:
                what = f"The class has no such input: {inputs[name]!r} is ignored."
                self.notes.append(self._make_problem(node_id, "unknown_input", what, "", name))
        if validator_parameters and len(self.problems) == problem_count:
            self._run_validator(node_id, cls, specs, validator_parameters, received_types)

    def _check_link_origin(self, node_id: str, name: str, origin: str, slot: int) -> Any:
        """Return the type that a link carries, None if unknown. Report a broken link."""
        if origin not in self.prompt:
            what = f"The input is linked to node {origin}, which is not in the workflow."
            self._report(node_id, "bad_linked_input", what, "Link it to an existing node.", name)
            return None
        cls = self.catalog.get(self.prompt[origin]["class_type"])
        outputs = cast("Sequence[Any]", getattr(cls, "RETURN_TYPES", ()))
        if cls is not None and not 0 <= slot < len(outputs):
            what = f"The input is linked to output {slot} of node {origin}, which has {len(outputs)}."
            self._report(node_id, "bad_linked_input", what, "Link it to an existing output.", name)
            return None
        return outputs[slot] if cls is not None else None

    def _check_link_type(
        self, node_id: str, spec: InputSpec, received_types: Mapping[str, Any], has_type_validator: bool
    ) -> None:
        value = self.prompt[node_id]["inputs"][spec.name]
        if not is_link(value):
            what = f"{value!r} is neither a value nor a link [node id, slot]."
            self._report(node_id, "bad_linked_input", what, 'Write a list of values as {"__value__": [...]}.', spec.name)
        elif (
            spec.name in received_types
            and not has_type_validator
            and not is_type_compatible(received_types[spec.name], spec.type)
        ):
            what = f"The input takes {spec.type}, but node {value[0]} gives {_format_type(received_types[spec.name])}."
            self._report(node_id, "return_type_mismatch", what, "Link it to an output of that type.", spec.name)

    def _check_literal(self, node_id: str, spec: InputSpec, has_validator: bool) -> None:
        inputs: dict[str, Any] = self.prompt[node_id]["inputs"]
        value: Any = unwrap_literal(inputs[spec.name])
        try:
            value = coerce_value(spec.type, value)
        except (TypeError, ValueError, OverflowError):
            what = f"{value!r} is not {TYPE_NOUNS.get(spec.type, spec.type)}."
            self._report(node_id, "invalid_input_type", what, _make_supply_hint(spec), spec.name)
            return
        inputs[spec.name] = {**inputs[spec.name], "__value__": value} if isinstance(value, list) else value
        if not has_validator:
            for kind, what, hint in _find_value_problems(spec, value):
                self._report(node_id, kind, what, hint, spec.name)

    def _run_validator(
        self,
        node_id: str,
        cls: type,
        specs: Mapping[str, InputSpec],
        validator_parameters: frozenset[str],
        received_types: Mapping[str, Any],
    ) -> None:
        """Call ``VALIDATE_INPUTS`` with the values it names, None for linked inputs; anything but True is a problem."""
        inputs: Mapping[str, Any] = self.prompt[node_id]["inputs"]
        available = {
            name: None if is_link(value) else unwrap_literal(value)
            for name, value in inputs.items()
            if is_link(value) or name in specs
        }
        available |= {name: node_id for name, kind in get_hidden_inputs(cls).items() if kind == "UNIQUE_ID"}
        arguments = {
            name: value for name, value in available.items() if name in validator_parameters or "**" in validator_parameters
        }
        argument_names = list(arguments)
        if "input_types" in validator_parameters:
            arguments["input_types"] = dict(received_types)
        if not arguments:
            return
        try:
            answer = cast("Any", cls).VALIDATE_INPUTS(**arguments)
            answer = asyncio.run(answer) if inspect.iscoroutine(answer) else answer
        except Upscale8KError as error:
            answer = f"{error.what} {error.hint}".strip()
        except Exception as error:
            what = f"VALIDATE_INPUTS failed with {type(error).__name__}: {error}."
            self._report(node_id, "exception_during_validation", what, NODE_BUG_HINT)
            return
        if answer is not True:
            what = answer if isinstance(answer, str) else "The node does not accept these values."
            self._report(node_id, "custom_validation_failed", what, "", argument_names[0] if len(argument_names) == 1 else None)


def _get_validator_parameters(cls: type) -> frozenset[str]:
    """Return the parameter names of ``VALIDATE_INPUTS``, ``**`` for keyword arguments; empty when the class has none."""
    validator = getattr(cls, "VALIDATE_INPUTS", None)
    if validator is None:
        return frozenset()
    parameters = inspect.signature(validator).parameters.values()
    return frozenset("**" if parameter.kind is parameter.VAR_KEYWORD else parameter.name for parameter in parameters)


def coerce_value(kind: str, value: Any) -> Any:
    """Convert a value to INT, FLOAT, STRING or BOOLEAN by Python's rules; values of other types are returned as they are."""
    converted = _COERCIONS[kind](value) if kind in _COERCIONS else value
    if kind == "FLOAT" and math.isnan(converted):
        raise ValueError("not a number")
    return converted


def is_type_compatible(output_type: Any, input_type: Any) -> bool:
    """Return whether an output may feed an input. Type lists ``A,B`` need one type in common."""
    if not output_type != input_type:  # noqa: SIM202 # some packs' wildcard types override `!=` alone
        return True
    if output_type in (ANY_TYPE, MATCH_TYPE) or input_type in (ANY_TYPE, MATCH_TYPE):
        return True
    if isinstance(output_type, list | tuple):
        return input_type == COMBO
    if not isinstance(output_type, str) or not isinstance(input_type, str):
        return False
    return bool({part.strip() for part in output_type.split(",")} & {part.strip() for part in input_type.split(",")})


def _format_type(received: Any) -> str:
    return received if isinstance(received, str) else COMBO


def _find_value_problems(spec: InputSpec, value: Any) -> Iterator[tuple[str, str, str]]:
    minimum, maximum = spec.options.get("min"), spec.options.get("max")
    number = isinstance(value, int | float)
    if number and minimum is not None and value < minimum:
        yield "value_smaller_than_min", f"{value} is smaller than {minimum}.", _make_range_hint(minimum, maximum)
    elif number and maximum is not None and value > maximum:
        yield "value_bigger_than_max", f"{value} is bigger than {maximum}.", _make_range_hint(minimum, maximum)
    choices = get_dynamic_keys(spec) if spec.type == DYNAMIC_COMBO else spec.choices if spec.type == COMBO else None
    if choices is not None:
        is_multiselect = spec.options.get("multiselect") and isinstance(value, list)
        given: list[Any] = cast("list[Any]", value) if is_multiselect else [value]
        for wrong in [one for one in given if one not in choices]:
            yield "value_not_in_list", f"{wrong!r} is not one of its choices.", suggest_choices(wrong, choices)


def _make_range_hint(minimum: Any, maximum: Any) -> str:
    return f"The range is {'any' if minimum is None else minimum} to {'any' if maximum is None else maximum}."


def suggest_choices(value: Any, choices: Sequence[Any]) -> str:
    """Return a sentence with the choices most similar to a value, and how many others there are."""
    if not choices:
        return "The input has no choices on this machine."
    texts = [str(choice) for choice in choices]
    suggested = difflib.get_close_matches(str(value), texts, _SUGGESTION_COUNT, 0.4) or texts[:_SUGGESTION_COUNT]
    others = len(texts) - len(suggested)
    more = f" ({others} others)" if others > 1 else f" or {next(t for t in texts if t not in suggested)!r}" if others else ""
    return f"Use {', '.join(map(repr, suggested))}{more}."


def _make_supply_hint(spec: InputSpec) -> str:
    if spec.choices:
        return suggest_choices("", spec.choices)
    return f"Enter {TYPE_NOUNS[spec.type]}." if spec.type in TYPE_NOUNS else f"Link it to an output of type {spec.type}."
