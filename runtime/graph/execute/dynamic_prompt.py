"""The prompt of a run together with the nodes that are added to it during the run.

A node may return a graph that replaces it (``expand``). Added nodes share the id space of the prompt, have a parent, and are
displayed as a node of the workflow.
"""

from collections.abc import Mapping
from typing import Any

from ...errors import NODE_BUG_HINT, NodeError, format_node_label
from ..prompts import Prompt, get_title, is_link

_SMALL_TYPES = (str, int, float, bool, type(None))


class DynamicPrompt:
    """The value of the hidden input ``DYNPROMPT``; the names of the ``get_`` methods are ComfyUI's."""

    def __init__(self, original: Prompt, folded: Prompt) -> None:
        self._original = original
        self._folded = folded  # differs from the original where it has loops
        self._added_nodes: Prompt = {}
        self._parents: dict[str, str] = {}
        self._display_ids: dict[str, str] = {}
        self._released_nodes: set[str] = set()

    def add_node(self, node_id: str, node: Mapping[str, Any], parent: str) -> None:
        """Add one node of an expansion. Raises ``NodeError`` when it has no class_type or no inputs."""
        inputs = node.get("inputs", {})
        if not isinstance(node.get("class_type"), str) or not isinstance(inputs, dict):
            raise NodeError(f"The added node {node_id} has no class_type or no inputs.", NODE_BUG_HINT)
        self._added_nodes[node_id] = {**node, "inputs": inputs}
        self._released_nodes.discard(node_id)
        self._parents[node_id] = parent
        self._display_ids[node_id] = str(node.get("override_display_id") or parent)

    def release_literals(self, node_id: str) -> None:
        """Release the large literals of an added node that is done and unreachable, such as images."""
        if node_id not in self._added_nodes:
            return
        inputs = self._added_nodes[node_id]["inputs"]
        small = {name: value for name, value in inputs.items() if is_link(value) or isinstance(value, _SMALL_TYPES)}
        if len(small) < len(inputs):
            self._released_nodes.add(node_id)
            self._added_nodes[node_id]["inputs"] = small

    def can_run(self, node_id: str) -> bool:
        """Return whether a node exists and still has all its literals."""
        return self.has_node(node_id) and node_id not in self._released_nodes

    def get_original_prompt(self) -> Prompt:
        return self._original

    def get_node(self, node_id: str) -> dict[str, Any]:
        if node_id in self._added_nodes:
            return self._added_nodes[node_id]
        return self._folded[node_id] if node_id in self._folded else self._original[node_id]

    def has_node(self, node_id: str) -> bool:
        return node_id in self._added_nodes or node_id in self._original

    def all_node_ids(self) -> set[str]:
        return {*self._original, *self._added_nodes}

    def get_parent_node_id(self, node_id: str) -> str | None:
        return self._parents.get(node_id)

    def get_real_node_id(self, node_id: str) -> str:
        """Return the node of the workflow that directly or indirectly added this one."""
        while node_id in self._parents:
            node_id = self._parents[node_id]
        return node_id

    def get_display_node_id(self, node_id: str) -> str:
        """Return the node of the workflow that this one is displayed as: for a copy in a loop its original."""
        while node_id in self._display_ids:
            node_id = self._display_ids[node_id]
        return node_id

    def get_title(self, node_id: str) -> str | None:
        display_id = self.get_display_node_id(node_id)
        return get_title(self.get_node(node_id)) or (
            get_title(self.get_node(display_id)) if self.has_node(display_id) else None
        )

    def format_label(self, node_id: str) -> str:
        """Return how messages name a node; an added node is named after the one that added it."""
        workflow_node_id = self.get_real_node_id(node_id)
        node = self.get_node(workflow_node_id)
        label = format_node_label(workflow_node_id, node["class_type"], get_title(node))
        return (
            label if workflow_node_id == node_id else f"{label}, which added {self.get_node(node_id)['class_type']} ({node_id})"
        )
