"""Lazy inputs, nodes that become other nodes, and the lifetime of results while a run changes."""

import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upscale8k.runtime.errors import NodeError, WorkflowError
from upscale8k.runtime.graph.execute.events import NodeCached, NodeFailed, NodeFinished, NodeStarted
from upscale8k.runtime.graph.execute.plan import make_plan

from .classes import NUMBERS, SHOW, Image, node, run, shown, started

LAZY = ("*", {"lazy": True})


def switch(**attributes: Any) -> type:
    """Takes ``yes`` or ``no``, whichever ``which`` says, and asks for no other."""

    def check_lazy_status(self: object, which: bool, yes: Any = None, no: Any = None) -> list[str]:
        return ["yes"] if which else ["no"]

    required = {"which": ("BOOLEAN",), "yes": LAZY, "no": LAZY}
    return node(
        lambda which, yes, no: ((which, yes, no),), required=required, check_lazy_status=check_lazy_status, **attributes
    )


def value(content: Any) -> type:
    return node(lambda: (content,))


CATALOG = {"A": value("a"), "B": value("b"), "Switch": switch(), "Show": SHOW}


def of_switch(which: Any) -> dict[str, Any]:
    return {
        "1": {"class_type": "A", "inputs": {}},
        "2": {"class_type": "B", "inputs": {}},
        "3": {"class_type": "Switch", "inputs": {"which": which, "yes": ["1", 0], "no": ["2", 0]}},
        "4": {"class_type": "Show", "inputs": {"value": ["3", 0]}},
    }


def test_a_lazy_input_that_is_not_requested_is_never_made_and_arrives_as_none() -> None:
    events = run(of_switch(True), CATALOG)
    assert started(events) == ["1", "3", "4"]
    assert shown(events)["4"] == {"seen": [(True, "a", None)]}


def test_what_another_node_made_is_not_given_to_a_lazy_input_unasked() -> None:
    prompt = {**of_switch(True), "5": {"class_type": "Show", "inputs": {"value": ["2", 0]}}}
    events = run(prompt, CATALOG)
    assert shown(events)["4"] == {"seen": [(True, "a", None)]}
    assert shown(events)["5"] == {"seen": ["b"]}


def test_every_element_of_a_list_may_ask() -> None:
    prompt = of_switch(["9", 0]) | {"9": {"class_type": "Both", "inputs": {}}}
    events = run(prompt, CATALOG | {"Both": node(lambda: ([True, False],), OUTPUT_IS_LIST=(True,))})
    assert shown(events)["4"] == {"seen": [(True, "a", "b"), (False, "a", "b")]}


def test_a_lazy_input_is_asked_for_in_steps() -> None:
    def check_lazy_status(self: object, a: Any, b: Any) -> list[str]:
        return ["a"] if a is None else ["b"] if a == "a" and b is None else []

    stepwise = node(lambda a, b: ((a, b),), required={"a": LAZY, "b": LAZY}, check_lazy_status=check_lazy_status)
    prompt = of_switch(True) | {"3": {"class_type": "Stepwise", "inputs": {"a": ["1", 0], "b": ["2", 0]}}}
    events = run(prompt, CATALOG | {"Stepwise": stepwise})
    assert started(events) == ["1", "2", "3", "4"]
    assert shown(events)["4"] == {"seen": [("a", "b")]}


def test_asking_for_an_input_that_is_not_linked_is_a_fault_of_the_node() -> None:
    broken = switch()
    broken.check_lazy_status = lambda self, **_: ["absent"]  # type: ignore[attr-defined]
    with pytest.raises(NodeError, match=r"node 3 \(Switch\): It requests the input absent"):
        run(of_switch(True), CATALOG | {"Switch": broken})


def test_a_branch_that_is_out_of_the_question_lets_go_of_what_only_it_would_read() -> None:
    """The image is also an input of the branch that is not taken; it dies when that is known."""
    alive: list[bool] = []
    born: list[weakref.ref[Image]] = []

    def make() -> tuple[Image]:
        image = Image()
        born.append(weakref.ref(image))
        return (image,)

    catalog = CATALOG | {
        "Make": node(make),
        "Size": node(lambda image: ("a",)),
        "Enlarge": node(lambda image: (image,)),
        "Look": node(lambda value: {"ui": {}, "result": (alive.append(born[0]() is not None),)}, (), OUTPUT_NODE=True),
    }
    prompt = {
        "0": {"class_type": "Make", "inputs": {}},
        "1": {"class_type": "Size", "inputs": {"image": ["0", 0]}},
        "2": {"class_type": "Enlarge", "inputs": {"image": ["0", 0]}},
        "3": {"class_type": "Switch", "inputs": {"which": True, "yes": ["1", 0], "no": ["2", 0]}},
        "4": {"class_type": "Look", "inputs": {"value": ["3", 0]}},
    }
    gc.disable()
    try:
        assert started(run(prompt, catalog)) == ["0", "1", "3", "4"]
        assert alive == [False]
    finally:
        gc.enable()


# ---------------------------------------------------------------------- expansion


def expanding(graph: Any, *results: Any, **attributes: Any) -> type:
    """Answers with ``graph``, a function of what the node is given, and links into it."""
    return node(lambda **inputs: {"expand": graph(**inputs), "result": results}, ("X",) * len(results), **attributes)


def of_one(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {
        "1": {"class_type": class_type, "inputs": inputs},
        "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    }


def test_a_node_is_replaced_by_the_nodes_that_it_adds() -> None:
    twice = node(lambda value: (value * 2,))
    grow = expanding(
        lambda value: {
            "1.a": {"class_type": "Twice", "inputs": {"value": value}},
            "1.b": {"class_type": "Twice", "inputs": {"value": ["1.a", 0]}},
        },
        ["1.b", 0],
        required={"value": ("INT",)},
    )
    events = run(
        of_one("Grow", value=5),
        {"Grow": grow, "Twice": node(lambda value: (value * 2,), required={"value": ("*",)}), "Show": SHOW},
    )
    assert twice is not grow
    assert started(events) == ["1", "1.a", "1.b", "2"]
    assert [event.node_id for event in events if isinstance(event, NodeFinished)] == ["1.a", "1.b", "1", "2"]
    assert {event.display_node_id for event in events if event.node_id.startswith("1.")} == {"1"}
    assert shown(events)["2"] == {"seen": [20]}


def test_calls_that_expand_and_calls_that_do_not_keep_their_order() -> None:
    def sometimes(n: int) -> Any:
        if n != 2:
            return (n,)
        return {"expand": {"x": {"class_type": "Value", "inputs": {"v": 20}}}, "result": (["x", 0],)}

    catalog = {"Numbers": NUMBERS, "Some": node(sometimes), "Value": node(lambda v: (v,), required={"v": ("*",)}), "Show": SHOW}
    prompt = of_one("Some", n=["0", 0]) | {"0": {"class_type": "Numbers", "inputs": {}}}
    assert shown(run(prompt, catalog))["2"] == {"seen": [1, 20, 3]}


def test_outputs_among_the_added_nodes_run_although_no_node_reads_them() -> None:
    grow = expanding(lambda: {"s": {"class_type": "Show", "inputs": {"value": 7}}}, 1)
    assert shown(run(of_one("Grow"), {"Grow": grow, "Show": SHOW}))["s"] == {"seen": [7]}


def test_added_nodes_may_add_nodes() -> None:
    def count(n: int, unique_id: str) -> Any:
        if n == 0:
            return ("done",)
        again = {f"{unique_id}.c": {"class_type": "Count", "inputs": {"n": n - 1}}}
        return {"expand": again, "result": ([f"{unique_id}.c", 0],)}

    counting = node(count, required={"n": ("INT",)}, hidden={"unique_id": "UNIQUE_ID"})
    events = run(of_one("Count", n=300), {"Count": counting, "Show": SHOW})
    assert shown(events)["2"] == {"seen": ["done"]}
    assert len(started(events)) == 302


def test_added_nodes_may_read_what_the_whole_prompt_shows_their_maker() -> None:
    """As a loop does: its end copies a node from above, whose own input must still be there."""
    made: list[str] = []

    def copy(value: Any, prompt: Any) -> Any:
        return {
            "expand": {"copy": {"class_type": "Join", "inputs": dict(prompt.get_node("2")["inputs"])}},
            "result": (["copy", 0],),
        }

    catalog = {
        "A": node(lambda: (made.append("a") or "a",)),
        "Join": node(lambda value: (f"<{value}>",)),
        "Copy": node(copy, hidden={"prompt": "DYNPROMPT"}),
        "Show": SHOW,
    }
    prompt = {
        "1": {"class_type": "A", "inputs": {}},
        "2": {"class_type": "Join", "inputs": {"value": ["1", 0]}},
        "3": {"class_type": "Copy", "inputs": {"value": ["2", 0]}},
        "4": {"class_type": "Show", "inputs": {"value": ["3", 0]}},
    }
    events = run(prompt, catalog)
    assert shown(events)["4"] == {"seen": ["<a>"]}
    assert made == ["a"]


@pytest.mark.parametrize(
    ("graph", "result", "says"),
    [
        ({"x": {"class_type": "Nothing", "inputs": {}}}, ["x", 0], "unknown class 'Nothing'"),
        ({}, ["x", 0], "read node x, which does not exist"),
        ({"x": {"inputs": {}}}, ["x", 0], "has no class_type"),
        ({"2": {"class_type": "Show", "inputs": {}}}, ["2", 0], "node 2, which exists already"),
    ],
)
def test_what_cannot_be_added_is_blamed_on_the_node_that_adds_it(graph: Any, result: Any, says: str) -> None:
    with pytest.raises(NodeError, match=rf"node 1 \(Grow\): .*{says}"):
        run(of_one("Grow"), {"Grow": expanding(lambda: graph, result), "Show": SHOW})


def test_a_failure_of_an_added_node_names_both() -> None:
    def fail() -> None:
        raise ValueError("no")

    grow = expanding(lambda: {"1.x": {"class_type": "Fail", "inputs": {}}}, ["1.x", 0])
    events = run(of_one("Grow"), {"Grow": grow, "Fail": node(fail), "Show": SHOW}, keep_going=True)
    (failed,) = [event for event in events if isinstance(event, NodeFailed)]
    assert (failed.node_id, failed.lost_outputs) == ("1", ("2",))
    assert str(failed.error).startswith("node 1 (Grow), which added Fail (1.x): ValueError: no")


def test_a_circle_of_added_nodes_is_blamed_on_their_maker() -> None:
    graph = {
        "x": {"class_type": "Pass", "inputs": {"value": ["y", 0]}},
        "y": {"class_type": "Pass", "inputs": {"value": ["x", 0]}},
    }
    catalog = {"Grow": expanding(lambda: graph, ["y", 0]), "Pass": node(lambda value: (value,)), "Show": SHOW}
    with pytest.raises(WorkflowError, match=r"node 1 \(Grow\).*wait for each other: (x .*y .*x|y .*x .*y)"):
        run(of_one("Grow"), catalog)


def test_a_loop_of_any_length_holds_the_images_of_one_round() -> None:
    """Loops hand their values on as literals of the nodes that they add."""
    born: list[weakref.ref[Image]] = []
    alive: list[int] = []

    def develop(image: Any) -> tuple[Image]:
        alive.append(sum(ref() is not None for ref in born))
        fresh = Image()
        born.append(weakref.ref(fresh))
        return (fresh,)

    def loop(image: Image, rounds: int, me: str, prompt: Any) -> Any:
        if rounds == 0:
            return (image,)
        graph = {
            f"{me}.d": {"class_type": "Develop", "inputs": {"image": image}},
            f"{me}.l": {"class_type": "Loop", "inputs": {"image": [f"{me}.d", 0], "rounds": rounds - 1}},
        }
        return {"expand": graph, "result": ([f"{me}.l", 0],)}

    hidden = {"me": "UNIQUE_ID", "prompt": "DYNPROMPT"}
    catalog = {
        "Develop": node(develop, required={"image": ("*",)}),
        "Loop": node(loop, required={"image": ("*",), "rounds": ("INT",)}, hidden=hidden),
        "Show": node(lambda value: {"ui": {}}, (), OUTPUT_NODE=True),
    }
    prompt = of_one("Loop", image=["0", 0], rounds=40) | {"0": {"class_type": "Develop", "inputs": {"image": 0}}}
    gc.disable()
    try:
        assert len(started(run(prompt, catalog))) == 3 + 2 * 40
        assert max(alive) <= 2
        assert not any(ref() for ref in born)
    finally:
        gc.enable()


# ---------------------------------------------------------------------- any plain graph


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, Any]:
    """Nodes with a number of their own, so that no two are equal; the last is an output."""
    count = draw(st.integers(1, 12))
    origins = [draw(st.lists(st.integers(0, index - 1), max_size=3)) if index else [] for index in range(count)]
    links = [{f"i{n}": [str(origin), 0] for n, origin in enumerate(some)} for some in origins]
    prompt = {str(index): {"class_type": "Sum", "inputs": {"own": index, **some}} for index, some in enumerate(links)}
    return prompt | {"end": {"class_type": "Show", "inputs": {"value": [str(count - 1), 0]}}}


@given(acyclic())
def test_without_lazy_inputs_a_run_follows_the_plan(prompt: dict[str, Any]) -> None:
    catalog = {"Sum": node(lambda own, **more: (own + sum(more.values()),), required={"own": ("INT",)}), "Show": SHOW}
    events = run(prompt, catalog)
    assert started(events) == list(make_plan(prompt, catalog).order)
    assert not [event for event in events if isinstance(event, NodeCached)]
    sums: dict[str, int] = {}
    for node_id in (event.node_id for event in events if isinstance(event, NodeStarted) and event.node_id != "end"):
        inputs = prompt[node_id]["inputs"]
        sums[node_id] = inputs["own"] + sum(sums[link[0]] for link in inputs.values() if isinstance(link, list))
    assert shown(events)["end"] == {"seen": [sums[prompt["end"]["inputs"]["value"][0]]]}
