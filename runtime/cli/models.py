"""``models``: the table, and pull, verify and import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelNotFound
from ..models.catalog import CatalogEntry, catalog, find_entry
from ..models.listing import Row, listing
from ..models.locate import locate
from .display import Display, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rich.table import Table

_MEGABYTE = 1_000_000
_HEADINGS = ("Model", "Scale", "Size", "Licence", "Here")
_WIDE = 120
"""Columns of a screen from which on everything fits into one table."""


def tables(folders: Sequence[Path], width: int) -> list[Table]:
    """What is here and what can be pulled, for a person; what each is good for goes into a second table on a narrow screen."""
    rows = listing(folders)
    if width >= _WIDE:
        return [_table((*_HEADINGS, "Good for"), rows, lambda row: (*_facts(row), row.good_for))]
    known = [row for row in rows if row.good_for]
    return [_table(_HEADINGS, rows, _facts), _table(("Model", "Good for"), known, lambda row: (row.id, row.good_for))]


def _table(headings: Sequence[str], rows: Sequence[Row], cells: Callable[[Row], tuple[str, ...]]) -> Table:
    from rich import box
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        shown.add_column(heading, justify="right" if heading in ("Scale", "Size") else "left", no_wrap=heading != "Good for")
    for row in rows:
        shown.add_row(*cells(row), style="" if row.path else "dim")
    return shown


def _facts(row: Row) -> tuple[str, ...]:
    scale = f"{row.scale}x" if row.scale else ""
    size = f"{row.bytes / _MEGABYTE:.1f} MB" if row.bytes is not None else "?"
    here = {"folder": "yes", "dependency": "yes (shipped)", "pull": "models pull"}[row.state]
    return row.id, scale, size, row.licence or "", here


def as_json(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The same, for a program."""
    return [
        {
            "id": row.id,
            "title": row.title,
            "scale": row.scale,
            "bytes": row.bytes,
            "licence": row.licence,
            "state": row.state,
            "path": str(row.path) if row.path else None,
            "good_for": row.good_for,
            "bad_for": row.bad_for,
        }
        for row in listing(folders)
    ]


def fetch(name: str, folder: Path, display: Display) -> Path:
    """Pull a model of the catalog. Raises ``ModelNotFound`` for a name that the catalog does not have."""
    entry = find_entry(name)
    if entry is None:
        raise ModelNotFound(
            f"There is no model called {name!r} to pull.", f"Choose one of: {', '.join(catalog())}.", model=name
        )
    from ..models.pull import pull

    display.node(f"Pull {entry.id}")
    with _bytes_shown(display) as report:
        pulled = pull(entry, folder, report)
    if pulled.warning:
        display.say(pulled.warning)
    return pulled.path


@contextmanager
def _bytes_shown(display: Display) -> Generator[Callable[[int, int | None], None]]:
    import time

    began = time.monotonic()

    def report(here: int, total: int | None) -> None:
        if total:
            display.show(Work(total, "bytes", here, time.monotonic() - began))

    try:
        yield report
    finally:
        display.clear()


def missing(
    prompt: Mapping[str, Mapping[str, Any]], loaders: Mapping[str, type], folders: Sequence[Path]
) -> list[CatalogEntry]:
    """Models of the catalog that a prompt names in its loader nodes and that are not here, each once."""
    wanted: dict[str, CatalogEntry] = {}
    for node in prompt.values():
        produced = getattr(loaders.get(node["class_type"]), "RETURN_TYPES", ())
        if "UPSCALE_MODEL" not in produced:
            continue
        for value in node["inputs"].values():
            entry = find_entry(value) if isinstance(value, str) else None
            if entry and not _is_here(value, folders):
                wanted[entry.id] = entry
    return list(wanted.values())


def _is_here(name: str, folders: Sequence[Path]) -> bool:
    try:
        locate(name, folders)
    except ModelNotFound:
        return False
    return True
