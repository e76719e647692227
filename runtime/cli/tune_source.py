"""``tune``: examine an image or a video, try settings on its crops, and write the workflow for it and the reasons."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..atomic_write import atomic_output
from ..errors import MediaError, ModelError, WorkflowError
from ..host import MAX_PIXELS
from ..models import choose_model, list_catalog_models
from ..progress import open_silent_progress
from .batch.announce import announce_upscale
from .batch.upscale_jobs import JobOptions, find_jobs
from .display import Display, format_duration
from .load_workflow import LoadedWorkflow, load_workflow
from .program_name import insert_program_name
from .run_options import RunOptions, find_shipped_workflow, open_node_catalog

if TYPE_CHECKING:
    from ..report import Floats
    from ..tune import Advice, Footage, Trial
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
    trials: tuple[Trial, ...] = ()

    @property
    def sheet(self) -> Path:
        """The file with the reasons, the prediction and the trials."""
        return self.workflow.with_suffix(".md")


def tune_source(source: Path, folder: Path, to: str, run_options: RunOptions, display: Display, *, trial: bool) -> Tuned:
    """Examine ``source`` and write ``NAME_tuned.json`` and ``NAME_tuned.md`` into ``folder``.

    With ``trial`` the settings are those that restored its crops best. Raises ``MediaError`` for what cannot be read.
    """
    from ..tune import advise, examine_file

    if not source.is_file():
        raise MediaError(f"There is no file {source}.", "Name an image or a video.", path=source)
    footage, pixels = examine_file(source, run_options.max_pixels or MAX_PIXELS)
    advice, trials = advise(footage), ()
    if advice.denoise is None:
        folders = run_options.resolve_model_folders()
        advice = replace(advice, model=choose_model(footage.kind, advice.model, folders, is_animation=footage.is_video).name)
    if trial:
        advice, trials = _try_settings(advice, footage, pixels, source, run_options, display)
    model = ",".join(filter(None, (advice.restore, advice.model)))
    options = JobOptions(
        to,
        model,
        settings=(f"VideoIn.deinterlace={advice.deinterlace}",) if advice.deinterlace else (),
        denoise=advice.denoise,
        strength=advice.strength if advice.strength < 1 else None,
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
            display.show_message(insert_program_name(problem))
        with atomic_output(workflow, "Choose another folder with -o.") as temp:
            temp.write_text(json.dumps(loaded.prompt, indent=2), encoding="utf-8")
        forecast = announce_upscale(job, loaded.prompt, footage.kind, host, display, is_wanted=True)
        prediction = predict(footage, loaded, forecast) if forecast else ""
        tuned = Tuned(footage, advice, advice.model, settings, workflow, prediction, trials)
        with atomic_output(tuned.sheet, "Choose another folder with -o.") as temp:
            temp.write_text(format_sheet(source.name, tuned), encoding="utf-8")
        return tuned


def _try_settings(
    advice: Advice, footage: Footage, pixels: Floats, source: Path, run_options: RunOptions, display: Display
) -> tuple[Advice, tuple[Trial, ...]]:
    from ..tune import TrialSettings, improve_advice

    settings = TrialSettings(run_options.resolve_model_folders(), run_options.device, run_options.backend)
    display.start_node("Try settings on crops")
    try:
        improved, trials = improve_advice(advice, footage, pixels, source, settings, open_silent_progress)
    except (ModelError, WorkflowError) as error:
        display.show_message(insert_program_name(f"No settings were tried: {error}"))
        return advice, ()
    finally:
        display.label = ""
    return improved, tuple(trials)


def format_sheet(name: str, tuned: Tuned) -> str:
    """Return what was found and chosen as Markdown: reasons, prediction, settings, and what each trial measured."""
    lines = [f"# Settings for {name}", "", *(f"- {reason.text}" for reason in tuned.advice.reasons), "", tuned.prediction, ""]
    lines += ["```", *tuned.settings, "```", ""]
    if tuned.trials:
        lines += [
            "Crops of the source were reduced fourfold, damaged alike, and restored; the truth is known. Gain is against what "
            "was chosen before, in differences that can be noticed; from 1 on a setting is taken.",
            "",
            "| tried | texture error | GMSD | Delta E | PSNR, dB | gain | |",
            "|---|---|---|---|---|---|---|",
        ]
        for trial in tuned.trials:
            one = trial.fidelity
            numbers = f"{one.texture:.2f} | {one.gmsd:.3f} | {one.drift:.2f} | {one.psnr_db:.1f} | {trial.gain:+.2f}"
            lines.append(f"| {trial.name} | {numbers} | {'chosen' if trial.is_chosen else ''} |")
    return "\n".join([*lines, ""])


def predict(footage: Footage, loaded: LoadedWorkflow, forecast: Forecast) -> str:
    """Return size, time and, of a video, the bytes of the result as a sentence."""
    from ..hardware import format_bytes
    from ..video import ENCODERS, choose_codec

    size = forecast.plan.final_size
    text = f"The result has {size} pixels"
    if forecast.seconds is not None:
        text += f" and takes about {format_duration(forecast.seconds)}"
    out = next((node["inputs"] for node in loaded.prompt.values() if node["class_type"] == "VideoOut"), None)
    if out and footage.frames:
        codec = choose_codec(out["codec"], out.get("container", "mp4"), alpha=False)
        expected = ENCODERS[codec].bits_per_pixel * size.pixel_count * footage.frames / 8
        text += f"; its file has about {format_bytes(expected)}"
    return f"{text}."


def compare_crop(source: Path, tuned: Tuned, folder: Path, run_options: RunOptions, display: Display) -> list[Path]:
    """Restore a reduced crop, damaged as the source is, with the chosen model and others; return the report's files."""
    from ..images import write_image_file
    from ..tune import examine_file
    from .commands.compare_command import run_comparison

    _, pixels = examine_file(source, run_options.max_pixels or MAX_PIXELS)
    chosen, folders = tuned.model, run_options.resolve_model_folders()
    here = [found for found in list_catalog_models(folders) if found.entry is None or found.entry.scale > 1]
    others = [found.name for found in here if found.name != chosen][:_OTHERS]
    with TemporaryDirectory() as temporary:
        image = Path(temporary, f"{source.stem}.png")
        write_image_file(image, pixels.clip(0, 1), bits=8)
        values = {"crop": _CROP, "target": "4x", "models": ",".join([chosen, *others]), "truth": "true"}
        values |= {"degrade": tuned.advice.degradation} if tuned.advice.degradation else {}
        return run_comparison(image, values, replace(run_options, output_dir=folder), display)
