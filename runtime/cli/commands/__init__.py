"""Every command and option. A command reads its arguments, makes one call and prints the result; one file per family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import typer

from ...errors import Cancelled
from .. import program
from . import bench, engines, hardware, models, workflows
from .compare import compare
from .upscale import upscale

_typer = typer.Typer(
    name="upscale8k",
    help="8K super-resolution of images and films: runs ComfyUI workflows without ComfyUI.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _name, _command in {
    "run": workflows.run,
    "check": workflows.check,
    "convert": workflows.convert,
    "nodes": workflows.nodes_,
    "upscale": upscale,
    "compare": compare,
    "probe": hardware.probe,
    "trt-build": engines.trt_build,
    "export": engines.export,
    "doctor": hardware.doctor,
}.items():
    _typer.command(_name)(_command)
_typer.add_typer(models.app, name="models")
_typer.add_typer(bench.app, name="bench")


# Newer versions of typer carry a click of their own; what a wrong option raises is reached through typer with both.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])


def app(arguments: Sequence[str]) -> int:
    """Run the command line on these arguments; the exit code. Raises ``Upscale8KError`` and ``KeyboardInterrupt``."""
    command = typer.main.get_command(_typer)
    try:
        result: object = command(list(arguments) or ["--help"], prog_name=program.name(), standalone_mode=False)
    except _UsageError as error:
        error.show()
        return error.exit_code
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    if result == Cancelled.exit_code:  # what newer versions make of Ctrl-C
        raise KeyboardInterrupt
    if not arguments:
        return _UsageError.exit_code
    return result if isinstance(result, int) else 0
