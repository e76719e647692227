"""Decide which node runs next, while the run itself adds nodes and requests inputs.

Every node that may run is scheduled; those that must run are required. A required node is ready when all results that it
must read exist. Of the ready nodes, async ones come first, so that they overlap, then the order of the plan counts. A node
that no other can request any more is removed together with its references to results.
"""

import heapq
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ...errors import NODE_BUG_HINT, NodeError
from ..definitions import get_hidden_inputs
from ..prompts import Edge, iterate_edges, make_natural_key, walk
from .cache_keys import EqualNodes
from .dynamic_prompt import DynamicPrompt
from .node_call import get_lazy_inputs
from .result_refs import ResultRefs, Slot

Rank = tuple[int, ...]


@dataclass
class Scheduled:
    """A node that may run. ``pending_origins`` are the nodes that must run before it; None until it is required."""

    edges: tuple[Edge, ...]
    lazy_names: frozenset[str]
    is_async: bool
    requested_names: set[str] = field(default_factory=set[str])
    pending_origins: set[str] | None = None
    is_running: bool = False

    def get_required_edges(self) -> list[Edge]:
        return [edge for edge in self.edges if edge.name not in self.lazy_names or edge.name in self.requested_names]


class Schedule:
    """``has_cached_result`` tells whether an earlier run left the results of a node, which then reads nothing."""

    def __init__(
        self,
        prompt: DynamicPrompt,
        catalog: Mapping[str, type],
        order: Sequence[str],
        equal_nodes: EqualNodes,
        has_cached_result: Callable[[str], bool],
    ) -> None:
        self.results = ResultRefs()
        self.aliases: dict[str, list[str]] = {}
        """node -> the equal output nodes that get its ``ui`` without running"""
        self._prompt = prompt
        self._catalog = catalog
        self._equal_nodes = equal_nodes
        self._has_cached_result = has_cached_result
        self._ranks: dict[str, Rank] = {node_id: (position,) for position, node_id in enumerate(order)}
        self._scheduled: dict[str, Scheduled] = {}
        self._waiters: dict[str, set[str]] = {}
        self._roots: set[str] = set()
        self._failed_nodes: set[str] = set()
        self._ready_heap: list[tuple[bool, Rank, str]] = []

    def start(self, outputs: Sequence[str]) -> None:
        found = self._schedule_reachable(outputs, ())
        self._require_outputs(outputs)
        self._remove_unreferenced(found)

    def pop_next(self) -> str | None:
        """Return the node to run next; None while there is none."""
        while self._ready_heap:
            node_id = heapq.heappop(self._ready_heap)[2]
            scheduled = self._scheduled.get(node_id)
            if (
                scheduled is not None
                and not scheduled.is_running
                and scheduled.pending_origins is not None
                and not scheduled.pending_origins
            ):
                scheduled.is_running = True
                return node_id
        return None

    def resume_node(self, node_id: str) -> None:
        """Make a node ready again whose own tasks have finished."""
        self._scheduled[node_id].is_running = False
        self._push_if_ready(node_id)

    def is_scheduled(self, node_id: str) -> bool:
        return node_id in self._scheduled

    def get_representative(self, node_id: str) -> str:
        """Return the node that runs for this one: itself or an equal node."""
        return self._equal_nodes.get_representative(node_id)

    def get_edges(self, node_id: str) -> tuple[Edge, ...]:
        return self._scheduled[node_id].edges

    def get_result(self, origin: str, slot: int) -> list[Any]:
        return self.results[self._equal_nodes.get_representative(origin), slot]

    def is_evaluated(self, node_id: str, edge: Edge) -> bool:
        """Return whether the result on a link exists and may be read: a lazy input must have been requested."""
        scheduled = self._scheduled[node_id]
        return (edge.name not in scheduled.lazy_names or edge.name in scheduled.requested_names) and self.get_source(
            edge
        ) in self.results

    def get_source(self, edge: Edge) -> Slot:
        return self._equal_nodes.get_representative(edge.origin), edge.slot

    def request_inputs(self, node_id: str, names: Iterable[str]) -> None:
        """Require lazy inputs before a node runs. Raises ``NodeError`` when one is unavailable."""
        scheduled = self._scheduled[node_id]
        origins = {edge.name: self.get_source(edge)[0] for edge in scheduled.edges}
        for name in names:
            if name not in origins:
                raise NodeError(f"It requests the input {name}, which is not linked.", NODE_BUG_HINT)
            if origins[name] in self._failed_nodes:
                raise NodeError(f"It requests the input {name}, whose node failed.", "See the failure above.")
            scheduled.requested_names.add(name)
        self._require_again(node_id)

    def expand_node(self, node_id: str, links: Sequence[Slot], outputs: Sequence[str]) -> None:
        """Let a node wait for the results of nodes that it added instead of its inputs; ``outputs`` among them run as well."""
        found = self._schedule_reachable([*(origin for origin, _ in links), *outputs], self._ranks[node_id])
        scheduled = self._scheduled[node_id]
        scheduled.edges = tuple(Edge("", *link) for link in links)
        sources = {self.get_source(edge) for edge in scheduled.edges}
        self.results.add_references(node_id, sources)
        self._require_outputs(outputs)
        self._require_again(node_id)
        self._remove_unreferenced([*found, *self.results.release_references(node_id, retained=sources)])

    def reschedule_node(self, node_id: str) -> None:
        """Schedule a node, and what it reads, whose cached results turned out to be damaged."""
        node = self._prompt.get_node(node_id)
        found = self._schedule_reachable([edge.origin for edge in iterate_edges(node)], self._ranks[node_id])
        self._scheduled[node_id] = self._make_scheduled(node_id)
        self.results.add_references(node_id, self._collect_references(node_id))
        self._require_again(node_id)
        self._remove_unreferenced(found)

    def finish_node(self, node_id: str, slots: Sequence[list[Any]]) -> None:
        """Store the results of a node that ran and release what it read."""
        self.results.store_results(node_id, slots)
        self._remove_node(node_id)
        if not self.results.is_referenced(node_id):
            self._prompt.release_literals(node_id)
        for waiter in self._waiters.pop(node_id, ()):
            scheduled = self._scheduled.get(waiter)
            if scheduled is not None and scheduled.pending_origins is not None:
                scheduled.pending_origins.discard(node_id)
                self._push_if_ready(waiter)
        self._remove_unreferenced(self.results.release_references(node_id))

    def fail_node(self, node_id: str) -> set[str]:
        """Remove a node that failed and all nodes that cannot run without it; return them."""
        readers: dict[str, list[str]] = {}
        for reader, scheduled in self._scheduled.items():
            for edge in scheduled.get_required_edges():
                readers.setdefault(self.get_source(edge)[0], []).append(reader)
        lost = walk([node_id], lambda current: readers.get(current, []))
        self._failed_nodes |= lost
        for current in lost:
            self._remove_node(current)
        self._remove_unreferenced({origin for current in lost for origin in self.results.release_references(current)})
        return lost

    def find_cycle(self) -> list[str]:
        """Return the nodes that wait for each other, the first repeated at the end, when nothing is ready or running."""
        waiting = {
            node_id: scheduled.pending_origins for node_id, scheduled in self._scheduled.items() if scheduled.pending_origins
        }
        path: list[str] = []
        node_id = next(iter(waiting), None)
        while node_id is not None and node_id not in path:
            path.append(node_id)
            node_id = min(waiting[node_id])
        return [] if node_id is None else [node_id, *reversed(path[path.index(node_id) :])]

    # ------------------------------------------------------------------ schedule and remove

    def _schedule_reachable(self, node_ids: Iterable[str], rank: Rank) -> list[str]:
        """Schedule everything that these nodes may read; return the new nodes in the order of their ranks."""
        found = self._find_unscheduled(node_ids, rank)
        representatives = [
            node_id
            for node_id in found
            if self._has_cached_result(node_id) or self._equal_nodes.find_representative(node_id) == node_id
        ]
        for node_id in representatives:
            self._scheduled[node_id] = self._make_scheduled(node_id)
        for node_id in representatives:
            self.results.add_references(node_id, self._collect_references(node_id))
        return found

    def _make_scheduled(self, node_id: str) -> Scheduled:
        if self._has_cached_result(node_id):
            return Scheduled((), frozenset(), is_async=False)
        node = self._prompt.get_node(node_id)
        cls = self._get_class(node_id)
        function = getattr(cls, cast("Any", cls).FUNCTION, None)
        return Scheduled(
            tuple(iterate_edges(node)), get_lazy_inputs(cls, node["inputs"]), inspect.iscoroutinefunction(function)
        )

    def _find_unscheduled(self, node_ids: Iterable[str], rank: Rank) -> list[str]:
        found: dict[str, None] = {}
        pending = deque(node_ids)
        while pending:
            node_id = self._equal_nodes.get_representative(pending.popleft())
            if node_id in found or node_id in self._scheduled:
                continue
            found[node_id] = None
            self._get_class(node_id)
            if not self._has_cached_result(node_id):
                sources = [(self.get_source(edge), edge.origin) for edge in iterate_edges(self._prompt.get_node(node_id))]
                pending += [origin for slot, origin in sources if slot not in self.results]
        for position, node_id in enumerate(found):
            self._ranks.setdefault(node_id, (*rank, position))
        return sorted(found, key=lambda node_id: (self._ranks[node_id], make_natural_key(node_id)))

    def _get_class(self, node_id: str) -> type:
        """Return the class of a node. Raises ``NodeError`` when an added node does not exist or its class is unknown."""
        if not self._prompt.can_run(node_id):
            raise NodeError(f"It added nodes that read node {node_id}, which does not exist.", NODE_BUG_HINT)
        class_type = self._prompt.get_node(node_id)["class_type"]
        if class_type not in self._catalog:
            raise NodeError(f"It added a node of the unknown class {class_type!r}.", "Install the pack that has it.")
        return self._catalog[class_type]

    def _collect_references(self, node_id: str) -> set[Slot]:
        """Return what a node reads; for one with ``DYNPROMPT`` also what its upstream nodes read, because it may copy them."""
        if self._has_cached_result(node_id):
            return set()

        def list_sources(reader: str) -> list[Slot]:
            return [self.get_source(edge) for edge in iterate_edges(self._prompt.get_node(reader))]

        sees_prompt = "DYNPROMPT" in get_hidden_inputs(self._get_class(node_id)).values()
        readers = walk([node_id], lambda reader: [origin for origin, _ in list_sources(reader)]) if sees_prompt else {node_id}
        return {source for reader in readers for source in list_sources(reader)}

    def _remove_node(self, node_id: str) -> None:
        self._roots.discard(node_id)
        if self._scheduled.pop(node_id, None) is not None:
            self._equal_nodes.forget_node(node_id)

    def _remove_unreferenced(self, unreferenced: Iterable[str]) -> None:
        """Remove nodes that no other can request any more, and then those that only they could have requested."""
        pending = list(unreferenced)
        while pending:
            node_id = pending.pop()
            scheduled = self._scheduled.get(node_id)
            if self.results.is_referenced(node_id):
                continue
            if scheduled is None:
                self._prompt.release_literals(node_id)
                continue
            if scheduled.is_running or node_id in self._roots:
                continue
            self._remove_node(node_id)
            pending += self.results.release_references(node_id)

    # ------------------------------------------------------------------ require

    def _require_outputs(self, outputs: Iterable[str]) -> None:
        for output in outputs:
            node_id = self._equal_nodes.get_representative(output)
            if node_id in self._scheduled and not self._has_cached_result(node_id):
                self._roots.add(node_id)
                self._require_node(node_id)
            if node_id != output:
                self.aliases.setdefault(node_id, []).append(output)

    def _require_again(self, node_id: str) -> None:
        scheduled = self._scheduled[node_id]
        scheduled.is_running = False
        scheduled.pending_origins = None
        self._require_node(node_id)

    def _require_node(self, node_id: str) -> None:
        """Require a node and everything that it must read."""
        pending = [node_id]
        while pending:
            current = pending.pop()
            scheduled = self._scheduled[current]
            if scheduled.pending_origins is not None:
                continue
            slots = [self.get_source(edge) for edge in scheduled.get_required_edges()]
            scheduled.pending_origins = {slot[0] for slot in slots if slot not in self.results}
            for origin in scheduled.pending_origins:
                self._waiters.setdefault(origin, set()).add(current)
            pending += scheduled.pending_origins
            self._push_if_ready(current)

    def _push_if_ready(self, node_id: str) -> None:
        scheduled = self._scheduled[node_id]
        if scheduled.pending_origins is not None and not scheduled.pending_origins:
            heapq.heappush(self._ready_heap, (not scheduled.is_async, self._ranks[node_id], node_id))
