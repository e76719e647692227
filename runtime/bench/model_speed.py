"""``bench models``: how fast each model is here, by size, tile, precision and backend, and what memory it takes.

Every combination is warmed up and then run several times on a picture of our own making, because speed does not depend on what
is in it. End to end is what a workflow waits for: from the pixels in memory to the result in memory, tiles cut and laid
together. Model only is the time inside the backend. A model of the catalog whose weights are not here runs with generated ones,
which are as fast, and its row says so.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import Cancelled, ModelNotFound, Upscale8KError, WorkflowError
from ..media.geometry import Size
from ..models.catalog import find_entry
from ..models.load import Descriptor, load_model
from ..models.locate import find_model
from ..models.random_weights import generate_model
from ..models.upscale_model import UpscaleModel
from ..upscale.backends import open_backend
from ..upscale.backends.base import Backend, OnProgress, no_progress
from ..upscale.malloc import reuse_freed_memory
from ..upscale.resolved_settings import TiledUpscaleSettings, resolve_settings
from ..upscale.target_size import MODEL_SCALE, ScalePlan, plan_scale
from ..upscale.tile_loop import upscale_image
from ..upscale.tiles import Tiling, plan_tiles
from .measure import ResourceCost, measure_cost

FORMAT = "upscale8k-benchmark-1"
REGRESSION_RATIO = 1.10
"""A median that is this much slower than before, and outside the spread of both, is a regression."""
MAX_RESULT_PIXELS = 1_000_000_000

Pixels = NDArray[np.float32]


class BenchmarkProgress(Protocol):
    """Where the benchmark reports to."""

    def advance(self, steps: int = 1) -> None:
        """So many pixels of all runs are done. May raise, which is how it is cancelled."""
        ...

    def message(self, text: str) -> None: ...


@dataclass(frozen=True)
class BenchmarkCase:
    """One combination."""

    model: str
    size: str
    """Of the picture that goes in."""
    tile: int
    """As asked for; 0 chooses."""
    precision: str
    backend: str
    """Both as asked for; ``auto`` chooses."""

    def __str__(self) -> str:
        tile = f"tile {self.tile}" if self.tile else "tile auto"
        return f"{self.model}, {self.size}, {tile}, {self.precision}, {self.backend}"


@dataclass(frozen=True)
class BenchmarkRow:
    """What was measured of one case. Seconds are those of each counted run. ``problem`` says why there are none."""

    case: BenchmarkCase
    generated: bool = False
    tile: int = 0
    """That was used."""
    halo: int = 0
    cut: str = ""
    """Into how many tiles of which size the model is shown the picture, in its first pass."""
    precision: str = ""
    backend: str = ""
    """That were used."""
    megapixels: float = 0.0
    """Of the result."""
    prepare_seconds: float = 0.0
    """From the loaded weights to a backend that can run, warm-up included."""
    seconds: tuple[float, ...] = ()
    model_seconds: tuple[float, ...] = ()
    peak_bytes: int = 0
    device_bytes: int | None = None
    problem: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Greatest less least, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / self.median

    @property
    def speed(self) -> float:
        """Megapixels of the result per second, end to end."""
        return self.megapixels / self.median

    @property
    def model_speed(self) -> float:
        """The same, counting only the time inside the backend."""
        return self.megapixels / max(statistics.median(self.model_seconds), 1e-9)

    def as_dict(self) -> dict[str, Any]:
        derived = {"median_seconds": self.median, "megapixels_per_second": self.speed} if self.seconds else {}
        return {**asdict(self), **derived}


@dataclass(frozen=True)
class BenchmarkChange:
    """A case that an earlier benchmark has too. ``ratio`` above 1 is slower now."""

    case: BenchmarkCase
    before: float
    now: float
    regression: bool

    @property
    def ratio(self) -> float:
        return self.now / self.before


@dataclass(frozen=True)
class TileSweep:
    """One combination with the tile left to choose, beside the same with tiles that were named.

    Tiles that cut the picture alike are one: their runs count together.
    """

    auto_row: BenchmarkRow
    fixed_rows: tuple[BenchmarkRow, ...]

    @property
    def medians(self) -> dict[str, float]:
        """Seconds by cut."""
        seconds: dict[str, list[float]] = {}
        for row in (self.auto_row, *self.fixed_rows):
            seconds.setdefault(row.cut, []).extend(row.seconds)
        return {cut: statistics.median(runs) for cut, runs in seconds.items()}

    @property
    def best(self) -> str:
        return min(self.medians, key=lambda cut: self.medians[cut])

    @property
    def distance(self) -> float:
        """By what share of the best time the chosen tile takes longer."""
        return self.medians[self.auto_row.cut] / self.medians[self.best] - 1


@dataclass(frozen=True)
class EarlierBenchmark:
    """A benchmark that was read back."""

    name: str
    date: str
    machine: str
    seconds: dict[BenchmarkCase, tuple[float, ...]]


@dataclass(frozen=True)
class BenchmarkResults:
    """A benchmark."""

    rows: tuple[BenchmarkRow, ...]
    warmups: int
    machine: str
    date: str
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """The machine in full."""
    changes: tuple[BenchmarkChange, ...] = ()
    earlier: EarlierBenchmark | None = None

    @classmethod
    def from_rows(
        cls,
        rows: tuple[BenchmarkRow, ...],
        warmups: int,
        machine: str,
        facts: dict[str, Any],
        date: str,
        earlier_path: Path | None,
    ) -> BenchmarkResults:
        """With what changed since ``before``, the file of an earlier benchmark. Raises what ``read_earlier`` raises."""
        earlier = read_benchmark(earlier_path) if earlier_path else None
        found_changes = find_changes(rows, earlier, same_machine=earlier.machine == machine) if earlier else ()
        return cls(rows, warmups, machine, date, facts, found_changes, earlier)

    @property
    def is_comparable(self) -> bool:
        """Whether the earlier one was made on the same machine."""
        return self.earlier is not None and self.earlier.machine == self.machine

    def as_dict(self) -> dict[str, Any]:
        before = self.earlier and {"name": self.earlier.name, "date": self.earlier.date, "machine": self.earlier.machine}
        return {
            "format": FORMAT,
            "date": self.date,
            "machine": self.machine,
            "machine_facts": self.facts,
            "warmups": self.warmups,
            "rows": [row.as_dict() for row in self.rows],
            "tiles": [
                {
                    "case": asdict(sweep.auto_row.case),
                    "chosen": sweep.auto_row.cut,
                    "seconds": sweep.medians,
                    "distance": sweep.distance,
                }
                for sweep in find_sweeps(self.rows)
            ],
            "earlier": before,
            "changes": [{**asdict(change), "ratio": change.ratio} for change in self.changes],
        }


def make_cases(
    models: Sequence[str], sizes: Sequence[str], tiles: Sequence[int], precisions: Sequence[str], backends: Sequence[str]
) -> list[BenchmarkCase]:
    """Every combination, each once. Raises ``WorkflowError`` when there is none, or for a size that is none."""
    found = [BenchmarkCase(*one) for one in product(models, map(_normalize_size, sizes), tiles, precisions, backends)]
    if not found:
        raise WorkflowError("There is nothing to benchmark.", "Name at least one model, size, tile, precision and backend.")
    return list(dict.fromkeys(found))


def run_benchmark(
    cases: Sequence[BenchmarkCase],
    folders: Sequence[Path],
    device: str,
    *,
    warmups: int,
    repeats: int,
    open_progress: Callable[[int, str], AbstractContextManager[BenchmarkProgress]],
) -> tuple[BenchmarkRow, ...]:
    """Measure every case, in order. What a case cannot do is its row's problem; the others go on. Raises ``Cancelled``."""
    with open_progress(len(cases), "case") as progress:
        rows: list[BenchmarkRow] = []
        for case in cases:
            progress.message(str(case))
            rows.append(_make_row(case, folders, device, warmups, repeats, progress))
            progress.advance()
        return tuple(rows)


def _make_row(
    case: BenchmarkCase, folders: Sequence[Path], device: str, warmups: int, repeats: int, progress: BenchmarkProgress
) -> BenchmarkRow:
    try:
        descriptor, is_generated = load_or_generate(case.model, folders)
        return _measure_case(case, descriptor, is_generated, device, warmups, repeats, progress)
    except Cancelled:
        raise
    except Upscale8KError as error:
        return BenchmarkRow(case, problem=str(error))


def load_or_generate(name: str, folders: Sequence[Path]) -> tuple[Descriptor, bool]:
    """The model of a name, and whether its weights were generated because they are not here.

    Raises ``ModelNotFound`` for a name that is neither here nor in the catalog.
    """
    try:
        return load_model(find_model(name, folders)), False
    except ModelNotFound:
        entry = find_entry(name)
        if entry is None:
            raise
        return generate_model(entry), True


def _measure_case(
    case: BenchmarkCase,
    descriptor: Descriptor,
    is_generated: bool,
    device: str,
    warmups: int,
    repeats: int,
    progress: BenchmarkProgress,
) -> BenchmarkRow:
    model = UpscaleModel.from_descriptor(descriptor)
    size = _parse_size(case.size)
    scale_plan = plan_scale(size, model.scale, MODEL_SCALE)
    settings = TiledUpscaleSettings(
        MODEL_SCALE, device, tile=case.tile, precision=cast(Any, case.precision), backend=case.backend
    )
    resolved = resolve_settings(model, settings)
    if resolved.message:
        progress.message(resolved.message)
    tiling = resolved.tiling
    pixels = make_test_image(size)
    began = perf_counter()
    with closing(_TimedBackend(open_backend(resolved.backend, model, resolved.device, resolved.precision))) as backend:
        job = _UpscaleJob(pixels, model, backend, tiling, scale_plan, _CaseProgress(progress))
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
    pixels: Pixels
    model: UpscaleModel
    backend: _TimedBackend
    tiling: Tiling
    scale_plan: ScalePlan
    progress: _CaseProgress

    def run(self) -> None:
        out: Pixels = np.zeros((self.scale_plan.final_size.height, self.scale_plan.final_size.width, 3), np.float32)
        upscale_image(self.pixels, self.model, self.backend, self.tiling, self.scale_plan, out=out, progress=self.progress)

    def run_measured(self, device: torch.device) -> tuple[ResourceCost, float]:
        self.backend.seconds = 0.0
        # As the nodes do it, whose memory and speed these are.
        with measure_cost(device) as cost, reuse_freed_memory() if device.type == "cpu" else nullcontext():
            self.run()
        return cost, self.backend.seconds


@dataclass
class _CaseProgress:
    """Hands on what must be said, and asks whether to stop; the bar counts cases."""

    progress: BenchmarkProgress

    def advance(self, steps: int = 1) -> None:
        self.progress.advance(0)

    def message(self, text: str) -> None:
        self.progress.message(text)


class _TimedBackend:
    """A backend that adds up the time spent inside it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.seconds = 0.0
        self.warnings = backend.warnings

    def run(self, batch: Pixels, on_progress: OnProgress = no_progress) -> Pixels:
        began = perf_counter()
        try:
            return self._backend.run(batch, on_progress)
        finally:
            self.seconds += perf_counter() - began

    def close(self) -> None:
        self._backend.close()


def _describe_cut(size: Size, tiling: Tiling) -> str:
    tiles = plan_tiles(size, tiling)
    return f"{len(tiles)} of {tiles[0].padded.size}"


def make_test_image(size: Size) -> Pixels:
    """(H, W, 3) float32 in 0..1 with edges, gradients and noise in it, the same on every machine."""
    y, x = np.mgrid[0 : size.height, 0 : size.width].astype(np.float32)
    rings = np.sin((x**2 + y**2) / 4000)
    waves = np.sin(x / 17) * np.cos(y / 23)
    colors = np.stack([rings, waves, x / size.width * 2 - 1], axis=2) * 0.45 + 0.5
    noise = np.random.default_rng(8).normal(0, 0.05, colors.shape)
    return np.clip(colors + noise, 0, 1).astype(np.float32)


def _normalize_size(text: str) -> str:
    return str(_parse_size(text))


def _parse_size(text: str) -> Size:
    match = re.fullmatch(r"\s*([1-9]\d{0,5})\s*x\s*([1-9]\d{0,5})\s*", text)
    if match is None:
        raise WorkflowError(f"{text!r} is no size.", "Write WIDTHxHEIGHT, for instance 1920x1080.")
    size = Size(int(match.group(1)), int(match.group(2)))
    if size.pixel_count * 16 > MAX_RESULT_PIXELS:
        raise WorkflowError(f"{size} is larger than a benchmark needs.", "Use at most 8K, 7680x4320.")
    return size


def find_sweeps(rows: Sequence[BenchmarkRow]) -> tuple[TileSweep, ...]:
    """Every combination of which the chosen tile and a named one were measured."""
    measured_rows = [row for row in rows if row.seconds]
    fixed_rows = {row: replace(row.case, tile=0) for row in measured_rows if row.case.tile}
    auto_rows = (row for row in measured_rows if not row.case.tile)
    found = (TileSweep(row, tuple(other for other, case in fixed_rows.items() if case == row.case)) for row in auto_rows)
    return tuple(sweep for sweep in found if sweep.fixed_rows)


def read_benchmark(path: Path) -> EarlierBenchmark:
    """A benchmark that ``Results`` wrote. Raises ``WorkflowError`` for a file that is none."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise KeyError("format")
        seconds = {_parse_case(row["case"]): tuple(map(float, row["seconds"])) for row in content["rows"] if row["seconds"]}
        return EarlierBenchmark(path.name, str(content["date"]), str(content["machine"]), seconds)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkflowError(
            f"{path} is no benchmark to compare with.", "Give the benchmark.json of an earlier run.", path=path
        ) from error


def _parse_case(stored: dict[str, Any]) -> BenchmarkCase:
    return BenchmarkCase(
        str(stored["model"]), str(stored["size"]), int(stored["tile"]), str(stored["precision"]), str(stored["backend"])
    )


def find_changes(rows: Sequence[BenchmarkRow], earlier: EarlierBenchmark, *, same_machine: bool) -> tuple[BenchmarkChange, ...]:
    """Every case that both have. A regression is slower by more than ``SLOWER``, slower in every run than in any run before,
    and on the same machine.
    """
    return tuple(_iterate_changes(rows, earlier, same_machine))


def _iterate_changes(rows: Sequence[BenchmarkRow], earlier: EarlierBenchmark, same_machine: bool) -> Iterator[BenchmarkChange]:
    for row in rows:
        before = earlier.seconds.get(row.case)
        if not before or not row.seconds:
            continue
        earlier_median = statistics.median(before)
        is_slower = row.median > REGRESSION_RATIO * earlier_median and min(row.seconds) > max(before)
        yield BenchmarkChange(row.case, earlier_median, row.median, is_slower and same_machine)
