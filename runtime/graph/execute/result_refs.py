"""Reference-counted results, from the node that made them to the nodes that read them.

Every node that may still read a result holds a reference to it. A result is stored only if it is referenced and released
with the last reference, because an 8K image takes 400 MB.
"""

from collections.abc import Iterable, Sequence
from typing import Any

Slot = tuple[str, int]
"""Output ``slot`` of a node."""


class ResultRefs:
    def __init__(self) -> None:
        self._results: dict[Slot, list[Any]] = {}
        self._readers: dict[str, dict[int, set[str]]] = {}
        self._references: dict[str, set[Slot]] = {}

    def __getitem__(self, slot: Slot) -> list[Any]:
        return self._results[slot]

    def __contains__(self, slot: Slot) -> bool:
        return slot in self._results

    def add_references(self, reader: str, slots: Iterable[Slot]) -> None:
        for origin, slot in slots:
            self._references.setdefault(reader, set()).add((origin, slot))
            self._readers.setdefault(origin, {}).setdefault(slot, set()).add(reader)

    def is_referenced(self, origin: str) -> bool:
        return origin in self._readers

    def store_results(self, origin: str, slots: Sequence[list[Any]]) -> None:
        """Store the referenced results of a node; a slot that the node did not fill is None."""
        for slot in self._readers.get(origin, ()):
            self._results[origin, slot] = slots[slot] if 0 <= slot < len(slots) else [None]

    def release_references(self, reader: str, retained: Iterable[Slot] = ()) -> set[str]:
        """Release the references of a reader. Return the nodes that are no longer referenced."""
        retained_slots = set(retained)
        unreferenced: set[str] = set()
        for origin, slot in self._references.pop(reader, set()) - retained_slots:
            readers = self._readers[origin][slot]
            readers.discard(reader)
            if not readers:
                del self._readers[origin][slot]
                self._results.pop((origin, slot), None)
            if not self._readers[origin]:
                del self._readers[origin]
                unreferenced.add(origin)
        self.add_references(reader, retained_slots)
        return unreferenced

    def clear(self) -> None:
        self._results.clear()
