"""Jobs as what an order says of a file, and what a worker makes of it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...progress import OnMessage
from ..display import SilentDisplay
from ..run_options import RunOptions
from .upscale_jobs import JobOptions, UpscaleJob


class WorkerDisplay(SilentDisplay):
    """Sends messages to the driver."""

    def __init__(self, job: UpscaleJob, on_message: OnMessage) -> None:
        self._name, self._on_message = job.source.name, on_message

    def show_message(self, text: str) -> None:
        self._on_message(f"{self._name}: {text}")


def format_run_options(options: RunOptions) -> dict[str, Any]:
    """Return the options as JSON for a worker, which stands in another folder and shares nothing out itself."""
    return {
        **asdict(options),
        "input_dir": None,
        "output_dir": None,
        "models_dirs": [str(folder) for folder in options.resolve_model_folders()],
        "extra_model_paths": None,
        "engine": options.engine and str(options.engine.absolute()),
        "workers": "",
    }


def parse_run_options(values: Mapping[str, Any]) -> RunOptions:
    parsed: dict[str, Any] = {**values, "models_dirs": tuple(map(Path, values["models_dirs"]))}
    parsed["engine"] = Path(values["engine"]) if values["engine"] else None
    return RunOptions(**parsed)


def format_job(job: UpscaleJob) -> dict[str, Any]:
    """Return what ``parse_job`` reads."""
    return {**asdict(job), "source": str(job.source.absolute()), "result": str(job.result.absolute())}


def parse_job(values: Mapping[str, Any]) -> UpscaleJob:
    """Return the job that an item of ``Order.files`` describes."""
    options: dict[str, Any] = {**values["options"], "settings": tuple(values["options"]["settings"])}
    parsed: dict[str, Any] = {**values, "settings": tuple(values["settings"]), "options": JobOptions(**options)}
    parsed |= {name: Path(values[name]) for name in ("source", "result")}
    return UpscaleJob(**parsed)
