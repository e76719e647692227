"""The whole report as files of one folder. A file has its name when it is whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from ..whole import whole_output
from .comparison import Comparison
from .maps import map_sheet
from .markdown import analysis
from .page import page
from .record import record
from .sheet import sheet

SHEET, MAPS, ANALYSIS, PAGE, RECORD = (
    "model_comparison_result.jpg",
    "difference_maps.jpg",
    "artifact_analysis.md",
    "report.html",
    "report.json",
)
NAMES = (SHEET, MAPS, ANALYSIS, PAGE, RECORD)
_JPEG_SIDE = 65_500
"""A JPEG cannot be larger; neither should a picture that somebody wants to look at."""


def write_report(comparison: Comparison, find: Callable[[str], Path]) -> list[Path]:
    """Write all five; ``find`` gives the path for a name. Raises ``OutputError``."""
    overview = sheet(comparison)
    made: dict[str, Callable[[Path], object]] = {
        SHEET: lambda part: _save_jpeg(overview, part),
        MAPS: lambda part: _save_jpeg(map_sheet(comparison), part),
        ANALYSIS: lambda part: part.write_text(analysis(comparison), encoding="utf-8"),
        PAGE: lambda part: part.write_text(page(comparison), encoding="utf-8"),
        RECORD: lambda part: part.write_text(record(comparison), encoding="utf-8"),
    }
    return [_written(find(name), write) for name, write in made.items()]


def _written(path: Path, write: Callable[[Path], object]) -> Path:
    with whole_output(path, "Choose another folder.") as part:
        write(part)
    return path


def _save_jpeg(picture: Image.Image, part: Path) -> None:
    if max(picture.size) > _JPEG_SIDE:
        picture.thumbnail((_JPEG_SIDE, _JPEG_SIDE))
    picture.save(part, "JPEG", quality=92, subsampling=0, optimize=True)
