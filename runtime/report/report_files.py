"""Write the whole report into one folder."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from ..atomic_write import write_outputs
from ..images import save_with_pillow
from ..metrics import CONSISTENT_DB, GROUPS, METRICS_BY_KEY
from .comparison import ModelComparison
from .comparison_sheet import compute_drift_maps, draw_map_sheet, draw_sheet
from .findings import CRITERIA, describe_findings, recommend_model
from .html_report import render_html
from .json_report import render_json
from .summary import COLUMNS, SCORE_COLUMNS, Column, ModelSummary, select_filled_columns, summarize_models
from .templating import render_template

SHEET_FILE, MAPS_FILE, MARKDOWN_FILE, HTML_FILE, JSON_FILE = (
    "model_comparison_result.jpg",
    "difference_maps.jpg",
    "artifact_analysis.md",
    "report.html",
    "report.json",
)
REPORT_FILES = (SHEET_FILE, MAPS_FILE, MARKDOWN_FILE, HTML_FILE, JSON_FILE)
_JPEG_SIDE = 65_500
"""The maximum side of a JPEG."""


def write_report(comparison: ModelComparison, find_path: Callable[[str], Path]) -> list[Path]:
    """Write all five; ``find`` gives the path for a name. Raises ``OutputError``."""
    sheet_image, maps = draw_sheet(comparison), [compute_drift_maps(case) for case in comparison.crops]
    writers: dict[str, Callable[[Path], object]] = {
        SHEET_FILE: lambda part: _save_jpeg(sheet_image, part),
        MAPS_FILE: lambda part: _save_jpeg(draw_map_sheet(comparison, maps), part),
        MARKDOWN_FILE: lambda part: part.write_text(render_markdown(comparison), encoding="utf-8"),
        HTML_FILE: lambda part: part.write_text(render_html(comparison, maps), encoding="utf-8"),
        JSON_FILE: lambda part: part.write_text(render_json(comparison), encoding="utf-8"),
    }
    return write_outputs(writers, find_path)


def _save_jpeg(image: Image.Image, path: Path) -> None:
    if max(image.size) > _JPEG_SIDE:
        image.thumbnail((_JPEG_SIDE, _JPEG_SIDE))
    save_with_pillow(image, path, "JPEG", quality=92, subsampling=0, optimize=True)


def _select_group(title: str, rows: Sequence[ModelSummary]) -> list[Column]:
    return [one for one in select_filled_columns(COLUMNS, rows) if METRICS_BY_KEY[one.key].group == title]


def render_markdown(comparison: ModelComparison) -> str:
    """Return ``artifact_analysis.md``: the tables, what they say, and which model for which use."""
    rows = summarize_models(comparison)
    return render_template(
        "report/artifact_analysis.md.j2",
        comparison=comparison,
        rows=rows,
        tables=[(title, columns) for title in GROUPS if (columns := _select_group(title, rows))],
        score_columns=select_filled_columns(SCORE_COLUMNS, rows),
        recommended=recommend_model(rows),
        criteria=CRITERIA,
        describe_findings=describe_findings,
        limits=METRICS_BY_KEY,
        consistent_db=CONSISTENT_DB,
    )
