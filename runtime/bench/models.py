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
from numpy.typing import NDArray

from ..errors import Cancelled, ModelNotFound, Upscale8KError, WorkflowError
from ..frames.geometry import Size
from ..models.catalog import find_entry
from ..models.facts import UpscaleModel
from ..models.generated import generated
from ..models.load import Descriptor, load
from ..models.locate import locate
from ..upscale.allocator import reused_memory
from ..upscale.backends import Backend, Part, open_backend, untold
from ..upscale.batch import Settings, settled, tiling_for
from ..upscale.device import resolve
from ..upscale.image import upscale_picture
from ..upscale.target import MODEL_SCALE, Route, route
from ..upscale.tiles import Tiling, plan
from .cost import Cost, measured

FORMAT = "upscale8k-benchmark-1"
SLOWER = 1.10
"""A median that is this much slower than before, and outside the spread of both, is a regression."""
MOST_PIXELS = 1_000_000_000

Pixels = NDArray[np.float32]


class Watch(Protocol):
    """Where the benchmark reports to."""

    def advance(self, steps: int = 1) -> None:
        """So many pixels of all runs are done. May raise, which is how it is cancelled."""
        ...

    def say(self, text: str) -> None: ...


@dataclass(frozen=True)
class Case:
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
class Row:
    """What was measured of one case. Seconds are those of each counted run. ``problem`` says why there are none."""

    case: Case
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
class Change:
    """A case that an earlier benchmark has too. ``ratio`` above 1 is slower now."""

    case: Case
    before: float
    now: float
    regression: bool

    @property
    def ratio(self) -> float:
        return self.now / self.before


@dataclass(frozen=True)
class Sweep:
    """One combination with the tile left to choose, beside the same with tiles that were named.

    Tiles that cut the picture alike are one: their runs count together.
    """

    chosen: Row
    named: tuple[Row, ...]

    @property
    def medians(self) -> dict[str, float]:
        """Seconds by cut."""
        seconds: dict[str, list[float]] = {}
        for row in (self.chosen, *self.named):
            seconds.setdefault(row.cut, []).extend(row.seconds)
        return {cut: statistics.median(runs) for cut, runs in seconds.items()}

    @property
    def best(self) -> str:
        return min(self.medians, key=lambda cut: self.medians[cut])

    @property
    def distance(self) -> float:
        """By what share of the best time the chosen tile takes longer."""
        return self.medians[self.chosen.cut] / self.medians[self.best] - 1


@dataclass(frozen=True)
class Earlier:
    """A benchmark that was read back."""

    name: str
    date: str
    machine: str
    seconds: dict[Case, tuple[float, ...]]


@dataclass(frozen=True)
class Results:
    """A benchmark."""

    rows: tuple[Row, ...]
    warmups: int
    machine: str
    date: str
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """The machine in full."""
    changes: tuple[Change, ...] = ()
    earlier: Earlier | None = None

    @classmethod
    def of(
        cls, rows: tuple[Row, ...], warmups: int, machine: str, facts: dict[str, Any], date: str, before: Path | None
    ) -> Results:
        """With what changed since ``before``, the file of an earlier benchmark. Raises what ``read_earlier`` raises."""
        earlier = read_earlier(before) if before else None
        changed = changes(rows, earlier, same_machine=earlier.machine == machine) if earlier else ()
        return cls(rows, warmups, machine, date, facts, changed, earlier)

    @property
    def comparable(self) -> bool:
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
                    "case": asdict(sweep.chosen.case),
                    "chosen": sweep.chosen.cut,
                    "seconds": sweep.medians,
                    "distance": sweep.distance,
                }
                for sweep in sweeps(self.rows)
            ],
            "earlier": before,
            "changes": [{**asdict(change), "ratio": change.ratio} for change in self.changes],
        }


def cases(
    models: Sequence[str], sizes: Sequence[str], tiles: Sequence[int], precisions: Sequence[str], backends: Sequence[str]
) -> list[Case]:
    """Every combination, each once. Raises ``WorkflowError`` when there is none, or for a size that is none."""
    found = [Case(*one) for one in product(models, map(_size_text, sizes), tiles, precisions, backends)]
    if not found:
        raise WorkflowError("There is nothing to benchmark.", "Name at least one model, size, tile, precision and backend.")
    return list(dict.fromkeys(found))


def run(
    wanted: Sequence[Case],
    folders: Sequence[Path],
    device: str,
    *,
    warmups: int,
    repeats: int,
    progress: Callable[[int, str], AbstractContextManager[Watch]],
) -> tuple[Row, ...]:
    """Measure every case, in order. What a case cannot do is its row's problem; the others go on. Raises ``Cancelled``."""
    with progress(len(wanted), "case") as watch:
        rows: list[Row] = []
        for case in wanted:
            watch.say(str(case))
            rows.append(_row(case, folders, device, warmups, repeats, watch))
            watch.advance()
        return tuple(rows)


def _row(case: Case, folders: Sequence[Path], device: str, warmups: int, repeats: int, watch: Watch) -> Row:
    try:
        descriptor, made_up = weights_of(case.model, folders)
        return _measure(case, descriptor, made_up, device, warmups, repeats, watch)
    except Cancelled:
        raise
    except Upscale8KError as error:
        return Row(case, problem=str(error))


def weights_of(name: str, folders: Sequence[Path]) -> tuple[Descriptor, bool]:
    """The model of a name, and whether its weights were generated because they are not here.

    Raises ``ModelNotFound`` for a name that is neither here nor in the catalog.
    """
    try:
        return load(locate(name, folders)), False
    except ModelNotFound:
        entry = find_entry(name)
        if entry is None:
            raise
        return generated(entry), True


def _measure(case: Case, descriptor: Descriptor, made_up: bool, device: str, warmups: int, repeats: int, watch: Watch) -> Row:
    model = UpscaleModel.of(descriptor)
    size = _size(case.size)
    steps = route(size, model.scale, MODEL_SCALE)
    settings = Settings(MODEL_SCALE, device, tile=case.tile, precision=cast(Any, case.precision), backend=case.backend)
    settings, sentence = settled(model, settings)
    if sentence:
        watch.say(sentence)
    tiling = tiling_for(model, settings)
    pixels = picture(size)
    began = perf_counter()
    with closing(_Timed(open_backend(settings.backend, model, str(resolve(device)), settings.precision))) as backend:
        job = _Job(pixels, model, backend, tiling, steps, _Quiet(watch))
        for _ in range(warmups):
            job.run()
        prepared = perf_counter() - began
        costs, inside = zip(*(job.counted(device) for _ in range(repeats)), strict=True)
    return Row(
        case,
        made_up,
        tiling.tile,
        tiling.halo,
        _cut(size, tiling),
        settings.precision,
        settings.backend,
        megapixels=steps.final.pixels / 1e6,
        prepare_seconds=prepared,
        seconds=tuple(cost.seconds for cost in costs),
        model_seconds=tuple(inside),
        peak_bytes=max(cost.peak_bytes for cost in costs),
        device_bytes=max((cost.device_bytes for cost in costs if cost.device_bytes is not None), default=None),
    )


@dataclass
class _Job:
    pixels: Pixels
    model: UpscaleModel
    backend: _Timed
    tiling: Tiling
    steps: Route
    watch: _Quiet

    def run(self) -> None:
        out: Pixels = np.zeros((self.steps.final.height, self.steps.final.width, 3), np.float32)
        upscale_picture(self.pixels, self.model, self.backend, self.tiling, self.steps, out=out, watch=self.watch)

    def counted(self, device: str) -> tuple[Cost, float]:
        self.backend.seconds = 0.0
        where = resolve(device)
        # As the nodes do it, whose memory and speed these are.
        with measured(where) as cost, reused_memory() if where.type == "cpu" else nullcontext():
            self.run()
        return cost, self.backend.seconds


@dataclass
class _Quiet:
    """Hands on what must be said, and asks whether to stop; the bar counts cases."""

    watch: Watch

    def advance(self, steps: int = 1) -> None:
        self.watch.advance(0)

    def say(self, text: str) -> None:
        self.watch.say(text)


class _Timed:
    """A backend that adds up the time spent inside it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.seconds = 0.0
        self.warnings = backend.warnings

    def run(self, batch: Pixels, part: Part = untold) -> Pixels:
        began = perf_counter()
        try:
            return self._backend.run(batch, part)
        finally:
            self.seconds += perf_counter() - began

    def close(self) -> None:
        self._backend.close()


def _cut(size: Size, tiling: Tiling) -> str:
    tiles = plan(size, tiling)
    return f"{len(tiles)} of {tiles[0].padded.size}"


def picture(size: Size) -> Pixels:
    """(H, W, 3) float32 in 0..1 with edges, gradients and noise in it, the same on every machine."""
    y, x = np.mgrid[0 : size.height, 0 : size.width].astype(np.float32)
    rings = np.sin((x**2 + y**2) / 4000)
    waves = np.sin(x / 17) * np.cos(y / 23)
    colours = np.stack([rings, waves, x / size.width * 2 - 1], axis=2) * 0.45 + 0.5
    noise = np.random.default_rng(8).normal(0, 0.05, colours.shape)
    return np.clip(colours + noise, 0, 1).astype(np.float32)


def _size_text(text: str) -> str:
    return str(_size(text))


def _size(text: str) -> Size:
    match = re.fullmatch(r"\s*([1-9]\d{0,5})\s*x\s*([1-9]\d{0,5})\s*", text)
    if match is None:
        raise WorkflowError(f"{text!r} is no size.", "Write WIDTHxHEIGHT, for instance 1920x1080.")
    size = Size(int(match.group(1)), int(match.group(2)))
    if size.pixels * 16 > MOST_PIXELS:
        raise WorkflowError(f"{size} is larger than a benchmark needs.", "Use at most 8K, 7680x4320.")
    return size


def sweeps(rows: Sequence[Row]) -> tuple[Sweep, ...]:
    """Every combination of which the chosen tile and a named one were measured."""
    measured_ = [row for row in rows if row.seconds]
    named = {row: replace(row.case, tile=0) for row in measured_ if row.case.tile}
    chosen = (row for row in measured_ if not row.case.tile)
    found = (Sweep(row, tuple(other for other, case in named.items() if case == row.case)) for row in chosen)
    return tuple(sweep for sweep in found if sweep.named)


def read_earlier(path: Path) -> Earlier:
    """A benchmark that ``Results`` wrote. Raises ``WorkflowError`` for a file that is none."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise KeyError("format")
        seconds = {_case(row["case"]): tuple(map(float, row["seconds"])) for row in content["rows"] if row["seconds"]}
        return Earlier(path.name, str(content["date"]), str(content["machine"]), seconds)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkflowError(
            f"{path} is no benchmark to compare with.", "Give the benchmark.json of an earlier run.", path=path
        ) from error


def _case(stored: dict[str, Any]) -> Case:
    return Case(
        str(stored["model"]), str(stored["size"]), int(stored["tile"]), str(stored["precision"]), str(stored["backend"])
    )


def changes(rows: Sequence[Row], earlier: Earlier, *, same_machine: bool) -> tuple[Change, ...]:
    """Every case that both have. A regression is slower by more than ``SLOWER``, slower in every run than in any run before,
    and on the same machine.
    """
    return tuple(_changes(rows, earlier, same_machine))


def _changes(rows: Sequence[Row], earlier: Earlier, same_machine: bool) -> Iterator[Change]:
    for row in rows:
        before = earlier.seconds.get(row.case)
        if not before or not row.seconds:
            continue
        then = statistics.median(before)
        slower = row.median > SLOWER * then and min(row.seconds) > max(before)
        yield Change(row.case, then, row.median, slower and same_machine)
