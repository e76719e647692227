"""The Markdown page of ``bench peers``: a table for each model, and the peers that were faster than ours."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from ..atomic_write import atomic_output
from ..images import save_with_pillow
from .peers import SEAM_RADIUS, TIME_LIMIT_SECONDS, PeerRow, PeerTable
from .peers_plot import format_decibels, plot_peers

_METHOD_TEXT = f"""\
All peers get the same photograph, weights and number of threads. Each run is a process of its own, and the peers take turns, so
that other load on the machine affects all of them. The time is from pixels in memory to 8-bit pixels in memory, for the first
image of a process, after weights are read and graphs compiled. It is the median, with minimum and maximum in brackets; a peer
that took {TIME_LIMIT_SECONDS:.0f} s in total was not run again. Memory is the peak of the process; all peers import torch.
Error is PSNR against torch in fp32 without tiles, on 8-bit pixels: of the whole image, and of {SEAM_RADIUS} source pixels on
each side of tile borders."""
_HINT = "Choose another file with -o."


def write_page(path: Path, tables: Sequence[PeerTable], machine: str, versions: Mapping[str, str]) -> None:
    """Write the page at ``path`` and a plot for each model next to it. Raises ``OutputError``."""
    plot_names: dict[str, str] = {}
    for table in tables:
        plot_names[table.model] = f"{path.stem}-{table.model}.png"
        with atomic_output(path.with_name(plot_names[table.model]), _HINT) as temp_file:
            save_with_pillow(plot_peers(table, machine), temp_file, "PNG", optimize=True)
    with atomic_output(path, _HINT) as temp_file:
        temp_file.write_text(format_page(tables, machine, versions, plot_names), encoding="utf-8")


def format_page(tables: Sequence[PeerTable], machine: str, versions: Mapping[str, str], plot_names: Mapping[str, str]) -> str:
    """Return the page; ``plot_names`` maps each model to its plot file next to the page."""
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = ["# Upscale8K beside its peers", "", f"{machine}; {date.today().isoformat()}. {names}.", "", _METHOD_TEXT]
    for table in tables:
        lines += ["", *format_section(table, plot_names.get(table.model))]
    return "\n".join(lines) + "\n"


def format_section(table: PeerTable, plot_name: str | None = None) -> Iterator[str]:
    """Yield the lines of one model; faster peers are also named in a sentence."""
    own_row = table.measured_rows[0]
    yield f"## {table.model}, {table.size}, {table.threads} threads"
    yield ""
    if plot_name:
        yield f"![{table.model}: seconds of each peer]({plot_name})"
        yield ""
    yield "| | seconds | runs | time, ours = 1 | peak MB | whole, dB | where tiles meet, dB |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in table.measured_rows:
        yield _format_row(row, own_row.median)
    yield ""
    yield _describe_losses(table, own_row)
    for row in table.rows:
        if row.problem:
            yield f"{row.name} did not run: {row.problem.rstrip('.')}."


def _format_row(row: PeerRow, own_median: float) -> str:
    name = f"**{row.name}**" if row.is_ours else row.name
    spread = f"{row.median:.2f} ({min(row.seconds):.2f} to {max(row.seconds):.2f})"
    figures = (f"{len(row.seconds)}", f"{row.median / own_median:.2f}", f"{row.peak / 1e6:.0f}", format_decibels(row.whole_db))
    return f"| {' | '.join((name, spread, *figures, format_decibels(row.seam_db)))} |"


def _describe_losses(table: PeerTable, own_row: PeerRow) -> str:
    faster = [row for row in table.measured_rows if not row.is_ours and row.median < own_row.median]
    if not faster:
        return "No peer was faster than Upscale8K with its default settings."
    faster_text = ", ".join(f"{row.name} ({own_row.median / row.median:.2f} times as fast)" for row in faster)
    return f"Faster than Upscale8K with its default settings: {faster_text}."
