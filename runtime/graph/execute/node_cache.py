"""Results of earlier runs: the interface of a cache, and a cache in memory.

Nothing is kept across runs unless ``execute_plan`` gets a cache. A cache has one entry per key (``cache_keys``) and returns
an object that is loaded later, so that a result takes no memory before a node needs it. A cache belongs to one catalog.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .node_call import NodeResults


class CachedResult(Protocol):
    """The results of a node from an earlier run."""

    @property
    def ui(self) -> Mapping[str, list[Any]]:
        """What the node displayed."""
        ...

    def load(self) -> NodeResults | None:
        """Return the results; None when they are damaged or gone, so that the node has to run after all."""
        ...


class NodeCache(Protocol):
    def compute_version(self, cls: type, literals: Mapping[str, Any], change_token: Any, /) -> Any:
        """Return what decides the result of a node besides its inputs, as JSON; anything else disables its caching.

        ``change_token`` is what ``IS_CHANGED`` returned, None for a class without it.
        """
        ...

    def find(self, key: str) -> CachedResult | None: ...

    def store(self, key: str, cls: type, results: NodeResults) -> NodeResults:
        """Store results as far as possible. Return what the run continues with: what a later run will load."""
        ...

    def get_node_object(self, node_id: str, cls: type) -> object | None:
        """Return the object of a node if it outlives the run, else None."""
        ...

    def close(self) -> None:
        """End the run."""
        ...


@dataclass(frozen=True)
class _MemoryResult:
    results: NodeResults

    @property
    def ui(self) -> Mapping[str, list[Any]]:
        return self.results.ui

    def load(self) -> NodeResults:
        return self.results


class MemoryCache:
    """Holds the results of all nodes of the last run. Node objects live as long as their node is in the workflow."""

    def __init__(self) -> None:
        self._results: dict[str, NodeResults] = {}
        self._nodes: dict[tuple[str, type], object] = {}
        self._used_keys: set[str] = set()
        self._used_nodes: set[tuple[str, type]] = set()

    def compute_version(self, cls: type, literals: Mapping[str, Any], change_token: Any) -> Any:
        return change_token

    def find(self, key: str) -> CachedResult | None:
        """Return the results with this key, and keep them for another run."""
        self._used_keys.add(key)
        return _MemoryResult(self._results[key]) if key in self._results else None

    def store(self, key: str, cls: type, results: NodeResults) -> NodeResults:
        self._used_keys.add(key)
        self._results[key] = results
        return results

    def get_node_object(self, node_id: str, cls: type) -> object:
        """Return the object of a node: the same one in every run."""
        self._used_nodes.add((node_id, cls))
        if (node_id, cls) not in self._nodes:
            self._nodes[node_id, cls] = cls()
        return self._nodes[node_id, cls]

    def close(self) -> None:
        """Release what the run did not use."""
        self._results = {key: results for key, results in self._results.items() if key in self._used_keys}
        self._nodes = {name: node for name, node in self._nodes.items() if name in self._used_nodes}
        self._used_keys.clear()
        self._used_nodes.clear()
