"""The numbers in words, and the recommended model. Every sentence names the numbers that it follows from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..metrics import CONSISTENT_DB, METRICS_BY_KEY, SHARPENED_DB, SOFTENED_DB, describe_drift
from .summary import COLUMNS, SCORE_COLUMNS, Column, ModelSummary

_COLUMNS_BY_KEY = {column.key: column for column in COLUMNS}
_VERY_CONSISTENT_DB = 40.0
_CRISP_STEPS = 3.0
"""8-bit steps of new detail that interpolation does not reach."""
_NOTABLE_DISTANCE = 0.02
"""Of LPIPS, DISTS and ST-LPIPS."""
_CLOSE_SCORE = 0.05
_NOTABLE_NOISE = 0.5
"""8-bit steps against the baselines, which are softer than any visible noise."""

NO_TRUTH = (
    "Without the original nothing tells restored detail from invention, and agreement with the source rewards doing nothing, "
    "so no model is recommended. Give the original: compare IMAGE --truth reduces IMAGE, restores it and judges each model."
)


def describe_findings(row: ModelSummary, rows: Sequence[ModelSummary]) -> list[str]:
    """Return sentences about one model; ``rows`` are all models, for comparison."""
    return list(_iterate_findings(row, rows))


def _iterate_findings(row: ModelSummary, rows: Sequence[ModelSummary]) -> Iterator[str]:
    yield from _describe_truth(row)
    drift, area_drift = row.get_number("drift"), row.get_number("area_drift")
    yield f"Color: mean Delta E (ΔE2000) {drift:.2f}. {describe_drift(drift)}"
    if drift - area_drift > 0.5:
        yield f"Of that only {area_drift:.2f} is in areas; the rest is changed detail, not color."
    yield _describe_consistency(row)
    yield from _describe_detail(row, rows)
    if (halo := _get_visible(row, "halo")) is not None:
        yield f"Ringing: edges overshoot by {halo:.0%} of their contrast, halos can be seen."
    yield from _describe_noise(row, rows)
    if (banding := _get_visible(row, "banding")) is not None:
        yield f"{banding:.0%} of the smooth area has become steps: bands can be seen."
    if (seams := _get_visible(row, "seams")) is not None:
        yield f"Tiles differ by {seams:.2f} steps at their edges: seams can be seen."
    yield from row.local
    if row.values["speed"] is not None:
        yield _describe_speed(row, rows)


def _describe_truth(row: ModelSummary) -> Iterator[str]:
    texture, drift = row.values.get("truth_texture"), row.values.get("truth_drift")
    if texture is not None and drift is not None:
        yield (
            f"Against the original: Delta E (ΔE2000) {drift:.2f}, PSNR {row.get_number('truth_psnr_db'):.1f} dB, SSIM "
            f"{row.get_number('truth_ssim'):.3f}. Fine texture is off by {texture:.1f} steps: smoothed away, or hallucination."
        )


def _get_visible(row: ModelSummary, key: str) -> float | None:
    """Return the number where it is at or above its limit of visibility."""
    value = row.values[key]
    return value if value is not None and value >= METRICS_BY_KEY[key].visible else None


def _describe_consistency(row: ModelSummary) -> str:
    consistency = row.get_number("consistency")
    dB = f"Reduced again it agrees with the source to {consistency:.1f} dB"
    if consistency >= _VERY_CONSISTENT_DB:
        return f"{dB}: almost nothing was redrawn."
    if consistency >= CONSISTENT_DB:
        return f"{dB}: small things were redrawn."
    return f"{dB}: much was redrawn (possible hallucination), so check faces, text and patterns before you use it."


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
    noise = row.values["noise"]
    baseline_values = [value for other in rows if other.model.baseline and (value := other.values["noise"]) is not None]
    if noise is None or row.model.baseline:
        return
    if noise >= METRICS_BY_KEY["noise"].visible:
        yield f"Flat areas are noisier than in the source by {noise:.1f} steps."
    elif baseline_values and noise - max(baseline_values) >= _NOTABLE_NOISE:
        more = noise - max(baseline_values)
        yield f"Flat areas are noisier than in a plain enlargement by {more:.1f} steps: grain was kept or sharpened."
    elif baseline_values and min(baseline_values) - noise >= _NOTABLE_NOISE:
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
        ratio = max(speeds) / speed
        times = f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"
        return f"{sentence} {'Nearly as fast as' if ratio < 1.5 else f'{times} times slower than'} the fastest model here."
    return sentence


@dataclass(frozen=True)
class Criterion:
    """A metric or a score of another library that counts: ``weight`` relative to the others that have a number."""

    column: Column
    weight: float
    notable_difference: float
    """Smaller differences count only in part."""

    def rate(self, row: ModelSummary) -> float | None:
        """Return how good the number is, larger is better; None without a number."""
        value = self.column.get_value(row)
        return None if value is None else float(value if self.column.better == "high" else -value)


def _make_criteria() -> tuple[Criterion, ...]:
    """Texture decides with edges and color, because pixel errors reward blur; learned distances decide where they are."""
    learned = dict.fromkeys(("lpips", "dists", "st_lpips"), 1.0)
    weights = {**learned, "truth_texture": 0.5, "truth_gmsd": 0.2, "truth_drift": 0.2, "truth_psnr_db": 0.1}
    columns = {column.key: column for column in (*COLUMNS, *SCORE_COLUMNS)}
    return tuple(
        Criterion(columns[key], weight, METRICS_BY_KEY[key].notable_difference if key in METRICS_BY_KEY else _NOTABLE_DISTANCE)
        for key, weight in weights.items()
    )


CRITERIA = _make_criteria()


@dataclass(frozen=True)
class Recommendation:
    """The model that restored the originals best; ``best`` is None where nothing can be recommended, and ``reason`` says why.

    ``scores`` are 0..1, best first.
    """

    best: ModelSummary | None
    reason: str
    scores: tuple[tuple[ModelSummary, float], ...] = ()


def recommend_model(rows: Sequence[ModelSummary]) -> Recommendation:
    """Return the model that is closest to the true originals, without the baselines.

    Only originals can decide: agreement with the source rewards doing nothing, and new detail may be invented. For each
    criterion the best model has 1 and the worst 0; where they are nearly alike, all have nearly 1, so that a difference that
    cannot be seen decides nothing. A score is the weighted mean over the criteria that have a number.
    """
    models = [row for row in rows if not row.model.baseline]
    if not any(row.values.get("truth_texture") is not None for row in models):
        return Recommendation(None, NO_TRUTH if models else "No model could run here, so there is nothing to recommend.")
    if len(models) == 1:
        return Recommendation(None, "Only one model ran; a recommendation needs at least two to choose from.")
    scores = tuple(sorted(((row, _score_model(row, models)) for row in models), key=lambda pair: -pair[1]))
    best, score = scores[0]
    numbers = ", ".join(_describe_number(one, best, models) for one in CRITERIA if one.rate(best) is not None)
    close_note = f" {scores[1][0].model.title} comes close." if score - scores[1][1] < _CLOSE_SCORE else ""
    return Recommendation(best, f"Against the original: {numbers}.{close_note}{_describe_baseline(best, rows)}", scores)


def _describe_number(criterion: Criterion, row: ModelSummary, models: Sequence[ModelSummary]) -> str:
    column = criterion.column
    known = [rating for model in models if (rating := criterion.rate(model)) is not None]
    own = criterion.rate(row)
    rank = 1 + sum(own is not None and rating > own for rating in known)
    ordinal = {1: "best", 2: "2nd", 3: "3rd"}.get(rank, f"{rank}th")
    unit = "" if ".." in column.unit else f" {column.unit}"
    return f"{column.title} {column.format_value(row)}{unit} ({ordinal} of {len(known)})"


def _describe_baseline(best: ModelSummary, rows: Sequence[ModelSummary]) -> str:
    """Say why a baseline with a higher PSNR is not recommended."""
    psnr = best.values["truth_psnr_db"] or 0.0
    higher = [row for row in rows if row.model.baseline and (row.values["truth_psnr_db"] or 0.0) > psnr]
    if not higher:
        return ""
    names = " and ".join(row.model.title for row in higher)
    return f" {names} {'has' if len(higher) == 1 else 'have'} a higher PSNR, because blur misses every pixel by a little."


def _score_model(row: ModelSummary, models: Sequence[ModelSummary]) -> float:
    total = weights = 0.0
    for criterion in CRITERIA:
        known = [rating for model in models if (rating := criterion.rate(model)) is not None]
        own = criterion.rate(row)
        if own is None or not known:
            continue
        lowest, highest = min(known), max(known)
        total += criterion.weight * (1 - (highest - own) / max(highest - lowest, criterion.notable_difference))
        weights += criterion.weight
    return total / weights if weights else 0.0
