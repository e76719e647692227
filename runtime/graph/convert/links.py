"""Find the real source of a link: through reroutes, bypassed nodes, subgraphs, and variables of Set and Get nodes."""

from dataclasses import dataclass
from typing import Any

from ...errors import WorkflowError, format_node_label
from .sockets import find_bypass_slot
from .subgraphs import GraphScope, SubgraphScopes
from .ui_workflow import PRIMITIVE, REROUTE, SUBGRAPH_INPUT, UiLink, UiNode

REROUTES = frozenset({REROUTE, "Reroute (rgthree)"})
SETTERS = frozenset({"SetNode", "easy setNode"})
GETTERS = frozenset({"GetNode", "easy getNode"})

CANVAS_ONLY = frozenset(
    {
        PRIMITIVE,
        "Note",
        "MarkdownNote",
        # cg-use-everywhere: what they connect is in `extra.ue_links`
        "Anything Everywhere",
        "Anything Everywhere3",
        "Anything Everywhere?",
        "Prompts Everywhere",
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
class OutputRef:
    """An output of a node in the prompt."""

    node_id: str
    slot: int


@dataclass(frozen=True)
class PromotedValue:
    """The value of an unlinked input of a subgraph instance."""

    value: Any


InputSource = OutputRef | PromotedValue


class LinkResolver:
    """Follows links backwards. None means that an input has no source and keeps the value of its widget."""

    def __init__(self, subgraphs: SubgraphScopes, all_scopes: list[GraphScope]) -> None:
        self.subgraphs = subgraphs
        self.scopes_by_path = {scope.path: scope for scope in all_scopes}

    def find_source(self, scope: GraphScope, node: UiNode, slot: int) -> InputSource | None:
        """Return the source of input ``slot`` of a node, counted in its rebuilt sockets."""
        return self._follow_input(scope, node, slot, frozenset())

    def _follow_input(
        self, scope: GraphScope, node: UiNode, slot: int, seen: frozenset[Any], reader_type: str | None = None
    ) -> InputSource | None:
        step = (scope.path, node.id, "in", slot)
        self._reject_cycle(step, seen, scope, node)
        socket = self.subgraphs.get_node_in_scope(scope, node).sockets[slot]
        link = scope.graph.links.get(socket.link) if socket.link is not None else None
        if link is None:
            return None
        seen |= {step}
        if link.origin == SUBGRAPH_INPUT:
            return self._follow_outside(scope, link, seen)
        return self._follow_link(scope, link, reader_type if reader_type is not None else socket.type, seen)

    def _follow_outside(self, scope: GraphScope, link: UiLink, seen: frozenset[Any]) -> InputSource | None:
        """Follow a link from the input side of a subgraph into the graph around it."""
        host, parent = scope.host, scope.parent
        if host is None or parent is None:
            return None
        outer = self.subgraphs.get_node_in_scope(parent, host).sockets
        if not 0 <= link.origin_slot < len(outer):
            return None
        socket = outer[link.origin_slot]
        if socket.link is not None and socket.link in parent.graph.links:
            return self._follow_input(parent, host, link.origin_slot, seen)
        return PromotedValue(scope.promoted_values[socket.name]) if socket.name in scope.promoted_values else None

    def _follow_link(self, scope: GraphScope, link: UiLink, reader_type: str, seen: frozenset[Any]) -> InputSource | None:
        origin = scope.graph.nodes.get(link.origin)
        return None if origin is None else self._follow_output(scope, origin, link.origin_slot, reader_type, seen)

    def _follow_output(
        self, scope: GraphScope, node: UiNode, slot: int, reader_type: str, seen: frozenset[Any]
    ) -> InputSource | None:
        step = (scope.path, node.id, "out", slot)
        self._reject_cycle(step, seen, scope, node)
        seen |= {step}
        if node.is_muted:
            return None
        if node.is_bypassed:
            return self._follow_bypassed(scope, node, slot, reader_type, seen)
        graph = self.subgraphs.get_subgraph(node)
        if graph is not None:
            return self._follow_inside(scope, node, slot, reader_type, seen)
        if node.type in REROUTES | SETTERS:
            sockets = self.subgraphs.get_node_in_scope(scope, node).sockets
            return self._follow_input(scope, node, slot, seen, reader_type) if slot < len(sockets) else None
        if node.type in GETTERS:
            return self._follow_variable(scope, node, reader_type, seen)
        return None if is_virtual_node(node) else OutputRef(scope.get_execution_id(node), slot)

    def _follow_bypassed(
        self, scope: GraphScope, node: UiNode, slot: int, reader_type: str, seen: frozenset[Any]
    ) -> InputSource | None:
        loaded = self.subgraphs.get_node_in_scope(scope, node)
        output_type = loaded.output_types[slot] if slot < len(loaded.output_types) else "*"
        index = find_bypass_slot(loaded.sockets, output_type, slot, reader_type)
        return None if index is None else self._follow_input(scope, node, index, seen)

    def _follow_inside(
        self, scope: GraphScope, host: UiNode, slot: int, reader_type: str, seen: frozenset[Any]
    ) -> InputSource | None:
        inner = self.scopes_by_path.get(scope.get_execution_id(host))
        ports = inner.graph.outputs if inner else ()
        if inner is None or slot >= len(ports):
            return None
        link = next((inner.graph.links[link] for link in ports[slot].links), None)
        if link is None:
            return None
        return (
            self._follow_outside(inner, link, seen)
            if link.origin == SUBGRAPH_INPUT
            else self._follow_link(inner, link, reader_type, seen)
        )

    def _follow_variable(self, scope: GraphScope, getter: UiNode, reader_type: str, seen: frozenset[Any]) -> InputSource | None:
        """Follow the Set node of the same name in this graph, else in an enclosing one."""
        enclosing: GraphScope | None = scope
        while enclosing is not None:
            for node in enclosing.graph.nodes.values():
                if node.type in SETTERS and _get_variable_name(node) == _get_variable_name(getter):
                    return self._follow_output(enclosing, node, 0, reader_type, seen)
            enclosing = enclosing.parent
        return None

    def _reject_cycle(self, step: Any, seen: frozenset[Any], scope: GraphScope, node: UiNode) -> None:
        if step in seen:
            label = format_node_label(scope.get_execution_id(node), node.type, node.title)
            raise WorkflowError(f"The links through {label} form a cycle.", "Remove one of these links.", node_id=node.id)


def is_virtual_node(node: UiNode) -> bool:
    """Return whether a node exists on the canvas only and is not part of the prompt."""
    return node.type in CANVAS_ONLY | REROUTES | SETTERS | GETTERS


def _get_variable_name(node: UiNode) -> object:
    if isinstance(node.values, list) and node.values:
        return node.values[0]
    return node.properties.get("previousName")
