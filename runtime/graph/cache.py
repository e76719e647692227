"""Results of earlier runs, kept in memory by whoever runs several.

Nothing is kept across runs unless a ``ResultCache`` is given to ``execute``. It then holds the results of every node of
the last run, and a run that is given it again skips the nodes whose key is unchanged. Objects of node classes live as long
as their node is in the workflow. A cache belongs to one catalog.
"""

from __future__ import annotations

from .calls import Results


class ResultCache:
    def __init__(self) -> None:
        self._results: dict[str, Results] = {}
        self._nodes: dict[tuple[str, type], object] = {}
        self._used_keys: set[str] = set()
        self._used_nodes: set[tuple[str, type]] = set()

    def get(self, key: str) -> Results | None:
        """The results of the node with this key, which are kept for another run."""
        self._used_keys.add(key)
        return self._results.get(key)

    def keep(self, key: str, results: Results) -> None:
        self._used_keys.add(key)
        self._results[key] = results

    def node(self, node_id: str, cls: type) -> object:
        """The object of a node: the same one for the same node in every run."""
        self._used_nodes.add((node_id, cls))
        if (node_id, cls) not in self._nodes:
            self._nodes[node_id, cls] = cls()
        return self._nodes[node_id, cls]

    def forget_unused(self) -> None:
        """At the end of a run: let go of what it had no use for."""
        self._results = {key: results for key, results in self._results.items() if key in self._used_keys}
        self._nodes = {name: node for name, node in self._nodes.items() if name in self._used_nodes}
        self._used_keys.clear()
        self._used_nodes.clear()
