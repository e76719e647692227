"""``benchmark.md``: the table, and the changes since an earlier benchmark."""

from collections.abc import Iterator

from .benchmark_results import BenchmarkChange, BenchmarkResults, BenchmarkRow, find_sweeps

_HEADINGS = (
    "Model",
    "Size in",
    "Tile",
    "Input of the model",
    "Precision",
    "Backend",
    "End to end, Mpx/s",
    "Median, s",
    "Spread",
    "Model only, Mpx/s",
    "Ready after, s",
    "Peak memory, MB",
)
_LEFT = 6
"""Number of left-aligned columns."""


def format_table(results: BenchmarkResults) -> str:
    """Return the benchmark as Markdown."""
    sections = (_format_head, _format_rows, _format_sweeps, _format_problems, _format_changes)
    return "\n".join(line for format_section in sections for line in format_section(results)) + "\n"


def _format_head(results: BenchmarkResults) -> Iterator[str]:
    counted = max((len(row.seconds) for row in results.rows), default=0)
    yield "# Benchmark\n"
    yield f"{_escape_markdown(results.machine)}; {results.date}. {results.warmups} warm-up and {counted} counted runs of each."
    yield "Speed counts the pixels of the result. Spread is the slowest minus the fastest run, as a share of the median. Memory"
    yield "is the peak of a run, without the memory of the process before it.\n"


def _format_rows(results: BenchmarkResults) -> Iterator[str]:
    yield "| " + " | ".join(_HEADINGS) + " |"
    yield "|" + "---|" * _LEFT + "---:|" * (len(_HEADINGS) - _LEFT)
    for row in results.rows:
        if row.seconds:
            yield "| " + " | ".join(_format_cells(row)) + " |"
    if any(row.generated for row in results.rows):
        yield "\n\\* Weights are missing here and were generated at random: they have the same size and speed."


def _format_cells(row: BenchmarkRow) -> Iterator[str]:
    case = row.case
    yield _escape_markdown(case.model) + (" \\*" if row.generated else "")
    yield case.size
    yield f"{row.tile}" if case.tile else f"{row.tile} (auto)"
    yield row.cut
    yield _format_used(case.precision, row.precision)
    yield _format_used(case.backend, row.backend)
    yield format_speed(row.speed)
    yield f"{row.median:.3f}"
    yield f"{row.spread:.0%}"
    yield format_speed(row.model_speed)
    yield f"{row.prepare_seconds:.1f}"
    yield f"{row.peak_bytes / 1e6:.0f}" + (f" ({row.device_bytes / 1e6:.0f} by the driver)" if row.device_bytes else "")


def _format_used(requested: str, used: str) -> str:
    """Return the requested value, and the used one if it differs."""
    return requested if used in ("", requested) else f"{requested}: {used}"


def _format_sweeps(results: BenchmarkResults) -> Iterator[str]:
    found = find_sweeps(results.rows)
    if found:
        yield "\n## The tile that auto chooses\n"
    for sweep in found:
        case, cut = sweep.auto_row.case, sweep.auto_row.cut
        others = ", ".join(f"{other} {seconds:.3f} s" for other, seconds in sweep.medians.items() if other != cut)
        took = f"{cut} pixels, {sweep.medians[cut]:.3f} s, {sweep.distance:.1%} more than the best"
        name = _escape_markdown(case.model)
        yield f"* {name}, {case.size}, {case.precision}, {case.backend}: {took}. Others: {others or 'none'}."


def _format_problems(results: BenchmarkResults) -> Iterator[str]:
    failed = [row for row in results.rows if row.problem]
    if failed:
        yield "\n## Not measured\n"
        yield from (f"* {_escape_markdown(str(row.case))}: {_escape_markdown(row.problem)}" for row in failed)


def _format_changes(results: BenchmarkResults) -> Iterator[str]:
    if results.earlier is None:
        return
    yield f"\n## Since {_escape_markdown(results.earlier.name)} of {_escape_markdown(results.earlier.date)}\n"
    if not results.is_comparable:
        machine = _escape_markdown(results.earlier.machine)
        yield f"It was made on another machine ({machine}), so no change counts as a regression.\n"
    if not results.changes:
        yield "It has no combination in common with this one."
        return
    slower = [change for change in results.changes if change.regression]
    count = f"**{len(slower)} regression{'s' if len(slower) != 1 else ''}**" if slower else "No regression"
    yield f"{count} in {len(results.changes)} combinations.\n"
    yield "| Combination | Before, s | Now, s | Change |\n|---|---:|---:|---|"
    yield from (_format_change(change) for change in results.changes)


def _format_change(change: BenchmarkChange) -> str:
    factor = f"{change.ratio:.2f}x slower" if change.ratio >= 1 else f"{1 / change.ratio:.2f}x faster"
    verdict = f"**{factor}: regression**" if change.regression else factor
    return f"| {_escape_markdown(str(change.case))} | {change.before:.3f} | {change.now:.3f} | {verdict} |"


def _escape_markdown(text: str) -> str:
    """Escape a name of a file or a machine for Markdown."""
    return " ".join(text.split()).translate({ord(character): f"\\{character}" for character in "\\`*_[]<>|~#!"})


def format_speed(value: float) -> str:
    """Return megapixels per second with at least two significant digits."""
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"
