"""One node, called the way ComfyUI calls it: mapped over lists, its results sorted into output slots.

Every value on a wire is held in a list. A node is called once for each element of its longest input, shorter inputs
repeating their last element, unless it asks for the lists themselves (``INPUT_IS_LIST``). Its results are put back into
one list for each output slot.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ..errors import NodeError, WorkflowError

Inputs = dict[str, list[Any]]


@dataclass(frozen=True)
class ExecutionBlocker:
    """A result that stops what depends on it, without stopping the run; ``message`` is shown once, None says nothing."""

    message: str | None = None


@dataclass
class Results:
    """``slots[i]`` is the list on output ``i``. ``blocked`` holds the messages of blockers that prevented a call."""

    slots: list[list[Any]] = field(default_factory=list[list[Any]])
    ui: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    blocked: list[str] = field(default_factory=list[str])


def call_node(cls: type, inputs: Inputs) -> Results:
    """Make every call of one node. Raises what the node raises, ``NodeError`` when it answers in no form ComfyUI knows."""
    node = cls()
    function = getattr(node, cast("str", cast("Any", cls).FUNCTION))
    results = Results()
    answers: list[Sequence[Any]] = []
    uis: list[Mapping[str, Any]] = []
    for arguments in _calls(inputs, bool(getattr(cls, "INPUT_IS_LIST", False))):
        blocker = _blocker(arguments, bool(getattr(cls, "INPUT_IS_LIST", False)))
        if blocker is not None:
            results.blocked += [blocker.message] if blocker.message is not None else []
            answers.append(_replicated(cls, ExecutionBlocker()))
            continue
        answer = function(**arguments)
        del arguments
        _sort(cls, asyncio.run(answer) if inspect.iscoroutine(answer) else answer, answers, uis)
    results.slots = _merge(cls, answers)
    results.ui = {key: [item for ui in uis for item in ui.get(key, ())] for key in (uis[0] if uis else ())}
    return results


def _calls(inputs: Inputs, as_lists: bool) -> Iterator[dict[str, Any]]:
    if as_lists:
        yield dict(inputs)
        return
    count = max(map(len, inputs.values()), default=0)
    if count == 0:
        yield {}
    for index in range(count):
        yield {name: _element(name, values, index) for name, values in inputs.items()}


def _element(name: str, values: list[Any], index: int) -> Any:
    if not values:
        raise NodeError(f"Its input {name} gets an empty list.", "Look at the node that this input is linked to.")
    return values[min(index, len(values) - 1)]


def _blocker(arguments: Mapping[str, Any], as_lists: bool) -> ExecutionBlocker | None:
    for value in arguments.values():
        elements = cast("list[Any]", value) if as_lists else [value]
        for element in elements:
            if isinstance(element, ExecutionBlocker):
                return element
    return None


def _replicated(cls: type, blocker: ExecutionBlocker) -> Sequence[Any]:
    return (blocker,) * len(cast("Sequence[Any]", getattr(cls, "RETURN_TYPES", ())))


def _sort(cls: type, answer: Any, answers: list[Sequence[Any]], uis: list[Mapping[str, Any]]) -> None:
    """Take apart what one call returned: a tuple, ``{"ui": ..., "result": ...}``, or a blocker."""
    result = answer
    if isinstance(answer, dict):
        fields = cast("dict[str, Any]", answer)
        if "expand" in fields:
            what = "It asks to be replaced by other nodes while it runs."
            raise WorkflowError(what, "Run this workflow in ComfyUI, or take the node out.")
        if "ui" in fields:
            uis.append(fields["ui"])
        if "result" not in fields:
            return
        result = fields["result"]
    if isinstance(result, ExecutionBlocker):
        result = _replicated(cls, result)
    if not isinstance(result, tuple | list):
        raise NodeError(f"It returned {type(result).__name__} where a tuple is expected.", "This is a fault of the node.")
    answers.append(cast("Sequence[Any]", result))


def _merge(cls: type, answers: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """One list for each output slot; slots declared in ``OUTPUT_IS_LIST`` are joined, except around a blocker."""
    if not answers:
        return []
    flags = cast("Sequence[bool]", getattr(cls, "OUTPUT_IS_LIST", [False] * len(answers[0])))
    slots: list[list[Any]] = []
    for slot, is_list in zip(range(len(answers[0])), flags, strict=False):
        merged: list[Any] = []
        for answer in answers:
            joined = is_list and not isinstance(answer[slot], ExecutionBlocker)
            merged += answer[slot] if joined else [answer[slot]]
        slots.append(merged)
    return slots
