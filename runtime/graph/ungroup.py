"""Every instance of a group node becomes a subgraph of its own, as ComfyUI's canvas makes one of it on loading.

Inner node ``3`` of group node ``12`` has the execution id ``12:3``. Two things go as in the frontends that saved such files,
not as in 1.47, which changes what the workflow does: a group node that is muted or bypassed stays so, and the links between
inner nodes find their inputs by the names that the file gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .canvas import SUBGRAPH_INPUT, SUBGRAPH_OUTPUT, Canvas, Graph, Link, Node, Port, Socket
from .group_nodes import PRIMITIVE, Definitions, Face, GroupNode, face_of, group_name, input_name
from .links import is_virtual
from .specs import AUTOGROW
from .widgets import ABSENT, definition_specs, place_values, read_widgets


@dataclass(frozen=True)
class Ungrouped:
    """``refused`` says, by graph and node, why a group node is still on the canvas."""

    canvas: Canvas
    refused: Mapping[tuple[str, str], str]


def ungroup(canvas: Canvas, groups: Mapping[str, GroupNode], definitions: Definitions) -> Ungrouped:
    """Put a subgraph in the place of every group node whose kind the file defines."""
    faces: dict[str, Face] = {}
    made: dict[str, Graph] = {}
    refused: dict[tuple[str, str], str] = {}

    def replaced(graph: Graph, node: Node) -> Node:
        name = group_name(node.type)
        if name is None:
            return node
        if reason := _unusable(groups.get(name), definitions):
            refused[graph.id, node.id] = reason
            return node
        face = faces.get(name) or faces.setdefault(name, face_of(groups[name], definitions))
        instance = _Instance(graph, node, groups[name], face, definitions)
        if instance.misfit:
            refused[graph.id, node.id] = instance.misfit
            return node
        made[instance.kind] = instance.as_subgraph()
        return replace(node, type=instance.kind, values=None)

    def without(graph: Graph) -> Graph:
        return replace(graph, nodes={node.id: replaced(graph, node) for node in graph.nodes.values()})

    root = without(canvas.root)
    graphs = {name: without(graph) for name, graph in canvas.definitions.items()}
    return Ungrouped(Canvas(root, graphs | made), refused)


def _unusable(group: GroupNode | None, definitions: Definitions) -> str:
    """Why a kind of group node cannot be converted; empty when it can."""
    if group is None:
        return "its definition (extra.groupNodes) is not in the file"
    for node in group.nodes.values():
        if group_name(node.type):
            return f"it holds another group node, {group_name(node.type)!r}, which ComfyUI never allowed"
        grown = [spec.name for spec in definition_specs(definitions.get(node.type) or {}) if spec.type == AUTOGROW]
        if grown:
            return f"it holds {node.type}, whose inputs {grown[0]!r} grow, which ComfyUI's group nodes could not show"
    return ""


class _Instance:
    """One group node on the canvas. ``misfit`` says why its values or links do not fit its definition."""

    def __init__(self, graph: Graph, node: Node, group: GroupNode, face: Face, definitions: Definitions) -> None:
        self.kind = f"{node.type}#{graph.id}:{node.id}"
        self.group = group
        self.face = face
        self.definitions = definitions
        linked = {socket.name: socket.type for socket in node.inputs if socket.link in graph.links}
        # A widget of the group node itself may have been turned into an input.
        self.sockets = face.sockets | {name: kind for name, kind in linked.items() if name in face.targets}
        self.linked = [(slot, *face.targets[name]) for slot, name in enumerate(self.sockets) if name in linked]
        self.widgets = place_values(face.widgets, node.values if isinstance(node.values, list) else [])
        # Where the class of an inner node is not known, that is what will be reported.
        known = all(inner.type in definitions or is_virtual(inner) for inner in group.nodes.values())
        self.misfit = self._misfit(graph, node, linked) if known else ""

    def _misfit(self, graph: Graph, node: Node, linked: Mapping[str, str]) -> str:
        if self.widgets.misfit:
            return f"its {self.widgets.misfit}"
        for name in linked:
            if name not in self.sockets:
                return f"none of its inner nodes has the input {name!r}"
        for origin, slot in graph.links_from:
            if origin == node.id and slot >= len(self.face.outputs):
                return f"none of its inner nodes has its output {slot}"
        return ""

    def as_subgraph(self) -> Graph:
        entering = [Link(f"in{slot}", SUBGRAPH_INPUT, slot, node_id, 0) for slot, node_id, _ in self.linked]
        leaving = [
            Link(f"out{place}", node_id, slot, SUBGRAPH_OUTPUT, place)
            for place, (node_id, slot, _) in enumerate(self.face.outputs)
        ]
        links = {link.id: link for link in (*self.group.links, *entering, *leaving)}
        inputs = [
            Port(name, kind, tuple(link.id for link in entering if link.origin_slot == slot))
            for slot, (name, kind) in enumerate(self.sockets.items())
        ]
        outputs = [Port(link.id, kind, (link.id,)) for link, (_, _, kind) in zip(leaving, self.face.outputs, strict=True)]
        values = self._inner_values()
        nodes = {node.id: self._inner(node, values.get(node.id, {})) for node in self.group.nodes.values()}
        return Graph(self.kind, self.group.name, nodes, links, tuple(inputs), tuple(outputs))

    def _inner(self, node: Node, shown: Mapping[str, Any]) -> Node:
        """An inner node with the links of this instance, and with what the group node shows for its widgets."""
        links = {input_name(node, slot): link.id for slot, link in self.group.into(node).items()}
        links |= {name: f"in{slot}" for slot, node_id, name in self.linked if node_id == node.id}
        sockets = [replace(socket, link=links.get(socket.name)) for socket in node.inputs]
        known = {socket.name for socket in sockets}
        sockets += [Socket(name, "*", link) for name, link in links.items() if name is not None and name not in known]
        return replace(node, inputs=tuple(sockets), values=self._all_values(node, shown))

    def _all_values(self, node: Node, shown: Mapping[str, Any]) -> list[Any] | dict[str, Any] | None:
        if node.type == PRIMITIVE:
            return [shown["value"]] if "value" in shown else node.values
        definition = self.definitions.get(node.type)
        if definition is None or not shown:
            return node.values
        own = read_widgets(node.type, definition, node.values).values
        return {**{name: value for name, value in own.items() if value is not ABSENT}, **shown}

    def _inner_values(self) -> dict[str, dict[str, Any]]:
        """inner node -> what the group node shows for its widgets; children of dynamic combo boxes go with their parents."""
        values: dict[str, dict[str, Any]] = {}
        for name, value in self.widgets.values.items():
            parent = next((one for one in self.face.targets if name == one or name.startswith(f"{one}.")), None)
            if parent is not None and value is not ABSENT:
                node_id, inner = self.face.targets[parent]
                values.setdefault(node_id, {})[inner + name[len(parent) :]] = value
        return values
