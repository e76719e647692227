"""``compare``: a shipped workflow with values set, on one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...errors import MediaError
from ..display import open_display
from ..run_options import RunOptions, find_shipped_workflow
from . import options
from .workflow_commands import load_and_run


def compare(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="A folder for the report.")],
    models: Annotated[
        str | None, typer.Option("--models", help="Ids or file names with commas, or all (default: the three families).")
    ] = None,
    crop: Annotated[
        str, typer.Option("--crop", help="centre, texture, edges, faces, all, 512x512, 512x512+X+Y; several with commas.")
    ] = "centre",
    to: Annotated[str, typer.Option("--to", help="The common size: 4x, 2x, 8k, WIDTHxHEIGHT.")] = "4x",
    tile: Annotated[int, typer.Option("--tile", min=0, help="Side of a tile in source pixels; 0 chooses.")] = 0,
    precision: Annotated[str, typer.Option("--precision", help="auto, fp32, fp16 or bf16.")] = "auto",
    scores: Annotated[
        str, typer.Option("--scores", help="Scores of other libraries: ssim, lpips, vmaf, ... or all; with commas.")
    ] = "",
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
    device: options.Device = "auto",
    backend: options.BackendName = "auto",
    progress: options.ProgressMode = "auto",
    max_pixels: options.MaxPixels = None,
    traceback: options.Traceback = False,
) -> None:
    """Compare models on one picture: a sheet, maps, the analysis, a page with a slider. Prints the files that it wrote.

    Weights that are missing are named in the report with the line that gets them; nothing is downloaded.
    """
    if not source.is_file():
        raise MediaError(f"{source}: no such picture.", "Check the name.", path=source)
    original_path = source.resolve()
    run_options = RunOptions(original_path.parent, out, tuple(models_dir or ()), extra_model_paths, device, backend, max_pixels)
    settings = [
        f"ImageIn.image={original_path.name}",
        f"ComparisonReport.crop={crop}",
        f"ComparisonReport.target={to}",
        f"ComparisonReport.tile={tile}",
        f"ComparisonReport.precision={precision}",
        "ComparisonReport.folder=",
        *([f"ComparisonReport.scores={scores}"] if scores else []),
        *([] if models is None else [f"ComparisonReport.models={models}"]),
    ]
    display = open_display(options.parse_display_mode(progress))
    for path in load_and_run(find_shipped_workflow("compare_models.json"), settings, run_options, display, download=False):
        typer.echo(path)
