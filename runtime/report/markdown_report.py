"""``artifact_analysis.md``: the tables, what they say, and which model for which use."""

from __future__ import annotations

from ..metrics.metric_table import GROUPS, METRICS_BY_KEY
from .comparison import ModelComparison
from .findings import describe_findings, recommend_models
from .summary import COLUMNS, SCORE_COLUMNS, select_filled_columns, summarize_models
from .templating import render_template


def render_markdown(comparison: ModelComparison) -> str:
    """Return the report as Markdown."""
    rows = summarize_models(comparison)
    return render_template(
        "artifact_analysis.md.j2",
        comparison=comparison,
        rows=rows,
        tables=[(title, [one for one in COLUMNS if METRICS_BY_KEY[one.key].group == title]) for title in GROUPS],
        score_columns=select_filled_columns(SCORE_COLUMNS, rows),
        recommendations=recommend_models(rows),
        describe_findings=describe_findings,
    )
