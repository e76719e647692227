"""The order of a run, decided before it starts.

An 8K picture is 400 MB, so the order is chosen to keep few of them alive: of all nodes that could run next, the one
nearest to an output goes first. What nobody reads later is released at once (``values``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import Problem, WorkflowError
from ..definitions import is_output_class
from ..prompts import Prompt, find_cycles, find_reachable, format_cycle, format_label, iterate_edges, make_natural_key

if TYPE_CHECKING:
    import networkx as nx

    DiGraph = nx.DiGraph[str]


@dataclass(frozen=True)
class ExecutionPlan:
    """``order`` is that of a run in which every input is wanted; one that is lazy leaves nodes out, none comes earlier."""

    prompt: Prompt
    order: tuple[str, ...]
    outputs: tuple[str, ...]


def make_plan(prompt: Prompt, catalog: Mapping[str, type], outputs: Sequence[str] | None = None) -> ExecutionPlan:
    """Plan a prompt that has passed ``check``. ``outputs`` limits the run to what these nodes need.

    Raises ``WorkflowError`` when nothing is to be run, when a node or a class is missing, or when links run in a circle.
    """
    import networkx as nx  # It takes 0.6 s, and whoever only checks a workflow need not wait for it.

    output_ids = _select_outputs(prompt, catalog, outputs)
    needed = _collect_needed(prompt, output_ids)
    for node_id, node in needed.items():
        if node["class_type"] not in catalog:
            what = f"{format_label(prompt, node_id)} is of a class that is not here."
            raise WorkflowError(what, "Run `check` to see what is missing.", node_id=node_id)
    graph: DiGraph = nx.DiGraph()
    graph.add_nodes_from(needed)
    graph.add_edges_from((edge.origin, node_id) for node_id, node in needed.items() for edge in iterate_edges(node))
    distance: Mapping[str, float] = nx.multi_source_dijkstra_path_length(graph.reverse(copy=False), set(output_ids))

    def get_sort_key(node_id: str) -> tuple[object, ...]:
        return distance[node_id], make_natural_key(node_id)

    order: Iterator[str] = nx.lexicographical_topological_sort(graph, key=get_sort_key)
    return ExecutionPlan(prompt, tuple(order), tuple(output_ids))


def find_runnable_outputs(prompt: Prompt, catalog: Mapping[str, type], problems: Sequence[Problem]) -> list[str]:
    """The outputs of a checked prompt that can run although others have problems; empty when none can."""
    problem_nodes = {problem.node_id for problem in problems}
    if None in problem_nodes:
        return []
    return [
        output
        for output, node in prompt.items()
        if is_output_class(catalog.get(node["class_type"], object)) and not problem_nodes & find_reachable(prompt, [output])
    ]


def _select_outputs(prompt: Prompt, catalog: Mapping[str, type], outputs: Sequence[str] | None) -> list[str]:
    for node_id in outputs or ():
        if node_id not in prompt:
            raise WorkflowError(f"There is no node {node_id} to run.", "Name one that is in the workflow.", node_id=node_id)
    if outputs is not None:
        found = list(dict.fromkeys(outputs))
    else:
        found = [node_id for node_id, node in prompt.items() if is_output_class(catalog.get(node["class_type"], object))]
    if not found:
        raise WorkflowError("No node of the workflow writes or shows anything.", "Add a node such as SaveImage.")
    return sorted(found, key=make_natural_key)


def _collect_needed(prompt: Prompt, outputs: Sequence[str]) -> Prompt:
    """The outputs and everything they depend on, which must be there and free of circles."""
    needed: Prompt = {}
    pending = list(outputs)
    while pending:
        node_id = pending.pop()
        if node_id in needed:
            continue
        needed[node_id] = prompt[node_id]
        for edge in iterate_edges(prompt[node_id]):
            if edge.origin not in prompt:
                what = f"{format_label(prompt, node_id)} reads node {edge.origin}, which is not in the workflow."
                raise WorkflowError(what, "Link it to a node that is there.", node_id=node_id, input_name=edge.name)
            pending.append(edge.origin)
    for cycle in find_cycles(needed):
        what = f"The links run in a circle: {format_cycle(prompt, cycle)}."
        raise WorkflowError(what, "Take one of them out.", node_id=cycle[0])
    return needed
