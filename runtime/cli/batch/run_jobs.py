"""Run the jobs of ``upscale`` one after the other: weights are loaded once, a damaged file does not stop the others."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from ...checksum import compute_sha256
from ...errors import (
    Cancelled,
    HardwareMissing,
    MediaError,
    ModelError,
    OutputError,
    Upscale8KError,
    WorkflowError,
    WorkflowRejected,
)
from ...host import MAX_PIXELS
from ...models import AUTO_MODEL, AUTO_MODELS, DENOISE_MODELS, ImageKind, choose_model, find_model, split_chain
from ..display import BatchSummary, Display, estimate_remaining_seconds
from ..load_workflow import load_workflow
from ..manage_models import pull_missing_model
from ..program_name import insert_program_name
from ..run_options import RunOptions, find_shipped_workflow, open_node_catalog
from ..run_workflow import run_workflow
from .announce import announce_upscale
from .job_records import JobRecord, compute_job_key
from .upscale_jobs import UpscaleJob, find_first_image, name_options


@dataclass(frozen=True)
class BatchOptions:
    """The options for all jobs."""

    run_options: RunOptions
    download: bool = False
    overwrite: bool = False
    """Replace existing files whose names we chose."""
    skip_existing: bool = False
    """Keep every result that was made of the same source with the same settings, even one that would be replaced."""


def run_jobs(jobs: Sequence[UpscaleJob], options: BatchOptions, display: Display, print_path: Callable[[Path], None]) -> int:
    """Run ``jobs``, call ``print_path`` with every result, and return the exit code: the highest of all failures.

    Raises the error of a single job, and any error that would stop all jobs: cancelled, no model, a full disk, a wrong option.
    """
    return _JobRunner(jobs, options, display, print_path).run()


@dataclass
class _JobRunner:
    jobs: Sequence[UpscaleJob]
    options: BatchOptions
    display: Display
    print_path: Callable[[Path], None]
    summary: BatchSummary = field(init=False)

    def __post_init__(self) -> None:
        self.summary = BatchSummary(len(self.jobs))

    def run(self) -> int:
        started, exit_code, computing = time.monotonic(), 0, 0.0
        try:
            for number, job in enumerate(self.jobs, 1):
                done, job_started = self.summary.done, time.monotonic()
                left = estimate_remaining_seconds(done, done + len(self.jobs) - number + 1, computing)
                self.display.start_job(number, len(self.jobs), str(job.source), left)
                try:
                    for path in self._run_job(job):
                        self.print_path(path)
                except Upscale8KError as error:
                    if len(self.jobs) == 1 or self._is_fatal(error):
                        raise
                    self.summary.failed[str(job.source)] = insert_program_name(error)
                    self.display.show_error(insert_program_name(f"Error: {error}"))
                    exit_code = max(exit_code, error.exit_code)
                if self.summary.done > done:  # kept results take no time
                    computing += time.monotonic() - job_started
        finally:
            self.summary.seconds = time.monotonic() - started
            if len(self.jobs) > 1:
                self.display.show_summary(self.summary)
        return exit_code

    def _run_job(self, job: UpscaleJob) -> list[Path]:
        """Run one job, or keep its result; return the results."""
        node = "TiledUpscale" if job.workflow == "image_any.json" else "TiledUpscaleVideo"
        model, kind = self._choose_model(job)
        settings = [*job.options.format_settings(node, model), *job.settings]
        run_options = replace(self.options.run_options, input_dir=job.source.resolve().parent, output_dir=job.result.parent)
        if not job.is_file or not job.source.is_file():
            return self._execute(job, settings, run_options, kind)
        is_protected = not job.is_named_by_user and not self.options.overwrite
        record = JobRecord(job.result, self._compute_key(job, model, settings))
        with nullcontext() if job.is_named_by_user else record.reserve():
            if (is_protected or self.options.skip_existing) and record.is_done():
                self.summary.kept += 1
                self.display.show_status(f"{job.result} is there already, of the same source and settings.")
                return [job.result]
            if is_protected:
                if job.result.exists():
                    hint = "Replace it with --overwrite, or name the result with -o."
                    raise OutputError(
                        f"{job.result} exists already, of another source or other settings.", hint, path=job.result
                    )
                out = "ImageOut" if job.workflow == "image_any.json" else "VideoOut"
                settings = [f"{out}.if_exists=refuse", *settings]
            with record.begin():
                return self._execute(job, settings, run_options, kind)

    def _execute(self, job: UpscaleJob, settings: Sequence[str], run_options: RunOptions, kind: ImageKind | None) -> list[Path]:
        """Run the shipped workflow with its values set."""
        workflow = find_shipped_workflow(job.workflow)
        with (
            closing(run_options.create_host(self.display, workflow)) as host,
            open_node_catalog(host, (), self.display.show_message) as catalog,
        ):
            definitions = catalog.describe_nodes()
            loaded = load_workflow(workflow, settings, catalog.classes, definitions, engine=run_options.engine_name)
            try:
                loaded.require_valid()
            except WorkflowRejected as error:
                raise name_options(error, job.options) from error
            forecast = announce_upscale(job, loaded.prompt, kind, host, self.display)
            began = time.monotonic()
            files = run_workflow(loaded, catalog.classes, host, self.display).files
            if forecast is not None and job.workflow == "image_any.json":  # a video may have been continued
                from ...upscale import record_seconds

                record_seconds(forecast, time.monotonic() - began)
        self.summary.done += 1
        return files

    def _choose_model(self, job: UpscaleJob) -> tuple[str, ImageKind | None]:
        """Return the name of the model, or those of a chain; if the last is ``auto``, also what the source looks like."""
        folders = self.options.run_options.resolve_model_folders()
        *first, model = split_chain(job.options.model, folders)
        model = DENOISE_MODELS[0] if job.options.second_model else model
        if self.options.download:
            for name in (*first, model, job.options.second_model or model):
                if name not in AUTO_MODELS:
                    pull_missing_model(name, folders, self.display)
        if model not in AUTO_MODELS:
            return ",".join([*first, model]), None
        from ...comfyui import classify_file

        path = job.source if job.source.is_file() else find_first_image(job.source)
        kind = classify_file(path, max_pixels=self.options.run_options.max_pixels or MAX_PIXELS)
        if self.options.download and model == AUTO_MODEL:
            pull_missing_model("realesrgan-x4plus", folders, self.display)
        choice = choose_model(kind, model, folders, is_animation=job.workflow != "image_any.json")
        self.display.show_status(choice.reason)
        return ",".join([*first, choice.name]), kind

    def _compute_key(self, job: UpscaleJob, model: str, settings: Sequence[str]) -> str:
        options = self.options.run_options
        folders = options.resolve_model_folders()
        names = [*split_chain(model, folders), *filter(None, [job.options.second_model])]
        weights = "".join(_hash_weights(name, folders) for name in names)
        try:
            return compute_job_key(
                job.source, [job.workflow, *settings, options.device, options.backend, str(options.engine), weights]
            )
        except OSError as error:
            raise MediaError(f"{job.source} cannot be read: {error.strerror}.", "Check the file.", path=job.source) from error

    def _is_fatal(self, error: Upscale8KError) -> bool:
        """Return whether the next job would fail too: cancelled, no model, no device, a full disk, a wrong option."""
        is_uniform = len({job.options for job in self.jobs}) == 1
        if isinstance(error, Cancelled):
            return True
        if isinstance(error, (ModelError, HardwareMissing)):
            return is_uniform
        if isinstance(error, WorkflowError):  # errors of a node are about this image, all others about every image
            return not error.node and is_uniform
        return isinstance(error, OutputError) and isinstance(error.__cause__, OSError)


@cache
def _hash_weights(model: str, folders: tuple[Path, ...]) -> str:
    """Return the SHA-256 of a weight file; "" if it is missing, which the check of the workflow reports."""
    try:
        return compute_sha256(find_model(model, folders).path)
    except (ModelError, OSError):
        return ""
