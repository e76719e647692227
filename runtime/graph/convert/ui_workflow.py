"""Parse a workflow saved by the canvas, version 0.4 or 1: nodes, sockets and links in one shape.

Only what decides the result is kept. Groups, colors, positions, native reroutes (``extra.reroutes``) and ``floatingLinks`` are
appearance only: a link holds its real ends. Like the canvas, ignore ``target_slot`` of a link (the input that names the link
is right) and the absence of a widget's socket (unlinked ones are left out on saving).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

from ...errors import WorkflowError

PRIMITIVE = "PrimitiveNode"
REROUTE = "Reroute"
SUBGRAPH_INPUT = "-10"
SUBGRAPH_OUTPUT = "-20"
RESAVE_HINT = "Open it in ComfyUI and save it again."
T = TypeVar("T")
MODE_MUTED = 2
MODE_BYPASSED = 4


@dataclass(frozen=True)
class UiLink:
    id: str
    origin: str
    origin_slot: int
    target: str
    target_slot: int


@dataclass(frozen=True)
class InputSocket:
    """One input of a node. ``widget`` is the name of its widget, ``label`` the name that the user gave it.

    Sockets of a node with the same ``template`` share a type (``match_types``).
    """

    name: str
    type: str
    link: str | None = None
    widget: str | None = None
    label: str | None = None
    template: str = ""


@dataclass(frozen=True)
class UiNode:
    """One node as saved. ``values`` is ``widgets_values``: a list, a dict by name, or None.

    ``named_values`` is ``widgets_values_named``, which frontends from 1.58 save beside the list; the list wins.
    """

    id: str
    type: str
    mode: int
    title: str | None
    inputs: tuple[InputSocket, ...]
    output_types: tuple[str, ...]
    values: list[Any] | dict[str, Any] | None
    properties: Mapping[str, Any]
    named_values: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def is_muted(self) -> bool:
        return self.mode == MODE_MUTED

    @property
    def is_bypassed(self) -> bool:
        return self.mode == MODE_BYPASSED


@dataclass(frozen=True)
class SubgraphPort:
    """One input or output of a subgraph."""

    name: str
    type: str
    links: tuple[str, ...]


@dataclass(frozen=True)
class UiGraph:
    """The root of a workflow (``id`` is empty) or one subgraph definition."""

    id: str
    name: str
    nodes: Mapping[str, UiNode]
    links: Mapping[str, UiLink]
    inputs: tuple[SubgraphPort, ...] = ()
    outputs: tuple[SubgraphPort, ...] = ()
    broadcasts: Mapping[str, Mapping[int, str]] = field(default_factory=dict[str, "dict[int, str]"])
    """node id -> input slot -> the link that a node of cg-use-everywhere adds when the canvas queues"""

    @cached_property
    def readers_by_link(self) -> Mapping[str, tuple[UiNode, InputSocket]]:
        """link id -> the node and the socket that name it"""
        return {socket.link: (node, socket) for node in self.nodes.values() for socket in node.inputs if socket.link}

    @cached_property
    def links_by_output(self) -> Mapping[tuple[str, int], tuple[UiLink, ...]]:
        """(node id, output slot) -> the links that start there"""
        leaving: dict[tuple[str, int], list[UiLink]] = {}
        for link in self.links.values():
            leaving.setdefault((link.origin, link.origin_slot), []).append(link)
        return {end: tuple(links) for end, links in leaving.items()}


@dataclass(frozen=True)
class UiWorkflow:
    root: UiGraph
    definitions: Mapping[str, UiGraph] = field(default_factory=dict[str, UiGraph])
    keeps_dynamic_children: bool = False
    """Whether a primitive leaves the inputs behind a dynamic combo box alone when it writes the choice that is there"""


def read_ui_workflow(ui: Mapping[str, Any]) -> UiWorkflow:
    """Parse a UI-saved workflow. Raises ``WorkflowError`` that names the damaged node or link."""
    version = re.match(r"(\d+)\.(\d+)", str(_get_extra(ui).get("frontendVersion", "")))
    keeps_children = version is not None and (int(version[1]), int(version[2])) >= (1, 58)
    definitions = {definition.id: definition for definition in _iterate_definitions(ui)}
    return UiWorkflow(_parse_graph(ui, ""), definitions, keeps_children)


def read_nodes(raw: Sequence[Any]) -> list[UiNode]:
    """Parse a list of nodes. Raises ``WorkflowError`` that names the damaged one."""
    return list(_parse_each("node", _parse_node, raw))


def _iterate_definitions(ui: Mapping[str, Any]) -> Iterator[UiGraph]:
    """Yield all subgraph definitions, including nested ones."""
    for raw in _get_subgraphs(ui):
        yield _parse_graph(raw, str(raw["id"]))
        yield from _iterate_definitions(raw)


def _get_extra(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    extra: object = raw.get("extra")
    return cast("Mapping[str, Any]", extra) if isinstance(extra, dict) else {}


def _get_subgraphs(raw: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    definitions: Mapping[str, Any] = raw.get("definitions") or {}
    return definitions.get("subgraphs") or ()


def _parse_graph(raw: Mapping[str, Any], graph_id: str) -> UiGraph:
    links = {
        link.id: link
        for link in _parse_each("link", _parse_link, [link for link in raw.get("links") or () if link is not None])
    }
    nodes = {node.id: node for node in _parse_each("node", _parse_node, raw["nodes"])}
    broadcasts: dict[str, dict[int, str]] = {}
    for link in _parse_each("ue_link", _parse_broadcast, _get_extra(raw).get("ue_links") or ()):
        links[link.id] = link
        broadcasts.setdefault(link.target, {})[link.target_slot] = link.id
    return UiGraph(
        id=graph_id,
        name=str(raw.get("name") or ""),
        nodes=nodes,
        links=links,
        inputs=_parse_ports(raw.get("inputs"), links, SUBGRAPH_INPUT),
        outputs=_parse_ports(raw.get("outputs"), links, SUBGRAPH_OUTPUT),
        broadcasts=broadcasts,
    )


def _parse_each(kind: str, parse: Callable[[Any], T], items: Sequence[Any]) -> Iterator[T]:
    """Parse every item. Raises ``WorkflowError`` that names the damaged one."""
    for position, item in enumerate(items):
        try:
            yield parse(item)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            id_text = f" (id {item['id']})" if isinstance(item, dict) and "id" in item else ""
            what = f"The {kind} at position {position}{id_text} of the workflow is damaged."
            raise WorkflowError(what, RESAVE_HINT) from error


def _parse_link(raw: Any) -> UiLink:
    if isinstance(raw, dict):
        fields = cast("dict[str, Any]", raw)
        values = [fields[key] for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
    else:
        values = list(cast("Sequence[Any]", raw))
    link = UiLink(str(values[0]), str(values[1]), int(values[2]), str(values[3]), int(values[4]))
    if link.origin_slot < 0:
        raise ValueError(link.origin_slot)
    return link


def _parse_broadcast(raw: Mapping[str, Any]) -> UiLink:
    """Parse a link of ``extra.ue_links``, where the pack cg-use-everywhere keeps what it connects without a drawn link."""
    target, slot = str(raw["downstream"]), int(raw["downstream_slot"])
    return UiLink(f"ue:{target}:{slot}", str(raw["upstream"]), int(raw["upstream_slot"]), target, slot)


def _parse_node(raw: Mapping[str, Any]) -> UiNode:
    values = raw.get("widgets_values")
    named_values = raw.get("widgets_values_named")
    title = raw.get("title")
    return UiNode(
        id=str(raw["id"]),
        type=str(raw["type"]),
        mode=int(raw.get("mode") or 0),
        title=title if isinstance(title, str) else None,
        inputs=tuple(map(_parse_socket, raw.get("inputs") or ())),
        output_types=tuple(_parse_type(output.get("type")) for output in raw.get("outputs") or ()),
        values=cast("list[Any] | dict[str, Any]", values) if isinstance(values, list | dict) else None,
        properties=cast("dict[str, Any]", raw.get("properties") or {}),
        named_values=cast("dict[str, Any]", named_values) if isinstance(named_values, dict) else {},
    )


def _parse_socket(raw: Mapping[str, Any]) -> InputSocket:
    link = raw.get("link")
    widget: Mapping[str, Any] | None = raw.get("widget")
    name = str(widget["name"]) if widget else None
    label = str(raw["label"]) if raw.get("label") else None
    return InputSocket(str(raw["name"]), _parse_type(raw.get("type")), None if link is None else str(link), name, label)


def _parse_type(raw: Any) -> str:
    if isinstance(raw, list):
        return ",".join(map(str, cast("list[Any]", raw)))
    return "*" if raw in (None, 0, -1) else str(raw)


def _parse_ports(raw: Any, links: Mapping[str, UiLink], boundary: str) -> tuple[SubgraphPort, ...]:
    """Parse inputs or outputs of a subgraph, each with its links in the order in which they were drawn."""
    ports: list[SubgraphPort] = []
    for slot, port in enumerate(cast("Sequence[Mapping[str, Any]]", raw or ())):
        listed_links = [str(link) for link in port.get("linkIds") or () if str(link) in links]
        drawn_links = [
            link.id
            for link in links.values()
            if (link.origin, link.origin_slot) == (boundary, slot) or (link.target, link.target_slot) == (boundary, slot)
        ]
        ports.append(
            SubgraphPort(str(port["name"]), _parse_type(port.get("type")), tuple(dict.fromkeys([*listed_links, *drawn_links])))
        )
    return tuple(ports)
