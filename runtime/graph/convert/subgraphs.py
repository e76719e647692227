"""Open subgraphs: every instance of a definition with its own values and promoted widgets.

A subgraph instance shows widgets of its inner nodes as its own. Three generations of files store their values in three ways:
``widgets_values`` in the order of the inputs with a widget, the same by ``properties.proxyWidgets`` (pairs of inner node and
widget, or ``-1`` and the name of an input), and values that ComfyUI could not assign (``proxyWidgetErrorQuarantine``). They
are applied in this order, as ComfyUI does on loading.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ...errors import WorkflowError, format_node_label
from ..specs import DYNAMIC_COMBO
from .match_types import MatchTypes
from .primitives import coerce_to_widget, fit_value
from .sockets import build_sockets, connect_broadcasts
from .ui_workflow import PRIMITIVE, InputSocket, SubgraphPort, UiGraph, UiNode, UiWorkflow
from .widgets import ABSENT, WidgetValues, get_widget_type, read_widgets, select_dynamic_choice

NODE_LIMIT = 100_000
_ID_PREFIX = re.compile(r"^\s*\d+\s*:\s*(.+)$")


@dataclass(frozen=True)
class LoadedNode:
    """A node with its definition, as the canvas shows it after loading."""

    node: UiNode
    definition: Mapping[str, Any] | None
    sockets: tuple[InputSocket, ...]
    output_types: tuple[str, ...]
    widgets: WidgetValues


@dataclass
class GraphScope:
    """The root graph or one instance of a subgraph. ``path`` is the instance's execution id."""

    graph: UiGraph
    path: str = ""
    host: UiNode | None = None
    parent: GraphScope | None = None
    promoted_values: dict[str, Any] = field(default_factory=dict[str, Any])
    """host input name -> its value in the instance"""
    widget_values: dict[tuple[str, str], Any] = field(default_factory=dict[tuple[str, str], Any])
    """(inner node id, widget) -> a value that replaces the inner node's own"""
    changed_nodes: dict[str, LoadedNode] = field(default_factory=dict[str, LoadedNode])
    """inner node id -> the node after a primitive changed the choice of its dynamic combo box"""

    def get_execution_id(self, node: UiNode) -> str:
        return f"{self.path}:{node.id}" if self.path else node.id


class SubgraphScopes:
    """Opens a canvas workflow: loads every node, and resolves the values of every subgraph instance."""

    def __init__(self, workflow: UiWorkflow, definitions: Mapping[str, Mapping[str, Any]]) -> None:
        self.workflow = workflow
        self.definitions = definitions
        self._loaded_nodes: dict[tuple[str, str], LoadedNode] = {}
        self._sources: dict[tuple[str, str], tuple[UiNode, str] | None] = {}
        self._host_values: dict[int, dict[str, Any]] = {}
        self._acyclic_graphs: set[str] = set()
        self._match_types = MatchTypes(self.get_node)

    def get_subgraph(self, node: UiNode) -> UiGraph | None:
        """Return the definition of a subgraph instance, None for other nodes."""
        return self.workflow.definitions.get(node.type)

    def get_node_in_scope(self, scope: GraphScope, node: UiNode) -> LoadedNode:
        """Return a node as it is in one scope."""
        return self._match_types.resolve(scope.graph, scope.changed_nodes.get(node.id) or self.get_node(scope.graph, node))

    def get_node(self, graph: UiGraph, node: UiNode) -> LoadedNode:
        """Return a node as it is in every instance of its graph before primitives are applied."""
        key = (graph.id, node.id)
        if key not in self._loaded_nodes:
            loaded = self._load_node(node)
            links = graph.broadcasts.get(node.id)
            self._loaded_nodes[key] = replace(loaded, sockets=connect_broadcasts(loaded.sockets, links)) if links else loaded
        return self._loaded_nodes[key]

    def _load_node(self, node: UiNode) -> LoadedNode:
        definition = self.definitions.get(node.type)
        subgraph = self.get_subgraph(node)
        if subgraph is not None:
            return LoadedNode(
                node,
                None,
                _build_instance_sockets(node, subgraph),
                tuple(p.type for p in subgraph.outputs),
                WidgetValues({}, {}),
            )
        if definition is None:
            return LoadedNode(node, None, node.inputs, node.output_types, WidgetValues({}, {}))
        widgets = read_widgets(node.type, definition, node.values, node.named_values)
        declared = tuple(str(t) if isinstance(t, str) else "COMBO" for t in definition.get("output") or ())
        outputs = (*("*" if t == "COMFY_MATCHTYPE_V3" else t for t in declared), *node.output_types[len(declared) :])
        return LoadedNode(node, definition, build_sockets(node, definition, widgets.values), outputs, widgets)

    def open_scopes(self) -> list[GraphScope]:
        """Return the root and all subgraph instances, without muted or bypassed instances in the root."""
        self._reject_recursion(self.workflow.root)
        root = GraphScope(self.workflow.root)
        scopes = [root]
        nodes = len(root.graph.nodes)
        for scope in scopes:
            for node in scope.graph.nodes.values():
                graph = self.get_subgraph(node)
                if graph is None or (scope is root and (node.is_muted or node.is_bypassed)):
                    continue
                nodes += len(graph.nodes)
                if nodes > NODE_LIMIT:
                    raise WorkflowError(f"The workflow's subgraphs expand to more than {NODE_LIMIT} nodes.", "Split it.")
                scopes.append(self._open_instance(scope, node, graph))
        return scopes

    def _open_instance(self, parent: GraphScope, host: UiNode, graph: UiGraph) -> GraphScope:
        scope = GraphScope(graph, parent.get_execution_id(host), host, parent)
        scope.promoted_values.update(self.get_host_values(host, graph))
        scope.widget_values.update(self._find_inner_values(host, graph))
        # Values in the enclosing instance override its own.
        scope.promoted_values.update(
            {name: value for (node_id, name), value in parent.widget_values.items() if node_id == host.id}
        )
        return scope

    def _reject_recursion(self, graph: UiGraph, ancestors: tuple[str, ...] = ()) -> None:
        """Raise when a subgraph contains itself, directly or through others."""
        if graph.id in self._acyclic_graphs:
            return
        for node in graph.nodes.values():
            inner = self.get_subgraph(node)
            if inner is not None and inner.id in (*ancestors, graph.id):
                label = format_node_label(node.id, node.type, node.title)
                what = f"The subgraph {inner.name or inner.id} contains itself, as {label}."
                raise WorkflowError(what, "Open the workflow in ComfyUI and remove that node.", node_id=node.id)
            if inner is not None:
                self._reject_recursion(inner, (*ancestors, graph.id))
        self._acyclic_graphs.add(graph.id)

    # ------------------------------------------------------------------ promoted widgets

    def get_source(self, graph: UiGraph, port: SubgraphPort) -> tuple[UiNode, str] | None:
        """Return the first inner widget that an input of a subgraph feeds: the node and the name of its widget or input."""
        key = (graph.id, port.name)
        if key not in self._sources:
            self._sources[key] = self._find_source(graph, port)
        return self._sources[key]

    def _find_source(self, graph: UiGraph, port: SubgraphPort) -> tuple[UiNode, str] | None:
        for link in port.links:
            node, saved = graph.readers_by_link.get(link, (None, None))
            if node is None or saved is None:
                continue
            inner = self.get_subgraph(node)
            if inner is not None:
                nested = next((nested for nested in inner.inputs if nested.name == saved.name), None)
                if nested is not None and self.get_source(inner, nested):
                    return node, saved.name
                continue
            loaded = self.get_node(graph, node)
            if loaded.definition is None and saved.widget:  # an unknown class: the file says which socket has a widget
                return node, saved.widget
            widget = next((socket.widget for socket in loaded.sockets if socket.link == link), None)
            if widget is not None and widget in loaded.widgets.values:
                return node, widget
        return None

    def get_own_value(self, graph: UiGraph, node: UiNode, name: str) -> Any:
        """Return the value of an inner node's widget in the file."""
        inner = self.get_subgraph(node)
        if inner is None:
            return self.get_node(graph, node).widgets.values.get(name, node.named_values.get(name, ABSENT))
        return self.get_host_values(node, inner).get(name, ABSENT)

    def get_host_values(self, host: UiNode, graph: UiGraph) -> dict[str, Any]:
        """Return input name -> value for the inputs of an instance that have a widget."""
        if id(host) not in self._host_values:
            self._host_values[id(host)] = self._find_host_values(host, graph)
        return self._host_values[id(host)]

    def _find_host_values(self, host: UiNode, graph: UiGraph) -> dict[str, Any]:
        sources = {port.name: source for port in graph.inputs if (source := self.get_source(graph, port))}
        values = {name: self.get_own_value(graph, node, widget) for name, (node, widget) in sources.items()}
        self._apply_positions(host, values)
        for value, entry in _iterate_proxy_widgets(host):
            name = next((name for name, (node, widget) in sources.items() if (node.id, widget) in _list_readings(entry)), None)
            name = name or (entry[1] if entry[0] == "-1" else None)
            if name in values and value is not None:
                values[name] = value
        return {name: value for name, value in values.items() if value is not ABSENT}

    def _apply_positions(self, host: UiNode, values: dict[str, Any]) -> None:
        saved = host.values if isinstance(host.values, list) else []
        quarantined = dict(_iterate_quarantined(host))
        names = list(values)
        if len(saved) != len(names) and len(saved) == len(host.named_values):
            names = list(host.named_values)
        for name, value in zip(names, saved, strict=False):
            if value is not None and name in values:
                values[name] = value
        values.update({name: value for name, value in quarantined.items() if name in values})

    def find_lost_values(self, host: UiNode, graph: UiGraph) -> list[Any]:
        """Return the saved values of an instance that belong to none of its inputs."""
        saved = host.values if isinstance(host.values, list) else []
        names = [port.name for port in graph.inputs if self.get_source(graph, port)]
        if host.properties.get("proxyWidgets") or len(saved) <= len(names):
            return []
        if len(saved) == len(host.named_values):
            return [value for name, value in zip(host.named_values, saved, strict=True) if name not in names]
        return [value for value in saved[len(names) :] if value is not None]

    def _find_inner_values(self, host: UiNode, graph: UiGraph) -> dict[tuple[str, str], Any]:
        """Return values of this instance for inner widgets that no input of the subgraph feeds."""
        fed_widgets = {(source[0].id, source[1]) for port in graph.inputs if (source := self.get_source(graph, port))}
        values: dict[tuple[str, str], Any] = {}
        for value, entry in _iterate_proxy_widgets(host):
            readings = _list_readings(entry)
            if value is None or any(reading in fed_widgets for reading in readings) or entry[1].startswith("$$"):
                continue
            for node_id, name in readings:
                node = graph.nodes.get(node_id)
                if node is not None and self._has_widget(graph, node, name):
                    values.setdefault((node_id, name), value)
        return values

    def _has_widget(self, graph: UiGraph, node: UiNode, name: str) -> bool:
        inner = self.get_subgraph(node)
        if inner is not None:
            return name in self.get_host_values(node, inner)
        if node.type == PRIMITIVE:
            return True
        loaded = self.get_node(graph, node)
        return name in loaded.widgets.values and any(socket.widget == name for socket in loaded.sockets)

    def apply_primitives(self, scopes: Sequence[GraphScope], replace_text: Callable[[str], str]) -> None:
        """Write the value of every primitive into the widgets that it is linked to directly.

        ``replace_text`` replaces ``%Node.widget%`` for primitives with the property that asks for it.
        """
        for scope in scopes:
            for node in scope.graph.nodes.values():
                if node.type == PRIMITIVE:
                    self._apply_primitive(scope, node, replace_text)

    def _apply_primitive(self, scope: GraphScope, primitive: UiNode, replace_text: Callable[[str], str]) -> None:
        readers = [scope.graph.readers_by_link.get(link.id) for link in scope.graph.links_by_output.get((primitive.id, 0), ())]
        found = [(node, self._find_widget(scope, node, socket)) for node, socket in filter(None, readers)]
        targets = [(node, name, self.get_node_in_scope(scope, node).widgets) for node, name in found if name is not None]
        if not targets:
            return
        promoted = [value for (node_id, _), value in scope.widget_values.items() if node_id == primitive.id]
        saved = promoted or (primitive.values if isinstance(primitive.values, list) else [])
        value = saved[0] if saved else targets[0][2].values[targets[0][1]]
        value = fit_value(value, [widgets.specs[name] for _, name, widgets in targets if name in widgets.specs])
        if isinstance(value, str) and value and primitive.properties.get("Run widget replace on values"):
            value = replace_text(value)
        for node, name, widgets in targets:
            self._write_widget(scope, node, name, coerce_to_widget(widgets.specs.get(name), value))

    def _find_widget(self, scope: GraphScope, node: UiNode, socket: InputSocket) -> str | None:
        """Return the widget that a socket belongs to, None if the node lacks it."""
        loaded = self.get_node_in_scope(scope, node)
        name = next((one.widget for one in loaded.sockets if one.link == socket.link), None)
        return name if name in loaded.widgets.values else None

    def _write_widget(self, scope: GraphScope, node: UiNode, name: str, value: Any) -> None:
        loaded = self.get_node_in_scope(scope, node)
        scope.widget_values[node.id, name] = value
        if (
            name in loaded.widgets.specs
            and get_widget_type(loaded.widgets.specs[name]) == DYNAMIC_COMBO
            and not (self.workflow.keeps_dynamic_children and loaded.widgets.values[name] == value)
            and loaded.definition is not None
        ):
            widgets = select_dynamic_choice(loaded.widgets, name, value)
            sockets = build_sockets(node, loaded.definition, widgets.values)
            scope.changed_nodes[node.id] = replace(loaded, widgets=widgets, sockets=sockets)


def _build_instance_sockets(node: UiNode, graph: UiGraph) -> tuple[InputSocket, ...]:
    """Return the inputs of the definition with the links of saved inputs of the same name."""
    saved = {socket.name: socket for socket in node.inputs}
    return tuple(
        InputSocket(port.name, port.type, saved[port.name].link if port.name in saved else None) for port in graph.inputs
    )


def _iterate_proxy_widgets(host: UiNode) -> Iterator[tuple[Any, tuple[str, str]]]:
    """Yield (value or None, (inner node id, widget name)) for every entry of ``proxyWidgets``."""
    saved = host.values if isinstance(host.values, list) else []
    entries: object = host.properties.get("proxyWidgets")
    for index, entry in enumerate(cast("list[Any]", entries) if isinstance(entries, list) else []):
        if isinstance(entry, list) and len(pair := cast("list[Any]", entry)) >= 2:
            yield (saved[index] if index < len(saved) else None), (str(pair[0]), str(pair[1]))


def _list_readings(entry: tuple[str, str]) -> list[tuple[str, str]]:
    """Return an entry as it is, then without the ``12: `` prefixes of older files."""
    node_id, name = entry
    readings = [entry]
    while match := _ID_PREFIX.match(name):
        name = match.group(1)
        readings.append((node_id, name))
    return readings


def _iterate_quarantined(host: UiNode) -> Iterator[tuple[str, Any]]:
    entries: object = host.properties.get("proxyWidgetErrorQuarantine")
    items = cast("list[Any]", entries) if isinstance(entries, list) else []
    for item in reversed([cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]):
        entry = cast("list[Any]", item.get("originalEntry") or [])
        if len(entry) >= 2 and str(entry[0]) == "-1" and item.get("hostValue") is not None:
            yield str(entry[1]), item["hostValue"]
