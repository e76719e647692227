"""``run``, ``check``, ``convert`` and ``nodes``: what is done with any workflow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from .... import nodes
from ...errors import WorkflowError
from ...graph.definitions import describe_all
from ...host import LocalHost
from .. import models as model_commands
from ..display import Display, open_display
from ..session import Places, opened_catalog, prepare
from ..session import run as run_prepared
from . import options


def run(
    workflow: options.Workflow,
    settings: options.Set = None,
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
    for path in run_workflow(workflow, settings or [], places, display, download=download, packs=packs or ()):
        typer.echo(path)


def check(
    workflow: options.Workflow,
    settings: options.Set = None,
    input_dir: options.InputDir = None,
    output_dir: options.OutputDir = None,
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
    packs: options.Packs = None,
    traceback: options.Traceback = False,
) -> None:
    """Name every problem of a workflow at once. Exit code 0 or 2."""
    places = Places(input_dir, output_dir, tuple(models_dir or ()), extra_model_paths)
    display = open_display("none")
    with opened_catalog(places.host(display, workflow), packs or (), display.say) as catalog:
        prepared = prepare(workflow, settings or [], catalog).accepted()
    typer.echo(f"{workflow}: {len(prepared.prompt)} nodes, no problem.")


def convert(
    workflows: Annotated[list[Path], typer.Argument(help="Workflows saved from the canvas, or folders of them.")],
    out: Annotated[Path | None, typer.Option("-o", "--output", help="A file, or a folder for many.")] = None,
    object_info: Annotated[
        Path | None, typer.Option("--object-info", help="ComfyUI's /object_info, for nodes that are not here.")
    ] = None,
    traceback: options.Traceback = False,
) -> int:
    """Convert workflows from the canvas format to the API format, as the canvas itself would."""
    from ..conversion import convert_all

    definitions = _read_object_info(object_info) if object_info else describe_all(nodes.catalog(LocalHost()), nodes.TITLES)
    failures = convert_all(workflows, out, definitions)
    for error in failures:
        typer.echo(f"Error: {error}", err=True)
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
    with closing(places.host(display, workflow)) as host, opened_catalog(host, packs, display.say) as catalog:
        if download:
            _pull_missing(workflow, settings, catalog, host, display)
        return run_prepared(prepare(workflow, settings, catalog).accepted(), catalog, host, display)


def _pull_missing(workflow: Path, settings: Sequence[str], catalog: dict[str, type], host: LocalHost, display: Display) -> None:
    prepared = prepare(workflow, settings, catalog)
    for entry in model_commands.missing(prepared.prompt, catalog, host.models_dirs):
        display.say(f"{entry.id} is not here; downloading it because of --download.")
        model_commands.fetch(entry.id, host.models_dirs[0], display)


def _read_object_info(path: Path) -> dict[str, Any]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WorkflowError(
            f"{path} cannot be read as ComfyUI's object_info: {error}.", "Save it from /object_info.", path=path
        ) from error
    if not isinstance(content, dict):
        raise WorkflowError(f"{path} is not ComfyUI's object_info: it holds a list.", "Save it from /object_info.", path=path)
    return cast("dict[str, Any]", content)
