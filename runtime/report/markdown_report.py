"""``artifact_analysis.md``: the tables, what they say, and which model for which use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..metrics.metric_table import GROUPS, METRICS_BY_KEY
from .comparison import ModelComparison
from .findings import describe_findings, recommend_models
from .summary import COLUMNS, SCORE_COLUMNS, Column, ModelSummary, select_filled_columns, summarize_models

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&]|^[-+#=]|^\d+(?=[.)]))")


def escape_markdown(text: str) -> str:
    """Text from outside, so that it is shown as it is: one line, no markup, no HTML, no link."""
    escaped_line = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return re.sub(r"^\\(\d+)", r"\1\\", escaped_line)  # a list's number is escaped behind it: 1\. instead of \1.


def render_markdown(comparison: ModelComparison) -> str:
    """The report as Markdown."""
    rows = summarize_models(comparison)
    return (
        "\n".join(
            [
                *_render_header(comparison),
                *_render_recommendations(rows),
                *_render_tables(rows),
                *_render_scores(comparison, rows),
                *_render_crops(comparison),
                *_render_findings(comparison, rows),
                *_render_footer(rows),
            ]
        )
        + "\n"
    )


def _render_header(comparison: ModelComparison) -> Iterator[str]:
    yield f"# Comparison of {len(comparison.completed)} ways to upscale {escape_markdown(comparison.source) or 'a picture'}"
    yield ""
    crops = "; ".join(escape_markdown(case.crop.name) for case in comparison.crops)
    yield f"Picture of {comparison.size}, upscaled to {escape_markdown(comparison.target)}. Crops: {crops}."
    yield f"Made on {comparison.date}, on {escape_markdown(comparison.machine)}."
    yield from (f"\n> {escape_markdown(note)}" for note in comparison.remarks)
    yield ""


def _render_recommendations(rows: Sequence[ModelSummary]) -> Iterator[str]:
    yield "## Recommended\n"
    yield "| For | Model | Because |\n|---|---|---|"
    for one in recommend_models(rows):
        best = f"**{escape_markdown(one.best.model.title)}**" if one.best else "–"
        yield f"| {one.use_case.name}: {one.use_case.priorities} | {best} | {escape_markdown(one.reason)} |"
    yield "\nOn these crops, by these numbers. Look at the pictures before you trust them.\n"


def _render_tables(rows: Sequence[ModelSummary]) -> Iterator[str]:
    for title in GROUPS:
        yield f"## {title}\n"
        yield from _render_table([column for column in COLUMNS if METRICS_BY_KEY[column.key].group == title], rows)
        yield ""


def _render_scores(comparison: ModelComparison, rows: Sequence[ModelSummary]) -> Iterator[str]:
    columns = select_filled_columns(SCORE_COLUMNS, rows)
    if columns or comparison.missing_scores:
        yield "## Scores of other libraries\n"
    if columns:
        yield from _render_table(columns, rows)
        yield ""
    yield from (f"> {escape_markdown(line)}\n" for line in comparison.missing_scores)


def _render_table(columns: Sequence[Column], rows: Sequence[ModelSummary]) -> Iterator[str]:
    yield "| | " + " | ".join(f"{column.title} ({column.unit})" for column in columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for row in rows:
        yield (
            f"| {escape_markdown(row.model.title)} | "
            + " | ".join(_format_cell(column, row, rows) for column in columns)
            + " |"
        )
    yield ""
    yield from (f"* {column.title}: {column.meaning}" for column in columns)


def _format_cell(column: Column, row: ModelSummary, rows: Sequence[ModelSummary]) -> str:
    return f"**{column.format_value(row)}**" if column.is_best(row, rows) else column.format_value(row)


def _render_crops(comparison: ModelComparison) -> Iterator[str]:
    """Drift and consistency of each crop, where there are several."""
    if len(comparison.crops) < 2:
        return
    yield "## By crop\n"
    yield (
        "| Colour drift (ΔE2000), consistency (dB) | "
        + " | ".join(escape_markdown(case.crop.name) for case in comparison.crops)
        + " |"
    )
    yield "|---|" + "---:|" * len(comparison.crops)
    for one in comparison.completed:
        found = [case.results[one.id] for case in comparison.crops]
        cells = [f"{result.drift.de2000.mean:.2f}, {min(result.artifacts.consistency.psnr_db, 99):.1f}" for result in found]
        yield f"| {escape_markdown(one.title)} | " + " | ".join(cells) + " |"
    yield ""


def _render_findings(comparison: ModelComparison, rows: Sequence[ModelSummary]) -> Iterator[str]:
    yield "## In words\n"
    for row in rows:
        yield f"### {escape_markdown(row.model.title)} ({escape_markdown(row.model.id)})\n"
        yield from (f"* {escape_markdown(sentence)}" for sentence in describe_findings(row, rows))
        yield ""
    if comparison.failed:
        yield "## Not compared\n"
        yield "| Model | Why, and what to do |\n|---|---|"
        yield from (f"| {escape_markdown(one.title)} | {escape_markdown(one.problem)} |" for one in comparison.failed)
        yield ""


def _render_footer(rows: Sequence[ModelSummary]) -> Iterator[str]:
    yield "## How the recommendation is made\n"
    yield (
        "Of each number that counts for a use the best of the models has 1 and the worst 0; where they are nearly alike, all "
        "have nearly 1. The score is their weighted mean. Base lines take no part. Bold numbers are the best of the models.\n"
    )
    yield "| Use | What counts |\n|---|---|"
    for one in recommend_models(rows):
        weights = ", ".join(f"{criterion.label} {criterion.weight:.0%}" for criterion in one.use_case.criteria)
        yield f"| {one.use_case.name} | {weights} |"
    yield ""
    yield "| Score | " + " | ".join(one.use_case.name for one in recommend_models(rows)) + " |"
    yield "|---|" + "---:|" * len(recommend_models(rows))
    scores = [{row.model.id: score for row, score in one.scores} for one in recommend_models(rows)]
    for row in rows:
        if not row.model.baseline:
            cells = " | ".join(f"{score[row.model.id]:.2f}" for score in scores)
            yield f"| {escape_markdown(row.model.title)} | {cells} |"
