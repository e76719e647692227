"""``bench models``: speed and memory of each model by size, tile, precision and backend.

Every combination is warmed up and then run several times on a synthetic image, because the content does not change the speed.
End-to-end time is what a workflow waits for: from pixels in memory to the result in memory, with tiles cut and blended.
Model-only time is the time in the backend. A model of the catalog without its weights runs with random ones, which are as
fast, and its row says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch

from .. import upscale
from ..errors import Cancelled, ModelNotFound, Upscale8KError, WorkflowError
from ..media import Floats, Size
from ..models import Descriptor, UpscaleModel, find_entry, find_model, generate_model, load_model, resolve_model_names
from ..progress import OpenProgress, Progress, ScaledProgress
from .benchmark_results import BenchmarkCase, BenchmarkResults, BenchmarkRow
from .measure import ResourceCost, describe_machine, format_now, make_test_image, measure_cost
from .worker_jobs import parse_size

MAX_RESULT_PIXELS = 1_000_000_000


def benchmark_models(
    models: str,
    options: tuple[Sequence[str], Sequence[int], Sequence[str], Sequence[str]],
    folders: Sequence[Path],
    device: str,
    *,
    warmups: int,
    repeats: int,
    earlier: Path | None,
    open_progress: OpenProgress,
) -> BenchmarkResults:
    """Measure a list of models with every combination of ``options``: sizes, tiles, precisions and backends.

    ``earlier`` is the file of an earlier benchmark to compare with. Raises what ``make_cases`` and ``read_benchmark`` raise.
    """
    cases = make_cases(resolve_model_names(models, folders), *options)
    machine, facts = describe_machine(device)
    rows = run_benchmark(cases, folders, device, warmups=warmups, repeats=repeats, open_progress=open_progress)
    return BenchmarkResults.from_rows(rows, warmups, machine, facts, format_now(), earlier)


def make_cases(
    models: Sequence[str], sizes: Sequence[str], tiles: Sequence[int], precisions: Sequence[str], backends: Sequence[str]
) -> list[BenchmarkCase]:
    """Return every combination once. Raises ``WorkflowError`` if there is none, or for an invalid size."""
    parsed_sizes = [str(_parse_input_size(size)) for size in sizes]
    cases = [BenchmarkCase(*values) for values in product(models, parsed_sizes, tiles, precisions, backends)]
    if not cases:
        raise WorkflowError("There is nothing to benchmark.", "Name at least one model, size, tile, precision and backend.")
    return list(dict.fromkeys(cases))


def _parse_input_size(text: str) -> Size:
    size = parse_size(text)
    if size.pixel_count * 16 > MAX_RESULT_PIXELS:
        raise WorkflowError(f"{size} is too large for a benchmark.", "Use at most 8K, 7680x4320.")
    return size


def run_benchmark(
    cases: Sequence[BenchmarkCase],
    folders: Sequence[Path],
    device: str,
    *,
    warmups: int,
    repeats: int,
    open_progress: OpenProgress,
) -> tuple[BenchmarkRow, ...]:
    """Measure every case in order. An error becomes its row's problem, and the next case follows. Raises ``Cancelled``."""
    with open_progress(len(cases), "case") as progress:
        rows: list[BenchmarkRow] = []
        for case in cases:
            progress.message(str(case))
            rows.append(_make_row(case, folders, device, warmups, repeats, progress))
            progress.advance()
        return tuple(rows)


def _make_row(
    case: BenchmarkCase, folders: Sequence[Path], device: str, warmups: int, repeats: int, progress: Progress
) -> BenchmarkRow:
    try:
        descriptor, is_generated = load_or_generate(case.model, folders)
        return _measure_case(case, descriptor, is_generated, device, warmups, repeats, progress)
    except Cancelled:
        raise
    except Upscale8KError as error:
        return BenchmarkRow(case, problem=str(error))


def load_or_generate(name: str, folders: Sequence[Path]) -> tuple[Descriptor, bool]:
    """Return the model of a name, and whether its weights are random because they are not present.

    Raises ``ModelNotFound`` for a name that is neither a file nor in the catalog.
    """
    try:
        return load_model(find_model(name, folders)), False
    except ModelNotFound:
        entry = find_entry(name)
        if entry is None:
            raise
        return generate_model(entry), True


def _measure_case(
    case: BenchmarkCase, descriptor: Descriptor, is_generated: bool, device: str, warmups: int, repeats: int, progress: Progress
) -> BenchmarkRow:
    model = UpscaleModel.from_descriptor(descriptor)
    size = parse_size(case.size)
    scale_plan = upscale.plan_scale(size, model.scale, upscale.MODEL_SCALE)
    settings = upscale.TiledUpscaleSettings(
        upscale.MODEL_SCALE, device, tile=case.tile, precision=cast(Any, case.precision), backend=case.backend
    )
    resolved = upscale.resolve_settings(model, settings, size=size)
    tiling = resolved.tiling
    pixels = make_test_image(size)
    began = perf_counter()
    with closing(_TimedBackend(upscale.open_backend(resolved.backend, model, resolved.device, resolved.precision))) as backend:
        job = _UpscaleJob(pixels, model, backend, tiling, scale_plan, ScaledProgress(progress, 1, 0))
        for _ in range(warmups):
            job.run()
        prepare_seconds = perf_counter() - began
        costs, model_seconds = zip(*(job.run_measured(resolved.device) for _ in range(repeats)), strict=True)
    return BenchmarkRow(
        case,
        is_generated,
        tiling.tile,
        tiling.halo,
        _describe_cut(size, tiling),
        resolved.precision,
        resolved.backend,
        megapixels=scale_plan.final_size.pixel_count / 1e6,
        prepare_seconds=prepare_seconds,
        seconds=tuple(cost.seconds for cost in costs),
        model_seconds=tuple(model_seconds),
        peak_bytes=max(cost.peak_bytes for cost in costs),
        device_bytes=max((cost.device_bytes for cost in costs if cost.device_bytes is not None), default=None),
    )


@dataclass
class _UpscaleJob:
    pixels: Floats
    model: UpscaleModel
    backend: _TimedBackend
    tiling: upscale.Tiling
    scale_plan: upscale.ScalePlan
    progress: Progress

    def run(self) -> None:
        out: Floats = np.zeros((self.scale_plan.final_size.height, self.scale_plan.final_size.width, 3), np.float32)
        upscale.upscale_image(
            self.pixels, self.model, self.backend, self.tiling, self.scale_plan, out=out, progress=self.progress
        )

    def run_measured(self, device: torch.device) -> tuple[ResourceCost, float]:
        self.backend.seconds = 0.0
        # As in the nodes, whose memory and speed are measured.
        with measure_cost(device) as cost, upscale.reuse_freed_memory() if device.type == "cpu" else nullcontext():
            self.run()
        return cost, self.backend.seconds


class _TimedBackend:
    """A backend that sums up the time of its runs."""

    def __init__(self, backend: upscale.Backend) -> None:
        self._backend = backend
        self.seconds = 0.0
        self.warnings = backend.warnings

    def run(self, batch: Floats, on_progress: upscale.OnProgress = upscale.no_progress) -> Floats:
        began = perf_counter()
        try:
            return self._backend.run(batch, on_progress)
        finally:
            self.seconds += perf_counter() - began

    def close(self) -> None:
        self._backend.close()


def _describe_cut(size: Size, tiling: upscale.Tiling) -> str:
    tiles = upscale.plan_tiles(size, tiling)
    return f"{len(tiles)} of {tiles[0].padded.size}"
