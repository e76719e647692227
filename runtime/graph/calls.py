"""One node, called the way ComfyUI calls it: mapped over lists, its results sorted into output slots.

Every value on a wire is held in a list. A node is called once for each element of its longest input, shorter inputs
repeating their last element, unless it asks for the lists themselves (``INPUT_IS_LIST``). Its results are put back into
one list for each output slot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

from ..errors import NodeError

Inputs = dict[str, list[Any]]


@dataclass(frozen=True)
class ExecutionBlocker:
    """A result that stops what depends on it, without stopping the run; ``message`` is shown once, None says nothing."""

    message: str | None = None


@dataclass(frozen=True)
class CurrentCall:
    """The call that is being made, for code below a node that must know; ``graphs`` numbers the graphs it builds."""

    node_id: str
    index: int
    graphs: Iterator[int] = field(default_factory=count)


current_call: ContextVar[CurrentCall | None] = ContextVar("upscale8k_current_call", default=None)


@dataclass(frozen=True)
class Prevented:
    """A call that was not made, because a blocker was among its inputs."""

    message: str | None


@dataclass(frozen=True)
class Answer:
    """What one call returned, taken apart. ``result`` is None when it says nothing about its outputs."""

    result: Sequence[Any] | None = None
    ui: Mapping[str, Any] | None = None
    expand: Mapping[str, Mapping[str, Any]] | None = None
    blocked: str | None = None


@dataclass
class Results:
    """``slots[i]`` is the list on output ``i``."""

    slots: list[list[Any]] = field(default_factory=list[list[Any]])
    ui: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])


def call_each(
    function: Callable[..., Any], inputs: Inputs, start: Callable[[Any], Any], *, as_lists: bool, node_id: str
) -> list[Any]:
    """Call a function for each element of its inputs. Every answer goes through ``start``, which may make it a task."""
    answers: list[Any] = []
    for index, arguments in enumerate(_calls(inputs, as_lists)):
        blocker = _blocker(arguments, as_lists)
        if blocker is not None:
            answers.append(Prevented(blocker.message))
            continue
        token = current_call.set(CurrentCall(node_id, index))
        try:
            answers.append(start(function(**arguments)))
        finally:
            current_call.reset(token)
    return answers


def takes_lists(cls: type) -> bool:
    return bool(getattr(cls, "INPUT_IS_LIST", False))


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


def take_apart(cls: type, answer: Any) -> Answer:
    """Read what one call returned: a tuple, a dict of ``ui``, ``result`` and ``expand``, or a blocker."""
    if isinstance(answer, Prevented):
        return Answer(_replicated(cls, ExecutionBlocker()), blocked=answer.message)
    if not isinstance(answer, dict):
        return Answer(_as_sequence(cls, answer))
    fields = cast("dict[str, Any]", answer)
    result = _as_sequence(cls, fields["result"]) if "result" in fields else () if "expand" in fields else None
    return Answer(result, fields.get("ui"), fields.get("expand"))


def _as_sequence(cls: type, result: Any) -> Sequence[Any]:
    if isinstance(result, ExecutionBlocker):
        return _replicated(cls, result)
    if not isinstance(result, tuple | list):
        raise NodeError(f"It returned {type(result).__name__} where a tuple is expected.", "This is a fault of the node.")
    return cast("Sequence[Any]", result)


def _replicated(cls: type, blocker: ExecutionBlocker) -> Sequence[Any]:
    return (blocker,) * len(cast("Sequence[Any]", getattr(cls, "RETURN_TYPES", ())))


def merge(cls: type, answers: Sequence[Answer]) -> Results:
    """The answers of all calls of one node, sorted into its output slots."""
    uis = [answer.ui for answer in answers if answer.ui is not None]
    ui = {key: [item for one in uis for item in one.get(key, ())] for key in (uis[0] if uis else ())}
    return Results(_slots(cls, [answer.result for answer in answers if answer.result is not None]), ui)


def _slots(cls: type, results: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """One list for each output slot; slots declared in ``OUTPUT_IS_LIST`` are joined, except around a blocker."""
    if not results:
        return []
    flags = cast("Sequence[bool]", getattr(cls, "OUTPUT_IS_LIST", [False] * len(results[0])))
    slots: list[list[Any]] = []
    for slot, is_list in zip(range(len(results[0])), flags, strict=False):
        merged: list[Any] = []
        for result in results:
            joined = is_list and not isinstance(result[slot], ExecutionBlocker)
            merged += result[slot] if joined else [result[slot]]
        slots.append(merged)
    return slots
