"""The values of ``bench models``: cases, rows, tile sweeps, and changes since an earlier benchmark."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import WorkflowError

FORMAT = "upscale8k-benchmark-1"
REGRESSION_RATIO = 1.10
"""A regression's median is more than this multiple of the earlier one."""


@dataclass(frozen=True)
class BenchmarkCase:
    """One combination of settings to measure."""

    model: str
    size: str
    """WIDTHxHEIGHT of the input image."""
    tile: int
    """The requested tile side; 0 means automatic."""
    precision: str
    backend: str
    """As requested; may be ``auto``."""

    def __str__(self) -> str:
        tile = f"tile {self.tile}" if self.tile else "tile auto"
        return f"{self.model}, {self.size}, {tile}, {self.precision}, {self.backend}"


@dataclass(frozen=True)
class BenchmarkRow:
    """The measurements of one case. Seconds are those of each counted run; ``problem`` says why there are none."""

    case: BenchmarkCase
    generated: bool = False
    tile: int = 0
    """The tile side that was used."""
    halo: int = 0
    cut: str = ""
    """Number and size of the model's input tiles in the first pass."""
    precision: str = ""
    backend: str = ""
    """As used, never ``auto``."""
    megapixels: float = 0.0
    """Megapixels of the result."""
    prepare_seconds: float = 0.0
    """Time from the loaded weights to a backend that is ready, warm-up included."""
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
        """Slowest minus fastest run, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / self.median

    @property
    def speed(self) -> float:
        """Megapixels of the result per second, end to end."""
        return self.megapixels / self.median

    @property
    def model_speed(self) -> float:
        """Megapixels of the result per second of backend time."""
        return self.megapixels / max(statistics.median(self.model_seconds), 1e-9)

    def as_dict(self) -> dict[str, Any]:
        derived = {"median_seconds": self.median, "megapixels_per_second": self.speed} if self.seconds else {}
        return {**asdict(self), **derived}


@dataclass(frozen=True)
class BenchmarkChange:
    """A case that is also in an earlier benchmark. A ``ratio`` above 1 means slower now."""

    case: BenchmarkCase
    before: float
    now: float
    regression: bool

    @property
    def ratio(self) -> float:
        return self.now / self.before


@dataclass(frozen=True)
class TileSweep:
    """One combination with an automatic tile, compared with the same combination at fixed tiles.

    Tiles that cut the image in the same way count as one, with all their runs.
    """

    auto_row: BenchmarkRow
    fixed_rows: tuple[BenchmarkRow, ...]

    @property
    def medians(self) -> dict[str, float]:
        """Median seconds by cut."""
        seconds: dict[str, list[float]] = {}
        for row in (self.auto_row, *self.fixed_rows):
            seconds.setdefault(row.cut, []).extend(row.seconds)
        return {cut: statistics.median(runs) for cut, runs in seconds.items()}

    @property
    def best(self) -> str:
        return min(self.medians, key=lambda cut: self.medians[cut])

    @property
    def distance(self) -> float:
        """Extra time of the automatic tile, as a share of the best time."""
        return self.medians[self.auto_row.cut] / self.medians[self.best] - 1


@dataclass(frozen=True)
class EarlierBenchmark:
    """An earlier benchmark, read from its file."""

    name: str
    date: str
    machine: str
    seconds: dict[BenchmarkCase, tuple[float, ...]]


@dataclass(frozen=True)
class BenchmarkResults:
    """All rows of a benchmark, and the changes since an earlier one."""

    rows: tuple[BenchmarkRow, ...]
    warmups: int
    machine: str
    date: str
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """All facts about the machine."""
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
        """Compare with the file of an earlier benchmark, if any. Raises what ``read_benchmark`` raises."""
        earlier = read_benchmark(earlier_path) if earlier_path else None
        changes = find_changes(rows, earlier, same_machine=earlier.machine == machine) if earlier else ()
        return cls(rows, warmups, machine, date, facts, changes, earlier)

    @property
    def is_comparable(self) -> bool:
        """Whether the earlier benchmark was made on the same machine."""
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


def find_sweeps(rows: Sequence[BenchmarkRow]) -> tuple[TileSweep, ...]:
    """Return every combination that was measured with an automatic and a fixed tile."""
    measured_rows = [row for row in rows if row.seconds]
    fixed_rows = {row: replace(row.case, tile=0) for row in measured_rows if row.case.tile}
    auto_rows = (row for row in measured_rows if not row.case.tile)
    found = (TileSweep(row, tuple(other for other, case in fixed_rows.items() if case == row.case)) for row in auto_rows)
    return tuple(sweep for sweep in found if sweep.fixed_rows)


def read_benchmark(path: Path) -> EarlierBenchmark:
    """Read a ``benchmark.json``. Raises ``WorkflowError`` for any other file."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise KeyError("format")
        seconds = {_parse_case(row["case"]): tuple(map(float, row["seconds"])) for row in content["rows"] if row["seconds"]}
        return EarlierBenchmark(path.name, str(content["date"]), str(content["machine"]), seconds)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkflowError(
            f"{path} is not a benchmark that can be compared.", "Give the benchmark.json of an earlier run.", path=path
        ) from error


def _parse_case(stored: dict[str, Any]) -> BenchmarkCase:
    return BenchmarkCase(
        str(stored["model"]), str(stored["size"]), int(stored["tile"]), str(stored["precision"]), str(stored["backend"])
    )


def find_changes(rows: Sequence[BenchmarkRow], earlier: EarlierBenchmark, *, same_machine: bool) -> tuple[BenchmarkChange, ...]:
    """Return the changes of every case that both have.

    A regression was measured on the same machine, its median is more than ``REGRESSION_RATIO`` times the earlier one, and
    each of its runs is slower than every earlier run.
    """
    changes: list[BenchmarkChange] = []
    for row in rows:
        before = earlier.seconds.get(row.case)
        if before and row.seconds:
            earlier_median = statistics.median(before)
            is_slower = row.median > REGRESSION_RATIO * earlier_median and min(row.seconds) > max(before)
            changes.append(BenchmarkChange(row.case, earlier_median, row.median, is_slower and same_machine))
    return tuple(changes)
