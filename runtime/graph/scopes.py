"""Subgraphs, opened: every instance of a definition with its own values, and what a promoted widget is worth in it.

A subgraph instance shows widgets of its inner nodes as its own. Three generations of files say in three ways what was
typed there: ``widgets_values`` in the order of the inputs that show a widget, the same by ``properties.proxyWidgets``
(pairs of inner node and widget, or ``-1`` and the name of an input), and values that ComfyUI could not place
(``proxyWidgetErrorQuarantine``). They are applied in that order, as ComfyUI does on loading.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ..errors import WorkflowError, node_label
from .canvas import Canvas, Graph, Node, Port, Socket
from .primitives import fitted, written
from .sockets import live_sockets
from .specs import DYNAMIC_COMBO
from .widgets import Widgets, read_widgets, rechoose, widget_type

PRIMITIVE = "PrimitiveNode"
NODE_LIMIT = 100_000
_PREFIX = re.compile(r"^\s*\d+\s*:\s*(.+)$")


@dataclass(frozen=True)
class LiveNode:
    """A node joined with its definition: what the canvas shows after loading."""

    node: Node
    definition: Mapping[str, Any] | None
    sockets: tuple[Socket, ...]
    output_types: tuple[str, ...]
    widgets: Widgets


@dataclass
class Scope:
    """One graph at one place: the root, or one instance of a subgraph. ``path`` is the instance's execution id."""

    graph: Graph
    path: str = ""
    host: Node | None = None
    parent: Scope | None = None
    promoted: dict[str, Any] = field(default_factory=dict[str, Any])
    """host input name -> the value that the instance shows for it"""
    widgets: dict[tuple[str, str], Any] = field(default_factory=dict[tuple[str, str], Any])
    """(inner node id, widget) -> a value that replaces the inner node's own"""
    changed: dict[str, LiveNode] = field(default_factory=dict[str, LiveNode])
    """inner node id -> what became of it when a primitive wrote another choice into its dynamic combo box"""

    def execution_id(self, node: Node) -> str:
        return f"{self.path}:{node.id}" if self.path else node.id


class Scopes:
    """Opens a canvas: knows for every node what it looks like live, and for every instance what is typed into it."""

    def __init__(self, canvas: Canvas, definitions: Mapping[str, Mapping[str, Any]]) -> None:
        self.canvas = canvas
        self.definitions = definitions
        self._live: dict[tuple[str, str], LiveNode] = {}
        self._sources: dict[tuple[str, str], tuple[Node, str] | None] = {}
        self._host_values: dict[int, dict[str, Any]] = {}
        self._finite: set[str] = set()

    def subgraph(self, node: Node) -> Graph | None:
        """The definition of a subgraph instance, None for every other node."""
        return self.canvas.definitions.get(node.type)

    def live_in(self, scope: Scope, node: Node) -> LiveNode:
        """A node as it is in one scope."""
        return scope.changed.get(node.id) or self.live(scope.graph, node)

    def live(self, graph: Graph, node: Node) -> LiveNode:
        """A node as every instance of its graph starts with it."""
        key = (graph.id, node.id)
        if key not in self._live:
            self._live[key] = self._enliven(node)
        return self._live[key]

    def _enliven(self, node: Node) -> LiveNode:
        definition = self.definitions.get(node.type)
        subgraph = self.subgraph(node)
        if subgraph is not None:
            return LiveNode(
                node, None, _instance_sockets(node, subgraph), tuple(p.type for p in subgraph.outputs), Widgets({}, {})
            )
        if definition is None:
            return LiveNode(node, None, node.inputs, node.output_types, Widgets({}, {}))
        widgets = read_widgets(node.type, definition, node.values)
        declared = tuple(str(t) if isinstance(t, str) else "COMBO" for t in definition.get("output") or ())
        outputs = (*("*" if t == "COMFY_MATCHTYPE_V3" else t for t in declared), *node.output_types[len(declared) :])
        return LiveNode(node, definition, live_sockets(node, definition, widgets.values), outputs, widgets)

    def open(self) -> list[Scope]:
        """The root and, after it, every instance of every subgraph. Muted or bypassed instances of the root stay closed."""
        self._refuse_recursion(self.canvas.root)
        root = Scope(self.canvas.root)
        scopes = [root]
        nodes = len(root.graph.nodes)
        for scope in scopes:
            for node in scope.graph.nodes.values():
                graph = self.subgraph(node)
                if graph is None or (scope is root and (node.muted or node.bypassed)):
                    continue
                nodes += len(graph.nodes)
                if nodes > NODE_LIMIT:
                    raise WorkflowError(f"The workflow's subgraphs unfold to more than {NODE_LIMIT} nodes.", "Split it.")
                scopes.append(self._open(scope, node, graph))
        return scopes

    def _open(self, parent: Scope, host: Node, graph: Graph) -> Scope:
        scope = Scope(graph, parent.execution_id(host), host, parent)
        scope.promoted.update(self.host_values(host, graph))
        scope.widgets.update(self._inner_values(host, graph))
        # What the instance around this one shows of it wins over its own.
        scope.promoted.update({name: value for (node_id, name), value in parent.widgets.items() if node_id == host.id})
        return scope

    def _refuse_recursion(self, graph: Graph, around: tuple[str, ...] = ()) -> None:
        """Raise when a subgraph contains itself, directly or through others."""
        if graph.id in self._finite:
            return
        for node in graph.nodes.values():
            inner = self.subgraph(node)
            if inner is not None and inner.id in (*around, graph.id):
                what = (
                    f"The subgraph {inner.name or inner.id} contains itself, as {node_label(node.id, node.type, node.title)}."
                )
                raise WorkflowError(what, "Open the workflow in ComfyUI and take that node out.", node_id=node.id)
            if inner is not None:
                self._refuse_recursion(inner, (*around, graph.id))
        self._finite.add(graph.id)

    # ------------------------------------------------------------------ promoted widgets

    def source(self, graph: Graph, port: Port) -> tuple[Node, str] | None:
        """The first inner widget that an input of a subgraph feeds: that node, and the widget or inner input's name."""
        key = (graph.id, port.name)
        if key not in self._sources:
            self._sources[key] = self._find_source(graph, port)
        return self._sources[key]

    def _find_source(self, graph: Graph, port: Port) -> tuple[Node, str] | None:
        for link in port.links:
            node, saved = graph.readers.get(link, (None, None))
            if node is None or saved is None:
                continue
            inner = self.subgraph(node)
            if inner is not None:
                nested = next((nested for nested in inner.inputs if nested.name == saved.name), None)
                if nested is not None and self.source(inner, nested):
                    return node, saved.name
                continue
            live = self.live(graph, node)
            widget = next((socket.widget for socket in live.sockets if socket.link == link), None)
            if widget is not None and widget in live.widgets.values:
                return node, widget
        return None

    def own_value(self, graph: Graph, node: Node, name: str) -> Any:
        """The value of an inner node's widget as the file holds it."""
        inner = self.subgraph(node)
        if inner is None:
            return self.live(graph, node).widgets.values[name]
        return self.host_values(node, inner)[name]

    def host_values(self, host: Node, graph: Graph) -> dict[str, Any]:
        """input name -> value, for the inputs of an instance that show a widget."""
        if id(host) not in self._host_values:
            self._host_values[id(host)] = self._find_host_values(host, graph)
        return self._host_values[id(host)]

    def _find_host_values(self, host: Node, graph: Graph) -> dict[str, Any]:
        sources = {port.name: source for port in graph.inputs if (source := self.source(graph, port))}
        values = {name: self.own_value(graph, node, widget) for name, (node, widget) in sources.items()}
        self._apply_positions(host, values)
        for value, entry in _proxies(host):
            name = next((name for name, (node, widget) in sources.items() if (node.id, widget) in _readings(entry)), None)
            name = name or (entry[1] if entry[0] == "-1" else None)
            if name in values and value is not None:
                values[name] = value
        return values

    def _apply_positions(self, host: Node, values: dict[str, Any]) -> None:
        saved = host.values if isinstance(host.values, list) else []
        quarantined = dict(_quarantined(host))
        for name, value in zip(list(values), saved, strict=False):
            if value is not None:
                values[name] = value
        values.update({name: value for name, value in quarantined.items() if name in values})

    def _inner_values(self, host: Node, graph: Graph) -> dict[tuple[str, str], Any]:
        """Values for inner widgets that no input of the subgraph feeds; they count for this instance alone."""
        fed = {(source[0].id, source[1]) for port in graph.inputs if (source := self.source(graph, port))}
        values: dict[tuple[str, str], Any] = {}
        for value, entry in _proxies(host):
            readings = _readings(entry)
            if value is None or any(reading in fed for reading in readings) or entry[1].startswith("$$"):
                continue
            for node_id, name in readings:
                node = graph.nodes.get(node_id)
                if node is not None and self._has_widget(graph, node, name):
                    values.setdefault((node_id, name), value)
        return values

    def _has_widget(self, graph: Graph, node: Node, name: str) -> bool:
        inner = self.subgraph(node)
        if inner is not None:
            return name in self.host_values(node, inner)
        if node.type == PRIMITIVE:
            return True
        live = self.live(graph, node)
        return name in live.widgets.values and any(socket.widget == name for socket in live.sockets)

    def apply_primitives(self, opened: Sequence[Scope], replace_text: Callable[[str], str]) -> None:
        """Let every primitive write its value into the widgets that it is linked to directly.

        ``replace_text`` is for primitives whose property says that ``%Node.widget%`` in their text is replaced.
        """
        for scope in opened:
            for node in scope.graph.nodes.values():
                if node.type == PRIMITIVE:
                    self._apply_primitive(scope, node, replace_text)

    def _apply_primitive(self, scope: Scope, primitive: Node, replace_text: Callable[[str], str]) -> None:
        readers = [scope.graph.readers.get(link.id) for link in scope.graph.links_from.get((primitive.id, 0), ())]
        found = [(node, self._widget_at(scope, node, socket)) for node, socket in filter(None, readers)]
        targets = [(node, name, self.live_in(scope, node).widgets) for node, name in found if name is not None]
        if not targets:
            return
        shown = [value for (node_id, _), value in scope.widgets.items() if node_id == primitive.id]
        saved = shown or (primitive.values if isinstance(primitive.values, list) else [])
        value = saved[0] if saved else targets[0][2].values[targets[0][1]]
        value = fitted(value, [widgets.specs[name] for _, name, widgets in targets if name in widgets.specs])
        if isinstance(value, str) and value and primitive.properties.get("Run widget replace on values"):
            value = replace_text(value)
        for node, name, widgets in targets:
            self._write(scope, node, name, written(widgets.specs.get(name), value))

    def _widget_at(self, scope: Scope, node: Node, socket: Socket) -> str | None:
        """The widget that a socket belongs to, if the node has it."""
        live = self.live_in(scope, node)
        name = next((one.widget for one in live.sockets if one.link == socket.link), None)
        return name if name in live.widgets.values else None

    def _write(self, scope: Scope, node: Node, name: str, value: Any) -> None:
        live = self.live_in(scope, node)
        scope.widgets[node.id, name] = value
        if (
            name in live.widgets.specs
            and widget_type(live.widgets.specs[name]) == DYNAMIC_COMBO
            and live.definition is not None
        ):
            widgets = rechoose(live.widgets, name, value)
            sockets = live_sockets(node, live.definition, widgets.values)
            scope.changed[node.id] = replace(live, widgets=widgets, sockets=sockets)


def _instance_sockets(node: Node, graph: Graph) -> tuple[Socket, ...]:
    """An instance has the inputs of its definition, found by name; saved ones that the definition lacks are gone."""
    saved = {socket.name: socket for socket in node.inputs}
    return tuple(Socket(port.name, port.type, saved[port.name].link if port.name in saved else None) for port in graph.inputs)


def _proxies(host: Node) -> Iterator[tuple[Any, tuple[str, str]]]:
    """(value or None, (inner node id, widget name)) of every entry of ``proxyWidgets``."""
    saved = host.values if isinstance(host.values, list) else []
    entries: object = host.properties.get("proxyWidgets")
    for index, entry in enumerate(cast("list[Any]", entries) if isinstance(entries, list) else []):
        if isinstance(entry, list) and len(pair := cast("list[Any]", entry)) >= 2:
            yield (saved[index] if index < len(saved) else None), (str(pair[0]), str(pair[1]))


def _readings(entry: tuple[str, str]) -> list[tuple[str, str]]:
    """An entry as it stands, then with the ``12: `` prefixes of older files taken off."""
    node_id, name = entry
    readings = [entry]
    while match := _PREFIX.match(name):
        name = match.group(1)
        readings.append((node_id, name))
    return readings


def _quarantined(host: Node) -> Iterator[tuple[str, Any]]:
    entries: object = host.properties.get("proxyWidgetErrorQuarantine")
    items = cast("list[Any]", entries) if isinstance(entries, list) else []
    for item in reversed([cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]):
        entry = cast("list[Any]", item.get("originalEntry") or [])
        if len(entry) >= 2 and str(entry[0]) == "-1" and item.get("hostValue") is not None:
            yield str(entry[1]), item["hostValue"]
