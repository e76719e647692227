"""``measure``: the metrics of results against their references, and limits that fail a CI job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..display import open_display
from . import options

if TYPE_CHECKING:
    from ...report import FileMetrics

_LIMIT = "METRIC=VALUE"


def measure(
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="Original: an image, a video, or a folder of them.")],
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="The same, upscaled by any program, of any larger size.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")] = False,
    fail_above: Annotated[
        list[str] | None,
        typer.Option("--fail-above", metavar=_LIMIT, help="Exit code 1 if a metric of any result is larger. May be repeated."),
    ] = None,
    fail_below: Annotated[
        list[str] | None,
        typer.Option("--fail-below", metavar=_LIMIT, help="Exit code 1 if a metric of any result is smaller. May be repeated."),
    ] = None,
    tile: Annotated[
        int,
        typer.Option(
            "--tile",
            min=0,
            help="Tile of the upscaler in pixels of the reference, for seams too small to be found without it; 0: any tiles.",
        ),
    ] = 0,
    halo: Annotated[int, typer.Option("--halo", min=0, help="Halo around each tile, in pixels of the reference.")] = 0,
    every_nth: Annotated[int, typer.Option("--every-nth", min=1, help="Of a video, measure every nth frame.")] = 1,
    progress: options.ProgressMode = "auto",
    traceback: options.Traceback = False,
) -> int:
    """Measure results against their references. With limits, a quality gate: exit code 1 if one is passed.

    Files of two folders are paired by name; a result may have an ending such as _8k. The truth_ metrics need a result of the
    reference's size.
    """
    from ...report import Limit, mean_metrics, measure_files

    limits = [Limit.parse(text, is_maximum=True) for text in fail_above or ()]
    limits += [Limit.parse(text, is_maximum=False) for text in fail_below or ()]
    display = open_display(options.parse_display_mode(progress))
    measured = measure_files(reference, result, display.track_progress, tile=tile, halo=halo, every_nth=every_nth)
    failures = [text for one in measured for limit in limits if (text := limit.describe_failure(one))]
    if as_json:
        content = {"results": [one.as_dict() for one in measured], "mean": mean_metrics(measured), "failures": failures}
        typer.echo(json.dumps(content, indent=2))
    else:
        _print_results(measured)
    for failure in failures:
        typer.echo(failure, err=True)
    return 1 if failures else 0


def _print_results(measured: list[FileMetrics]) -> None:
    from ...metrics import METRICS_BY_KEY
    from ...report import FileMetrics, mean_metrics

    if len(measured) > 1:
        findings = tuple(dict.fromkeys(text for one in measured for text in one.findings))
        measured = [*measured, FileMetrics(Path(), Path(f"Mean of {len(measured)} results"), mean_metrics(measured), findings)]
    for one in measured:
        typer.echo(one.result.name)
        for key, value in one.values.items():
            metric = METRICS_BY_KEY[key]
            shown = "–" if value is None else f"{metric.formatter(value)} {metric.unit}"
            typer.echo(f"  {key:16} {shown:16} {metric.title}")
        for finding in one.findings:
            typer.echo(f"  {finding}")
