"""The Markdown page of ``bench peers``: a table for each model, and the peers that were faster than ours."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from ..atomic_write import atomic_output
from ..images import save_with_pillow
from ..report import render_template
from .peers import SEAM_RADIUS, TIME_LIMIT_SECONDS, PeerTable
from .plots import format_decibels, plot_peers

_HINT = "Choose another file with -o."


def write_page(path: Path, tables: Sequence[PeerTable], machine: str, versions: Mapping[str, str]) -> None:
    """Write the page at ``path`` and a plot for each model next to it. Raises ``OutputError``."""
    sections: list[str] = []
    for table in tables:
        plot_name = f"{path.stem}-{table.model}.png"
        with atomic_output(path.with_name(plot_name), _HINT) as temp_file:
            save_with_pillow(plot_peers(table, machine), temp_file, "PNG", optimize=True)
        sections.append(format_section(table, plot_name))
    page = render_template(
        "bench/peers.md.j2",
        sections=sections,
        machine=machine,
        versions=versions,
        date=date.today().isoformat(),
        time_limit=TIME_LIMIT_SECONDS,
        seam_radius=SEAM_RADIUS,
    )
    with atomic_output(path, _HINT) as temp_file:
        temp_file.write_text(page, encoding="utf-8")


def format_section(table: PeerTable, plot_name: str | None = None) -> str:
    """Return the table of one model as Markdown, with its plot file next to the page; faster peers are named in a sentence."""
    ours = table.measured_rows[0]
    faster = [row for row in table.measured_rows if not row.is_ours and row.median < ours.median]
    return render_template(
        "bench/peers_section.md.j2", table=table, plot_name=plot_name, ours=ours, faster=faster, format_decibels=format_decibels
    )
