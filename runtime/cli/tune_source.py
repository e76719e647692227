"""``tune``: examine an image or a video, write the workflow for it, and compare models on one of its crops."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..atomic_write import atomic_output
from ..errors import MediaError
from ..host import MAX_PIXELS
from ..models import choose_model, list_catalog_models
from .batch.announce import announce_upscale
from .batch.upscale_jobs import JobOptions, find_jobs
from .display import Display, format_duration
from .load_workflow import LoadedWorkflow, load_workflow
from .run_options import RunOptions, find_shipped_workflow, open_node_catalog

if TYPE_CHECKING:
    from ..tune import Advice, Footage
    from ..upscale import Forecast

_CROP = "texture:256x256"
_OTHERS = 2
"""Further models in the comparison."""


@dataclass(frozen=True)
class Tuned:
    """What was found and decided. ``settings`` are assignments for ``--set`` in ``workflow``."""

    footage: Footage
    advice: Advice
    model: str
    settings: tuple[str, ...]
    workflow: Path
    prediction: str
    """Size, time and bytes of the result in a sentence; "" where the weights are missing."""


def tune_source(source: Path, folder: Path, to: str, run_options: RunOptions, display: Display) -> Tuned:
    """Examine ``source`` and write ``NAME_tuned.json`` into ``folder``. Raises ``MediaError`` for what cannot be read."""
    from ..tune import advise, examine_file

    if not source.is_file():
        raise MediaError(f"There is no file {source}.", "Name an image or a video.", path=source)
    footage, _ = examine_file(source, run_options.max_pixels or MAX_PIXELS)
    advice = advise(footage)
    model = advice.model
    if advice.denoise is None:
        folders = run_options.resolve_model_folders()
        model = choose_model(footage.kind, model, folders, is_animation=footage.is_video).name
    options = JobOptions(
        to,
        model,
        settings=(f"VideoIn.deinterlace={advice.deinterlace}",) if advice.deinterlace else (),
        denoise=advice.denoise,
        steady=advice.steady,
        skip_borders=advice.skip_borders,
    )
    (job,) = find_jobs([str(source)], None, options)
    settings = (*options.format_settings("TiledUpscaleVideo" if footage.is_video else "TiledUpscale", model), *job.settings)
    workflow, shipped = folder / f"{source.stem}_tuned.json", find_shipped_workflow(job.workflow)
    host_options = replace(run_options, input_dir=source.resolve().parent, output_dir=folder)
    with (
        closing(host_options.create_host(display, shipped)) as host,
        open_node_catalog(host, (), display.show_message) as catalog,
    ):
        loaded = load_workflow(shipped, settings, catalog.classes, catalog.describe_nodes())
        for problem in loaded.problems:  # such as weights that are not there yet: the file is right all the same
            display.show_message(str(problem))
        with atomic_output(workflow, "Choose another folder with -o.") as temp:
            temp.write_text(json.dumps(loaded.prompt, indent=2), encoding="utf-8")
        forecast = announce_upscale(job, loaded.prompt, footage.kind, host, display)
        return Tuned(footage, advice, model, settings, workflow, predict(footage, loaded, forecast) if forecast else "")


def predict(footage: Footage, loaded: LoadedWorkflow, forecast: Forecast) -> str:
    """Return size, time and, of a video, the bytes of the result as a sentence."""
    from ..hardware import format_bytes
    from ..video import ENCODERS

    size = forecast.plan.final_size
    text = f"The result has {size} pixels"
    if forecast.seconds is not None:
        text += f" and takes about {format_duration(forecast.seconds)}"
    out = next((node["inputs"] for node in loaded.prompt.values() if node["class_type"] == "VideoOut"), None)
    if out and footage.frames:
        expected = ENCODERS[out["codec"]].bits_per_pixel * size.pixel_count * footage.frames / 8
        text += f"; its file has about {format_bytes(expected)}"
    return f"{text}."


def compare_crop(source: Path, tuned: Tuned, folder: Path, run_options: RunOptions, display: Display) -> list[Path]:
    """Restore a reduced crop, damaged as the source is, with the chosen model and others; return the report's files."""
    from ..images import write_image_file
    from ..tune import examine_file
    from .commands.compare_command import run_comparison

    _, pixels = examine_file(source, run_options.max_pixels or MAX_PIXELS)
    chosen, folders = tuned.model, run_options.resolve_model_folders()
    others = [found.name for found in list_catalog_models(folders) if found.name != chosen][:_OTHERS]
    with TemporaryDirectory() as temporary:
        image = Path(temporary, f"{source.stem}.png")
        write_image_file(image, pixels.clip(0, 1), bits=8)
        values = {"crop": _CROP, "target": "4x", "models": ",".join([chosen, *others]), "truth": "true"}
        values |= {"degrade": tuned.advice.degradation} if tuned.advice.degradation else {}
        return run_comparison(image, values, replace(run_options, output_dir=folder), display)
