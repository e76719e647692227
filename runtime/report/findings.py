"""The numbers in words, and which model for which use. Every sentence names the numbers that it follows from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..metrics.artifacts import VISIBLE_SEAM
from ..metrics.drift import describe_drift
from .summary import COLUMNS, Column, ModelSummary

_COLUMNS_BY_KEY = {column.key: column for column in COLUMNS}
_CONSISTENT_DB, _LOOSE_DB = 40.0, 30.0
_CRISP_STEPS = 3.0
"""8-bit steps of new detail that an interpolation does not reach."""
_VISIBLE_NOISE = 0.5
_VISIBLE_HALO = 0.10
_VISIBLE_BANDING = 0.05


def describe_findings(row: ModelSummary, rows: Sequence[ModelSummary]) -> list[str]:
    """What there is to say about one contender; ``rows`` are all of them, for comparison."""
    return list(_iterate_findings(row, rows))


def _iterate_findings(row: ModelSummary, rows: Sequence[ModelSummary]) -> Iterator[str]:
    yield f"Colour: mean ΔE2000 {row.drift:.2f}. {describe_drift(row.drift)}"
    if row.drift - row.area_drift > 0.5:
        yield f"Of that only {row.area_drift:.2f} is in areas; the rest is detail that was changed, not colour."
    yield _describe_consistency(row)
    yield from _describe_detail(row, rows)
    if row.halo is not None and row.halo >= _VISIBLE_HALO:
        yield f"Edges overshoot by {row.halo:.0%} of their contrast: halos can be seen."
    yield from _describe_noise(row, rows)
    if row.banding is not None and row.banding >= _VISIBLE_BANDING:
        yield f"{row.banding:.0%} of the smooth area has become steps: bands can be seen."
    if row.seams is not None and row.seams >= VISIBLE_SEAM:
        yield f"Tiles differ by {row.seams:.2f} steps at their edges: seams can be seen."
    if row.speed is not None:
        yield _describe_speed(row, rows)


def _describe_consistency(row: ModelSummary) -> str:
    dB = f"Reduced again it agrees with the source to {row.consistency:.1f} dB"
    if row.consistency >= _CONSISTENT_DB:
        return f"{dB}: it tells the same story."
    if row.consistency >= _LOOSE_DB:
        return f"{dB}: small things were redrawn."
    return f"{dB}: much was redrawn, so look at faces, text and patterns before trusting it."


def _describe_detail(row: ModelSummary, rows: Sequence[ModelSummary]) -> Iterator[str]:
    baseline_values = [other.invented for other in rows if other.model.baseline]
    if not row.model.baseline and baseline_values and row.invented > max(baseline_values):
        factor = row.invented / max(*baseline_values, 1e-6)
        times = f"{factor:.1f} times that of the base lines" if factor < 100 else "the base lines have next to none"
        crisp = "crisp edges and new texture" if row.invented >= _CRISP_STEPS else "a little crispness"
        yield f"Detail finer than the source can hold: {row.invented:.1f} steps, {times}: {crisp}."
    if row.sharpening is not None and row.sharpening > 1.5:
        yield f"The finest detail of the source is raised by {row.sharpening:.1f} dB: sharpened."
    if row.sharpening is not None and row.sharpening < -3:
        yield f"The finest detail of the source is lowered by {-row.sharpening:.1f} dB: smoothed."


def _describe_noise(row: ModelSummary, rows: Sequence[ModelSummary]) -> Iterator[str]:
    """Any enlargement draws a noisy pixel out over several, so only the base lines tell what a model did."""
    baseline_values = [other.noise for other in rows if other.model.baseline and other.noise is not None]
    if row.noise is None or row.model.baseline:
        return
    if row.noise >= _VISIBLE_NOISE:
        yield f"Flat areas are noisier than in the source by {row.noise:.1f} steps."
    elif baseline_values and row.noise - max(baseline_values) >= _VISIBLE_NOISE:
        more = row.noise - max(baseline_values)
        yield f"Flat areas are noisier than in a plain enlargement by {more:.1f} steps: grain was kept, or drawn sharper."
    elif baseline_values and min(baseline_values) - row.noise >= _VISIBLE_NOISE:
        steps = min(baseline_values) - row.noise
        yield f"Flat areas are cleaner than in a plain enlargement by {steps:.1f} steps: noise was removed."


def _describe_speed(row: ModelSummary, rows: Sequence[ModelSummary]) -> str:
    models = [other.speed for other in rows if other.speed and not other.model.baseline]
    sentence = (
        f"Speed: {_COLUMNS_BY_KEY['speed'].format_value(row)} Mpx/s, {_COLUMNS_BY_KEY['seconds'].format_value(row)} s in all."
    )
    if row.speed and len(models) > 1 and not row.model.baseline:
        if row.speed == max(models):
            return f"{sentence} The fastest model here."
        return f"{sentence} {max(models) / row.speed:.0f} times slower than the fastest model here."
    return sentence


@dataclass(frozen=True)
class Criterion:
    """A number that counts for a use: ``weight`` of the whole, and what is good."""

    key: str
    weight: float
    label: str
    goodness: Callable[[float], float]
    """Larger is better."""
    notable_difference: float
    """A difference that tells one model from another, in what ``good`` gives: smaller ones count only for their part."""


@dataclass(frozen=True)
class UseCase:
    """What a picture is for, and what counts there."""

    name: str
    priorities: str
    criteria: tuple[Criterion, ...]


def _prefer_low(value: float) -> float:
    return -value


def _prefer_high(value: float) -> float:
    return value


def _prefer_high_log(value: float) -> float:
    from math import log

    return log(max(value, 1e-6))


USE_CASES = (
    UseCase(
        "Animation",
        "clean flat areas, crisp lines, speed",
        (
            Criterion("speed", 0.35, "speed", _prefer_high_log, 1.4),
            Criterion("noise", 0.2, "clean areas", _prefer_low, 1.0),
            Criterion("invented", 0.2, "crispness", _prefer_high, 3.0),
            Criterion("halo", 0.15, "no halos", _prefer_low, 0.1),
            Criterion("drift", 0.1, "true colour", _prefer_low, 1.0),
        ),
    ),
    UseCase(
        "Photography",
        "true colour, nothing redrawn, natural edges",
        (
            Criterion("drift", 0.3, "true colour", _prefer_low, 1.0),
            Criterion("consistency", 0.3, "agreement with the source", _prefer_high, 5.0),
            Criterion("halo", 0.15, "no halos", _prefer_low, 0.1),
            Criterion("invented", 0.25, "crispness", _prefer_high, 3.0),
        ),
    ),
    UseCase(
        "Restoration",
        "damage removed, detail put back",
        (
            Criterion("invented", 0.35, "detail put back", _prefer_high, 3.0),
            Criterion("noise", 0.35, "noise removed", _prefer_low, 1.0),
            Criterion("area_drift", 0.2, "true colour of areas", _prefer_low, 1.0),
            Criterion("banding", 0.1, "no bands", _prefer_low, 0.05),
        ),
    ),
)


@dataclass(frozen=True)
class Recommendation:
    """The model that scores highest for a use on these crops; none where no model ran. ``scores`` are 0..1, best first."""

    use_case: UseCase
    best: ModelSummary | None
    scores: tuple[tuple[ModelSummary, float], ...]
    reason: str


def recommend_models(rows: Sequence[ModelSummary]) -> list[Recommendation]:
    """For each of ``USES`` the best of the models, base lines left aside.

    Of a criterion the best of the models has 1 and the worst 0; where they are nearly alike, all have nearly 1, so that a
    difference which nobody sees decides nothing. A score is the weighted mean of those that have a number.
    """
    models = [row for row in rows if not row.model.baseline]
    return [_recommend_for(use, models) for use in USE_CASES]


def _recommend_for(use_case: UseCase, models: Sequence[ModelSummary]) -> Recommendation:
    if not models:
        return Recommendation(use_case, None, (), "No model could run here, so there is nothing to recommend.")
    scores = sorted(((row, _score_model(use_case, row, models)) for row in models), key=lambda pair: -pair[1])
    best, score = scores[0]
    if len(models) == 1:
        return Recommendation(use_case, best, tuple(scores), "The only model that ran.")
    numbers = ", ".join(
        _describe_number(criterion, best, models) for criterion in use_case.criteria if getattr(best, criterion.key) is not None
    )
    lead = score - scores[1][1]
    close_note = f" {scores[1][0].model.title} comes close." if lead < 0.05 else ""
    return Recommendation(use_case, best, tuple(scores), f"{numbers[:1].upper()}{numbers[1:]}.{close_note}")


def _describe_number(criterion: Criterion, row: ModelSummary, models: Sequence[ModelSummary]) -> str:
    column: Column = _COLUMNS_BY_KEY[criterion.key]
    known = sorted(
        (criterion.goodness(value) for model in models if (value := getattr(model, criterion.key)) is not None), reverse=True
    )
    rank = known.index(criterion.goodness(getattr(row, criterion.key))) + 1
    ordinal = {1: "best", 2: "2nd", 3: "3rd"}.get(rank, f"{rank}th")
    return f"{column.title.lower()} {column.format_value(row)} {column.unit} ({ordinal} of {len(known)})"


def _score_model(use_case: UseCase, row: ModelSummary, models: Sequence[ModelSummary]) -> float:
    total = weights = 0.0
    for criterion in use_case.criteria:
        known = [criterion.goodness(value) for model in models if (value := getattr(model, criterion.key)) is not None]
        value = getattr(row, criterion.key)
        if value is None or not known:
            continue
        least, most = min(known), max(known)
        total += criterion.weight * (1 - (most - criterion.goodness(value)) / max(most - least, criterion.notable_difference))
        weights += criterion.weight
    return total / weights if weights else 0.0
