"""Every command and option. A command reads its arguments, makes one call and prints the result."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ... import nodes
from ..errors import Cancelled, MediaError, ModelDamaged, NodeError, OutputError, Upscale8KError, WorkflowError
from ..graph.definitions import describe_all
from ..host import LocalHost
from ..models.locate import locate
from . import models as model_commands
from . import pictures
from .display import MODES, Display, Mode, open_display
from .session import Places, opened_catalog, own_models_dir, prepare, run, shipped

_typer = typer.Typer(
    name="upscale8k",
    help="8K super-resolution of images: runs ComfyUI workflows without ComfyUI.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
_models = typer.Typer(help="What models are here, and getting more.", invoke_without_command=True)
_bench = typer.Typer(help="Time and memory, side by side with the peers.", no_args_is_help=True)
_typer.add_typer(_models, name="models")
_typer.add_typer(_bench, name="bench")

Workflow = Annotated[
    Path, typer.Argument(help="A workflow saved from the canvas, an API prompt, or a picture that carries one.")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NODE.INPUT=VALUE", help="Change a value; NODE is an id, title or class.")
]
InputDir = Annotated[Path | None, typer.Option("--input-dir", help="Where input files lie (default: ./input).")]
OutputDir = Annotated[Path | None, typer.Option("--output-dir", help="Where results go (default: ./output).")]
ModelsDir = Annotated[list[Path] | None, typer.Option("--models-dir", help="Where weights lie; may be given more than once.")]
ExtraPaths = Annotated[Path | None, typer.Option("--extra-model-paths", help="ComfyUI's extra_model_paths.yaml.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N, mps or xpu.")]
BackendName = Annotated[str, typer.Option("--backend", help="auto, torch or null (repeats pixels, for a dry run).")]
ProgressMode = Annotated[str, typer.Option("--progress", help=" | ".join(MODES))]
Packs = Annotated[
    list[Path] | None,
    typer.Option("--nodes", metavar="PACK", help="A ComfyUI node pack to use; it runs with your rights. May be repeated."),
]
Download = Annotated[bool, typer.Option("--download", help="Pull models that the workflow names and that are not here.")]
MaxPixels = Annotated[
    int | None, typer.Option("--max-pixels", min=1, help="Largest picture that is decoded (default: 1000000000).")
]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")]


# Newer versions of typer carry a click of their own; what a wrong option raises is reached through typer with both.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])


def app(arguments: Sequence[str]) -> int:
    """Run the command line on these arguments; the exit code. Raises ``Upscale8KError`` and ``KeyboardInterrupt``."""
    command = typer.main.get_command(_typer)
    try:
        result: object = command(list(arguments) or ["--help"], prog_name="python -m runtime", standalone_mode=False)
    except _UsageError as error:
        error.show()
        return error.exit_code
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    if result == Cancelled.exit_code:  # what newer versions make of Ctrl-C
        raise KeyboardInterrupt
    if not arguments:
        return _UsageError.exit_code
    return result if isinstance(result, int) else 0


@_typer.command("run")
def run_command(
    workflow: Workflow,
    settings: Set = None,
    input_dir: InputDir = None,
    output_dir: OutputDir = None,
    models_dir: ModelsDir = None,
    extra_model_paths: ExtraPaths = None,
    device: Device = "auto",
    backend: BackendName = "auto",
    progress: ProgressMode = "auto",
    packs: Packs = None,
    download: Download = False,
    max_pixels: MaxPixels = None,
    traceback: Traceback = False,
) -> None:
    """Run a workflow. Prints the files that it wrote."""
    display = open_display(_mode(progress))
    places = Places(input_dir, output_dir, tuple(models_dir or ()), extra_model_paths, device, backend, max_pixels)
    for path in _run(workflow, settings or [], places, display, download=download, packs=packs or ()):
        typer.echo(path)


@_typer.command("check")
def check_command(
    workflow: Workflow,
    settings: Set = None,
    input_dir: InputDir = None,
    output_dir: OutputDir = None,
    models_dir: ModelsDir = None,
    extra_model_paths: ExtraPaths = None,
    packs: Packs = None,
    traceback: Traceback = False,
) -> None:
    """Name every problem of a workflow at once. Exit code 0 or 2."""
    places = Places(input_dir, output_dir, tuple(models_dir or ()), extra_model_paths)
    display = open_display("none")
    with opened_catalog(places.host(display, workflow), packs or (), display.say) as catalog:
        prepared = prepare(workflow, settings or [], catalog).accepted()
    typer.echo(f"{workflow}: {len(prepared.prompt)} nodes, no problem.")


@_typer.command("convert")
def convert_command(
    workflows: Annotated[list[Path], typer.Argument(help="Workflows saved from the canvas, or folders of them.")],
    out: Annotated[Path | None, typer.Option("-o", "--output", help="A file, or a folder for many.")] = None,
    object_info: Annotated[
        Path | None, typer.Option("--object-info", help="ComfyUI's /object_info, for nodes that are not here.")
    ] = None,
    traceback: Traceback = False,
) -> int:
    """Convert workflows from the canvas format to the API format, as the canvas itself would."""
    from .conversion import convert_all

    definitions = _read_object_info(object_info) if object_info else describe_all(nodes.catalog(LocalHost()), nodes.TITLES)
    failures = convert_all(workflows, out, definitions)
    for error in failures:
        typer.echo(f"Error: {error}", err=True)
    return max((error.exit_code for error in failures), default=0)


@_typer.command("nodes")
def nodes_command(
    as_json: Annotated[bool, typer.Option("--json", help="In the shape of ComfyUI's /object_info.")] = False,
    models_dir: ModelsDir = None,
) -> None:
    """List the nodes that a workflow may use here."""
    catalog = nodes.catalog(LocalHost(models_dirs=Places(models_dirs=tuple(models_dir or ())).model_folders()))
    described = describe_all(catalog, nodes.TITLES)
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    for node_id, node in described.items():
        typer.echo(f"{node_id:24} {node['category']:18} {node['description']}")


@_typer.command("upscale")
def upscale_command(
    source: Annotated[str, typer.Argument(metavar="IN", help="A picture, a folder of pictures, or a quoted glob.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="The result, or a folder for results.")],
    to: Annotated[str, typer.Option("--to", help="8k, 4k, 16k, 2x, 4x, WIDTHxHEIGHT or 'model scale'.")] = "8k",
    model: Annotated[str, typer.Option("-m", "--model", help="A catalog id or a file name.")] = "realesr-animevideov3",
    batch: Annotated[int, typer.Option("-b", "--batch", min=1, help="Tiles that go through the model together.")] = 1,
    tile: Annotated[int, typer.Option("--tile", min=0, help="Side of a tile in source pixels; 0 chooses.")] = 0,
    models_dir: ModelsDir = None,
    extra_model_paths: ExtraPaths = None,
    device: Device = "auto",
    backend: BackendName = "auto",
    progress: ProgressMode = "auto",
    download: Download = False,
    max_pixels: MaxPixels = None,
    traceback: Traceback = False,
) -> int:
    """Upscale pictures; depth, alpha and colour profile are kept. Prints the files that it wrote.

    Of several pictures one that is bad never stops the rest.
    """
    display = open_display(_mode(progress))
    settings = [
        f"UpscaleModel.model={model}",
        f"TiledUpscale.target={to}",
        f"TiledUpscale.batch={batch}",
        f"TiledUpscale.tile={tile}",
    ]
    places = Places(None, None, tuple(models_dir or ()), extra_model_paths, device, backend, max_pixels)
    found = pictures.jobs(source, out)
    exit_code = 0
    for job in found:
        try:
            for path in _upscaled(job, settings, places, display, download=download):
                typer.echo(path)
        except (MediaError, NodeError) as error:
            if len(found) == 1 or _disk_failed(error):
                raise
            typer.echo(f"Error: {error}", err=True)
            exit_code = max(exit_code, error.exit_code)
    return exit_code


def _run(
    workflow: Path, settings: list[str], places: Places, display: Display, *, download: bool, packs: Sequence[Path] = ()
) -> list[Path]:
    with closing(places.host(display, workflow)) as host, opened_catalog(host, packs, display.say) as catalog:
        if download:
            _pull_missing(workflow, settings, catalog, host, display)
        return run(prepare(workflow, settings, catalog).accepted(), catalog, host, display)


def _upscaled(job: pictures.Job, settings: list[str], places: Places, display: Display, *, download: bool) -> list[Path]:
    """Run the shipped workflow on one picture; the file that it wrote."""
    workflow = shipped("image_any.json")
    original = job.source.resolve()
    places = replace(places, input_dir=original.parent, output_dir=job.result.parent)
    settings = [*settings, f"ImageIn.image={original.name}", f"ImageOut.filename={job.result.name}"]
    return _run(workflow, settings, places, display, download=download)


@_models.callback()
def models_callback(context: typer.Context) -> None:
    """What models are here, and getting more."""
    if context.invoked_subcommand is None:
        models_list_command()


@_models.command("list")
def models_list_command(
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    models_dir: ModelsDir = None,
    extra_model_paths: ExtraPaths = None,
) -> None:
    """Show the models that are here and those that can be pulled."""
    folders = Places(models_dirs=tuple(models_dir or ()), extra_model_paths=extra_model_paths).model_folders()
    if as_json:
        typer.echo(json.dumps(model_commands.as_json(folders), indent=2))
        return
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160, markup=False, emoji=False)
    for table in model_commands.tables(folders, console.width):
        console.print(table)


@_models.command("pull")
def models_pull_command(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Catalog ids.")],
    models_dir: Annotated[Path | None, typer.Option("--models-dir", help="Where to put them.")] = None,
    progress: ProgressMode = "auto",
    traceback: Traceback = False,
) -> None:
    """Download official weights and check them. Prints where they are."""
    display = open_display(_mode(progress))
    for name in names:
        typer.echo(model_commands.fetch(name, models_dir or own_models_dir(), display))


@_models.command("verify")
def models_verify_command(models_dir: ModelsDir = None, traceback: Traceback = False) -> int:
    """Compare the files that are here with the hashes of the official ones."""
    from ..models.verify import verify

    verdicts = verify(Places(models_dirs=tuple(models_dir or ())).model_folders())
    for verdict in verdicts:
        typer.echo(f"{verdict.path}: {verdict.what}")
    return 0 if all(verdict.good for verdict in verdicts) else ModelDamaged.exit_code


@_models.command("import")
def models_import_command(
    file: Annotated[Path, typer.Argument(help="Weights that you downloaded yourself.")],
    models_dir: Annotated[Path | None, typer.Option("--models-dir", help="Where to put them.")] = None,
    traceback: Traceback = False,
) -> None:
    """Take a file into the models folder, after a look at what it is."""
    from ..models.verify import import_file

    imported = import_file(file, models_dir or own_models_dir())
    typer.echo(imported.what, err=True)
    typer.echo(imported.path)


@_bench.command("image")
def bench_image_command(
    comfyui: Annotated[Path, typer.Option("--comfyui", help="A ComfyUI checkout, the peer.")],
    model: Annotated[str, typer.Option("-m", "--model", help="Catalog id or file name.")] = "realesr-animevideov3",
    size: Annotated[str, typer.Option("--size", help="Of the picture that is upscaled.")] = "1920x1080",
    runs: Annotated[int, typer.Option("--runs", min=1, help="Counted runs of each, taken in turn.")] = 3,
    threads: Annotated[int, typer.Option("--threads", min=0, help="For both; 0 is all cores.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    traceback: Traceback = False,
) -> None:
    """Upscale one picture with ComfyUI's own node and with ours, in turn; prints medians and their ratio."""
    from ..bench.image import compare

    located = locate(model, Places().model_folders())
    compared = compare(comfyui, located, size, runs=runs, threads=threads, say=open_display("none").say)
    typer.echo(compared.as_json() if as_json else compared.as_text())


def _mode(text: str) -> Mode:
    for mode in MODES:
        if mode == text:
            return mode
    raise WorkflowError(f"{text!r} is no way to show progress.", f"Use one of: {', '.join(MODES)}.")


def _disk_failed(error: Upscale8KError) -> bool:
    """Whether a result found no room or no way to the disk, which the next will not either."""
    return isinstance(error, OutputError) and isinstance(error.__cause__, OSError)


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
