"""``benchmark.md``: the table, and what changed since an earlier benchmark."""

from __future__ import annotations

from collections.abc import Iterator

from .models import Change, Results, Row, sweeps

_HEADINGS = (
    "Model",
    "Size in",
    "Tile",
    "Shown to the model",
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
"""So many columns hold words."""


def table(results: Results) -> str:
    """The benchmark as Markdown."""
    return "\n".join([*_head(results), *_rows(results), *_sweeps(results), *_problems(results), *_changes(results)]) + "\n"


def _head(results: Results) -> Iterator[str]:
    counted = max((len(row.seconds) for row in results.rows), default=0)
    yield "# Benchmark\n"
    yield f"{_plain(results.machine)}; {results.date}. {results.warmups} warm-up and {counted} counted runs of each."
    yield "Speed counts the pixels of the result. Spread is the slowest less the fastest run, as a share of the median. Memory"
    yield "is what a run took at its highest, beyond what the process held before.\n"


def _rows(results: Results) -> Iterator[str]:
    yield "| " + " | ".join(_HEADINGS) + " |"
    yield "|" + "---|" * _LEFT + "---:|" * (len(_HEADINGS) - _LEFT)
    for row in results.rows:
        if row.seconds:
            yield "| " + " | ".join(_cells(row)) + " |"
    if any(row.generated for row in results.rows):
        yield "\n\\* Weights that are not here were generated: as fast as the real ones, and as large."


def _cells(row: Row) -> Iterator[str]:
    case = row.case
    yield _plain(case.model) + (" \\*" if row.generated else "")
    yield case.size
    yield f"{row.tile}" if case.tile else f"{row.tile} (auto)"
    yield row.cut
    yield _used(case.precision, row.precision)
    yield _used(case.backend, row.backend)
    yield as_speed(row.speed)
    yield f"{row.median:.3f}"
    yield f"{row.spread:.0%}"
    yield as_speed(row.model_speed)
    yield f"{row.prepare_seconds:.1f}"
    yield f"{row.peak_bytes / 1e6:.0f}" + (f" ({row.device_bytes / 1e6:.0f} by the driver)" if row.device_bytes else "")


def _used(asked: str, used: str) -> str:
    """What was asked for, and what that was."""
    return asked if used in ("", asked) else f"{asked}: {used}"


def _sweeps(results: Results) -> Iterator[str]:
    found = sweeps(results.rows)
    if found:
        yield "\n## The tile that auto picks\n"
    for sweep in found:
        case, cut = sweep.chosen.case, sweep.chosen.cut
        others = ", ".join(f"{other} {seconds:.3f} s" for other, seconds in sweep.medians.items() if other != cut)
        took = f"{cut} pixels, {sweep.medians[cut]:.3f} s, {sweep.distance:.1%} more than the best"
        yield f"* {_plain(case.model)}, {case.size}, {case.precision}, {case.backend}: {took}. Others: {others or 'none'}."


def _problems(results: Results) -> Iterator[str]:
    failed = [row for row in results.rows if row.problem]
    if failed:
        yield "\n## Not measured\n"
        yield from (f"* {_plain(str(row.case))}: {_plain(row.problem)}" for row in failed)


def _changes(results: Results) -> Iterator[str]:
    if results.earlier is None:
        return
    yield f"\n## Since {_plain(results.earlier.name)} of {_plain(results.earlier.date)}\n"
    if not results.comparable:
        yield f"That one was made on another machine ({_plain(results.earlier.machine)}): nothing here is a regression.\n"
    if not results.changes:
        yield "It has none of these combinations."
        return
    slower = [change for change in results.changes if change.regression]
    count = f"**{len(slower)} regression{'s' if len(slower) != 1 else ''}**" if slower else "No regression"
    yield f"{count} in {len(results.changes)} combinations.\n"
    yield "| Combination | Before, s | Now, s | Change |\n|---|---:|---:|---|"
    yield from (_change(change) for change in results.changes)


def _change(change: Change) -> str:
    factor = f"{change.ratio:.2f}x slower" if change.ratio >= 1 else f"{1 / change.ratio:.2f}x faster"
    said = f"**{factor}: regression**" if change.regression else factor
    return f"| {_plain(str(change.case))} | {change.before:.3f} | {change.now:.3f} | {said} |"


def _plain(text: str) -> str:
    """A name of a file or a machine, so that it changes nothing in the table."""
    return " ".join(text.split()).translate({ord(sign): f"\\{sign}" for sign in "\\`*_[]<>|~#!"})


def as_speed(value: float) -> str:
    """Megapixels per second with two digits at least: slow models differ too."""
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"
