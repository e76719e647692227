"""Run the jobs of ``upscale`` one after the other: weights are loaded once, a damaged file does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...checksum import compute_sha256
from ...distributed import parse_workers
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
from ...file_lock import OutputLocked
from ...host import MAX_PIXELS
from ...models import AUTO_MODEL, AUTO_MODELS, DENOISE_MODELS, ImageKind, choose_model, find_model, split_chain
from ...progress import OnMessage
from ..display import BatchSummary, Display, SilentDisplay, estimate_remaining_seconds
from ..load_workflow import load_workflow
from ..manage_models import pull_missing_model
from ..program_name import insert_program_name
from ..run_options import RunOptions, find_shipped_workflow, open_node_catalog
from ..run_workflow import run_workflow
from .announce import announce_upscale
from .job_records import JobRecord, compute_job_key
from .shared_jobs import WorkerDisplay, format_job, format_run_options, parse_job, parse_run_options
from .upscale_jobs import UpscaleJob, find_first_image, name_options

if TYPE_CHECKING:
    from ...distributed import Order, WorkerChoice


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
    _advice: set[str] = field(default_factory=set[str])
    """What was said about models once, for the first of many files."""

    def __post_init__(self) -> None:
        self.summary = BatchSummary(len(self.jobs))

    def run(self) -> int:
        started = time.monotonic()
        choice = parse_workers(self.options.run_options.workers)
        try:
            return self._share(choice) if choice and len(self.jobs) > 1 else self._run_in_turn()
        finally:
            self.summary.seconds = time.monotonic() - started
            if len(self.jobs) > 1:
                self.display.show_summary(self.summary)

    def _run_in_turn(self) -> int:
        exit_code, computing = 0, 0.0
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
        return exit_code

    def _share(self, choice: WorkerChoice) -> int:
        """Have each job made by a worker, in any order; the same files as one after the other."""
        from ...distributed import share_files

        exit_code = 0

        def take_result(number: int, result: Mapping[str, Any]) -> None:
            nonlocal exit_code
            job = self.jobs[number]
            if "error" not in result:
                self.summary.kept += int(result["kept"])
                self.summary.done += int(not result["kept"])
                for name in result["files"]:
                    self.print_path(job.result.parent / Path(name).relative_to(job.result.parent.absolute()))
                return
            if result["fatal"]:
                raise _remake_error(result)
            self.summary.failed[str(job.source)] = result["error"]
            self.display.show_error(f"Error: {result['error']}")
            exit_code = max(exit_code, result["exit_code"])

        run_options = format_run_options(self.options.run_options)
        settings = {**asdict(self.options), "run_options": run_options}
        folder = self.jobs[0].result.parent
        share_files([format_job(job) for job in self.jobs], settings, folder, choice, self.display.track_progress, take_result)
        return exit_code

    def make_result(self, job: UpscaleJob) -> dict[str, Any]:
        """Run one job; return what ``share_files`` hands over. Raises ``OutputLocked`` while another run has its result."""
        kept = self.summary.kept
        try:
            files = self._run_job(job)
        except OutputLocked:
            raise
        except Upscale8KError as error:
            return {"error": insert_program_name(error), "exit_code": error.exit_code, "fatal": self._is_fatal(error)}
        return {"files": [str(path) for path in files], "kept": self.summary.kept > kept}

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
            try:
                files = run_workflow(loaded, catalog.classes, host, self.display).files
            except Upscale8KError as error:
                error.names_node = False
                raise
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
        advice = "" if choice.advice in self._advice else f" {choice.advice}".rstrip()
        self._advice.add(choice.advice)
        self.display.show_status(f"{choice.reason}{advice}")
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

    @property
    def _is_uniform(self) -> bool:
        return len({job.options for job in self.jobs}) == 1

    def _is_fatal(self, error: Upscale8KError) -> bool:
        """Return whether the next job would fail too: cancelled, no model, no device, a full disk, a wrong option."""
        if isinstance(error, Cancelled):
            return True
        if isinstance(error, (ModelError, HardwareMissing)):
            return self._is_uniform
        if isinstance(error, WorkflowError):  # errors of a node are about this image, all others about every image
            return not error.node and self._is_uniform
        return isinstance(error, OutputError) and isinstance(error.__cause__, OSError)


def _remake_error(result: Mapping[str, Any]) -> Upscale8KError:
    """Return the error of a worker that would stop all jobs."""
    error = Upscale8KError(result["error"])
    error.exit_code = result["exit_code"]
    return error


def make_files(order: Order, order_path: Path, worker: str) -> None:
    """Make files of an order until none is left: a worker's side of ``run_jobs``. Raises ``WorkflowError``."""
    from ...distributed import work_on_files
    from ...upscale import fix_tile_memory, keep_backends_open

    values: dict[str, Any] = {**order.settings}
    try:
        options = BatchOptions(parse_run_options(values.pop("run_options")), **values)
        jobs = [parse_job(values) for values in order.files]
    except (KeyError, TypeError, ValueError) as error:
        what = f"{order_path} is damaged: {error}."
        raise WorkflowError(what, "Start the run that wrote it again.", path=order_path) from error
    if order.tile_memory is not None:
        fix_tile_memory(order.tile_memory)
    runner = _JobRunner(jobs, options, SilentDisplay(), lambda _: None)

    def make(number: int, on_message: OnMessage) -> dict[str, Any]:
        runner.display = WorkerDisplay(jobs[number], on_message)
        return runner.make_result(jobs[number])

    try:
        with keep_backends_open():
            work_on_files(order, order_path, worker, make)
    finally:
        fix_tile_memory(None)


@cache
def _hash_weights(model: str, folders: tuple[Path, ...]) -> str:
    """Return the SHA-256 of a weight file; "" if it is missing, which the check of the workflow reports."""
    try:
        return compute_sha256(find_model(model, folders).path)
    except (ModelError, OSError):
        return ""
