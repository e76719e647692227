"""Loops as ComfyUI 0.38 runs them: what each mode gives, carried values, loops in loops, and what is no loop."""

from typing import Any

import pytest
from upscale8k.nodes.builtin import loop_nodes
from upscale8k.nodes.declare import list_nodes
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.graph.check import check_prompt
from upscale8k.runtime.graph.execute.events import NodeFinished
from upscale8k.runtime.graph.fold_loops import fold_loops

from .classes import node, run, shown

ADD = node(lambda a, b: (a + b,), required={"a": ("*", {}), "b": ("*", {})}, RETURN_TYPES=("*",))
LIST = node(lambda: (["x", "y", "z"],), required={}, RETURN_TYPES=("*",), OUTPUT_IS_LIST=(True,))
SHOW = node(
    lambda value: {"ui": {"seen": value}, "result": (value,)},
    required={"value": ("*", {})},
    RETURN_TYPES=("*",),
    OUTPUT_NODE=True,
    INPUT_IS_LIST=True,
)
CATALOG = {"Add": ADD, "List": LIST, "Show": SHOW} | list_nodes(loop_nodes)


def loop(start: dict[str, Any], end: dict[str, Any], **body: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """A prompt of a StartLoop s, an EndLoop e, what lies between, and a node that shows the result."""
    nodes = {"s": ("StartLoop", {"cache_iterations": False, **start}), "e": ("EndLoop", {"accumulate": False, **end}), **body}
    nodes.setdefault("show", ("Show", {"value": ["e", 0]}))
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def seen(prompt: dict[str, Any]) -> Any:
    assert check_prompt(prompt, CATALOG).problems == []
    return shown(run(prompt, CATALOG))["show"]["seen"]


TIMES_3 = {"mode": "simple", "mode.num_iterations": 3}
BODY = ("Add", {"a": ["s", 0], "b": 10})


@pytest.mark.parametrize(
    ("start", "accumulate", "expected"),
    [
        (TIMES_3, True, [10, 11, 12]),
        (TIMES_3, False, [12]),
        (TIMES_3 | {"mode.num_iterations": 0}, True, []),
        ({"mode": "For", "mode.start_iteration_index": 2, "mode.max_iteration": 9, "mode.step": 3}, True, [12, 15, 18]),
    ],
)
def test_each_mode_counts(start: dict[str, Any], accumulate: bool, expected: list[int]) -> None:
    assert seen(loop(start, {"accumulate": accumulate, "output_value": ["b", 0]}, b=BODY)) == expected


def test_the_items_of_a_list_are_taken_one_by_one() -> None:
    start = {"mode": "List", "mode.list": ["l", 0]}
    body = ("Add", {"a": ["s", 3], "b": "!"})
    prompt = loop(start, {"accumulate": True, "output_value": ["b", 0]}, b=body, l=("List", {}))
    assert seen(prompt) == ["x!", "y!", "z!"]


def test_a_carried_value_goes_from_the_end_of_one_iteration_to_the_next() -> None:
    body = ("Add", {"a": ["s", 4], "b": ["s", 0]})
    end = {"output_value": ["b", 0], "next_iteration_value": ["b", 0]}
    start = {**TIMES_3, "mode.num_iterations": 5, "initial_iteration_value": ["first", 0]}
    assert seen(loop(start, end, b=body, first=("Add", {"a": 60, "b": 40}))) == [100 + 1 + 2 + 3 + 4]


def test_a_loop_in_a_loop_runs_once_per_outer_iteration_and_reads_its_values() -> None:
    outer = {"cache_iterations": False, "parent_iteration": ["s", 0]}
    inner_start = ("StartLoop", {**outer, "mode": "simple", "mode.num_iterations": 2})
    inner_body = ("Add", {"a": ["tens", 0], "b": ["is", 0]})
    inner_end = ("EndLoop", {"accumulate": True, "output_value": ["ib", 0]})
    tens = ("Add", {"a": ["s", 0], "b": ["s", 0]})
    prompt = loop(
        TIMES_3,
        {"accumulate": True, "output_value": ["ie", 0]},
        tens=tens,
        **{"is": inner_start, "ib": inner_body, "ie": inner_end},
    )
    assert seen(prompt) == [0, 1, 2, 3, 4, 5]


def test_an_output_in_the_body_runs_in_every_iteration_in_order() -> None:
    end = {"terminations.termination0": ["inside", 0], "output_value": ["b", 0]}
    events = run(loop(TIMES_3, end, b=BODY, inside=("Show", {"value": ["b", 0]})), CATALOG)
    inside = [event.ui["seen"] for event in events if isinstance(event, NodeFinished) and event.display_node_id == "inside"]
    assert inside == [[10], [11], [12]]
    assert shown(events)["show"]["seen"] == [12]


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ({"s": {"class_type": "StartLoop", "inputs": TIMES_3}}, "has no End Loop"),
        ({"e": {"class_type": "EndLoop", "inputs": {}}}, "has no Start Loop"),
        (loop(TIMES_3, {"output_value": ["b", 0]}, b=BODY, out=("Show", {"value": ["b", 0]})), "without passing through"),
    ],
)
def test_a_loop_that_is_not_closed_is_a_sentence(prompt: dict[str, Any], said: str) -> None:
    with pytest.raises(WorkflowError, match=said):
        fold_loops(prompt)


def test_check_names_a_body_that_is_read_from_outside() -> None:
    prompt = loop(TIMES_3, {"output_value": ["b", 0]}, b=BODY, out=("Show", {"value": ["b", 0]}))
    (problem,) = check_prompt(prompt, CATALOG).problems
    assert (problem.kind, problem.node_id) == ("loop_boundary", "out")
