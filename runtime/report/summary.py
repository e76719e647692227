"""One row of numbers for each model, over all crops."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..metrics import METRICS, SCORES, make_formatter, mean_of_known
from .comparison import ComparedModel, MeasuredCrop, ModelComparison


@dataclass(frozen=True)
class ModelSummary:
    """The numbers of one model over all crops."""

    model: ComparedModel
    values: Mapping[str, float | None]
    """By the key of a metric. None: no crop has such a number."""
    scores: dict[str, float] = field(default_factory=dict[str, float])
    """By the key of a score of another library."""
    local: tuple[str, ...] = ()
    """Sentences about faults in a part of a crop."""

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON, without the model."""
        return {**self.values, "scores": self.scores}

    def get_number(self, key: str) -> float:
        """Return a number that every result has: color drift, consistency, new detail."""
        return self.values[key] or 0.0


def summarize_models(comparison: ModelComparison) -> list[ModelSummary]:
    """Summarize every model that ran, in their order."""
    return [summarize_model(one, [case.results[one.id] for case in comparison.crops]) for one in comparison.completed]


def summarize_model(model: ComparedModel, results: Sequence[MeasuredCrop]) -> ModelSummary:
    """Summarize the results of one model."""
    scores = {score.key: mean_of_known(result.scores.values.get(score.key) for result in results) for score in SCORES}
    return ModelSummary(
        model,
        {metric.key: metric.summarize(results) for metric in METRICS},
        {key: value for key, value in scores.items() if value is not None},
        tuple(fault.sentence for result in results for fault in result.artifacts.local),
    )


@dataclass(frozen=True)
class Column:
    """A column of the tables: title, unit, format, and which way is better."""

    key: str
    title: str
    unit: str
    formatter: Callable[[Any], str]
    better: str
    meaning: str

    def get_value(self, row: ModelSummary) -> Any:
        """Return the number, or None."""
        return row.values.get(self.key, row.scores.get(self.key))

    def format_value(self, row: ModelSummary) -> str:
        value = self.get_value(row)
        return "–" if value is None else self.formatter(value)

    def is_best(self, row: ModelSummary, rows: Sequence[ModelSummary]) -> bool:
        """Return whether no model among ``rows`` shows a better number; baselines are left out."""
        models = [other for other in rows if not other.model.baseline and self.get_value(other) is not None]
        order = _ORDERS.get(self.better)
        if order is None or len(models) < 2 or row not in models:
            return False
        return self.format_value(row) == self.format_value(min(models, key=lambda other: order(self.get_value(other))))


_ORDERS: dict[str, Callable[[float], float]] = {"low": lambda v: v, "high": lambda v: -v, "near zero": abs}

COLUMNS = tuple(Column(one.key, one.title, one.unit, one.formatter, one.better, one.meaning) for one in METRICS)
SCORE_COLUMNS = tuple(
    Column(score.key, score.title, score.unit, make_formatter(score.digits), score.better, score.meaning) for score in SCORES
)


def select_filled_columns(columns: Sequence[Column], rows: Sequence[ModelSummary]) -> list[Column]:
    """Return the columns for which at least one row has a number."""
    return [column for column in columns if any(column.get_value(row) is not None for row in rows)]
