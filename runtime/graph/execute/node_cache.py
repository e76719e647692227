"""Results of earlier runs: what the executor asks of a cache, and one that keeps them in memory.

Nothing is kept across runs unless a cache is given to ``execute``. A cache has an entry for each key (``keys``), and
answers with something that can be loaded later, so that a result is in memory only from when a node wants it. A cache
belongs to one catalog.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .node_call import NodeResults


class CachedResult(Protocol):
    """The results of a node that an earlier run left behind."""

    @property
    def ui(self) -> Mapping[str, list[Any]]:
        """What the node showed."""
        ...

    def load(self) -> NodeResults | None:
        """The results; None when they turn out to be damaged or gone, and the node has to run after all."""
        ...


class NodeCache(Protocol):
    def compute_version(self, cls: type, literals: Mapping[str, Any], change_token: Any, /) -> Any:
        """What decides the result of a node besides its inputs, as JSON: anything else means that it may differ every time.

        ``changed`` is what ``IS_CHANGED`` says, None for a class without one.
        """
        ...

    def find(self, key: str) -> CachedResult | None: ...

    def store(self, key: str, cls: type, results: NodeResults) -> NodeResults:
        """Keep results as far as they can be kept. Returns what the run goes on with: what a later run will be given."""
        ...

    def get_node_object(self, node_id: str, cls: type) -> object | None:
        """The object of a node if it outlives a run, else None."""
        ...

    def close(self) -> None:
        """The run has ended."""
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
    """Holds the results of every node of the last run. The objects of nodes live as long as their node is in the workflow."""

    def __init__(self) -> None:
        self._results: dict[str, NodeResults] = {}
        self._nodes: dict[tuple[str, type], object] = {}
        self._used_keys: set[str] = set()
        self._used_nodes: set[tuple[str, type]] = set()

    def compute_version(self, cls: type, literals: Mapping[str, Any], change_token: Any) -> Any:
        return change_token

    def find(self, key: str) -> CachedResult | None:
        """The results of the node with this key, which are kept for another run."""
        self._used_keys.add(key)
        return _MemoryResult(self._results[key]) if key in self._results else None

    def store(self, key: str, cls: type, results: NodeResults) -> NodeResults:
        self._used_keys.add(key)
        self._results[key] = results
        return results

    def get_node_object(self, node_id: str, cls: type) -> object:
        """The object of a node: the same one for the same node in every run."""
        self._used_nodes.add((node_id, cls))
        if (node_id, cls) not in self._nodes:
            self._nodes[node_id, cls] = cls()
        return self._nodes[node_id, cls]

    def close(self) -> None:
        """Let go of what the run had no use for."""
        self._results = {key: results for key, results in self._results.items() if key in self._used_keys}
        self._nodes = {name: node for name, node in self._nodes.items() if name in self._used_nodes}
        self._used_keys.clear()
        self._used_nodes.clear()
