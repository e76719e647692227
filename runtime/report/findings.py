"""The numbers in words, and which model for which use. Every sentence names the numbers that it follows from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..metrics import METRICS_BY_KEY, SHARPENED_DB, SOFTENED_DB, describe_drift
from .summary import COLUMNS, Column, ModelSummary

_COLUMNS_BY_KEY = {column.key: column for column in COLUMNS}
_CONSISTENT_DB, _LOOSE_DB = 40.0, 30.0
_CRISP_STEPS = 3.0
"""8-bit steps of new detail that interpolation does not reach."""


def describe_findings(row: ModelSummary, rows: Sequence[ModelSummary]) -> list[str]:
    """Return sentences about one model; ``rows`` are all models, for comparison."""
    return list(_iterate_findings(row, rows))


def _iterate_findings(row: ModelSummary, rows: Sequence[ModelSummary]) -> Iterator[str]:
    drift, area_drift = row.get_number("drift"), row.get_number("area_drift")
    yield f"Color: mean ΔE2000 {drift:.2f}. {describe_drift(drift)}"
    if drift - area_drift > 0.5:
        yield f"Of that only {area_drift:.2f} is in areas; the rest is changed detail, not color."
    yield _describe_consistency(row)
    yield from _describe_detail(row, rows)
    if (halo := _get_visible(row, "halo")) is not None:
        yield f"Edges overshoot by {halo:.0%} of their contrast: halos can be seen."
    yield from _describe_noise(row, rows)
    if (banding := _get_visible(row, "banding")) is not None:
        yield f"{banding:.0%} of the smooth area has become steps: bands can be seen."
    if (seams := _get_visible(row, "seams")) is not None:
        yield f"Tiles differ by {seams:.2f} steps at their edges: seams can be seen."
    if row.values["speed"] is not None:
        yield _describe_speed(row, rows)


def _get_visible(row: ModelSummary, key: str) -> float | None:
    """Return the number where it is at or above its limit of visibility."""
    value = row.values[key]
    return value if value is not None and value >= METRICS_BY_KEY[key].visible else None


def _describe_consistency(row: ModelSummary) -> str:
    consistency = row.get_number("consistency")
    dB = f"Reduced again it agrees with the source to {consistency:.1f} dB"
    if consistency >= _CONSISTENT_DB:
        return f"{dB}: almost nothing was redrawn."
    if consistency >= _LOOSE_DB:
        return f"{dB}: small things were redrawn."
    return f"{dB}: much was redrawn, so check faces, text and patterns before you use it."


def _describe_detail(row: ModelSummary, rows: Sequence[ModelSummary]) -> Iterator[str]:
    invented, sharpening = row.get_number("invented"), row.values["sharpening"]
    baseline_values = [other.get_number("invented") for other in rows if other.model.baseline]
    if not row.model.baseline and baseline_values and invented > max(baseline_values):
        factor = invented / max(*baseline_values, 1e-6)
        times = f"{factor:.1f} times that of the baselines" if factor < 100 else "the baselines have almost none"
        crisp = "crisp edges and new texture" if invented >= _CRISP_STEPS else "a little crispness"
        yield f"Detail finer than the source can hold: {invented:.1f} steps, {times}: {crisp}."
    if sharpening is not None and sharpening > SHARPENED_DB:
        yield f"The finest detail of the source is raised by {sharpening:.1f} dB: sharpened."
    if sharpening is not None and sharpening < SOFTENED_DB:
        yield f"The finest detail of the source is lowered by {-sharpening:.1f} dB: smoothed."


def _describe_noise(row: ModelSummary, rows: Sequence[ModelSummary]) -> Iterator[str]:
    """Compare with the baselines, because any enlargement spreads a noisy pixel over several."""
    noise, visible = row.values["noise"], METRICS_BY_KEY["noise"].visible
    baseline_values = [value for other in rows if other.model.baseline and (value := other.values["noise"]) is not None]
    if noise is None or row.model.baseline:
        return
    if noise >= visible:
        yield f"Flat areas are noisier than in the source by {noise:.1f} steps."
    elif baseline_values and noise - max(baseline_values) >= visible:
        more = noise - max(baseline_values)
        yield f"Flat areas are noisier than in a plain enlargement by {more:.1f} steps: grain was kept or sharpened."
    elif baseline_values and min(baseline_values) - noise >= visible:
        less = min(baseline_values) - noise
        yield f"Flat areas are cleaner than in a plain enlargement by {less:.1f} steps: noise was removed."


def _describe_speed(row: ModelSummary, rows: Sequence[ModelSummary]) -> str:
    speed = row.values["speed"]
    speeds = [value for other in rows if (value := other.values["speed"]) and not other.model.baseline]
    sentence = (
        f"Speed: {_COLUMNS_BY_KEY['speed'].format_value(row)} Mpx/s, {_COLUMNS_BY_KEY['seconds'].format_value(row)} s in all."
    )
    if speed and len(speeds) > 1 and not row.model.baseline:
        if speed == max(speeds):
            return f"{sentence} The fastest model here."
        return f"{sentence} {max(speeds) / speed:.0f} times slower than the fastest model here."
    return sentence


@dataclass(frozen=True)
class Criterion:
    """A metric that counts for a use: ``weight`` of the whole."""

    key: str
    weight: float
    label: str

    def rate(self, row: ModelSummary) -> float | None:
        """Return how good the number is, larger is better; None without a number."""
        value = row.values[self.key]
        return None if value is None else METRICS_BY_KEY[self.key].goodness(value)


@dataclass(frozen=True)
class UseCase:
    """What an image is for, and what counts there."""

    name: str
    priorities: str
    criteria: tuple[Criterion, ...]


USE_CASES = (
    UseCase(
        "Animation",
        "clean flat areas, crisp lines, speed",
        (
            Criterion("speed", 0.35, "speed"),
            Criterion("noise", 0.2, "clean areas"),
            Criterion("invented", 0.2, "crispness"),
            Criterion("halo", 0.15, "no halos"),
            Criterion("drift", 0.1, "true color"),
        ),
    ),
    UseCase(
        "Photography",
        "true color, nothing redrawn, natural edges",
        (
            Criterion("drift", 0.3, "true color"),
            Criterion("consistency", 0.3, "agreement with the source"),
            Criterion("halo", 0.15, "no halos"),
            Criterion("invented", 0.25, "crispness"),
        ),
    ),
    UseCase(
        "Restoration",
        "damage removed, detail restored",
        (
            Criterion("invented", 0.35, "detail restored"),
            Criterion("noise", 0.35, "noise removed"),
            Criterion("area_drift", 0.2, "true color of areas"),
            Criterion("banding", 0.1, "no bands"),
        ),
    ),
)


@dataclass(frozen=True)
class Recommendation:
    """The model that scores highest for a use on these crops; None where no model ran. ``scores`` are 0..1, best first."""

    use_case: UseCase
    best: ModelSummary | None
    scores: tuple[tuple[ModelSummary, float], ...]
    reason: str

    def get_score(self, row: ModelSummary) -> float:
        """Return the score of one of the models."""
        return next(score for other, score in self.scores if other is row)


def recommend_models(rows: Sequence[ModelSummary]) -> list[Recommendation]:
    """Return the best model for each of ``USE_CASES``, without the baselines.

    For each criterion the best model has 1 and the worst 0; where they are nearly alike, all have nearly 1, so that a
    difference that cannot be seen decides nothing. A score is the weighted mean over the criteria that have a number.
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
        _describe_number(criterion, best, models) for criterion in use_case.criteria if best.values[criterion.key] is not None
    )
    lead = score - scores[1][1]
    close_note = f" {scores[1][0].model.title} comes close." if lead < 0.05 else ""
    return Recommendation(use_case, best, tuple(scores), f"{numbers[:1].upper()}{numbers[1:]}.{close_note}")


def _describe_number(criterion: Criterion, row: ModelSummary, models: Sequence[ModelSummary]) -> str:
    column: Column = _COLUMNS_BY_KEY[criterion.key]
    known = [rating for model in models if (rating := criterion.rate(model)) is not None]
    own = criterion.rate(row)
    rank = 1 + sum(own is not None and rating > own for rating in known)
    ordinal = {1: "best", 2: "2nd", 3: "3rd"}.get(rank, f"{rank}th")
    return f"{column.title.lower()} {column.format_value(row)} {column.unit} ({ordinal} of {len(known)})"


def _score_model(use_case: UseCase, row: ModelSummary, models: Sequence[ModelSummary]) -> float:
    total = weights = 0.0
    for criterion in use_case.criteria:
        known = [rating for model in models if (rating := criterion.rate(model)) is not None]
        own = criterion.rate(row)
        if own is None or not known:
            continue
        lowest, highest = min(known), max(known)
        spread = max(highest - lowest, METRICS_BY_KEY[criterion.key].notable_difference)
        total += criterion.weight * (1 - (highest - own) / spread)
        weights += criterion.weight
    return total / weights if weights else 0.0
