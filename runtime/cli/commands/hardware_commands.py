"""``probe`` and ``doctor``: describe this machine, its settings and its problems."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import ModelNotFound
from ..display import open_display
from . import options

if TYPE_CHECKING:
    from ...hardware import NetworkProfile

ShownWorkers = Annotated[
    str,
    typer.Option("--workers", help="Also show these and why one would refuse: gpus, ray:auto, ray:HOST:PORT."),
]
_LEVEL_LABELS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


def probe(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")] = False,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Measure memory and processor time of the available models on every backend, and store them with the date. "
            "Auto then takes the fastest of the backends whose pixels are the same. Refused on a busy machine.",
        ),
    ] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Delete what was measured before.")] = False,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Catalog id for the settings (default: the heaviest model of the pack).")
    ] = None,
    ask_torch: Annotated[
        bool, typer.Option("--torch", help="Also find AMD, Apple and Intel GPUs. Takes seconds, because it loads torch.")
    ] = False,
    device: options.Device = "auto",
    output_dir: options.OutputDir = None,
    workers: ShownWorkers = "",
    traceback: options.Traceback = False,
) -> None:
    """Show this machine and the recommended settings with their reasons."""
    from ... import distributed
    from ...hardware import detect_machine, forget_calibration, format_report, load_calibration, recommend_settings

    network = find_catalog_network(model) if model else None
    for file in forget_calibration() if forget else []:
        typer.echo(f"Deleted {file}.", err=True)
    machine = detect_machine(ask_torch=ask_torch or calibrate, folders=(output_dir or Path("output"),))
    if calibrate:
        from ...bench import calibrate_models
        from ..run_options import RunOptions

        display = open_display("none")

        calibrate_models(machine, device, RunOptions().resolve_model_folders(), display.show_message)
    calibration = load_calibration()
    settings = recommend_settings(machine, network, device=device, calibration=calibration)
    found = [sentence for sentence, _ in distributed.describe_workers(workers)] if workers else []
    if as_json:
        measured = [asdict(subject) | asdict(entry) for subject, entry in calibration.items()]
        content = {"settings": settings.as_json(), "machine": machine.as_json(), "calibration": measured}
        content |= {"workers": found} if workers else {}
        typer.echo(json.dumps(content, indent=2))
    else:
        typer.echo(format_report(machine, settings, calibration, found))


def find_catalog_network(name: str) -> NetworkProfile:
    """Describe a model of the catalog without reading its weights. Raises ``ModelNotFound`` for any other name."""
    from ...hardware import NetworkProfile
    from ...models import find_entry, load_catalog

    entry = find_entry(name)
    if entry is None:
        raise ModelNotFound(f"{name!r} is not in the catalog.", f"Choose one of: {', '.join(load_catalog())}.", model=name)
    return NetworkProfile(entry.title, entry.architecture, entry.scale, entry.halo, entry.half_safe)


def run_doctor(output_dir: options.OutputDir = None, workers: ShownWorkers = "", traceback: options.Traceback = False) -> int:
    """Find problems of this installation. Exit code 1 if there is one."""
    from ..doctor import diagnose

    problems = 0
    for finding in diagnose(output_dir or Path("output"), workers):
        problems += finding.level == "problem"
        typer.echo(f"{_LEVEL_LABELS[finding.level]}  {finding}")
    typer.echo(f"\n{problems} problems found." if problems != 1 else "\n1 problem found.")
    return 1 if problems else 0
