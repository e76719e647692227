"""The table of ``models list``, and the download of models with progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelNotFound
from ..host import LocalHost
from ..models import DATABASE_PREFIX, CatalogEntry, ModelRow, find_entry, find_model, get_page, list_models, load_catalog
from .display import Display
from .load_workflow import load_workflow
from .program_name import insert_program_name
from .run_options import NodeCatalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

_MEGABYTE = 1_000_000
_HEADINGS = ("Model", "Scale", "Size", "Licence", "Here")
_WIDE_SCREEN_COLUMNS = 120
"""Columns of a terminal in which everything fits into one table."""


def build_model_tables(folders: Sequence[Path], width: int) -> list[Table]:
    """Return the table of all models; on a narrow terminal, a second table describes what each is good for."""
    rows = list_models(folders)
    if width >= _WIDE_SCREEN_COLUMNS:
        return [_build_table((*_HEADINGS, "Good for"), rows, lambda row: (*_format_row(row), row.good_for))]
    described_rows = [row for row in rows if row.good_for]
    return [
        _build_table(_HEADINGS, rows, _format_row),
        _build_table(("Model", "Good for"), described_rows, lambda row: (row.id, row.good_for)),
    ]


def _build_table(headings: Sequence[str], rows: Sequence[ModelRow], cells: Callable[[ModelRow], tuple[str, ...]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in ("Scale", "Size") else "left", no_wrap=heading != "Good for")
    for row in rows:
        table.add_row(*map(insert_program_name, cells(row)), style="" if row.path else "dim")
    return table


def _format_row(row: ModelRow) -> tuple[str, ...]:
    scale = f"{row.scale}x" if row.scale else ""
    size = f"{row.bytes / _MEGABYTE:.1f} MB" if row.bytes is not None else "?"
    availability = {"folder": "yes", "dependency": "yes (shipped)", "pull": "models pull"}[row.state]
    return row.id, scale, size, row.licence or "", availability


def list_models_as_json(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the table as plain values for JSON."""
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
        for row in list_models(folders)
    ]


def download_model(name: str, folder: Path, display: Display) -> Path:
    """Pull a model of the catalog, or ``openmodeldb:NAME``, and return its file. Raises ``ModelNotFound``."""
    if name.startswith(DATABASE_PREFIX):
        return _download_from_database(name, folder, display)
    entry = find_entry(name)
    if entry is None:
        hint = f"Choose one of: {', '.join(load_catalog())}; or {DATABASE_PREFIX}NAME, a model of OpenModelDB."
        raise ModelNotFound(f"The catalog has no model {name!r}.", hint, model=name)
    from ..models import pull_model

    display.start_node(f"Pull {entry.id}")
    downloaded = pull_model(entry, folder, display.track_progress)
    if downloaded.warning:
        display.show_message(downloaded.warning)
    return downloaded.path


def _download_from_database(name: str, folder: Path, display: Display) -> Path:
    from ..bench import measure_needed_halo
    from ..models import FoundModel, UpscaleModel, find_database_entry, load_model, pull_model, write_record

    entry = find_database_entry(name)
    size = f"{(entry.bytes or 0) / _MEGABYTE:.1f} MB"
    display.show_message(f"{entry.title} of {entry.author}, {size}, licence {entry.licence}: {get_page(entry)}")
    display.start_node(f"Pull {entry.id}")
    path = pull_model(entry, folder, display.track_progress).path
    write_record(path, entry)
    model = UpscaleModel.from_descriptor(load_model(FoundModel(path.name, None, path, "folder")))
    display.start_node(f"Measure the halo of {entry.id}")
    halo, how = measure_needed_halo(entry.id, model)
    facts = {name: getattr(model, name) for name in ("architecture", "scale", "multiple", "window", "exact_halo")}
    facts |= {"halo": halo, "half_safe": model.half_safe, "bfloat16_safe": model.bfloat16_safe}
    write_record(path, replace(entry, **facts))
    display.show_message(f"{path.name} is {model.architecture}, {model.scale}x, with a halo of {halo} pixels: {how}.")
    return path


def find_missing_models(
    prompt: Mapping[str, Mapping[str, Any]], node_classes: Mapping[str, type], folders: Sequence[Path]
) -> list[CatalogEntry]:
    """Return the catalog models that the loader nodes of a prompt name and that are missing, each once."""
    missing_models: dict[str, CatalogEntry] = {}
    for node in prompt.values():
        output_types = getattr(node_classes.get(node["class_type"]), "RETURN_TYPES", ())
        if "UPSCALE_MODEL" not in output_types:
            continue
        for value in node["inputs"].values():
            entry = find_entry(value) if isinstance(value, str) else None
            if entry and not _is_available(value, folders):
                missing_models[entry.id] = entry
    return list(missing_models.values())


def pull_missing_models(
    workflow: Path, settings: Sequence[str], catalog: NodeCatalog, host: LocalHost, display: Display
) -> None:
    """Download the missing models that a workflow names, because of ``--download``."""
    loaded = load_workflow(workflow, settings, catalog.classes, catalog.describe_nodes())
    for entry in find_missing_models(loaded.prompt, catalog.classes, host.models_dirs):
        pull_missing_model(entry.id, host.models_dirs, display)


def pull_missing_model(name: str, folders: Sequence[Path], display: Display) -> None:
    """Download a model of the catalog that is not there."""
    entry = find_entry(name)
    if entry is not None and not _is_available(name, folders):
        display.show_message(f"{entry.id} is missing; downloading it because of --download.")
        download_model(entry.id, folders[0], display)


def _is_available(name: str, folders: Sequence[Path]) -> bool:
    try:
        find_model(name, folders)
    except ModelNotFound:
        return False
    return True
