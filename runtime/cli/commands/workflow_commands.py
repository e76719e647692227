"""``run``, ``check``, ``convert`` and ``nodes``: the commands for any workflow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ...distributed import join_share
from ...errors import WorkflowError
from ...graph import NodeCache
from ...host import LocalHost
from ...paths import WORKFLOWS_FOLDER
from ..cache_option import DEFAULT_CACHE_LIMIT_GB, open_cache
from ..check_workflows import WorkflowCheckResult, check_workflows
from ..convert_workflows import convert_workflows, find_workflow_files, read_object_info
from ..display import Display, open_display
from ..dry_run import describe_required_files, describe_run
from ..load_workflow import LoadedWorkflow, load_workflow
from ..manage_models import pull_missing_models
from ..program_name import insert_program_name
from ..run_options import NodeCatalog, RunOptions, find_workflow, open_node_catalog
from ..run_workflow import make_failure_error, report_skipped_outputs, run_workflow
from . import options


def run(
    workflow: options.Workflow,
    settings: options.SetValues = None,
    outputs: options.Outputs = None,
    keep_going: options.KeepGoing = False,
    dry_run: options.DryRun = False,
    cache: options.CacheDir = None,
    cache_limit: options.CacheLimit = DEFAULT_CACHE_LIMIT_GB,
    input_dir: options.InputDir = None,
    output_dir: options.OutputDir = None,
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
    device: options.Device = "auto",
    backend: options.BackendName = "auto",
    workers: options.Workers = "",
    share: options.Share = "",
    progress: options.ProgressMode = "auto",
    packs: options.Packs = None,
    download: options.Download = False,
    max_pixels: options.MaxPixels = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the written files, and what nodes measured by node id, as one JSON object.")
    ] = False,
    traceback: options.Traceback = False,
) -> None:
    """Run a workflow. Prints the written files."""
    display = open_display(options.parse_display_mode(progress))
    workflow = find_workflow(workflow)
    folders = (input_dir, output_dir, tuple(models_dir or ()), extra_model_paths)
    run_options = RunOptions(*folders, device, backend, max_pixels, workers=join_share(workers, share))
    with (
        closing(run_options.create_host(display, workflow)) as host,
        open_node_catalog(host, packs or (), display.show_message) as catalog,
    ):
        result_cache = open_cache(cache, cache_limit, host, catalog, display.show_message) if cache is not None else None
        if download and not dry_run:
            pull_missing_models(workflow, settings or [], catalog, host, display)
        definitions, engine = catalog.describe_nodes(), run_options.engine_name
        loaded = load_workflow(workflow, settings or [], catalog.classes, definitions, outputs or (), engine)
        if dry_run:
            _print_dry_run(loaded, catalog, host, result_cache)
            return
        runnable = loaded.select_runnable_outputs(catalog.classes) if keep_going else loaded.require_valid()
        for note in loaded.notes:
            display.show_message(f"Note: {note}")
        report_skipped_outputs(loaded, runnable, display)
        outcome = run_workflow(runnable, catalog.classes, host, display, keep_going=keep_going, cache=result_cache)
        if as_json:
            typer.echo(json.dumps({"files": [str(path) for path in outcome.files], "values": outcome.values}, indent=2))
        for path in [] if as_json else outcome.files:
            typer.echo(path)
        if error := make_failure_error(loaded, runnable, outcome):
            raise error


def check(
    workflows: Annotated[list[Path], typer.Argument(help="Workflow files, names of shipped ones, or folders.")],
    settings: options.SetValues = None,
    input_dir: options.InputDir = None,
    output_dir: options.OutputDir = None,
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
    packs: options.Packs = None,
    object_info: options.ObjectInfo = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with all files and problems, for programs.")
    ] = False,
    traceback: options.Traceback = False,
) -> int:
    """Print every problem of every workflow. Exit code 0 or 2."""
    run_options = RunOptions(input_dir, output_dir, tuple(models_dir or ()), extra_model_paths)
    results = check_workflows(
        find_workflow_files([find_workflow(path) for path in workflows]),
        settings or [],
        run_options,
        packs or (),
        read_object_info(object_info),
        open_display("none"),
    )
    checked: list[WorkflowCheckResult] = []
    for result in results:
        checked.append(result)
        if not as_json:
            typer.echo(str(result) if result.is_valid else insert_program_name(f"Error: {result}"), err=not result.is_valid)
    all_valid = all(result.is_valid for result in checked)
    if as_json:
        typer.echo(json.dumps({"fine": all_valid, "files": [result.as_json() for result in checked]}, indent=2))
    return 0 if all_valid else WorkflowError.exit_code


def convert(
    workflows: Annotated[list[Path], typer.Argument(help="Workflow files of the canvas, or folders with them.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--output", help="Result file, or folder for several (default: stdout).")
    ] = None,
    object_info: options.ObjectInfo = None,
    packs: options.Packs = None,
    traceback: options.Traceback = False,
) -> int:
    """Convert workflows from the canvas format to the API format, as the canvas does."""
    definitions = read_object_info(object_info)
    if packs or not definitions:
        definitions = {**_describe_nodes(LocalHost(), packs), **definitions}
    failures = convert_workflows([find_workflow(path) for path in workflows], out, definitions)
    for error in failures:
        typer.echo(insert_program_name(f"Error: {error}"), err=True)
    return max((error.exit_code for error in failures), default=0)


def list_workflows() -> None:
    """List the shipped workflows, which run takes by name."""
    for path in sorted(WORKFLOWS_FOLDER.glob("*.json")):
        nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
        note = next(node["widgets_values"][0] for node in nodes if node["type"] == "MarkdownNote")
        typer.echo(f"{path.stem:18} {note.partition(chr(10))[0].lstrip('# ')}")


def list_nodes(
    name: Annotated[str | None, typer.Argument(help="Id of one node, to show its inputs and outputs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in the format of ComfyUI's /object_info.")] = False,
    models_dir: options.ModelsDir = None,
    packs: options.Packs = None,
    traceback: options.Traceback = False,
) -> None:
    """List the nodes that a workflow can use."""
    host = LocalHost(models_dirs=RunOptions(models_dirs=tuple(models_dir or ())).resolve_model_folders())
    definitions = _describe_nodes(host, packs)
    if name is not None:
        if name not in definitions:
            near = get_close_matches(name, definitions)
            hint = f"Use one of: {', '.join(near)}." if near else "All are listed by: python -m runtime nodes"
            raise WorkflowError(f"There is no node {name!r}.", hint)
        definitions = {name: definitions[name]}
    if as_json:
        typer.echo(json.dumps(definitions, indent=2))
        return
    for node_id, node in definitions.items():
        typer.echo(f"{node_id:24} {node['category']:18} {node['description']}")
        for line in _describe_sockets(node) if name is not None else ():
            typer.echo(line)


def _describe_sockets(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield every input with its type or choices, default, range and help, then every output."""
    for need, inputs in node["input"].items():
        for input_name, (kind, *rest) in inputs.items() if need != "hidden" else ():
            facts: Mapping[str, Any] = rest[0] if rest else {}
            shown = ", ".join(map(str, cast("list[object]", kind))) if isinstance(kind, list) else str(kind)
            details = [f"{word} {facts[word]}" for word in ("default", "min", "max") if facts.get(word) not in (None, "")]
            yield f"  {input_name:22} {'; '.join([shown, *details])}"
            if facts.get("tooltip"):
                yield f"      {facts['tooltip']}"
    for output_name, kind in zip(node["output_name"], node["output"], strict=True):
        yield f"  -> {output_name:19} {kind}"


def _describe_nodes(host: LocalHost, packs: Sequence[Path] | None) -> dict[str, Any]:
    """Return all nodes, with those of packs, in the format of ComfyUI's /object_info; packs cannot change the machine."""
    display = open_display("none")
    with closing(host), open_node_catalog(host, packs or (), display.show_message, guarded=True) as catalog:
        return catalog.describe_nodes()


def load_and_run(
    workflow: Path,
    settings: list[str],
    run_options: RunOptions,
    display: Display,
    *,
    download: bool,
    packs: Sequence[Path] = (),
) -> list[Path]:
    """Run a workflow for another command; return the written files."""
    with (
        closing(run_options.create_host(display, workflow)) as host,
        open_node_catalog(host, packs, display.show_message) as catalog,
    ):
        if download:
            pull_missing_models(workflow, settings, catalog, host, display)
        loaded = load_workflow(workflow, settings, catalog.classes, catalog.describe_nodes())
        return run_workflow(loaded.require_valid(), catalog.classes, host, display).files


def _print_dry_run(loaded: LoadedWorkflow, catalog: NodeCatalog, host: LocalHost, cache: NodeCache | None) -> None:
    """Print what a run would do, then raise ``WorkflowRejected`` if the workflow has problems."""
    lines = describe_required_files(loaded, catalog.classes, host)
    for line in lines if loaded.problems else describe_run(loaded, catalog.classes, host, cache):
        typer.echo(line)
    loaded.require_valid()
