"""Resolve the types of sockets that adapt to what is connected (``COMFY_MATCHTYPE_V3``), which decide how bypassing works.

The sockets of one template of a node share a type: an input takes what the node's other inputs of the template are linked to,
and an output gives what all of them have in common. ``*`` is any type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .ui_workflow import SUBGRAPH_INPUT, InputSocket, UiGraph, UiNode

if TYPE_CHECKING:
    from .subgraphs import LoadedNode

ANY = "*"


class MatchTypes:
    """Resolves nodes of one workflow; ``get_node`` returns a loaded node whose adaptive sockets have their allowed types."""

    def __init__(self, get_node: Callable[[UiGraph, UiNode], LoadedNode]) -> None:
        self._get_node = get_node
        self._outputs: dict[tuple[str, str], tuple[str, ...]] = {}

    def resolve(self, graph: UiGraph, loaded: LoadedNode) -> LoadedNode:
        """Return the node with the types that its sockets have after loading."""
        if not any(socket.template for socket in loaded.sockets):
            return loaded
        return replace(
            loaded, sockets=self._resolve_inputs(graph, loaded), output_types=self._get_output_types(graph, loaded.node)
        )

    def _resolve_inputs(self, graph: UiGraph, loaded: LoadedNode) -> tuple[InputSocket, ...]:
        sockets = list(loaded.sockets)
        connected = {socket.name: self._get_connected_type(graph, socket) for socket in sockets if socket.template}
        groups = [[i for i, socket in enumerate(sockets) if socket.template == key] for key in _list_templates(sockets)]
        for group in groups:
            for index in group:
                others = [connected[sockets[other].name] for other in group if other != index]
                common = find_common_type(*others, sockets[index].type)
                if common is None:  # the canvas stops here, too
                    break
                sockets[index] = replace(sockets[index], type=common)
        return tuple(sockets)

    def _get_output_types(self, graph: UiGraph, node: UiNode) -> tuple[str, ...]:
        key = (graph.id, node.id)
        if key not in self._outputs:
            loaded = self._get_node(graph, node)
            self._outputs[key] = loaded.output_types  # ends the recursion in a cycle of links
            types = {
                template: find_common_type(
                    *(self._get_connected_type(graph, socket) for socket in loaded.sockets if socket.template == template)
                )
                for template in _list_templates(loaded.sockets)
            }
            templates: Sequence[str | None] = (loaded.definition or {}).get("output_matchtypes") or ()
            self._outputs[key] = tuple(
                (types.get(templates[slot] or "") or kind) if slot < len(templates) else kind
                for slot, kind in enumerate(loaded.output_types)
            )
        return self._outputs[key]

    def _get_connected_type(self, graph: UiGraph, socket: InputSocket) -> str:
        link = graph.links.get(socket.link) if socket.link is not None else None
        if link is None:
            return ANY
        if link.origin == SUBGRAPH_INPUT:
            return graph.inputs[link.origin_slot].type if link.origin_slot < len(graph.inputs) else ANY
        origin = graph.nodes.get(link.origin)
        types = self._get_output_types(graph, origin) if origin is not None else ()
        return types[link.origin_slot] if link.origin_slot < len(types) else ANY


def find_common_type(*types: str) -> str | None:
    """Return the types that all of these lists ``A,B`` share; None when there are none."""
    lists = [kind.split(",") for kind in types if kind != ANY]
    if not lists:
        return ANY
    return ",".join(kind for kind in dict.fromkeys(lists[0]) if all(kind in other for other in lists)) or None


def _list_templates(sockets: Sequence[InputSocket]) -> list[str]:
    return list(dict.fromkeys(socket.template for socket in sockets if socket.template))
