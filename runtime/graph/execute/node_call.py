"""Gather the arguments of a node and call it as ComfyUI does: once per list element, its results sorted into output slots.

Every value on a wire is a list. A node is called once for each element of its longest input, and shorter inputs repeat their
last element, unless the node takes whole lists (``INPUT_IS_LIST``). The results are merged into one list per output slot.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

from ...errors import NODE_BUG_HINT, NodeError
from ..definitions import find_accepted_inputs, get_declared_inputs, get_hidden_inputs
from ..prompts import Edge, is_link, unwrap_literal
from .dynamic_prompt import DynamicPrompt

Inputs = dict[str, list[Any]]


@dataclass(frozen=True)
class ExecutionBlocker:
    """A result that blocks the nodes that depend on it, without ending the run; ``message`` is shown once, None is silent."""

    message: str | None = None


@dataclass(frozen=True)
class CurrentCall:
    """The call that is running, for code inside a node; ``graphs`` numbers the graphs that it builds."""

    node_id: str
    index: int
    graphs: Iterator[int] = field(default_factory=count)


current_call: ContextVar[CurrentCall | None] = ContextVar("upscale8k_current_call", default=None)


@dataclass(frozen=True)
class BlockedCall:
    """A call that was skipped, because a blocker was among its inputs."""

    message: str | None


@dataclass(frozen=True)
class CallResult:
    """The parsed result of one call. ``outputs`` is None when it returned no outputs."""

    outputs: Sequence[Any] | None = None
    ui: Mapping[str, Any] | None = None
    expand: Mapping[str, Mapping[str, Any]] | None = None
    block_message: str | None = None


@dataclass
class NodeResults:
    """``slots[i]`` is the list on output ``i``."""

    slots: list[list[Any]] = field(default_factory=list[list[Any]])
    ui: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])


def call_per_element(
    function: Callable[..., Any], inputs: Inputs, start_task: Callable[[Any], Any], *, as_lists: bool, node_id: str
) -> list[Any]:
    """Call a function for each element of its inputs. ``start_task`` may turn what a call returns into a task."""
    call_results: list[Any] = []
    for index, arguments in enumerate(_iterate_arguments(inputs, as_lists)):
        blocker = _find_blocker(arguments, as_lists)
        if blocker is not None:
            call_results.append(BlockedCall(blocker.message))
            continue
        token = current_call.set(CurrentCall(node_id, index))
        try:
            call_results.append(start_task(function(**arguments)))
        finally:
            current_call.reset(token)
    return call_results


def has_list_inputs(cls: type) -> bool:
    return bool(getattr(cls, "INPUT_IS_LIST", False))


def _iterate_arguments(inputs: Inputs, as_lists: bool) -> Iterator[dict[str, Any]]:
    if as_lists:
        yield dict(inputs)
        return
    call_count = max(map(len, inputs.values()), default=0)
    if call_count == 0:
        yield {}
    for index in range(call_count):
        yield {name: _get_element(name, values, index) for name, values in inputs.items()}


def _get_element(name: str, values: list[Any], index: int) -> Any:
    if not values:
        raise NodeError(f"Its input {name} received an empty list.", "Check the node that this input is linked to.")
    return values[min(index, len(values) - 1)]


def _find_blocker(arguments: Mapping[str, Any], as_lists: bool) -> ExecutionBlocker | None:
    for value in arguments.values():
        elements = cast("list[Any]", value) if as_lists else [value]
        for element in elements:
            if isinstance(element, ExecutionBlocker):
                return element
    return None


def parse_call_result(cls: type, returned: Any) -> CallResult:
    """Parse what one call returned: a tuple, a dict with ``ui``, ``result`` and ``expand``, or a blocker."""
    if isinstance(returned, BlockedCall):
        return CallResult(_replicate_blocker(cls, ExecutionBlocker()), block_message=returned.message)
    if not isinstance(returned, dict):
        return CallResult(_require_sequence(cls, returned))
    fields = cast("dict[str, Any]", returned)
    result = _require_sequence(cls, fields["result"]) if "result" in fields else () if "expand" in fields else None
    return CallResult(result, fields.get("ui"), fields.get("expand"))


def _require_sequence(cls: type, result: Any) -> Sequence[Any]:
    if isinstance(result, ExecutionBlocker):
        return _replicate_blocker(cls, result)
    if not isinstance(result, tuple | list):
        raise NodeError(f"It returned {type(result).__name__} instead of a tuple.", NODE_BUG_HINT)
    return cast("Sequence[Any]", result)


def _replicate_blocker(cls: type, blocker: ExecutionBlocker) -> Sequence[Any]:
    return (blocker,) * len(cast("Sequence[Any]", getattr(cls, "RETURN_TYPES", ())))


def merge_call_results(cls: type, call_results: Sequence[CallResult]) -> NodeResults:
    """Merge the results of all calls of one node into its output slots."""
    uis = [call_result.ui for call_result in call_results if call_result.ui is not None]
    ui = {key: [item for one in uis for item in one.get(key, ())] for key in (uis[0] if uis else ())}
    return NodeResults(
        _merge_slots(cls, [call_result.outputs for call_result in call_results if call_result.outputs is not None]), ui
    )


def _merge_slots(cls: type, results: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Return one list per output slot. Slots declared in ``OUTPUT_IS_LIST`` are concatenated, blockers appended."""
    if not results:
        return []
    flags = cast("Sequence[bool]", getattr(cls, "OUTPUT_IS_LIST", [False] * len(results[0])))
    slots: list[list[Any]] = []
    for slot, is_list in zip(range(len(results[0])), flags, strict=False):
        merged: list[Any] = []
        for result in results:
            is_joined = is_list and not isinstance(result[slot], ExecutionBlocker)
            merged += result[slot] if is_joined else [result[slot]]
        slots.append(merged)
    return slots


_SERVER_INPUTS = ("AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG", "COMFY_USAGE_SOURCE")


def gather_inputs(
    node_id: str,
    cls: type,
    prompt: DynamicPrompt,
    extra_pnginfo: Mapping[str, Any] | None,
    read_link: Callable[[Edge], list[Any]],
) -> Inputs:
    """Return the inputs by name. Links are passed even if the class does not declare the input, literals only if it does."""
    values: Mapping[str, Any] = prompt.get_node(node_id)["inputs"]
    declared = get_declared_inputs(cls, values)
    hidden = get_hidden_inputs(cls)
    accepted = find_accepted_inputs(cls, declared, values)
    inputs: Inputs = {}
    for name, value in values.items():
        is_raw_link = name in declared and declared[name].options.get("rawLink")
        if is_link(value) and not is_raw_link:
            inputs[name] = read_link(Edge(name, value[0], int(value[1])))
        elif name in accepted:
            inputs[name] = [unwrap_literal(value)]
    hidden_values = {
        "PROMPT": prompt.get_original_prompt(),
        "DYNPROMPT": prompt,
        "EXTRA_PNGINFO": extra_pnginfo,
        "UNIQUE_ID": node_id,
        **dict.fromkeys(_SERVER_INPUTS),
    }
    # Other hidden inputs are set by the node that adds this one to a run.
    inputs.update(
        {name: [hidden_values[kind]] for name, kind in hidden.items() if isinstance(kind, str) and kind in hidden_values}
    )
    return inputs


def get_lazy_inputs(cls: type, inputs: Mapping[str, Any]) -> frozenset[str]:
    """Return the inputs whose links are evaluated only when ``check_lazy_status`` requests them."""
    return frozenset(name for name, spec in get_declared_inputs(cls, inputs).items() if spec.options.get("lazy"))


def read_unlinked(_: Edge) -> list[Any]:
    """Return the value of a link before the run."""
    return [None]
