"""Runs a plan, one node after the other, and lets go of every result after its last reader.

The executor moves references: it never looks into a value. Memory is the point of the whole design, so no frame of this
module holds a result when the next node starts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import Cancelled, NodeError, Upscale8KError, node_label
from .calls import Inputs, Results, call_node
from .plan import Plan, Step
from .prompts import Prompt, declared_inputs, hidden_inputs, is_link, unwrap


@dataclass(frozen=True)
class Started:
    node_id: str
    class_type: str
    title: str | None


@dataclass(frozen=True)
class Blocked:
    """A node was not called, because an ``ExecutionBlocker`` with this message reached it. The run goes on."""

    node_id: str
    class_type: str
    title: str | None
    message: str


@dataclass(frozen=True)
class Finished:
    """``ui`` is what the node shows, such as ``{"images": [{"filename": ..., "subfolder": ..., "type": ...}]}``."""

    node_id: str
    class_type: str
    title: str | None
    seconds: float
    ui: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])


Event = Started | Blocked | Finished


@dataclass(frozen=True)
class PromptView:
    """What a node gets for the hidden input ``DYNPROMPT``."""

    prompt: Prompt

    def get_original_prompt(self) -> Prompt:
        return self.prompt

    def get_node(self, node_id: str) -> dict[str, Any]:
        return self.prompt[node_id]

    def has_node(self, node_id: str) -> bool:
        return node_id in self.prompt

    def all_node_ids(self) -> set[str]:
        return set(self.prompt)


def execute(plan: Plan, catalog: Mapping[str, type], *, extra_pnginfo: Mapping[str, Any] | None = None) -> Iterator[Event]:
    """Run a plan whose prompt has passed ``check``; ``extra_pnginfo`` is normally ``{"workflow": the UI workflow}``.

    Raises the first error of a node, naming the node in ``.node``: an ``Upscale8KError`` as it is, ``Cancelled`` for
    Ctrl-C, anything else as ``NodeError`` with the cause chained. Results are released when the generator is closed.
    """
    results: dict[tuple[str, int], list[Any]] = {}
    for step in plan.steps:
        yield Started(step.node_id, step.class_type, step.title)
        begin = time.perf_counter()
        ui, blocked = _run(step, plan.prompt, catalog, extra_pnginfo, results)
        seconds = time.perf_counter() - begin
        for message in blocked:
            yield Blocked(step.node_id, step.class_type, step.title, message)
        yield Finished(step.node_id, step.class_type, step.title, seconds, ui)


def _run(
    step: Step,
    prompt: Prompt,
    catalog: Mapping[str, type],
    extra_pnginfo: Mapping[str, Any] | None,
    results: dict[tuple[str, int], list[Any]],
) -> tuple[dict[str, list[Any]], list[str]]:
    """Run one node, file what will be read later, drop what will not. Returns its ui and the messages of blockers."""
    cls = catalog[step.class_type]
    inputs = _gather(step, cls, prompt, extra_pnginfo, results)
    done = _called(step, cls, inputs)
    results.update({(step.node_id, slot): done.slots[slot] for slot in step.keep if slot < len(done.slots)})
    for result in step.release:
        results.pop(result, None)
    return done.ui, done.blocked


def _called(step: Step, cls: type, inputs: Inputs) -> Results:
    """Call the node; this is the one edge at which foreign errors become ours."""
    label = node_label(step.node_id, step.class_type, step.title)
    try:
        return call_node(cls, inputs)
    except Upscale8KError as error:
        error.node = error.node or label
        raise
    except KeyboardInterrupt as error:
        stopped = Cancelled("Stopped.")
        stopped.node = label
        raise stopped from error
    except Exception as error:
        failed = NodeError(f"{type(error).__name__}: {error}", "Run again with --traceback to see where.")
        failed.node = label
        raise failed from error


def _gather(
    step: Step,
    cls: type,
    prompt: Prompt,
    extra_pnginfo: Mapping[str, Any] | None,
    results: Mapping[tuple[str, int], list[Any]],
) -> Inputs:
    """Links are passed even where the class declares no such input, constants only where it does."""
    values: Mapping[str, Any] = prompt[step.node_id]["inputs"]
    declared = declared_inputs(cls, values)
    hidden = hidden_inputs(cls)
    inputs: Inputs = {}
    for name, value in values.items():
        raw = name in declared and declared[name].options.get("rawLink")
        if is_link(value) and not raw:
            inputs[name] = results.get((value[0], int(value[1])), [None])
        elif name in declared or name in hidden:
            inputs[name] = [unwrap(value)]
    answers = {
        "PROMPT": prompt,
        "DYNPROMPT": PromptView(prompt),
        "EXTRA_PNGINFO": extra_pnginfo,
        "UNIQUE_ID": step.node_id,
    }
    inputs.update({name: [answers.get(kind)] for name, kind in hidden.items()})
    return inputs
