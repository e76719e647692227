"""The table of models: which are present, and which can be pulled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .catalog import CatalogEntry, load_catalog
from .locate import FoundModel, list_available_models

ModelState = Literal["folder", "dependency", "pull"]
"""In a models folder, in a package installed as a dependency, or available by ``models pull``."""


@dataclass(frozen=True)
class ModelRow:
    """One line of ``models list``. Unknown facts about a file outside the catalog are None or empty."""

    id: str
    """The name for ``-m`` and the selectors."""
    title: str
    scale: int | None
    licence: str | None
    bytes: int | None
    """Size on disk, or of the official file if it is not present."""
    state: ModelState
    path: Path | None
    good_for: str
    bad_for: str
    entry: CatalogEntry | None


def list_models(folders: Sequence[Path]) -> list[ModelRow]:
    """Return every known model in catalog order, then the other files in ``folders``."""
    found_models = list_available_models(folders)
    by_id = {found.name: found for found in found_models}
    rows = [_make_entry_row(entry, by_id.get(entry.id)) for entry in load_catalog().values()]
    listed_paths = {row.path for row in rows}
    return rows + [_make_file_row(found) for found in found_models if found.path not in listed_paths]


def _make_entry_row(entry: CatalogEntry, found: FoundModel | None) -> ModelRow:
    return ModelRow(
        id=entry.id,
        title=entry.title,
        scale=entry.scale,
        licence=entry.licence,
        bytes=found.path.stat().st_size if found else entry.bytes,
        state=found.source if found else "pull",
        path=found.path if found else None,
        good_for=entry.good_for,
        bad_for=entry.bad_for,
        entry=entry,
    )


def _make_file_row(found: FoundModel) -> ModelRow:
    entry = found.entry
    return ModelRow(
        id=found.name,
        title=entry.title if entry else found.path.stem,
        scale=entry.scale if entry else None,
        licence=entry.licence if entry else None,
        bytes=found.path.stat().st_size,
        state="folder",
        path=found.path,
        good_for=entry.good_for if entry else "",
        bad_for=entry.bad_for if entry else "",
        entry=None,
    )
