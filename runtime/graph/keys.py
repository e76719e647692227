"""Which nodes must give equal results: a key from everything that decides the result of a node.

It is the class, the literal inputs, what else decides the result (``IS_CHANGED``, and what a cache adds), and the same of every
node upstream. A node whose result may differ every time has no key, and nothing that reads it has one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from .live import LivePrompt
from .prompts import edges, hidden_inputs, is_link

Changed = Callable[[str], Any]


class Keys:
    """``changed(node id)`` asks ``IS_CHANGED``, once for each node whose key is needed or that is above one."""

    def __init__(self, live: LivePrompt, catalog: Mapping[str, type], changed: Changed) -> None:
        self._live = live
        self._catalog = catalog
        self._changed = changed
        self._keys: dict[str, str | None] = {}

    def __getitem__(self, node_id: str) -> str | None:
        pending = [node_id]
        entered: set[str] = set()
        while pending:
            current = pending[-1]
            missing = [edge.origin for edge in edges(self._live.get_node(current)) if edge.origin not in self._keys]
            if current in self._keys:
                pending.pop()
            elif missing and current not in entered:
                entered.add(current)
                pending += missing
            else:  # in a circle some are missing for ever, which leaves it without keys
                self._keys[current] = self._key(current)
                pending.pop()
        return self._keys[node_id]

    def forget(self, node_id: str) -> None:
        """Another node has taken this id."""
        self._keys.pop(node_id, None)

    def _key(self, node_id: str) -> str | None:
        node = self._live.get_node(node_id)
        cls = self._catalog[node["class_type"]]
        origins = [(edge.name, self._keys.get(edge.origin), edge.slot) for edge in edges(node)]
        if any(key is None for _, key, _ in origins):
            return None
        own_id = bool(getattr(cls, "NOT_IDEMPOTENT", False)) or "UNIQUE_ID" in hidden_inputs(cls).values()
        literals = {name: value for name, value in node["inputs"].items() if not is_link(value)}
        identity = [node["class_type"], f"{cls.__module__}.{cls.__qualname__}", own_id and node_id]
        text = _text([identity, literals, origins])
        if text is None:
            return None
        changed = _text(self._changed(node_id))
        return changed and hashlib.sha256(f"{text}{changed}".encode()).hexdigest()


def _text(value: Any) -> str | None:
    """JSON that is equal for equal values; None for what has none, such as NaN or a tensor."""
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False, default=_bytes)
    except (TypeError, ValueError, RecursionError):
        return None


def _bytes(value: Any) -> str:
    if isinstance(value, bytes):
        return f"bytes {value.hex()}"
    raise TypeError("not JSON")


class Twins:
    """Finds the nodes of a run that must give equal results, so that one of them does the work of all.

    ``shapes`` are keys without ``IS_CHANGED``, which may read whole files: it is asked only of nodes that are alike.
    """

    def __init__(self, keys: Keys, shapes: Keys) -> None:
        self._keys = keys
        self._shapes = shapes
        self._alike: dict[str, list[str]] = {}
        self._twins: dict[str, str] = {}

    def of(self, node_id: str) -> str:
        """The node that stands for this one: itself, unless ``find`` found another."""
        return self._twins.get(node_id, node_id)

    def find(self, node_id: str) -> str:
        """Look for an equal node among those that were found before and are not done yet."""
        shape = self._shapes[node_id]
        alike = self._alike.setdefault(shape, []) if shape is not None else []
        key = self._keys[node_id] if alike else None
        twin = next((other for other in alike if key is not None and self._keys[other] == key), node_id)
        if twin == node_id:
            alike.append(node_id)
        self._twins[node_id] = twin
        return twin

    def forget(self, node_id: str) -> None:
        """Its results may be gone: it stands for no further node."""
        shape = self._shapes[node_id]
        alike = self._alike.get(shape, []) if shape is not None else []
        if node_id in alike:
            alike.remove(node_id)
