"""Write a benchmark as JSON, Markdown and a plot in one folder. Each file is written atomically."""

import json
from collections.abc import Callable
from pathlib import Path

from ...atomic_write import write_outputs
from ...images import save_with_pillow
from .benchmark_plot import plot_benchmark
from .benchmark_results import BenchmarkResults
from .benchmark_table import format_table

RECORD, TABLE, PLOT = "benchmark.json", "benchmark.md", "benchmark.png"


def write_benchmark(results: BenchmarkResults, get_path: Callable[[str], Path]) -> list[Path]:
    """Write all three files; ``get_path`` returns the path for a file name. Raises ``OutputError``."""
    record_text = json.dumps(results.as_dict(), indent=2, allow_nan=False) + "\n"
    writers: dict[str, Callable[[Path], object]] = {
        RECORD: lambda path: path.write_text(record_text, encoding="utf-8"),
        TABLE: lambda path: path.write_text(format_table(results), encoding="utf-8"),
        PLOT: lambda path: save_with_pillow(plot_benchmark(results), path, "PNG"),
    }
    return write_outputs(writers, get_path)
