"""The prompt of a run together with the nodes that join it while it runs.

A node may answer with a graph that takes its place (``expand``). Its nodes live in the same space of ids as those of the
prompt, have a parent, and are shown to people as one of the nodes that they know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import NodeError, node_label
from .prompts import Prompt, is_link, title_of

_SMALL = (str, int, float, bool, type(None))


class LivePrompt:
    """What a node gets for the hidden input ``DYNPROMPT``; the names of the ``get_`` methods are ComfyUI's."""

    def __init__(self, original: Prompt) -> None:
        self._original = original
        self._added: Prompt = {}
        self._parents: dict[str, str] = {}
        self._shown_as: dict[str, str] = {}
        self._emptied: set[str] = set()

    def add(self, node_id: str, node: Mapping[str, Any], parent: str) -> None:
        """Add one node of an expansion. Raises ``NodeError`` when it is no node."""
        inputs = node.get("inputs", {})
        if not isinstance(node.get("class_type"), str) or not isinstance(inputs, dict):
            raise NodeError(f"It added a node {node_id} without class_type or inputs.", "This is a fault of the node.")
        self._added[node_id] = {**node, "inputs": inputs}
        self._emptied.discard(node_id)
        self._parents[node_id] = parent
        self._shown_as[node_id] = str(node.get("override_display_id") or parent)

    def let_go(self, node_id: str) -> None:
        """An added node is done and nobody can see it any more: the pictures among its literals must not outlive it."""
        if node_id not in self._added:
            return
        inputs = self._added[node_id]["inputs"]
        small = {name: value for name, value in inputs.items() if is_link(value) or isinstance(value, _SMALL)}
        if len(small) < len(inputs):
            self._emptied.add(node_id)
            self._added[node_id]["inputs"] = small

    def can_run(self, node_id: str) -> bool:
        """Whether it is there, with everything that it was given."""
        return self.has_node(node_id) and node_id not in self._emptied

    def get_original_prompt(self) -> Prompt:
        return self._original

    def get_node(self, node_id: str) -> dict[str, Any]:
        return self._added[node_id] if node_id in self._added else self._original[node_id]

    def has_node(self, node_id: str) -> bool:
        return node_id in self._added or node_id in self._original

    def all_node_ids(self) -> set[str]:
        return {*self._original, *self._added}

    def get_parent_node_id(self, node_id: str) -> str | None:
        return self._parents.get(node_id)

    def get_real_node_id(self, node_id: str) -> str:
        """The node of the workflow that it was made by, in the end."""
        while node_id in self._parents:
            node_id = self._parents[node_id]
        return node_id

    def get_display_node_id(self, node_id: str) -> str:
        """The node of the workflow that it is shown as: a copy in a loop is shown as its original."""
        while node_id in self._shown_as:
            node_id = self._shown_as[node_id]
        return node_id

    def title(self, node_id: str) -> str | None:
        shown = self.get_display_node_id(node_id)
        return title_of(self.get_node(node_id)) or (title_of(self.get_node(shown)) if self.has_node(shown) else None)

    def label(self, node_id: str) -> str:
        """How messages name it; an added node by the one that added it."""
        real = self.get_real_node_id(node_id)
        node = self.get_node(real)
        label = node_label(real, node["class_type"], title_of(node))
        return label if real == node_id else f"{label}, which added {self.get_node(node_id)['class_type']} ({node_id})"
