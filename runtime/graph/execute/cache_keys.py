"""Compute cache keys: nodes with equal keys have equal results.

A key covers the class, the literal inputs, the version (``IS_CHANGED``, and what a cache adds), and the keys of all nodes
upstream. A node whose result may differ every time has no key, and neither have its readers.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from ..definitions import get_hidden_inputs
from ..prompts import is_link, iterate_edges
from .dynamic_prompt import DynamicPrompt

VersionGetter = Callable[[str], Any]


class CacheKeys:
    """Computes keys on demand; calls ``get_version(node id)`` once for each node whose key, or a reader's key, is needed."""

    def __init__(self, prompt: DynamicPrompt, catalog: Mapping[str, type], get_version: VersionGetter) -> None:
        self._prompt = prompt
        self._catalog = catalog
        self._get_version = get_version
        self._keys: dict[str, str | None] = {}

    def __getitem__(self, node_id: str) -> str | None:
        pending = [node_id]
        entered: set[str] = set()
        while pending:
            current = pending[-1]
            missing = [edge.origin for edge in iterate_edges(self._prompt.get_node(current)) if edge.origin not in self._keys]
            if current in self._keys:
                pending.pop()
            elif missing and current not in entered:
                entered.add(current)
                pending += missing
            else:  # in a cycle some stay missing, so its nodes get no keys
                self._keys[current] = self._compute_key(current)
                pending.pop()
        return self._keys[node_id]

    def forget_node(self, node_id: str) -> None:
        """Drop the key of an id that another node has taken."""
        self._keys.pop(node_id, None)

    def _compute_key(self, node_id: str) -> str | None:
        node = self._prompt.get_node(node_id)
        cls = self._catalog[node["class_type"]]
        origins = [(edge.name, self._keys.get(edge.origin), edge.slot) for edge in iterate_edges(node)]
        if any(key is None for _, key, _ in origins):
            return None
        depends_on_id = bool(getattr(cls, "NOT_IDEMPOTENT", False)) or "UNIQUE_ID" in get_hidden_inputs(cls).values()
        literals = {name: value for name, value in node["inputs"].items() if not is_link(value)}
        identity = [node["class_type"], f"{cls.__module__}.{cls.__qualname__}", depends_on_id and node_id]
        text = _format_canonical_json([identity, literals, origins])
        if text is None:
            return None
        version = _format_canonical_json(self._get_version(node_id))
        return version and hashlib.sha256(f"{text}{version}".encode()).hexdigest()


def _format_canonical_json(value: Any) -> str | None:
    """Return JSON that is equal for equal values; None for values that JSON cannot hold, such as NaN or a tensor."""
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False, default=_encode_bytes)
    except (TypeError, ValueError, RecursionError):
        return None


def _encode_bytes(value: Any) -> str:
    if isinstance(value, bytes):
        return f"bytes {value.hex()}"
    raise TypeError("not JSON")


class EqualNodes:
    """Finds the nodes of a run that have equal results, so that one of them runs for all.

    ``static_keys`` leave out ``IS_CHANGED``, which may read whole files: the full ``keys`` are compared only where these match.
    """

    def __init__(self, keys: CacheKeys, static_keys: CacheKeys) -> None:
        self._keys = keys
        self._static_keys = static_keys
        self._candidates: dict[str, list[str]] = {}
        self._representatives: dict[str, str] = {}

    def get_representative(self, node_id: str) -> str:
        """Return the node that runs for this one: itself, unless ``find_representative`` found another."""
        return self._representatives.get(node_id, node_id)

    def find_representative(self, node_id: str) -> str:
        """Find an equal node among the unfinished ones that were registered before; else register this one."""
        static_key = self._static_keys[node_id]
        candidates = self._candidates.setdefault(static_key, []) if static_key is not None else []
        key = self._keys[node_id] if candidates else None
        representative = next((other for other in candidates if key is not None and self._keys[other] == key), node_id)
        if representative == node_id:
            candidates.append(node_id)
        self._representatives[node_id] = representative
        return representative

    def forget_node(self, node_id: str) -> None:
        """Stop a node from representing others, because its results may be gone."""
        static_key = self._static_keys[node_id]
        candidates = self._candidates.get(static_key, []) if static_key is not None else []
        if node_id in candidates:
            candidates.remove(node_id)
