"""``upscale``: a shipped workflow with values set, on one picture or film, or on many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from ...errors import Cancelled, HardwareMissing, ModelError, OutputError, Upscale8KError, WorkflowError
from .. import upscale_jobs
from ..display import Display, open_display
from ..run_options import RunOptions, find_shipped_workflow
from . import options
from .workflow_commands import load_and_run


def upscale(
    source: Annotated[str, typer.Argument(metavar="IN", help="Picture, film, folder or quoted glob of them, or in/%05d.png.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="The result, a folder for results, or out/%05d.png.")],
    to: Annotated[str, typer.Option("--to", help="8k, 4k, 16k, 2x, 4x, WIDTHxHEIGHT or 'model scale'.")] = "8k",
    model: Annotated[str, typer.Option("-m", "--model", help="A catalog id or a file name.")] = "realesr-animevideov3",
    batch: Annotated[int, typer.Option("-b", "--batch", min=0, help="Tiles through the model at a time; 0 chooses.")] = 0,
    tile: Annotated[int, typer.Option("--tile", min=0, help="Side of a tile in source pixels; 0 chooses.")] = 0,
    fps: Annotated[float | None, typer.Option("--fps", help="Pictures a second, for numbered pictures (default: 24).")] = None,
    more: options.SetValues = None,
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
    display = open_display(options.parse_display_mode(progress))
    run_options = RunOptions(None, None, tuple(models_dir or ()), extra_model_paths, device, backend, max_pixels)
    jobs = upscale_jobs.find_jobs(source, out, fps)
    upscale_options = _UpscaleOptions(to, model, batch, tile, tuple(more or ()))
    exit_code = 0
    for job in jobs:
        try:
            for path in _run_job(job, upscale_options, run_options, display, download=download):
                typer.echo(path)
        except Upscale8KError as error:
            if len(jobs) == 1 or _is_fatal_for_all_jobs(error):
                raise
            typer.echo(f"Error: {error}", err=True)
            exit_code = max(exit_code, error.exit_code)
    return exit_code


@dataclass(frozen=True)
class _UpscaleOptions:
    """What is asked for every picture and film."""

    to: str
    model: str
    batch: int
    tile: int
    more: tuple[str, ...]

    def format_settings(self, node_id: str) -> list[str]:
        values = {"target": self.to, "batch": self.batch, "tile": self.tile}
        return [f"UpscaleModel.model={self.model}", *(f"{node_id}.{name}={value}" for name, value in values.items())]


def _run_job(
    job: upscale_jobs.UpscaleJob, upscale_options: _UpscaleOptions, run_options: RunOptions, display: Display, *, download: bool
) -> list[Path]:
    """Run the shipped workflow on one picture or film; the files that it wrote."""
    node_id = "TiledUpscale" if job.workflow == "image_any.json" else "TiledUpscaleVideo"
    settings = [*upscale_options.format_settings(node_id), *job.settings, *upscale_options.more]
    run_options = replace(run_options, input_dir=job.source.resolve().parent, output_dir=job.result.parent)
    return load_and_run(find_shipped_workflow(job.workflow), settings, run_options, display, download=download)


def _is_fatal_for_all_jobs(error: Upscale8KError) -> bool:
    """Whether the next would meet the same: a person who stops, no model, no device, no room on the disk, a wrong option."""
    if isinstance(error, (Cancelled, ModelError, HardwareMissing)):
        return True
    if isinstance(error, WorkflowError):
        return not error.node  # a node says what it cannot make of this picture, everybody else what no picture can get
    return isinstance(error, OutputError) and isinstance(error.__cause__, OSError)
