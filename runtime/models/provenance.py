"""Where loaded weights came from. It is stored on the descriptor, so it passes from node to node."""

from dataclasses import dataclass
from pathlib import Path

from .catalog import CatalogEntry
from .locate import ModelSource


@dataclass(frozen=True)
class Provenance:
    """The file that weights were read from. ``entry`` is the catalog entry of its name."""

    path: Path
    source: ModelSource
    sha256: str
    entry: CatalogEntry | None

    @property
    def licence(self) -> str | None:
        return self.entry.licence if self.entry else None
