"""``upscale``: a shipped workflow with values set, on one file or many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ...errors import MediaError, NodeError, OutputError, Upscale8KError
from .. import pictures
from ..display import Display, open_display
from ..session import Places, shipped
from . import options
from .workflows import run_workflow


def upscale(
    source: Annotated[str, typer.Argument(metavar="IN", help="A picture, a folder of pictures, or a quoted glob.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="The result, or a folder for results.")],
    to: Annotated[str, typer.Option("--to", help="8k, 4k, 16k, 2x, 4x, WIDTHxHEIGHT or 'model scale'.")] = "8k",
    model: Annotated[str, typer.Option("-m", "--model", help="A catalog id or a file name.")] = "realesr-animevideov3",
    batch: Annotated[int, typer.Option("-b", "--batch", min=1, help="Tiles that go through the model together.")] = 1,
    tile: Annotated[int, typer.Option("--tile", min=0, help="Side of a tile in source pixels; 0 chooses.")] = 0,
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
    device: options.Device = "auto",
    backend: options.BackendName = "auto",
    progress: options.ProgressMode = "auto",
    download: options.Download = False,
    max_pixels: options.MaxPixels = None,
    traceback: options.Traceback = False,
) -> int:
    """Upscale pictures; depth, alpha and colour profile are kept. Prints the files that it wrote.

    Of several pictures one that is bad never stops the rest.
    """
    display = open_display(options.mode(progress))
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


def _upscaled(job: pictures.Job, settings: list[str], places: Places, display: Display, *, download: bool) -> list[Path]:
    """Run the shipped workflow on one picture; the file that it wrote."""
    workflow = shipped("image_any.json")
    original = job.source.resolve()
    places = replace(places, input_dir=original.parent, output_dir=job.result.parent)
    settings = [*settings, f"ImageIn.image={original.name}", f"ImageOut.filename={job.result.name}"]
    return run_workflow(workflow, settings, places, display, download=download)


def _disk_failed(error: Upscale8KError) -> bool:
    """Whether a result found no room or no way to the disk, which the next will not either."""
    return isinstance(error, OutputError) and isinstance(error.__cause__, OSError)
