"""The order of a plan, for any graph without circles."""

from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upscale8k.runtime.errors import Problem, WorkflowError
from upscale8k.runtime.graph.execute.plan import find_runnable_outputs, make_plan


class Node:
    RETURN_TYPES = ("IMAGE", "MASK")


class Output(Node):
    OUTPUT_NODE = True


CATALOG = {"Node": Node, "Output": Output}


def prompt_of(links: dict[str, list[tuple[str, int]]], outputs: set[str]) -> dict[str, Any]:
    return {
        node_id: {
            "class_type": "Output" if node_id in outputs else "Node",
            "inputs": {f"i{n}": list(link) for n, link in enumerate(origins)},
        }
        for node_id, origins in links.items()
    }


def order(links: dict[str, list[tuple[str, int]]], outputs: set[str], wanted: list[str] | None = None) -> list[str]:
    return list(make_plan(prompt_of(links, outputs), CATALOG, wanted).order)


def test_each_chain_is_finished_before_the_next_begins() -> None:
    """Two images of 400 MB are never alive at once."""
    links = {"1": [], "2": [("1", 0)], "3": [("2", 0)], "11": [], "12": [("11", 0)], "13": [("12", 0)]}
    assert order(links, {"3", "13"}) == ["1", "2", "3", "11", "12", "13"]


def test_ids_are_compared_as_numbers() -> None:
    links: dict[str, list[tuple[str, int]]] = {node_id: [] for node_id in ("10", "9", "2", "13:10", "13:2")}
    assert order(links, set(links)) == ["2", "9", "10", "13:2", "13:10"]


def test_only_what_an_output_needs_is_run() -> None:
    links = {"1": [], "2": [("1", 0)], "3": [], "4": [("3", 0)], "5": []}
    assert order(links, {"2", "4"}) == ["1", "2", "3", "4"]
    assert order(links, {"2", "4"}, ["4"]) == ["3", "4"]


def test_a_circle_is_refused_by_its_path() -> None:
    with pytest.raises(WorkflowError, match=r"5 \(Node\) -> 7 \(Node\) -> 5 \(Node\)"):
        order({"5": [("7", 0)], "7": [("5", 0)], "9": [("5", 0)]}, {"9"})


@pytest.mark.parametrize(
    ("links", "outputs", "wanted", "says"),
    [
        ({"1": []}, set(), None, "writes or shows"),
        ({"1": []}, {"1"}, ["7"], "no node 7"),
        ({"1": [("9", 0)]}, {"1"}, None, "reads node 9"),
    ],
)
def test_what_cannot_be_planned_is_refused(links: Any, outputs: set[str], wanted: list[str] | None, says: str) -> None:
    with pytest.raises(WorkflowError, match=says):
        order(links, outputs, wanted)


def test_the_outputs_without_problems_above_them_are_good() -> None:
    prompt = prompt_of({"1": [], "2": [("1", 0)], "3": [], "4": [("3", 0)], "5": [("2", 0), ("3", 0)]}, {"2", "4", "5"})
    assert find_runnable_outputs(prompt, CATALOG, []) == ["2", "4", "5"]
    assert find_runnable_outputs(prompt, CATALOG, [Problem("value_not_in_list", "x", node_id="3")]) == ["2"]
    assert find_runnable_outputs(prompt, CATALOG, [Problem("invalid_prompt", "x")]) == []


def test_a_node_of_an_unknown_class_is_refused() -> None:
    prompt = prompt_of({"1": [], "2": [("1", 0)]}, {"2"})
    prompt["1"]["class_type"] = "Nowhere"
    with pytest.raises(WorkflowError, match=r"node 1 \(Nowhere\) has a class that is not installed"):
        make_plan(prompt, CATALOG)


@st.composite
def acyclic(draw: st.DrawFn) -> tuple[dict[str, list[tuple[str, int]]], set[str]]:
    count = draw(st.integers(1, 12))
    names = draw(st.permutations([str(n) for n in range(1, count + 1)]))
    links = {
        name: [
            (names[origin], draw(st.integers(0, 1)))
            for origin in draw(st.lists(st.integers(0, index - 1), max_size=3) if index else st.just([]))
        ]
        for index, name in enumerate(names)
    }
    return links, set(draw(st.lists(st.sampled_from(names), min_size=1)))


@given(acyclic())
def test_any_plan_is_a_topological_order_of_what_is_needed(
    graph: tuple[dict[str, list[tuple[str, int]]], set[str]],
) -> None:
    links, outputs = graph
    ids = order(links, outputs)
    reference = nx.DiGraph([(origin, reader) for reader, origins in links.items() for origin, _ in origins])
    reference.add_nodes_from(links)
    assert set(ids) == outputs.union(*(nx.ancestors(reference, output) for output in outputs))
    for place, node_id in enumerate(ids):
        assert {origin for origin, _ in links[node_id]} <= set(ids[:place])


@given(acyclic(), st.randoms())
def test_the_order_does_not_depend_on_the_order_of_the_file(
    graph: tuple[dict[str, list[tuple[str, int]]], set[str]], random: Any
) -> None:
    links, outputs = graph
    shuffled = list(links)
    random.shuffle(shuffled)
    assert order({name: links[name] for name in shuffled}, outputs) == order(links, outputs)


def test_ids_of_any_length_are_ordered() -> None:
    links: dict[str, list[tuple[str, int]]] = {node_id: [] for node_id in ("9" * 5000, "007", "7", "x")}
    assert order(links, set(links)) == ["007", "7", "9" * 5000, "x"]
