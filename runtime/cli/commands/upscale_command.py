"""``upscale``: run a shipped workflow with other values on one or many images or videos."""

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
    source: Annotated[str, typer.Argument(metavar="IN", help="Image, video, folder, quoted glob, or in/%05d.png.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Result file, folder for results, or out/%05d.png.")],
    to: Annotated[
        str, typer.Option("--to", help="Target size: 8k, 4k, 16k, 2x, 4x, WIDTHxHEIGHT in pixels, or 'model scale'.")
    ] = "8k",
    model: Annotated[str, typer.Option("-m", "--model", help="Catalog id or file name.")] = "realesr-animevideov3",
    batch: Annotated[int, typer.Option("-b", "--batch", min=0, help="Tiles per run of the model; 0 is automatic.")] = 0,
    tile: options.Tile = 0,
    fps: Annotated[
        float | None, typer.Option("--fps", help="Frames per second, for image sequences only (default: 24).")
    ] = None,
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
    """Upscale images and videos. Prints the written files.

    Images keep bit depth, alpha and color profile; videos keep timestamps, colors, sound and subtitles. A damaged file does
    not stop the others. A video that was stopped continues when the same command runs again.
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
    """The options for every image and video."""

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
    """Run the shipped workflow on one image or video; return the written files."""
    node_id = "TiledUpscale" if job.workflow == "image_any.json" else "TiledUpscaleVideo"
    settings = [*upscale_options.format_settings(node_id), *job.settings, *upscale_options.more]
    run_options = replace(run_options, input_dir=job.source.resolve().parent, output_dir=job.result.parent)
    return load_and_run(find_shipped_workflow(job.workflow), settings, run_options, display, download=download)


def _is_fatal_for_all_jobs(error: Upscale8KError) -> bool:
    """Return whether the next job would fail too: cancelled, no model, no device, a full disk, a wrong option."""
    if isinstance(error, (Cancelled, ModelError, HardwareMissing)):
        return True
    if isinstance(error, WorkflowError):
        return not error.node  # errors of a node are about this image, all others about every image
    return isinstance(error, OutputError) and isinstance(error.__cause__, OSError)
