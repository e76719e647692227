"""``upscale``: a shipped workflow with values set, on one picture or film, or on many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from ...errors import Cancelled, HardwareMissing, ModelError, OutputError, Upscale8KError, WorkflowError
from .. import pictures
from ..display import Display, open_display
from ..session import Places, shipped
from . import options
from .workflows import run_workflow


def upscale(
    source: Annotated[str, typer.Argument(metavar="IN", help="Picture, film, folder or quoted glob of them, or in/%05d.png.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="The result, a folder for results, or out/%05d.png.")],
    to: Annotated[str, typer.Option("--to", help="8k, 4k, 16k, 2x, 4x, WIDTHxHEIGHT or 'model scale'.")] = "8k",
    model: Annotated[str, typer.Option("-m", "--model", help="A catalog id or a file name.")] = "realesr-animevideov3",
    batch: Annotated[int, typer.Option("-b", "--batch", min=0, help="Tiles through the model at a time; 0 chooses.")] = 0,
    tile: Annotated[int, typer.Option("--tile", min=0, help="Side of a tile in source pixels; 0 chooses.")] = 0,
    fps: Annotated[float | None, typer.Option("--fps", help="Pictures a second, for numbered pictures (default: 24).")] = None,
    more: options.Set = None,
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
    device: options.Device = "auto",
    backend: options.BackendName = "auto",
    progress: options.ProgressMode = "auto",
    download: options.Download = False,
    max_pixels: options.MaxPixels = None,
    traceback: options.Traceback = False,
) -> int:
    """Upscale pictures and films. Prints the files that it wrote.

    A picture keeps depth, alpha and colour profile, a film its times, colours, sound and subtitles. Of several one that is bad
    never stops the rest. A film that was stopped goes on when the same command is given again.
    """
    display = open_display(options.mode(progress))
    places = Places(None, None, tuple(models_dir or ()), extra_model_paths, device, backend, max_pixels)
    found = pictures.jobs(source, out, fps)
    chosen = _Chosen(to, model, batch, tile, tuple(more or ()))
    exit_code = 0
    for job in found:
        try:
            for path in _upscaled(job, chosen, places, display, download=download):
                typer.echo(path)
        except Upscale8KError as error:
            if len(found) == 1 or _concerns_all(error):
                raise
            typer.echo(f"Error: {error}", err=True)
            exit_code = max(exit_code, error.exit_code)
    return exit_code


@dataclass(frozen=True)
class _Chosen:
    """What is asked for every picture and film."""

    to: str
    model: str
    batch: int
    tile: int
    more: tuple[str, ...]

    def settings(self, upscaler: str) -> list[str]:
        values = {"target": self.to, "batch": self.batch, "tile": self.tile}
        return [f"UpscaleModel.model={self.model}", *(f"{upscaler}.{name}={value}" for name, value in values.items())]


def _upscaled(job: pictures.Job, chosen: _Chosen, places: Places, display: Display, *, download: bool) -> list[Path]:
    """Run the shipped workflow on one picture or film; the files that it wrote."""
    upscaler = "TiledUpscale" if job.workflow == "image_any.json" else "TiledUpscaleVideo"
    settings = [*chosen.settings(upscaler), *job.settings, *chosen.more]
    places = replace(places, input_dir=job.source.resolve().parent, output_dir=job.result.parent)
    return run_workflow(shipped(job.workflow), settings, places, display, download=download)


def _concerns_all(error: Upscale8KError) -> bool:
    """Whether the next would meet the same: a person who stops, no model, no device, no room on the disk, a wrong option."""
    if isinstance(error, (Cancelled, ModelError, HardwareMissing)):
        return True
    if isinstance(error, WorkflowError):
        return not error.node  # a node says what it cannot make of this picture, everybody else what no picture can get
    return isinstance(error, OutputError) and isinstance(error.__cause__, OSError)
