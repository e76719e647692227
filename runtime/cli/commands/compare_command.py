"""``compare``: run a shipped workflow with other values on one image."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ...errors import MediaError, WorkflowRejected
from ..batch.upscale_jobs import name_typed
from ..display import Display, open_display
from ..run_options import RunOptions, find_shipped_workflow
from . import options
from .workflow_commands import load_and_run


def compare(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Image file to upscale with every model.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the report.")],
    models: Annotated[
        str | None,
        typer.Option(
            "--models", help="Catalog ids or file names, separated by commas, or all (default: one of each of three families)."
        ),
    ] = None,
    crop: Annotated[
        str,
        typer.Option(
            "--crop",
            help="Crops to compare, separated by commas: centre, texture, edges, faces, all, WIDTHxHEIGHT or WIDTHxHEIGHT+X+Y "
            "in pixels.",
        ),
    ] = "centre",
    to: Annotated[str, typer.Option("--to", help="Common size of all results: 4x, 2x, 8k or WIDTHxHEIGHT in pixels.")] = "4x",
    tile: options.Tile = 0,
    precision: Annotated[str, typer.Option("--precision", help="Precision of the models: auto, fp32, fp16 or bf16.")] = "auto",
    scores: Annotated[
        str,
        typer.Option(
            "--scores", help="Scores of other libraries, separated by commas: ssim, lpips, vmaf, ... or all; empty for none."
        ),
    ] = "",
    truth: Annotated[
        bool,
        typer.Option(
            "--truth",
            help="IN is the original: reduce it by the factor of --to, restore it with every model, and compare with IN. "
            "Only this recommends a model.",
        ),
    ] = False,
    degrade: Annotated[
        str, typer.Option("--degrade", help="With --truth: also damage it, such as blur=1,noise=4,jpeg=80.")
    ] = "",
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
    device: options.Device = "auto",
    backend: options.BackendName = "auto",
    progress: options.ProgressMode = "auto",
    max_pixels: options.MaxPixels = None,
    traceback: options.Traceback = False,
) -> None:
    """Compare models on one image: a sheet, maps, an analysis and a page with a slider. Prints the written files.

    The report names missing weights and the command that downloads them; nothing is downloaded.
    """
    run_options = RunOptions(None, out, tuple(models_dir or ()), extra_model_paths, device, backend, max_pixels)
    values: dict[str, object] = {"crop": crop, "target": to, "tile": tile, "precision": precision}
    values |= {"scores": scores} if scores else {}
    values |= {"truth": "true"} if truth or degrade else {}
    values |= {"degrade": degrade} if degrade else {}
    values |= {} if models is None else {"models": models}
    try:
        files = run_comparison(source, values, run_options, open_display(options.parse_display_mode(progress)))
    except WorkflowRejected as error:
        typed = {name: ("--to" if name == "target" else f"--{name}", value) for name, value in values.items()}
        raise name_typed(error, typed) from error
    for path in files:
        typer.echo(path)


def run_comparison(source: Path, values: Mapping[str, object], run_options: RunOptions, display: Display) -> list[Path]:
    """Compare models on one image; ``values`` are inputs of the node Comparison Report. Return the written files."""
    if not source.is_file():
        raise MediaError(f"The image {source} does not exist.", "Check the name.", path=source)
    image = source.resolve()
    inputs = {"folder": "", **values}
    settings = [f"ImageIn.image={image.name}", *(f"ComparisonReport.{name}={value}" for name, value in inputs.items())]
    workflow = find_shipped_workflow("compare_models.json")
    return load_and_run(workflow, settings, replace(run_options, input_dir=image.parent), display, download=False)
