"""``upscale``: run a shipped workflow with other values on any number of images and videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...distributed import join_share
from ...errors import WorkflowError
from ...models import AUTO_FAST_MODEL, AUTO_MODEL
from ..batch.job_file import read_job_file
from ..batch.run_jobs import BatchOptions, run_jobs
from ..batch.upscale_jobs import JobOptions, describe_left_out, find_jobs
from ..display import open_display
from ..program_name import insert_program_name
from ..run_options import RunOptions
from . import options

_LOOK, _VIDEOS, _MANY = "The look", "Videos and image sequences", "Many files"


def upscale(
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="IN...", help="Images, videos, folders, quoted globs, or in/%05d.png; any number of them."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Result file, folder for results, or out/%05d.png (default: beside each source, as photo_8k.png). "
            "%year%, %width% and so on are filled in.",
        ),
    ] = None,
    to: Annotated[
        str, typer.Option("--to", help="Target size: 8k, 4k, 16k, 2x, 4x, WIDTHxHEIGHT in pixels, or 'model scale'.")
    ] = "8k",
    model: Annotated[
        str,
        typer.Option(
            "-m",
            "--model",
            metavar="MODEL[,MODEL...]",
            help="Catalog id or file name; auto looks at each source: photograph, drawing or text. Several with commas run one "
            "after another, such as a 1x denoiser first.",
        ),
    ] = AUTO_MODEL,
    fast: Annotated[bool, typer.Option("--fast", help="With -m auto, choose a fast model instead of the best one.")] = False,
    batch: Annotated[int, typer.Option("-b", "--batch", min=0, help="Tiles per run of the model; 0 is automatic.")] = 0,
    tile: options.Tile = 0,
    fps: Annotated[
        float | None,
        typer.Option("--fps", rich_help_panel=_VIDEOS, help="Frames per second, for image sequences only (default: 24)."),
    ] = None,
    recursive: Annotated[
        bool,
        typer.Option(
            "-r", "--recursive", rich_help_panel=_MANY, help="Include the sub-folders of folders; the results keep them."
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            rich_help_panel=_MANY,
            help="Replace existing files. Without it only a file that -o names itself is replaced, none in a folder.",
        ),
    ] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            rich_help_panel=_MANY,
            help="Keep what was made of the same source with the same settings, also where it would be replaced.",
        ),
    ] = False,
    jobs_file: Annotated[
        Path | None,
        typer.Option(
            "--jobs",
            rich_help_panel=_MANY,
            metavar="FILE",
            help="TOML or CSV file with sources, and settings for each of them.",
        ),
    ] = None,
    denoise: Annotated[
        float | None,
        typer.Option(
            "--denoise",
            rich_help_panel=_LOOK,
            metavar="0..1",
            help="Use realesr-general-x4v3 with this denoise strength, as Real-ESRGAN's -dn: 1 removes noise, 0 leaves it.",
        ),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            "--strength",
            rich_help_panel=_LOOK,
            metavar="0..1",
            help="Share of the model in the result; the rest is a plain enlargement.",
        ),
    ] = None,
    grain: Annotated[
        float | None,
        typer.Option(
            "--grain",
            rich_help_panel=_LOOK,
            metavar="0..1",
            help="Give this share of the source's own grain back to the result.",
        ),
    ] = None,
    steady: Annotated[
        float | None,
        typer.Option(
            "--steady",
            rich_help_panel=_VIDEOS,
            metavar="0..1",
            help="Of videos: average still areas over seven frames, against flicker.",
        ),
    ] = None,
    skip_borders: Annotated[
        bool,
        typer.Option(
            "--skip-borders",
            rich_help_panel=_VIDEOS,
            help="Of videos: enlarge black borders plainly, which saves the model's time.",
        ),
    ] = False,
    to_fps: Annotated[
        str | None,
        typer.Option(
            "--to-fps",
            rich_help_panel=_VIDEOS,
            metavar="RATE",
            help="Of videos: frames per second of the result, such as 60, 59.94 or 2x; RIFE makes the new frames.",
        ),
    ] = None,
    tta: Annotated[
        bool,
        typer.Option(
            "--tta",
            rich_help_panel=_LOOK,
            help="Average the image mirrored and turned in eight ways: slightly better, 8 times as long.",
        ),
    ] = False,
    more: options.SetValues = None,
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
    device: options.Device = "auto",
    backend: options.BackendName = "auto",
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="auto|FILE.trt",
            help="Run a TensorRT engine, built for --tile (default 512) where it is missing or outdated; auto stores it in the "
            "cache folder. --backend tensorrt is --engine auto.",
        ),
    ] = "",
    workers: options.Workers = "",
    share: options.Share = "",
    progress: options.ProgressMode = "auto",
    download: options.Download = False,
    max_pixels: options.MaxPixels = None,
    traceback: options.Traceback = False,
) -> int:
    """Upscale images and videos. Prints the written files.

    Images keep bit depth, alpha and color profile; videos keep timestamps, colors, alpha, sound and subtitles. A damaged file
    does not stop the others. The same command continues a folder or a video that was stopped.
    """
    display = open_display(options.parse_display_mode(progress))
    run_options = RunOptions(
        None,
        None,
        tuple(models_dir or ()),
        extra_model_paths,
        device,
        _resolve_backend(backend, engine),
        max_pixels,
        Path(engine) if engine not in ("", "auto") else None,
        join_share(workers, share),
    )
    if fast and model != AUTO_MODEL:
        raise WorkflowError(f"--fast chooses a model, and -m names {model}.", "Leave one of them out.")
    if fast and denoise is not None:
        raise WorkflowError("--fast chooses a model, and --denoise has one.", "Leave one of them out.")
    chosen = AUTO_FAST_MODEL if fast else model
    settings = (*(("UpscaleModel.ensemble=true",) if tta else ()), *(more or ()))
    job_options = JobOptions(to, chosen, batch, tile, settings, denoise, strength, grain, steady, skip_borders, to_fps)
    if bool(sources) == bool(jobs_file):
        raise WorkflowError("upscale needs either inputs or --jobs.", "Name images, videos, folders or globs, or a job file.")
    if jobs_file is not None:
        jobs = read_job_file(jobs_file, out, job_options, recursive=recursive)
    else:
        jobs = find_jobs(sources or [], out, job_options, fps=fps, recursive=recursive)
    if left_out := describe_left_out(sources or [], recursive=recursive):
        display.show_message(insert_program_name(left_out))
    batch_options = BatchOptions(run_options, download, overwrite, skip_existing)
    return run_jobs(jobs, batch_options, display, typer.echo)


def _resolve_backend(backend: str, engine: str) -> str:
    if not engine:
        return backend
    if backend not in ("auto", "tensorrt"):
        raise WorkflowError(f"--engine runs on the backend tensorrt, not on {backend}.", "Leave out one of the two options.")
    if engine != "auto" and not engine.endswith(".trt"):
        raise WorkflowError(f"--engine {engine} is not the name of an engine.", "Use auto, or a file whose name ends in .trt.")
    return "tensorrt"
