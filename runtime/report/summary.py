"""One row of numbers for each contender, over all crops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from math import inf, isfinite
from statistics import fmean
from typing import Any

from ..metrics.external_scores.score_table import SCORES
from .comparison import ComparedModel, MeasuredCrop, ModelComparison


@dataclass(frozen=True)
class ModelSummary:
    """Means over the crops where nothing else is said. None: there is no such number for any of them."""

    model: ComparedModel
    drift: float
    """Mean CIEDE2000."""
    drift_p95: float
    area_drift: float
    """Mean CIEDE2000 of low frequencies."""
    halo: float | None
    """Overshoot beside edges, as a share of their contrast."""
    consistency: float
    """PSNR in dB of the result, reduced, against the source."""
    sharpening: float | None
    """Gain in dB of the finest octave that the source has."""
    invented: float
    """Root mean square of the detail that the source cannot hold, 8-bit steps."""
    noise: float | None
    """Noise in flat areas beyond that of the source, 8-bit steps; below zero it was cleaned."""
    banding: float | None
    """Share of the smooth area that has become steps."""
    seams: float | None
    """Height of the steps between tiles, 8-bit steps."""
    seconds: float | None
    """Over all crops."""
    speed: float | None
    """Megapixels of the result per second."""
    peak_bytes: int | None
    """The highest of all crops."""
    scores: dict[str, float] = field(default_factory=dict[str, float])
    """Those of other libraries, by their keys."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the contender."""
        return {name: value for name, value in asdict(self).items() if name != "model"}


def summarize_models(comparison: ModelComparison) -> list[ModelSummary]:
    """Of every contender that could run, in their order."""
    return [summarize_model(one, [case.results[one.id] for case in comparison.crops]) for one in comparison.completed]


def summarize_model(model: ComparedModel, results: Sequence[MeasuredCrop]) -> ModelSummary:
    """The row of one contender."""
    found = [result.artifacts for result in results]
    costs = [result.cost for result in results if result.cost]
    peaks = [cost.peak_bytes for cost in costs if cost.peak_bytes is not None]
    seconds = sum(cost.seconds for cost in costs)
    return ModelSummary(
        model,
        drift=fmean(result.drift.de2000.mean for result in results),
        drift_p95=fmean(result.drift.de2000.p95 for result in results),
        area_drift=fmean(result.area_drift.de2000.mean for result in results),
        halo=_mean(one.halo.relative if one.halo else None for one in found),
        consistency=fmean(min(one.consistency.psnr_db, 99.0) for one in found),
        sharpening=_mean(one.spectrum.sharpening_db for one in found),
        invented=fmean(one.spectrum.invented for one in found),
        noise=_mean(one.noise.picture - one.noise.reference if one.noise else None for one in found),
        banding=_mean(one.banding.share if one.banding else None for one in found),
        seams=_mean(one.seams.height if one.seams else None for one in found),
        seconds=seconds if costs else None,
        speed=sum(cost.megapixels for cost in costs) / seconds if costs and seconds else None,
        peak_bytes=max(peaks, default=None),
        scores={score.key: value for score in SCORES if (value := _mean(_iterate_scores(results, score.key))) is not None},
    )


def _iterate_scores(results: Sequence[MeasuredCrop], key: str) -> Iterator[float | None]:
    return (result.scores.values.get(key) for result in results)


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None and isfinite(value)]
    return fmean(known) if known else None


@dataclass(frozen=True)
class Column:
    """A number of the table: how it is called, how it is printed, and which way is better."""

    key: str
    title: str
    unit: str
    formatter: Callable[[Any], str]
    better: str = ""
    """``low``, ``high``, ``near zero``, or empty where more is neither good nor bad."""
    meaning: str = ""

    def get_value(self, row: ModelSummary) -> Any:
        """The number, or None."""
        return row.scores.get(self.key) if self.key in _SCORE_KEYS else getattr(row, self.key)

    def format_value(self, row: ModelSummary) -> str:
        value = self.get_value(row)
        return "–" if value is None else self.formatter(value)

    def is_best(self, row: ModelSummary, rows: Sequence[ModelSummary]) -> bool:
        """Whether no model among ``rows`` is shown with a better number; base lines take no part."""
        models = [other for other in rows if not other.model.baseline and self.get_value(other) is not None]
        order = _ORDERS.get(self.better)
        if order is None or len(models) < 2 or row not in models:
            return False
        return self.format_value(row) == self.format_value(min(models, key=lambda other: order(self.get_value(other))))


_SCORE_KEYS = frozenset(score.key for score in SCORES)
_ORDERS: dict[str, Callable[[float], float]] = {"low": lambda v: v, "high": lambda v: -v, "near zero": abs}


def _make_formatter(digits: int) -> Callable[[Any], str]:
    return lambda value: f"{value:.{digits}f}" if abs(value) < inf else "∞"


def format_seconds(value: float) -> str:
    """A time with three digits or so."""
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def format_speed(value: float) -> str:
    """Megapixels per second with two digits at least."""
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


COLUMNS = (
    Column(
        "drift",
        "Colour drift",
        "ΔE2000",
        _make_formatter(2),
        "low",
        "Mean CIEDE2000 against the source, at the source's size. Below 1.0 nobody sees it.",
    ),
    Column("drift_p95", "p95", "ΔE2000", _make_formatter(2), "low", "95 % of the pixels drift less than this."),
    Column(
        "area_drift",
        "Area drift",
        "ΔE2000",
        _make_formatter(2),
        "low",
        "The same of low frequencies only: added detail does not count.",
    ),
    Column(
        "consistency",
        "Consistency",
        "dB",
        _make_formatter(1),
        "high",
        "PSNR of the result, reduced again, against the source: high means it tells the same story.",
    ),
    Column(
        "halo", "Halo", "%", lambda value: f"{100 * value:.1f}", "low", "Overshoot beside edges, as a share of their contrast."
    ),
    Column(
        "sharpening",
        "Fine detail",
        "dB",
        lambda value: f"{value:+.1f}",
        "near zero",
        "Gain of the finest octave that the source has: above 0 sharpened, below 0 softened.",
    ),
    Column(
        "invented",
        "New detail",
        "steps",
        _make_formatter(1),
        "",
        "Detail finer than the source can hold, RMS in 8-bit steps: crisp edges, and imagination.",
    ),
    Column(
        "noise",
        "Noise",
        "steps",
        lambda value: f"{value:+.2f}",
        "low",
        "In flat areas, against the source. Any enlargement softens noise: compare with the base lines.",
    ),
    Column(
        "banding", "Banding", "%", lambda value: f"{100 * value:.1f}", "low", "Share of the smooth area that has become steps."
    ),
    Column(
        "seams",
        "Seams",
        "steps",
        _make_formatter(2),
        "low",
        "Steps from tile to tile; up to 0.4 by chance. – where tiles cannot differ.",
    ),
    Column(
        "seconds",
        "Time",
        "s",
        format_seconds,
        "low",
        "Of upscaling, over all crops.",
    ),
    Column(
        "speed",
        "Speed",
        "Mpx/s",
        format_speed,
        "high",
        "Megapixels of the result per second.",
    ),
    Column(
        "peak_bytes",
        "Peak memory",
        "MB",
        lambda value: f"{value / 1e6:.0f}",
        "low",
        "Memory at its highest, beyond what was held before.",
    ),
)
SCORE_COLUMNS = tuple(
    Column(score.key, score.title, score.unit, _make_formatter(score.digits), score.better, score.meaning) for score in SCORES
)


def select_filled_columns(columns: Sequence[Column], rows: Sequence[ModelSummary]) -> list[Column]:
    """Those for which at least one row has a number."""
    return [column for column in columns if any(column.get_value(row) is not None for row in rows)]
