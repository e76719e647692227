"""Which nodes need not run: equal ones of the same run, and unchanged ones of an earlier run."""

import gc
import weakref
from typing import Any

import pytest
from upscale8k.runtime.graph.execute.events import NodeCached, NodeEvent

from .classes import SHOW, Image, node, run, shown, started
from .memory_cache import MemoryCache


def cached(events: list[NodeEvent]) -> list[str]:
    return [event.node_id for event in events if isinstance(event, NodeCached)]


class Counted:
    """A value, and how often it was made."""

    def __init__(self, **attributes: Any) -> None:
        self.calls = 0
        required = attributes.pop("required", {"value": ("*",)})
        self.node = node(self._make, required=required, **attributes)

    def _make(self, **inputs: Any) -> tuple[Any]:
        self.calls += 1
        return (inputs.get("value"),)


def of_two(first: Any, second: Any) -> dict[str, Any]:
    return {
        "1": {"class_type": "Make", "inputs": {"value": first}},
        "2": {"class_type": "Make", "inputs": {"value": second}},
        "3": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
        "4": {"class_type": "Show", "inputs": {"value": ["2", 0]}},
    }


def test_equal_nodes_of_a_run_are_called_once_and_all_of_them_show_the_result() -> None:
    made = Counted()
    events = run(of_two(5, 5), {"Make": made.node, "Show": SHOW})
    assert made.calls == 1
    assert started(events) == ["1", "3"]
    assert cached(events) == ["4"]
    assert [event.ui for event in events if isinstance(event, NodeCached)] == [{"seen": [5]}]


@pytest.mark.parametrize("second", [6, 5.0, "5", True, [5]])
def test_nodes_with_different_values_are_both_called(second: Any) -> None:
    made = Counted()
    run(of_two(5 if second is not True else 1, second), {"Make": made.node, "Show": SHOW})
    assert made.calls == 2


@pytest.mark.parametrize(
    "attributes",
    [
        {"NOT_IDEMPOTENT": True},
        {"hidden": {"me": "UNIQUE_ID"}},
        {"IS_CHANGED": classmethod(lambda cls, **_: float("nan"))},
        {"IS_CHANGED": classmethod(lambda cls: 1)},  # fails: it is given a value that it does not take
    ],
)
def test_nodes_that_may_differ_every_time_are_never_taken_for_equal(attributes: dict[str, Any]) -> None:
    made = Counted(**attributes)
    run(of_two(5, 5), {"Make": made.node, "Show": SHOW})
    assert made.calls == 2


def test_only_nodes_that_could_be_equal_are_asked_whether_they_changed() -> None:
    asked: list[Any] = []
    made = Counted(IS_CHANGED=classmethod(lambda cls, **inputs: asked.append(inputs)))
    run(of_two(5, 6), {"Make": made.node, "Show": SHOW})
    assert asked == []


# ---------------------------------------------------------------------- across runs


def of_chain(value: Any) -> dict[str, Any]:
    return {
        "1": {"class_type": "Make", "inputs": {"value": value}},
        "2": {"class_type": "Pass", "inputs": {"value": ["1", 0]}},
        "3": {"class_type": "Show", "inputs": {"value": ["2", 0]}},
    }


def test_a_second_run_with_the_same_cache_runs_only_what_changed() -> None:
    cache = MemoryCache()
    catalog = {"Make": Counted().node, "Pass": node(lambda value: (value,)), "Show": SHOW}
    assert started(run(of_chain(1), catalog, cache=cache)) == ["1", "2", "3"]
    again = run(of_chain(1), catalog, cache=cache)
    assert (started(again), cached(again)) == ([], ["1", "2", "3"])
    assert [event.ui for event in again if isinstance(event, NodeCached)][-1] == {"seen": [1]}
    more = of_chain(1) | {"4": {"class_type": "Show", "inputs": {"value": ["1", 0]}}}
    assert started(run(more, catalog, cache=cache)) == ["4"]
    assert started(run(of_chain(2), catalog, cache=cache)) == ["1", "2", "3"]
    assert started(run(of_chain(1), catalog, cache=cache)) == ["1", "2", "3"]


def test_without_a_cache_every_run_runs_everything() -> None:
    made = Counted()
    for _ in range(2):
        run(of_chain(1), {"Make": made.node, "Pass": node(lambda value: (value,)), "Show": SHOW})
    assert made.calls == 2


def test_a_class_says_itself_whether_it_changed_and_is_given_its_literals_only() -> None:
    asked: list[Any] = []
    answers = [1, 1, 2, float("nan"), float("nan")]

    def is_changed(cls: type, **inputs: Any) -> float:
        asked.append(inputs)
        return answers[len(asked) - 1]

    made = Counted(required={"value": ("*",), "own": ("INT",)}, IS_CHANGED=classmethod(is_changed))
    prompt = {
        "1": {"class_type": "One", "inputs": {}},
        "2": {"class_type": "Make", "inputs": {"value": ["1", 0], "own": 3}},
        "3": {"class_type": "Show", "inputs": {"value": ["2", 0]}},
    }
    catalog = {"One": node(lambda: (1,)), "Make": made.node, "Show": SHOW}
    cache = MemoryCache()
    calls: list[int] = []
    for _ in answers:
        run(prompt, catalog, cache=cache)
        calls.append(made.calls)
    assert calls == [1, 1, 2, 3, 4]
    assert asked == [{"value": None, "own": 3}] * len(answers)


def test_the_object_of_a_node_lives_as_long_as_its_node_is_in_the_workflow() -> None:
    def run_counting(self: Any, value: Any) -> tuple[int]:
        self.runs = getattr(self, "runs", 0) + 1
        return (self.runs,)

    catalog = {"Make": node(lambda: None, required={"value": ("*",)}, run=run_counting), "Show": SHOW}
    prompt = {"1": {"class_type": "Make", "inputs": {"value": 0}}, "3": {"class_type": "Show", "inputs": {"value": ["1", 0]}}}
    cache = MemoryCache()
    counts: list[Any] = []
    for value in (1, 2):
        prompt["1"]["inputs"]["value"] = value
        counts += shown(run(prompt, catalog, cache=cache))["3"]["seen"]
    run({"9": {"class_type": "Show", "inputs": {"value": 1}}}, catalog, cache=cache)
    counts += shown(run(prompt, catalog, cache=cache))["3"]["seen"]
    assert counts == [1, 2, 1]


def test_a_cache_lets_go_of_what_the_last_run_had_no_use_for() -> None:
    born: list[weakref.ref[Image]] = []

    def make(value: Any) -> tuple[Image]:
        image = Image()
        born.append(weakref.ref(image))
        return (image,)

    catalog = {"Make": node(make, required={"value": ("*",)}), "Pass": node(lambda value: (1,)), "Show": SHOW}
    cache = MemoryCache()
    run(of_chain(1), catalog, cache=cache)
    run(of_chain(2), catalog, cache=cache)
    gc.collect()
    assert [ref() is not None for ref in born] == [False, True]
