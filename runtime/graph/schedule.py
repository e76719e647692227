"""Which node runs next, while the run itself adds nodes and asks for inputs.

Every node that may run has joined; those that must run are wanted. A node is ready when every input that it must read is
there, and of the ready ones the first in the plan's order goes next, async ones before all others, so that they overlap.
A node that nobody can ask for any more leaves, and its claims on results with it.
"""

from __future__ import annotations

import heapq
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ..errors import NodeError
from .inputs import lazy_inputs
from .keys import Twins
from .live import LivePrompt
from .prompts import Edge, edges, hidden_inputs, natural_key
from .values import Slot, Values

Rank = tuple[int, ...]


@dataclass
class _Joined:
    """A node that may run. ``awaits`` are the nodes whose results it must read first; None until it is wanted."""

    edges: tuple[Edge, ...]
    lazy: frozenset[str]
    is_async: bool
    asked: set[str] = field(default_factory=set[str])
    awaits: set[str] | None = None
    running: bool = False

    def strong(self) -> list[Edge]:
        return [edge for edge in self.edges if edge.name not in self.lazy or edge.name in self.asked]


class Schedule:
    """``is_found`` says whether an earlier run left the results of a node behind; such a node reads nothing and is loaded."""

    def __init__(
        self,
        live: LivePrompt,
        catalog: Mapping[str, type],
        order: Sequence[str],
        twins: Twins,
        is_found: Callable[[str], bool],
    ) -> None:
        self.values = Values()
        self.echoes: dict[str, list[str]] = {}
        """node -> the outputs that are its twins, and get what it shows without running."""
        self._live = live
        self._catalog = catalog
        self._twins = twins
        self._is_found = is_found
        self._ranks: dict[str, Rank] = {node_id: (place,) for place, node_id in enumerate(order)}
        self._joined: dict[str, _Joined] = {}
        self._waiters: dict[str, set[str]] = {}
        self._roots: set[str] = set()
        self._failed: set[str] = set()
        self._ready: list[tuple[bool, Rank, str]] = []

    def start(self, outputs: Sequence[str]) -> None:
        found = self._join(outputs, ())
        self._want_outputs(outputs)
        self._drop(found)

    def next(self) -> str | None:
        """The node to run now; None while there is none."""
        while self._ready:
            node_id = heapq.heappop(self._ready)[2]
            joined = self._joined.get(node_id)
            if joined is not None and not joined.running and joined.awaits is not None and not joined.awaits:
                joined.running = True
                return node_id
        return None

    def resume(self, node_id: str) -> None:
        """A node that was waiting for its own tasks can go on."""
        self._joined[node_id].running = False
        self._push(node_id)

    def has_joined(self, node_id: str) -> bool:
        return node_id in self._joined

    def stands_for(self, node_id: str) -> str:
        """The node that does the work of this one: itself, or its twin."""
        return self._twins.of(node_id)

    def links(self, node_id: str) -> tuple[Edge, ...]:
        return self._joined[node_id].edges

    def value(self, origin: str, slot: int) -> list[Any]:
        return self.values[self._twins.of(origin), slot]

    def is_evaluated(self, node_id: str, edge: Edge) -> bool:
        """Whether the value on a link is there and may be read: a lazy one must have been asked for."""
        joined = self._joined[node_id]
        return (edge.name not in joined.lazy or edge.name in joined.asked) and self.reads(edge) in self.values

    def reads(self, edge: Edge) -> Slot:
        return self._twins.of(edge.origin), edge.slot

    def ask(self, node_id: str, names: Iterable[str]) -> None:
        """A node wants lazy inputs before it runs. Raises ``NodeError`` when one cannot be had."""
        joined = self._joined[node_id]
        links = {edge.name: self.reads(edge)[0] for edge in joined.edges}
        for name in names:
            if name not in links:
                raise NodeError(f"It asks for the input {name}, which is not linked.", "This is a fault of the node.")
            if links[name] in self._failed:
                raise NodeError(f"It asks for the input {name}, whose node failed.", "See the failure above.")
            joined.asked.add(name)
        self._want_again(node_id)

    def expand(self, node_id: str, links: Sequence[Slot], outputs: Sequence[str]) -> None:
        """A node waits for the results of nodes that it added, instead of its inputs; ``outputs`` among them run as well."""
        found = self._join([*(origin for origin, _ in links), *outputs], self._ranks[node_id])
        joined = self._joined[node_id]
        joined.edges = tuple(Edge("", *link) for link in links)
        reads = {self.reads(edge) for edge in joined.edges}
        self.values.claim(node_id, reads)
        self._want_outputs(outputs)
        self._want_again(node_id)
        self._drop([*found, *self.values.release(node_id, but=reads)])

    def revive(self, node_id: str) -> None:
        """A node whose results were found, but are damaged, runs after all; so does what it reads."""
        node = self._live.get_node(node_id)
        found = self._join([edge.origin for edge in edges(node)], self._ranks[node_id])
        self._joined[node_id] = self._as_joined(node_id)
        self.values.claim(node_id, self._claims(node_id))
        self._want_again(node_id)
        self._drop(found)

    def finish(self, node_id: str, slots: Sequence[list[Any]]) -> None:
        """File the results of a node that ran, and let go of what it read."""
        self.values.keep(node_id, slots)
        self._leave(node_id)
        if not self.values.is_claimed(node_id):
            self._live.let_go(node_id)
        for waiter in self._waiters.pop(node_id, ()):
            joined = self._joined.get(waiter)
            if joined is not None and joined.awaits is not None:
                joined.awaits.discard(node_id)
                self._push(waiter)
        self._drop(self.values.release(node_id))

    def fail(self, node_id: str) -> set[str]:
        """Take out a node that failed and everything that cannot run without it, which is returned."""
        readers: dict[str, list[str]] = {}
        for reader, joined in self._joined.items():
            for edge in joined.strong():
                readers.setdefault(self.reads(edge)[0], []).append(reader)
        lost: set[str] = set()
        pending = [node_id]
        while pending:
            current = pending.pop()
            if current not in lost:
                lost.add(current)
                pending += readers.get(current, [])
        self._failed |= lost
        for current in lost:
            self._leave(current)
        self._drop({origin for current in lost for origin in self.values.release(current)})
        return lost

    def circle(self) -> list[str]:
        """When nothing is ready and nothing runs: nodes that wait for each other, the first of them again at the end."""
        waiting = {node_id: joined.awaits for node_id, joined in self._joined.items() if joined.awaits}
        path: list[str] = []
        node_id = next(iter(waiting), None)
        while node_id is not None and node_id not in path:
            path.append(node_id)
            node_id = min(waiting[node_id])
        return [] if node_id is None else [node_id, *reversed(path[path.index(node_id) :])]

    # ------------------------------------------------------------------ joining and leaving

    def _join(self, wanted: Iterable[str], rank: Rank) -> list[str]:
        """Let everything join that these nodes may ever read; what is new is returned, in the order of the ranks."""
        found = self._new(wanted, rank)
        new = [node_id for node_id in found if self._is_found(node_id) or self._twins.find(node_id) == node_id]
        for node_id in new:
            self._joined[node_id] = self._as_joined(node_id)
        for node_id in new:
            self.values.claim(node_id, self._claims(node_id))
        return found

    def _as_joined(self, node_id: str) -> _Joined:
        if self._is_found(node_id):
            return _Joined((), frozenset(), is_async=False)
        node = self._live.get_node(node_id)
        cls = self._class(node_id)
        function = getattr(cls, cast("Any", cls).FUNCTION, None)
        return _Joined(tuple(edges(node)), lazy_inputs(cls, node["inputs"]), inspect.iscoroutinefunction(function))

    def _new(self, wanted: Iterable[str], rank: Rank) -> list[str]:
        found: dict[str, None] = {}
        pending = deque(wanted)
        while pending:
            node_id = self._twins.of(pending.popleft())
            if node_id in found or node_id in self._joined:
                continue
            found[node_id] = None
            self._class(node_id)
            if not self._is_found(node_id):
                read = [(self.reads(edge), edge.origin) for edge in edges(self._live.get_node(node_id))]
                pending += [origin for slot, origin in read if slot not in self.values]
        for place, node_id in enumerate(found):
            self._ranks.setdefault(node_id, (*rank, place))
        return sorted(found, key=lambda node_id: (self._ranks[node_id], natural_key(node_id)))

    def _class(self, node_id: str) -> type:
        """The class of a node. Raises ``NodeError`` when an added node is not there or of no known class."""
        if not self._live.can_run(node_id):
            raise NodeError(f"It added nodes that read node {node_id}, which is not there.", "This is a fault of the node.")
        class_type = self._live.get_node(node_id)["class_type"]
        if class_type not in self._catalog:
            raise NodeError(f"It added a node of class {class_type!r}, which is not there.", "Add the pack that has it.")
        return self._catalog[class_type]

    def _claims(self, node_id: str) -> set[Slot]:
        """What a node reads. One that sees the whole prompt may copy nodes above it, so it claims what they read too."""
        if self._is_found(node_id):
            return set()
        sees_all = "DYNPROMPT" in hidden_inputs(self._class(node_id)).values()
        slots: set[Slot] = set()
        seen = {node_id}
        pending = [node_id]
        while pending:
            read = {self.reads(edge) for edge in edges(self._live.get_node(pending.pop()))}
            slots |= read
            above = {origin for origin, _ in read} - seen if sees_all else set[str]()
            seen |= above
            pending += above
        return slots

    def _leave(self, node_id: str) -> None:
        self._roots.discard(node_id)
        if self._joined.pop(node_id, None) is not None:
            self._twins.forget(node_id)

    def _drop(self, unclaimed: Iterable[str]) -> None:
        """Let nodes leave that nobody can ask for any more, and then what only they could have asked for."""
        pending = list(unclaimed)
        while pending:
            node_id = pending.pop()
            joined = self._joined.get(node_id)
            if self.values.is_claimed(node_id):
                continue
            if joined is None:
                self._live.let_go(node_id)
                continue
            if joined.running or node_id in self._roots:
                continue
            self._leave(node_id)
            pending += self.values.release(node_id)

    # ------------------------------------------------------------------ wanting

    def _want_outputs(self, outputs: Iterable[str]) -> None:
        for output in outputs:
            node_id = self._twins.of(output)
            if node_id in self._joined and not self._is_found(node_id):
                self._roots.add(node_id)
                self._want(node_id)
            if node_id != output:
                self.echoes.setdefault(node_id, []).append(output)

    def _want_again(self, node_id: str) -> None:
        joined = self._joined[node_id]
        joined.running = False
        joined.awaits = None
        self._want(node_id)

    def _want(self, node_id: str) -> None:
        """Make a node run, and everything that it must read."""
        pending = [node_id]
        while pending:
            current = pending.pop()
            joined = self._joined[current]
            if joined.awaits is not None:
                continue
            slots = [self.reads(edge) for edge in joined.strong()]
            joined.awaits = {slot[0] for slot in slots if slot not in self.values}
            for origin in joined.awaits:
                self._waiters.setdefault(origin, set()).add(current)
            pending += joined.awaits
            self._push(current)

    def _push(self, node_id: str) -> None:
        joined = self._joined[node_id]
        if joined.awaits is not None and not joined.awaits:
            heapq.heappush(self._ready, (not joined.is_async, self._ranks[node_id], node_id))
