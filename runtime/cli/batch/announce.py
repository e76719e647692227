"""One line before the work on a file begins: model, scale, size, backend, and the time that it will take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import Upscale8KError
from ...graph import Prompt
from ...host import LocalHost
from ...models import AUTO_FAST_MODEL, choose_model, find_model
from ..display import Display, format_duration
from .upscale_jobs import UpscaleJob

if TYPE_CHECKING:
    from ...models import ImageKind
    from ...upscale import Forecast

_SLOW_SECONDS = 60.0
"""From here on the time with ``--fast`` is shown too."""


def announce_upscale(
    job: UpscaleJob, prompt: Prompt, kind: ImageKind | None, host: LocalHost, display: Display, *, is_wanted: bool = False
) -> Forecast | None:
    """Show the line for ``job``; ``kind`` is what its source was taken for if the model is ``auto``.

    Return the forecast; None if there is none, because whoever runs the job will raise the same error. A display that shows no
    lines gets one only where it ``is_wanted``.
    """
    if not (display.shows_status or is_wanted):
        return None
    try:
        model = next(node["inputs"]["model"] for node in prompt.values() if node["class_type"] == "UpscaleModel")
        inputs = next(node["inputs"] for node in prompt.values() if node["class_type"].startswith("TiledUpscale"))
        forecast = _forecast(job, model, inputs, host)
        line = f"{model}, {forecast}"
        if forecast.seconds is not None:
            line += f", about {format_duration(forecast.seconds)}"
            if kind and forecast.seconds > _SLOW_SECONDS and job.options.model != AUTO_FAST_MODEL:
                fast = choose_model(kind, AUTO_FAST_MODEL, host.model_folders()).name
                seconds = _forecast(job, fast, inputs, host, measures_short_work=True).seconds if fast != model else None
                line += f"; --fast about {format_duration(seconds)}" if seconds is not None else ""
        display.show_status(f"{line}.")
    except (Upscale8KError, StopIteration):
        return None
    return forecast


def _forecast(
    job: UpscaleJob, model: str, inputs: dict[str, Any], host: LocalHost, *, measures_short_work: bool = False
) -> Forecast:
    from ...comfyui import read_source_size
    from ...models import chain_models, load_model, split_chain
    from ...upscale import TiledUpscaleSettings, build_upscale_settings, forecast_upscale

    names = ("target", "tile", "halo", "batch", "precision", "backend")
    requested = TiledUpscaleSettings(device=host.device(), **{name: inputs[name] for name in names if name in inputs})
    settings = build_upscale_settings(requested, host.backend(), None, None)
    size, images = read_source_size(job.source, max_pixels=host.get_max_input_pixels())
    folders = host.model_folders()
    descriptor = chain_models([load_model(find_model(name, folders)) for name in split_chain(model, folders)])
    return forecast_upscale(descriptor, settings, size, images, measures_short_work=measures_short_work)
