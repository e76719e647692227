"""Results of earlier runs: the interface of a cache.

Nothing is kept across runs unless ``execute_plan`` gets a cache. A cache has one entry per key (``cache_keys``) and returns
an object that is loaded later, so that a result takes no memory before a node needs it. A cache belongs to one catalog.
"""

from collections.abc import Mapping
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
