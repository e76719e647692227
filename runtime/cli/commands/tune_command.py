"""``tune``: what is wrong with an image or a video, and the workflow that suits it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..display import open_display
from ..program_name import insert_program_name
from ..run_options import RunOptions
from . import options


def tune(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Image or video to look at.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the workflow and the comparison.")] = Path(),
    to: Annotated[str, typer.Option("--to", help="Target size of the workflow, as for upscale.")] = "8k",
    trial: Annotated[
        bool,
        typer.Option("--trial/--no-trial", help="Try settings on crops whose truth is known, and compare models."),
    ] = True,
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
    device: options.Device = "auto",
    backend: options.BackendName = "auto",
    progress: options.ProgressMode = "auto",
    max_pixels: options.MaxPixels = None,
    traceback: options.Traceback = False,
) -> None:
    """Find noise, blocks, softness, interlacing, telecine, borders and HDR, and write a workflow with settings against them.

    Crops of the source are reduced, damaged alike and restored with other models, 1x models before them, denoise strengths,
    blends and steadiness; a setting that is notably closer to the truth is taken. Prints why each setting is chosen, then the
    written files: the workflow, a sheet with all numbers, and a comparison of models.
    """
    from ..tune_source import compare_crop, tune_source

    display = open_display(options.parse_display_mode(progress))
    run_options = RunOptions(None, None, tuple(models_dir or ()), extra_model_paths, device, backend, max_pixels)
    tuned = tune_source(source, out, to, run_options, display, trial=trial)
    for reason in tuned.advice.reasons:
        display.show_message(reason.text)
    if tuned.prediction:
        display.show_message(tuned.prediction)
    workflow, folder = tuned.workflow, source.resolve().parent
    display.show_message(insert_program_name(f'Run it with: python -m runtime run "{workflow}" --input-dir "{folder}"'))
    for one in (one for one in tuned.trials if one.is_chosen and one.gain):
        display.show_message(f"Trials on crops: {one.name} is closer to the truth, so it is taken.")
    typer.echo(workflow)
    typer.echo(tuned.sheet)
    for path in compare_crop(source, tuned, out, run_options, display) if trial else ():
        typer.echo(path)
