"""A benchmark as three files of one folder: for a program, to read, to look at. A file has its name when it is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ..whole import whole_output
from .models import Results
from .plot import plot
from .table import table

RECORD, TABLE, PLOT = "benchmark.json", "benchmark.md", "benchmark.png"


def write_results(results: Results, find: Callable[[str], Path]) -> list[Path]:
    """Write all three; ``find`` gives the path for a name. Raises ``OutputError``."""
    record = json.dumps(results.as_dict(), indent=2, allow_nan=False) + "\n"
    made: dict[str, Callable[[Path], object]] = {
        RECORD: lambda part: part.write_text(record, encoding="utf-8"),
        TABLE: lambda part: part.write_text(table(results), encoding="utf-8"),
        PLOT: lambda part: plot(results).save(part, "PNG"),
    }
    return [_whole(find(name), write) for name, write in made.items()]


def _whole(path: Path, write: Callable[[Path], object]) -> Path:
    with whole_output(path, "Choose another folder.") as part:
        write(part)
    return path
