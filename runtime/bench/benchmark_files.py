"""Write ``bench models`` as JSON, Markdown and a plot in one folder. Each file is written atomically."""

import json
from collections.abc import Callable
from pathlib import Path

from ..atomic_write import write_outputs
from ..images import save_with_pillow
from ..report import render_template
from .benchmark_results import BenchmarkResults, find_sweeps
from .plots import format_speed, plot_benchmark

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


def format_table(results: BenchmarkResults) -> str:
    """Return the table and the changes since an earlier benchmark as Markdown."""
    return render_template(
        "bench/benchmark.md.j2",
        results=results,
        counted=max((len(row.seconds) for row in results.rows), default=0),
        measured=[row for row in results.rows if row.seconds],
        failed=[row for row in results.rows if row.problem],
        sweeps=find_sweeps(results.rows),
        format_speed=format_speed,
    )
