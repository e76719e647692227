"""Plan the order of a run before it starts.

An 8K image takes 400 MB, so the order keeps few of them in memory: of all nodes that could run next, the one nearest to an
output comes first. ``result_refs`` releases results without further readers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import Problem, WorkflowError
from ..fold_loops import fold_loops
from ..prompts import (
    Prompt,
    find_cycles,
    find_reachable,
    format_cycle,
    format_label,
    iterate_edges,
    list_outputs,
    make_natural_key,
)

if TYPE_CHECKING:
    import networkx as nx

    DiGraph = nx.DiGraph[str]


@dataclass(frozen=True)
class ExecutionPlan:
    """``order`` is that of a run that evaluates every input. Lazy inputs leave nodes out, but move none forward.

    ``folded`` is the prompt without the bodies of its loops.
    """

    prompt: Prompt
    order: tuple[str, ...]
    outputs: tuple[str, ...]
    folded: Prompt


def make_plan(prompt: Prompt, catalog: Mapping[str, type], outputs: Sequence[str] | None = None) -> ExecutionPlan:
    """Plan a prompt that ``check_prompt`` has passed. ``outputs`` limits the run to what these nodes need.

    Raises ``WorkflowError`` when there is nothing to run, a node or a class is missing, or links form a cycle.
    """
    import networkx as nx  # takes 0.6 s, which `check` does without

    folded = fold_loops(prompt)
    output_ids = _select_outputs(folded, catalog, outputs)
    needed = _collect_needed(folded, output_ids)
    for node_id, node in needed.items():
        if node["class_type"] not in catalog:
            what = f"{format_label(prompt, node_id)} has a class that is not installed."
            raise WorkflowError(what, "Run `check` to see what is missing.", node_id=node_id)
    graph: DiGraph = nx.DiGraph()
    graph.add_nodes_from(needed)
    graph.add_edges_from((edge.origin, node_id) for node_id, node in needed.items() for edge in iterate_edges(node))
    distance: Mapping[str, float] = nx.multi_source_dijkstra_path_length(graph.reverse(copy=False), set(output_ids))

    def get_sort_key(node_id: str) -> tuple[object, ...]:
        return distance[node_id], make_natural_key(node_id)

    order: Iterator[str] = nx.lexicographical_topological_sort(graph, key=get_sort_key)
    return ExecutionPlan(prompt, tuple(order), tuple(output_ids), folded)


def find_runnable_outputs(prompt: Prompt, catalog: Mapping[str, type], problems: Sequence[Problem]) -> list[str]:
    """Return the outputs of a checked prompt that can run although others have problems."""
    problem_nodes = {problem.node_id for problem in problems}
    if None in problem_nodes:
        return []
    return [output for output in list_outputs(prompt, catalog) if not problem_nodes & find_reachable(prompt, [output])]


def _select_outputs(prompt: Prompt, catalog: Mapping[str, type], outputs: Sequence[str] | None) -> list[str]:
    for node_id in outputs or ():
        if node_id not in prompt:
            raise WorkflowError(f"The workflow has no node {node_id} to run.", "Name one of its nodes.", node_id=node_id)
    found = sorted(set(outputs), key=make_natural_key) if outputs is not None else list_outputs(prompt, catalog)
    if not found:
        raise WorkflowError("No node of the workflow writes or shows anything.", "Add a node such as SaveImage.")
    return found


def _collect_needed(prompt: Prompt, outputs: Sequence[str]) -> Prompt:
    """Return the outputs and all nodes they depend on. Raises ``WorkflowError`` for a missing node or a cycle."""
    needed: Prompt = {}
    pending = list(outputs)
    while pending:
        node_id = pending.pop()
        if node_id in needed:
            continue
        needed[node_id] = prompt[node_id]
        for edge in iterate_edges(prompt[node_id]):
            if edge.origin not in prompt:
                what = f"{format_label(prompt, node_id)}reads node {edge.origin}, which the workflow does not contain."
                raise WorkflowError(what, "Link the input to another node.", node_id=node_id, input_name=edge.name)
            pending.append(edge.origin)
    for cycle in find_cycles(needed):
        what = f"The links form a cycle: {format_cycle(prompt, cycle)}."
        raise WorkflowError(what, "Remove one of these links.", node_id=cycle[0])
    return needed
