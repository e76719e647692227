"""Replace every instance of a group node by a subgraph of its own, as ComfyUI's canvas does on loading.

Inner node ``3`` of group node ``12`` gets the execution id ``12:3``. Unlike frontend 1.47, which changes the workflow here, a
muted or bypassed group node stays so, and links between inner nodes find their inputs by the names in the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..specs import AUTOGROW
from .group_nodes import Definitions, GroupNode, GroupNodeInterface, build_interface, get_group_name, get_input_name
from .links import is_virtual_node
from .ui_workflow import (
    PRIMITIVE,
    SUBGRAPH_INPUT,
    SUBGRAPH_OUTPUT,
    InputSocket,
    SubgraphPort,
    UiGraph,
    UiLink,
    UiNode,
    UiWorkflow,
)
from .widgets import ABSENT, assign_values, get_definition_specs, read_widgets


@dataclass(frozen=True)
class GroupNodeExpansion:
    """``rejected`` holds the reason, by graph and node, why a group node was not replaced."""

    workflow: UiWorkflow
    rejected: Mapping[tuple[str, str], str]


def expand_group_nodes(workflow: UiWorkflow, groups: Mapping[str, GroupNode], definitions: Definitions) -> GroupNodeExpansion:
    """Replace every group node whose definition is in the file by a subgraph."""
    interfaces: dict[str, GroupNodeInterface] = {}
    subgraphs: dict[str, UiGraph] = {}
    rejected: dict[tuple[str, str], str] = {}

    def replace_node(graph: UiGraph, node: UiNode) -> UiNode:
        name = get_group_name(node.type)
        if name is None:
            return node
        if reason := _find_obstacle(groups.get(name), definitions):
            rejected[graph.id, node.id] = reason
            return node
        interface = interfaces.get(name) or interfaces.setdefault(name, build_interface(groups[name], definitions))
        instance = _GroupNodeInstance(graph, node, groups[name], interface, definitions)
        if instance.mismatch:
            rejected[graph.id, node.id] = instance.mismatch
            return node
        subgraphs[instance.subgraph_type] = instance.build_subgraph()
        return replace(node, type=instance.subgraph_type, values=None)

    def replace_group_nodes(graph: UiGraph) -> UiGraph:
        return replace(graph, nodes={node.id: replace_node(graph, node) for node in graph.nodes.values()})

    root = replace_group_nodes(workflow.root)
    definition_graphs = {name: replace_group_nodes(graph) for name, graph in workflow.definitions.items()}
    return GroupNodeExpansion(replace(workflow, root=root, definitions=definition_graphs | subgraphs), rejected)


def _find_obstacle(group: GroupNode | None, definitions: Definitions) -> str:
    """Return why a kind of group node cannot be converted; empty when it can."""
    if group is None:
        return "its definition (extra.groupNodes) is not in the file"
    for node in group.nodes.values():
        if get_group_name(node.type):
            return f"it contains another group node, {get_group_name(node.type)!r}, which ComfyUI never allowed"
        autogrow_names = [spec.name for spec in get_definition_specs(definitions.get(node.type) or {}) if spec.type == AUTOGROW]
        if autogrow_names:
            return f"it contains {node.type} with the growing input {autogrow_names[0]!r}, which group nodes never supported"
    return ""


class _GroupNodeInstance:
    """One group node on the canvas. ``mismatch`` is the reason why its values or links do not fit its definition."""

    def __init__(
        self, graph: UiGraph, node: UiNode, group: GroupNode, interface: GroupNodeInterface, definitions: Definitions
    ) -> None:
        self.subgraph_type = f"{node.type}#{graph.id}:{node.id}"
        self.group = group
        self.interface = interface
        self.definitions = definitions
        linked = {socket.name: socket.type for socket in node.inputs if socket.link in graph.links}
        # A widget of the group node may have been converted to an input.
        self.sockets = interface.sockets | {name: kind for name, kind in linked.items() if name in interface.targets}
        self.linked_inputs = [(slot, *interface.targets[name]) for slot, name in enumerate(self.sockets) if name in linked]
        self.widgets = assign_values(interface.widgets, node.values if isinstance(node.values, list) else [])
        # An unknown class of an inner node is reported instead.
        known = all(inner.type in definitions or is_virtual_node(inner) for inner in group.nodes.values())
        self.mismatch = self._find_mismatch(graph, node, linked) if known else ""

    def _find_mismatch(self, graph: UiGraph, node: UiNode, linked: Mapping[str, str]) -> str:
        if self.widgets.mismatch:
            return f"its {self.widgets.mismatch}"
        for name in linked:
            if name not in self.sockets:
                return f"none of its inner nodes has the input {name!r}"
        for origin, slot in graph.links_by_output:
            if origin == node.id and slot >= len(self.interface.outputs):
                return f"none of its inner nodes has its output {slot}"
        return ""

    def build_subgraph(self) -> UiGraph:
        entering = [UiLink(f"in{slot}", SUBGRAPH_INPUT, slot, node_id, 0) for slot, node_id, _ in self.linked_inputs]
        leaving = [
            UiLink(f"out{position}", node_id, slot, SUBGRAPH_OUTPUT, position)
            for position, (node_id, slot, _) in enumerate(self.interface.outputs)
        ]
        links = {link.id: link for link in (*self.group.links, *entering, *leaving)}
        inputs = [
            SubgraphPort(name, kind, tuple(link.id for link in entering if link.origin_slot == slot))
            for slot, (name, kind) in enumerate(self.sockets.items())
        ]
        outputs = [
            SubgraphPort(link.id, kind, (link.id,)) for link, (_, _, kind) in zip(leaving, self.interface.outputs, strict=True)
        ]
        values = self._collect_inner_values()
        nodes = {node.id: self._build_inner_node(node, values.get(node.id, {})) for node in self.group.nodes.values()}
        return UiGraph(self.subgraph_type, self.group.name, nodes, links, tuple(inputs), tuple(outputs))

    def _build_inner_node(self, node: UiNode, shown: Mapping[str, Any]) -> UiNode:
        """Return an inner node with the links of this instance and the widget values of the group node."""
        links = {get_input_name(node, slot): link.id for slot, link in self.group.get_incoming_links(node).items()}
        links |= {name: f"in{slot}" for slot, node_id, name in self.linked_inputs if node_id == node.id}
        sockets = [replace(socket, link=links.get(socket.name)) for socket in node.inputs]
        saved_names = {socket.name for socket in sockets}
        sockets += [
            InputSocket(name, "*", link) for name, link in links.items() if name is not None and name not in saved_names
        ]
        return replace(node, inputs=tuple(sockets), values=self._merge_widget_values(node, shown))

    def _merge_widget_values(self, node: UiNode, shown: Mapping[str, Any]) -> list[Any] | dict[str, Any] | None:
        if node.type == PRIMITIVE:
            return [shown["value"]] if "value" in shown else node.values
        definition = self.definitions.get(node.type)
        if definition is None or not shown:
            return node.values
        own = read_widgets(node.type, definition, node.values).values
        return {**{name: value for name, value in own.items() if value is not ABSENT}, **shown}

    def _collect_inner_values(self) -> dict[str, dict[str, Any]]:
        """Return inner node -> its widget values in the group node, with the children of dynamic combo boxes."""
        values: dict[str, dict[str, Any]] = {}
        for name, value in self.widgets.values.items():
            parent = next(
                (target for target in self.interface.targets if name == target or name.startswith(f"{target}.")), None
            )
            if parent is not None and value is not ABSENT:
                node_id, inner = self.interface.targets[parent]
                values.setdefault(node_id, {})[inner + name[len(parent) :]] = value
        return values
