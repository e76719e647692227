"""What ``bench peers`` found, as a page of Markdown: a table for each model, and who was faster than we were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from ..whole import whole_output
from .rivals import PATIENCE, ZONE, Row, Table
from .rivals_plot import decibels, plot

_HOW = f"""\
Everybody gets the same photograph, weights and number of threads, and runs in a process of its own, one after the other, round
after round, so that whatever else the machine does hits all alike. The clock runs from pixels in memory to 8-bit pixels in
memory, the first time in that process: reading weights and compiling graphs come before it. Time is the median, the least and
the most in brackets; one that took {PATIENCE:.0f} s altogether was not run again. Memory is the most that the process held;
torch is in all of them. Error is PSNR against torch in fp32 without tiles, on 8-bit pixels: of the whole picture, and of the
zone of {ZONE} source pixels on each side of where tiles meet."""
_HINT = "Choose another place with -o."


def write_page(path: Path, tables: Sequence[Table], machine: str, versions: Mapping[str, str]) -> None:
    """The page at ``path``, and the plot of each model beside it. Raises ``OutputError``."""
    pictures: dict[str, str] = {}
    for table in tables:
        pictures[table.model] = f"{path.stem}-{table.model}.png"
        with whole_output(path.with_name(pictures[table.model]), _HINT) as part:
            plot(table, machine).save(part, "PNG", optimize=True)
    with whole_output(path, _HINT) as part:
        part.write_text(page(tables, machine, versions, pictures), encoding="utf-8")


def page(tables: Sequence[Table], machine: str, versions: Mapping[str, str], pictures: Mapping[str, str]) -> str:
    """``pictures`` is the name of each model's plot beside the page."""
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = ["# Upscale8K beside its peers", "", f"{machine}; {date.today().isoformat()}. {names}.", "", _HOW]
    for table in tables:
        lines += ["", *section(table, pictures.get(table.model))]
    return "\n".join(lines) + "\n"


def section(table: Table, picture: str | None = None) -> Iterator[str]:
    """One model. Losses are told in words, too."""
    mine = table.ran[0]
    yield f"## {table.model}, {table.size}, {table.threads} threads"
    yield ""
    if picture:
        yield f"![{table.model}: seconds of everybody]({picture})"
        yield ""
    yield "| | seconds | runs | time, ours = 1 | peak MB | whole, dB | where tiles meet, dB |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in table.ran:
        yield _line(row, mine.median)
    yield ""
    yield _losses(table, mine)
    for row in table.rows:
        if row.problem:
            yield f"{row.name} did not run: {row.problem.rstrip('.')}."


def _line(row: Row, mine: float) -> str:
    name = f"**{row.name}**" if row.ours else row.name
    spread = f"{row.median:.2f} ({min(row.seconds):.2f} to {max(row.seconds):.2f})"
    figures = (f"{len(row.seconds)}", f"{row.median / mine:.2f}", f"{row.peak / 1e6:.0f}", decibels(row.whole_db))
    return f"| {' | '.join((name, spread, *figures, decibels(row.seam_db)))} |"


def _losses(table: Table, mine: Row) -> str:
    faster = [row for row in table.ran if not row.ours and row.median < mine.median]
    if not faster:
        return "Nobody was faster than Upscale8K as it comes."
    told = ", ".join(f"{row.name} ({mine.median / row.median:.2f} times as fast)" for row in faster)
    return f"Faster than Upscale8K as it comes: {told}."
