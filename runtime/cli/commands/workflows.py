"""``run``, ``check``, ``convert`` and ``nodes``: what is done with any workflow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from .... import nodes
from ...errors import WorkflowError
from ...graph.cache import Cache
from ...graph.definitions import describe_all
from ...host import LocalHost
from .. import models as model_commands
from ..caching import DEFAULT_LIMIT, open_cache
from ..checking import Verdict, check_all
from ..conversion import convert_all, read_object_info, workflow_files
from ..display import Display, open_display
from ..dry_run import describe_needs, describe_run
from ..prepared import Prepared, prepare
from ..program import worded
from ..running import report_left_out, verdict
from ..running import run as run_prepared
from ..session import Catalog, Places, opened_catalog
from . import options


def run(
    workflow: options.Workflow,
    settings: options.Set = None,
    outputs: options.Outputs = None,
    keep_going: options.KeepGoing = False,
    dry_run: options.DryRun = False,
    cache: options.CacheDir = None,
    cache_limit: options.CacheLimit = DEFAULT_LIMIT,
    input_dir: options.InputDir = None,
    output_dir: options.OutputDir = None,
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
    device: options.Device = "auto",
    backend: options.BackendName = "auto",
    progress: options.ProgressMode = "auto",
    packs: options.Packs = None,
    download: options.Download = False,
    max_pixels: options.MaxPixels = None,
    traceback: options.Traceback = False,
) -> None:
    """Run a workflow. Prints the files that it wrote."""
    display = open_display(options.mode(progress))
    places = Places(input_dir, output_dir, tuple(models_dir or ()), extra_model_paths, device, backend, max_pixels)
    with closing(places.host(display, workflow)) as host, opened_catalog(host, packs or (), display.say) as catalog:
        store = open_cache(cache, cache_limit, host, catalog, display.say) if cache is not None else None
        if dry_run:
            prepared = prepare(workflow, settings or [], catalog.classes, catalog.definitions(), outputs or ())
            _foretell(prepared, catalog, host, store)
            return
        if download:
            _pull_missing(workflow, settings or [], catalog, host, display)
        prepared = prepare(workflow, settings or [], catalog.classes, catalog.definitions(), outputs or ())
        going = prepared.good(catalog.classes) if keep_going else prepared.accepted()
        report_left_out(prepared, going, display)
        outcome = run_prepared(going, catalog.classes, host, display, keep_going=keep_going, cache=store)
        for path in outcome.files:
            typer.echo(path)
        if error := verdict(prepared, going, outcome):
            raise error


def check(
    workflows: Annotated[list[Path], typer.Argument(help="Workflows, or folders of them.")],
    settings: options.Set = None,
    input_dir: options.InputDir = None,
    output_dir: options.OutputDir = None,
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
    packs: options.Packs = None,
    object_info: options.ObjectInfo = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object with every file and problem, for a program.")
    ] = False,
    traceback: options.Traceback = False,
) -> int:
    """Name every problem of every workflow at once. Exit code 0 or 2."""
    places = Places(input_dir, output_dir, tuple(models_dir or ()), extra_model_paths)
    verdicts = check_all(
        workflow_files(workflows), settings or [], places, packs or (), read_object_info(object_info), open_display("none")
    )
    found: list[Verdict] = []
    for one in verdicts:
        found.append(one)
        if not as_json:
            typer.echo(str(one) if one.fine else worded(f"Error: {one}"), err=not one.fine)
    if as_json:
        typer.echo(json.dumps({"fine": all(one.fine for one in found), "files": [one.as_json() for one in found]}, indent=2))
    return 0 if all(one.fine for one in found) else WorkflowError.exit_code


def convert(
    workflows: Annotated[list[Path], typer.Argument(help="Workflows saved from the canvas, or folders of them.")],
    out: Annotated[Path | None, typer.Option("-o", "--output", help="A file, or a folder for many.")] = None,
    object_info: options.ObjectInfo = None,
    traceback: options.Traceback = False,
) -> int:
    """Convert workflows from the canvas format to the API format, as the canvas itself would."""
    definitions = read_object_info(object_info) or describe_all(nodes.catalog(LocalHost()), nodes.TITLES)
    failures = convert_all(workflows, out, definitions)
    for error in failures:
        typer.echo(worded(f"Error: {error}"), err=True)
    return max((error.exit_code for error in failures), default=0)


def nodes_(
    as_json: Annotated[bool, typer.Option("--json", help="In the shape of ComfyUI's /object_info.")] = False,
    models_dir: options.ModelsDir = None,
) -> None:
    """List the nodes that a workflow may use here."""
    catalog = nodes.catalog(LocalHost(models_dirs=Places(models_dirs=tuple(models_dir or ())).model_folders()))
    described = describe_all(catalog, nodes.TITLES)
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    for node_id, node in described.items():
        typer.echo(f"{node_id:24} {node['category']:18} {node['description']}")


def run_workflow(
    workflow: Path, settings: list[str], places: Places, display: Display, *, download: bool, packs: Sequence[Path] = ()
) -> list[Path]:
    """Run a workflow as a part of another command; the files that it wrote."""
    with closing(places.host(display, workflow)) as host, opened_catalog(host, packs, display.say) as catalog:
        if download:
            _pull_missing(workflow, settings, catalog, host, display)
        prepared = prepare(workflow, settings, catalog.classes, catalog.definitions())
        return run_prepared(prepared.accepted(), catalog.classes, host, display).files


def _foretell(prepared: Prepared, catalog: Catalog, host: LocalHost, cache: Cache | None) -> None:
    """Print what a run would do; raises ``WorkflowRejected`` after that when it would not begin."""
    lines = describe_needs(prepared, catalog.classes, host)
    for line in lines if prepared.problems else describe_run(prepared, catalog.classes, host, cache):
        typer.echo(line)
    prepared.accepted()


def _pull_missing(workflow: Path, settings: Sequence[str], catalog: Catalog, host: LocalHost, display: Display) -> None:
    prepared = prepare(workflow, settings, catalog.classes, catalog.definitions())
    for entry in model_commands.missing(prepared.prompt, catalog.classes, host.models_dirs):
        display.say(f"{entry.id} is not here; downloading it because of --download.")
        model_commands.fetch(entry.id, host.models_dirs[0], display)
