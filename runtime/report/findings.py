"""The numbers in words, and which model for which use. Every sentence names the numbers that it follows from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..metrics.artifacts import VISIBLE_SEAM
from ..metrics.drift import verdict
from .summary import COLUMNS, Column, Summary

_COLUMN = {column.key: column for column in COLUMNS}
_CONSISTENT, _LOOSE = 40.0, 30.0
_CRISP = 3.0
"""8-bit steps of new detail that an interpolation does not reach."""
_NOISE = 0.5
_HALO_SEEN = 0.10
_BANDS_SEEN = 0.05


def findings(row: Summary, rows: Sequence[Summary]) -> list[str]:
    """What there is to say about one contender; ``rows`` are all of them, for comparison."""
    return list(_findings(row, rows))


def _findings(row: Summary, rows: Sequence[Summary]) -> Iterator[str]:
    yield f"Colour: mean ΔE2000 {row.drift:.2f}. {verdict(row.drift)}"
    if row.drift - row.area_drift > 0.5:
        yield f"Of that only {row.area_drift:.2f} is in areas; the rest is detail that was changed, not colour."
    yield _consistency(row)
    yield from _detail(row, rows)
    if row.halo is not None and row.halo >= _HALO_SEEN:
        yield f"Edges overshoot by {row.halo:.0%} of their contrast: halos can be seen."
    yield from _noise(row, rows)
    if row.banding is not None and row.banding >= _BANDS_SEEN:
        yield f"{row.banding:.0%} of the smooth area has become steps: bands can be seen."
    if row.seams is not None and row.seams >= VISIBLE_SEAM:
        yield f"Tiles differ by {row.seams:.2f} steps at their edges: seams can be seen."
    if row.speed is not None:
        yield _speed(row, rows)


def _consistency(row: Summary) -> str:
    dB = f"Reduced again it agrees with the source to {row.consistency:.1f} dB"
    if row.consistency >= _CONSISTENT:
        return f"{dB}: it tells the same story."
    if row.consistency >= _LOOSE:
        return f"{dB}: small things were redrawn."
    return f"{dB}: much was redrawn, so look at faces, text and patterns before trusting it."


def _detail(row: Summary, rows: Sequence[Summary]) -> Iterator[str]:
    plain = [other.invented for other in rows if other.contender.baseline]
    if not row.contender.baseline and plain and row.invented > max(plain):
        factor = row.invented / max(*plain, 1e-6)
        times = f"{factor:.1f} times that of the base lines" if factor < 100 else "the base lines have next to none"
        crisp = "crisp edges and new texture" if row.invented >= _CRISP else "a little crispness"
        yield f"Detail finer than the source can hold: {row.invented:.1f} steps, {times}: {crisp}."
    if row.sharpening is not None and row.sharpening > 1.5:
        yield f"The finest detail of the source is raised by {row.sharpening:.1f} dB: sharpened."
    if row.sharpening is not None and row.sharpening < -3:
        yield f"The finest detail of the source is lowered by {-row.sharpening:.1f} dB: smoothed."


def _noise(row: Summary, rows: Sequence[Summary]) -> Iterator[str]:
    """Any enlargement draws a noisy pixel out over several, so only the base lines tell what a model did."""
    plain = [other.noise for other in rows if other.contender.baseline and other.noise is not None]
    if row.noise is None or row.contender.baseline:
        return
    if row.noise >= _NOISE:
        yield f"Flat areas are noisier than in the source by {row.noise:.1f} steps."
    elif plain and row.noise - max(plain) >= _NOISE:
        more = row.noise - max(plain)
        yield f"Flat areas are noisier than in a plain enlargement by {more:.1f} steps: grain was kept, or drawn sharper."
    elif plain and min(plain) - row.noise >= _NOISE:
        yield f"Flat areas are cleaner than in a plain enlargement by {min(plain) - row.noise:.1f} steps: noise was removed."


def _speed(row: Summary, rows: Sequence[Summary]) -> str:
    models = [other.speed for other in rows if other.speed and not other.contender.baseline]
    said = f"Speed: {_COLUMN['speed'].text(row)} Mpx/s, {_COLUMN['seconds'].text(row)} s in all."
    if row.speed and len(models) > 1 and not row.contender.baseline:
        if row.speed == max(models):
            return f"{said} The fastest model here."
        return f"{said} {max(models) / row.speed:.0f} times slower than the fastest model here."
    return said


@dataclass(frozen=True)
class Criterion:
    """A number that counts for a use: ``weight`` of the whole, and what is good."""

    key: str
    weight: float
    words: str
    good: Callable[[float], float]
    """Larger is better."""
    telling: float
    """A difference that tells one model from another, in what ``good`` gives: smaller ones count only for their part."""


@dataclass(frozen=True)
class Use:
    """What a picture is for, and what counts there."""

    name: str
    wants: str
    criteria: tuple[Criterion, ...]


def _less(value: float) -> float:
    return -value


def _more(value: float) -> float:
    return value


def _logarithm(value: float) -> float:
    from math import log

    return log(max(value, 1e-6))


USES = (
    Use(
        "Animation",
        "clean flat areas, crisp lines, speed",
        (
            Criterion("speed", 0.35, "speed", _logarithm, 1.4),
            Criterion("noise", 0.2, "clean areas", _less, 1.0),
            Criterion("invented", 0.2, "crispness", _more, 3.0),
            Criterion("halo", 0.15, "no halos", _less, 0.1),
            Criterion("drift", 0.1, "true colour", _less, 1.0),
        ),
    ),
    Use(
        "Photography",
        "true colour, nothing redrawn, natural edges",
        (
            Criterion("drift", 0.3, "true colour", _less, 1.0),
            Criterion("consistency", 0.3, "agreement with the source", _more, 5.0),
            Criterion("halo", 0.15, "no halos", _less, 0.1),
            Criterion("invented", 0.25, "crispness", _more, 3.0),
        ),
    ),
    Use(
        "Restoration",
        "damage removed, detail put back",
        (
            Criterion("invented", 0.35, "detail put back", _more, 3.0),
            Criterion("noise", 0.35, "noise removed", _less, 1.0),
            Criterion("area_drift", 0.2, "true colour of areas", _less, 1.0),
            Criterion("banding", 0.1, "no bands", _less, 0.05),
        ),
    ),
)


@dataclass(frozen=True)
class Advice:
    """The model that scores highest for a use on these crops; none where no model ran. ``scores`` are 0..1, best first."""

    use: Use
    best: Summary | None
    scores: tuple[tuple[Summary, float], ...]
    why: str


def advice(rows: Sequence[Summary]) -> list[Advice]:
    """For each of ``USES`` the best of the models, base lines left aside.

    Of a criterion the best of the models has 1 and the worst 0; where they are nearly alike, all have nearly 1, so that a
    difference which nobody sees decides nothing. A score is the weighted mean of those that have a number.
    """
    models = [row for row in rows if not row.contender.baseline]
    return [_advice(use, models) for use in USES]


def _advice(use: Use, models: Sequence[Summary]) -> Advice:
    if not models:
        return Advice(use, None, (), "No model could run here, so there is nothing to recommend.")
    scores = sorted(((row, _score(use, row, models)) for row in models), key=lambda pair: -pair[1])
    best, score = scores[0]
    if len(models) == 1:
        return Advice(use, best, tuple(scores), "The only model that ran.")
    numbers = ", ".join(
        _number(criterion, best, models) for criterion in use.criteria if getattr(best, criterion.key) is not None
    )
    lead = score - scores[1][1]
    close = f" {scores[1][0].contender.title} comes close." if lead < 0.05 else ""
    return Advice(use, best, tuple(scores), f"{numbers[:1].upper()}{numbers[1:]}.{close}")


def _number(criterion: Criterion, row: Summary, models: Sequence[Summary]) -> str:
    column: Column = _COLUMN[criterion.key]
    known = sorted(
        (criterion.good(value) for model in models if (value := getattr(model, criterion.key)) is not None), reverse=True
    )
    place = known.index(criterion.good(getattr(row, criterion.key))) + 1
    ordinal = {1: "best", 2: "2nd", 3: "3rd"}.get(place, f"{place}th")
    return f"{column.title.lower()} {column.text(row)} {column.unit} ({ordinal} of {len(known)})"


def _score(use: Use, row: Summary, models: Sequence[Summary]) -> float:
    total = weights = 0.0
    for criterion in use.criteria:
        known = [criterion.good(value) for model in models if (value := getattr(model, criterion.key)) is not None]
        value = getattr(row, criterion.key)
        if value is None or not known:
            continue
        least, most = min(known), max(known)
        total += criterion.weight * (1 - (most - criterion.good(value)) / max(most - least, criterion.telling))
        weights += criterion.weight
    return total / weights if weights else 0.0
