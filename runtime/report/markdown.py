"""``artifact_analysis.md``: the tables, what they say, and which model for which use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .comparison import Comparison
from .findings import advice, findings
from .summary import COLUMNS, SCORE_COLUMNS, Column, Summary, shown, summaries

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&]|^[-+#=]|^\d+(?=[.)]))")
_TABLES = (
    ("True to the source", ("drift", "drift_p95", "area_drift", "consistency", "halo")),
    ("Detail and artifacts", ("sharpening", "invented", "noise", "banding", "seams")),
    ("Cost", ("seconds", "speed", "peak_bytes")),
)


def escaped(text: str) -> str:
    """Text from outside, so that it is shown as it is: one line, no markup, no HTML, no link."""
    shown = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return re.sub(r"^\\(\d+)", r"\1\\", shown)  # a list's number is escaped behind it: 1\. instead of \1.


def analysis(comparison: Comparison) -> str:
    """The report as Markdown."""
    rows = summaries(comparison)
    return (
        "\n".join(
            [
                *_head(comparison),
                *_recommended(rows),
                *_tables(rows),
                *_scores(comparison, rows),
                *_by_crop(comparison),
                *_words(comparison, rows),
                *_foot(rows),
            ]
        )
        + "\n"
    )


def _head(comparison: Comparison) -> Iterator[str]:
    yield f"# Comparison of {len(comparison.able)} ways to upscale {escaped(comparison.source) or 'a picture'}"
    yield ""
    crops = "; ".join(escaped(case.crop.name) for case in comparison.cases)
    yield f"Picture of {comparison.size}, upscaled to {escaped(comparison.target)}. Crops: {crops}."
    yield f"Made on {comparison.date}, on {escaped(comparison.machine)}."
    yield from (f"\n> {escaped(note)}" for note in comparison.remarks)
    yield ""


def _recommended(rows: Sequence[Summary]) -> Iterator[str]:
    yield "## Recommended\n"
    yield "| For | Model | Because |\n|---|---|---|"
    for one in advice(rows):
        best = f"**{escaped(one.best.contender.title)}**" if one.best else "–"
        yield f"| {one.use.name}: {one.use.wants} | {best} | {escaped(one.why)} |"
    yield "\nOn these crops, by these numbers. Look at the pictures before you trust them.\n"


def _tables(rows: Sequence[Summary]) -> Iterator[str]:
    known = {column.key: column for column in COLUMNS}
    for title, keys in _TABLES:
        yield f"## {title}\n"
        yield from _table([known[key] for key in keys], rows)
        yield ""


def _scores(comparison: Comparison, rows: Sequence[Summary]) -> Iterator[str]:
    columns = shown(SCORE_COLUMNS, rows)
    if columns or comparison.missing_scores:
        yield "## Scores of other libraries\n"
    if columns:
        yield from _table(columns, rows)
        yield ""
    yield from (f"> {escaped(line)}\n" for line in comparison.missing_scores)


def _table(columns: Sequence[Column], rows: Sequence[Summary]) -> Iterator[str]:
    yield "| | " + " | ".join(f"{column.title} ({column.unit})" for column in columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for row in rows:
        yield f"| {escaped(row.contender.title)} | " + " | ".join(_cell(column, row, rows) for column in columns) + " |"
    yield ""
    yield from (f"* {column.title}: {column.meaning}" for column in columns)


def _cell(column: Column, row: Summary, rows: Sequence[Summary]) -> str:
    return f"**{column.text(row)}**" if column.is_best(row, rows) else column.text(row)


def _by_crop(comparison: Comparison) -> Iterator[str]:
    """Drift and consistency of each crop, where there are several."""
    if len(comparison.cases) < 2:
        return
    yield "## By crop\n"
    yield (
        "| Colour drift (ΔE2000), consistency (dB) | " + " | ".join(escaped(case.crop.name) for case in comparison.cases) + " |"
    )
    yield "|---|" + "---:|" * len(comparison.cases)
    for one in comparison.able:
        found = [case.results[one.id] for case in comparison.cases]
        cells = [f"{it.drift.de2000.mean:.2f}, {min(it.artifacts.consistency.psnr_db, 99):.1f}" for it in found]
        yield f"| {escaped(one.title)} | " + " | ".join(cells) + " |"
    yield ""


def _words(comparison: Comparison, rows: Sequence[Summary]) -> Iterator[str]:
    yield "## In words\n"
    for row in rows:
        yield f"### {escaped(row.contender.title)} ({escaped(row.contender.id)})\n"
        yield from (f"* {escaped(sentence)}" for sentence in findings(row, rows))
        yield ""
    if comparison.unable:
        yield "## Not compared\n"
        yield "| Model | Why, and what to do |\n|---|---|"
        yield from (f"| {escaped(one.title)} | {escaped(one.problem)} |" for one in comparison.unable)
        yield ""


def _foot(rows: Sequence[Summary]) -> Iterator[str]:
    yield "## How the recommendation is made\n"
    yield (
        "Of each number that counts for a use the best of the models has 1 and the worst 0; where they are nearly alike, all "
        "have nearly 1. The score is their weighted mean. Base lines take no part. Bold numbers are the best of the models.\n"
    )
    yield "| Use | What counts |\n|---|---|"
    for one in advice(rows):
        counted = ", ".join(f"{criterion.words} {criterion.weight:.0%}" for criterion in one.use.criteria)
        yield f"| {one.use.name} | {counted} |"
    yield ""
    yield "| Score | " + " | ".join(one.use.name for one in advice(rows)) + " |"
    yield "|---|" + "---:|" * len(advice(rows))
    scores = [{row.contender.id: score for row, score in one.scores} for one in advice(rows)]
    for row in rows:
        if not row.contender.baseline:
            cells = " | ".join(f"{score[row.contender.id]:.2f}" for score in scores)
            yield f"| {escaped(row.contender.title)} | {cells} |"
