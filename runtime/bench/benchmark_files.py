"""A benchmark as three files of one folder: for a program, to read, to look at. A file has its name when it is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ..atomic_write import atomic_output
from ..images.pillow_save import save_with_pillow
from .benchmark_plot import plot_benchmark
from .benchmark_table import format_table
from .model_speed import BenchmarkResults

RECORD, TABLE, PLOT = "benchmark.json", "benchmark.md", "benchmark.png"


def write_benchmark(results: BenchmarkResults, get_path: Callable[[str], Path]) -> list[Path]:
    """Write all three; ``find`` gives the path for a name. Raises ``OutputError``."""
    record_text = json.dumps(results.as_dict(), indent=2, allow_nan=False) + "\n"
    writers: dict[str, Callable[[Path], object]] = {
        RECORD: lambda part: part.write_text(record_text, encoding="utf-8"),
        TABLE: lambda part: part.write_text(format_table(results), encoding="utf-8"),
        PLOT: lambda part: save_with_pillow(plot_benchmark(results), part, "PNG"),
    }
    return [_write_file(get_path(name), write) for name, write in writers.items()]


def _write_file(path: Path, write: Callable[[Path], object]) -> Path:
    with atomic_output(path, "Choose another folder.") as temp_file:
        write(temp_file)
    return path
