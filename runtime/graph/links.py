"""Where a link really comes from: through reroutes, bypassed nodes, subgraphs, and variables of Set and Get nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import WorkflowError, node_label
from .canvas import SUBGRAPH_INPUT, Link, Node
from .scopes import Scope, Scopes
from .sockets import bypass_slot

REROUTES = frozenset({"Reroute", "Reroute (rgthree)"})
SETTERS = frozenset({"SetNode", "easy setNode"})
GETTERS = frozenset({"GetNode", "easy getNode"})

CANVAS_ONLY = frozenset(
    {
        "PrimitiveNode",
        "Note",
        "MarkdownNote",
        # rgthree-comfy's own drawing and switching nodes
        "Label (rgthree)",
        "Bookmark (rgthree)",
        "Fast Muter (rgthree)",
        "Fast Bypasser (rgthree)",
        "Fast Groups Muter (rgthree)",
        "Fast Groups Bypasser (rgthree)",
        "Fast Actions Button (rgthree)",
        "Mute / Bypass Relay (rgthree)",
        "Mute / Bypass Repeater (rgthree)",
        "Node Collector (rgthree)",
        "Random Unmuter (rgthree)",
    }
)


@dataclass(frozen=True)
class Output:
    """An output of a node that is in the prompt."""

    node_id: str
    slot: int


@dataclass(frozen=True)
class PromotedValue:
    """The value that a subgraph instance shows for one of its inputs."""

    value: Any


Source = Output | PromotedValue


class Links:
    """Follows links backwards. None means that nothing arrives: the reader keeps its own widget's value."""

    def __init__(self, scopes: Scopes, opened: list[Scope]) -> None:
        self.scopes = scopes
        self.by_path = {scope.path: scope for scope in opened}

    def into(self, scope: Scope, node: Node, slot: int) -> Source | None:
        """What feeds input ``slot`` (of the live sockets) of a node."""
        return self._input(scope, node, slot, frozenset())

    def _input(self, scope: Scope, node: Node, slot: int, seen: frozenset[Any], wanted: str | None = None) -> Source | None:
        step = (scope.path, node.id, "in", slot)
        self._refuse_circle(step, seen, scope, node)
        socket = self.scopes.live_in(scope, node).sockets[slot]
        link = scope.graph.links.get(socket.link) if socket.link is not None else None
        if link is None:
            return None
        seen |= {step}
        if link.origin == SUBGRAPH_INPUT:
            return self._outside(scope, link, seen)
        return self._from(scope, link, wanted if wanted is not None else socket.type, seen)

    def _outside(self, scope: Scope, link: Link, seen: frozenset[Any]) -> Source | None:
        """A link that comes from the input side of the subgraph around it."""
        host, parent = scope.host, scope.parent
        if host is None or parent is None:
            return None
        outer = self.scopes.live_in(parent, host).sockets
        if not 0 <= link.origin_slot < len(outer):
            return None
        socket = outer[link.origin_slot]
        if socket.link is not None and socket.link in parent.graph.links:
            return self._input(parent, host, link.origin_slot, seen)
        return PromotedValue(scope.promoted[socket.name]) if socket.name in scope.promoted else None

    def _from(self, scope: Scope, link: Link, wanted: str, seen: frozenset[Any]) -> Source | None:
        origin = scope.graph.nodes.get(link.origin)
        return None if origin is None else self._output(scope, origin, link.origin_slot, wanted, seen)

    def _output(self, scope: Scope, node: Node, slot: int, wanted: str, seen: frozenset[Any]) -> Source | None:
        step = (scope.path, node.id, "out", slot)
        self._refuse_circle(step, seen, scope, node)
        seen |= {step}
        if node.muted:
            return None
        if node.bypassed:
            return self._through_bypassed(scope, node, slot, wanted, seen)
        graph = self.scopes.subgraph(node)
        if graph is not None:
            return self._inside(scope, node, slot, wanted, seen)
        if node.type in REROUTES | SETTERS:
            sockets = self.scopes.live_in(scope, node).sockets
            return self._input(scope, node, slot, seen, wanted) if slot < len(sockets) else None
        if node.type in GETTERS:
            return self._through_variable(scope, node, wanted, seen)
        return None if is_virtual(node) else Output(scope.execution_id(node), slot)

    def _through_bypassed(self, scope: Scope, node: Node, slot: int, wanted: str, seen: frozenset[Any]) -> Source | None:
        live = self.scopes.live_in(scope, node)
        output_type = live.output_types[slot] if slot < len(live.output_types) else "*"
        index = bypass_slot(live.sockets, output_type, slot, wanted)
        return None if index is None else self._input(scope, node, index, seen)

    def _inside(self, scope: Scope, host: Node, slot: int, wanted: str, seen: frozenset[Any]) -> Source | None:
        inner = self.by_path.get(scope.execution_id(host))
        ports = inner.graph.outputs if inner else ()
        if inner is None or slot >= len(ports):
            return None
        link = next((inner.graph.links[link] for link in ports[slot].links), None)
        if link is None:
            return None
        return self._outside(inner, link, seen) if link.origin == SUBGRAPH_INPUT else self._from(inner, link, wanted, seen)

    def _through_variable(self, scope: Scope, getter: Node, wanted: str, seen: frozenset[Any]) -> Source | None:
        """The Set node of the same name in this graph, else in one around it."""
        around: Scope | None = scope
        while around is not None:
            for node in around.graph.nodes.values():
                if node.type in SETTERS and _variable(node) == _variable(getter):
                    return self._output(around, node, 0, wanted, seen)
            around = around.parent
        return None

    def _refuse_circle(self, step: Any, seen: frozenset[Any], scope: Scope, node: Node) -> None:
        if step in seen:
            label = node_label(scope.execution_id(node), node.type, node.title)
            raise WorkflowError(f"The links through {label} run in a circle.", "Take one of them out.", node_id=node.id)


def is_virtual(node: Node) -> bool:
    """True for nodes that exist on the canvas only and never reach the prompt."""
    return node.type in CANVAS_ONLY | REROUTES | SETTERS | GETTERS


def _variable(node: Node) -> object:
    if isinstance(node.values, list) and node.values:
        return node.values[0]
    return node.properties.get("previousName")
