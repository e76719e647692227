"""``comfy_execution.graph_utils``: build the graph that a node returns, as plain dicts."""

from collections.abc import Iterable, Mapping
from typing import Any

from .....graph import ExecutionBlocker, current_call, is_link

__all__ = ["ExecutionBlocker", "GraphBuilder", "Node", "add_graph_prefix", "is_link"]


class Node:
    """One node of a graph that is being built. ``finalize`` shares its ``inputs``, so later changes count."""

    def __init__(self, id: str, class_type: str, inputs: dict[str, Any]) -> None:
        self.id = id
        self.class_type = class_type
        self.inputs = inputs
        self.override_display_id: str | None = None

    def out(self, index: int) -> list[Any]:
        """Return the link to one of its outputs."""
        return [self.id, index]

    def set_input(self, key: str, value: Any) -> None:
        """Set an input; None removes it."""
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key: str) -> Any:
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id: str) -> None:
        self.override_display_id = override_display_id

    def serialize(self) -> dict[str, Any]:
        shown = {} if self.override_display_id is None else {"override_display_id": self.override_display_id}
        return {"class_type": self.class_type, "inputs": self.inputs, **shown}


class GraphBuilder:
    """Builds a graph. Without a ``prefix`` its ids start with ``node.call.graph.`` of the current call."""

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = self.alloc_prefix() if prefix is None else prefix
        self.nodes: dict[str, Node] = {}
        self.id_gen = 1

    @classmethod
    def alloc_prefix(cls, root: str | None = None, call_index: int | None = None, graph_index: int | None = None) -> str:
        call = current_call.get()
        root = root if root is not None else call.node_id if call else ""
        call_index = call_index if call_index is not None else call.index if call else 0
        graph_index = graph_index if graph_index is not None else next(call.graphs) if call else 0
        return f"{root}.{call_index}.{graph_index}."

    def node(self, class_type: str, id: str | None = None, **kwargs: Any) -> Node:
        """A new node, or the one that has this id already."""
        if id is None:
            id = str(self.id_gen)
            self.id_gen += 1
        return self.nodes.setdefault(self.prefix + id, Node(self.prefix + id, class_type, kwargs))

    def lookup_node(self, id: str) -> Node | None:
        return self.nodes.get(self.prefix + id)

    def remove_node(self, id: str) -> None:
        del self.nodes[self.prefix + id]

    def replace_node_output(self, node_id: str, index: int, new_value: Any) -> None:
        """Give the readers of an output another value; None takes their inputs out."""
        link = [self.prefix + node_id, index]
        for node in self.nodes.values():
            for key in [key for key, value in node.inputs.items() if is_link(value) and value == link]:
                node.set_input(key, new_value)

    def finalize(self) -> dict[str, dict[str, Any]]:
        return {node_id: node.serialize() for node_id, node in self.nodes.items()}


def add_graph_prefix(
    graph: Mapping[str, Mapping[str, Any]], outputs: Iterable[Any], prefix: str
) -> tuple[dict[str, dict[str, Any]], tuple[Any, ...]]:
    """The same graph and links with a prefix before every id."""

    def moved(value: Any) -> Any:
        return [prefix + value[0], value[1]] if is_link(value) else value

    prefixed = {
        prefix + node_id: {
            "class_type": node["class_type"],
            "inputs": {name: moved(value) for name, value in node.get("inputs", {}).items()},
        }
        for node_id, node in graph.items()
    }
    return prefixed, tuple(moved(value) for value in outputs)
