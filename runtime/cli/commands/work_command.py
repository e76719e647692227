"""``work``: one worker of a run that is shared out, however it was started."""

from __future__ import annotations

import platform
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from ...errors import WorkflowError
from . import options


def work(
    order: Annotated[Path, typer.Argument(metavar="ORDER", help="NAME.parts/order.json of a run with --workers.")],
    input_dir: Annotated[
        Path | None, typer.Option("--input-dir", help="Folder of input files, where it has another path.")
    ] = None,
    models_dir: options.ModelsDir = None,
    name: Annotated[str, typer.Option("--name", help="Name in messages (default: that of this computer).")] = "",
    attached: Annotated[str, typer.Option("--attached", hidden=True)] = "",
    cores: Annotated[str, typer.Option("--cores", hidden=True)] = "",
    traceback: options.Traceback = False,
) -> None:
    """Make segments of a video, or files of a folder, that another run shares out, until none is left.

    Start it on any machine that sees the folder of the order. It runs the workflow of the order with its packs.
    """
    from ...distributed import WorkerHost, follow_parent, limit_cores, read_order
    from ...graph import execute_plan, make_plan
    from ..batch.run_jobs import make_files
    from ..display import open_display
    from ..run_options import open_node_catalog

    if cores:
        limit_cores(cores)
    if attached:
        follow_parent()
    display, worker = open_display("none"), attached or name or platform.node() or "worker"
    job = read_order(order)
    if job.files:
        make_files(job, order, worker)
        return
    host = WorkerHost.open(job, order, worker, input_dir, tuple(models_dir or ()))
    packs = [Path(folder) for folder in host.order.packs]
    with closing(host), open_node_catalog(host, packs, display.show_message) as catalog:
        plan = make_plan(dict(host.order.prompt), catalog.classes, [host.order.node_id])
        for _ in execute_plan(plan, catalog.classes, extra_pnginfo=job.extra_pnginfo):
            pass
        if not host.has_worked:
            what = "This machine would make another image than the order asks for: source, weights or precision differ."
            raise WorkflowError(what, "Copy the same files there, and name backend and precision instead of auto.")
