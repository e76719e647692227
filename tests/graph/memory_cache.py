"""A cache of results that lives as long as the process, as ComfyUI's does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from upscale8k.runtime.graph.execute.node_cache import CachedResult
from upscale8k.runtime.graph.execute.node_call import NodeResults


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
