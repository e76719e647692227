"""Every command and option, one file per family. A command parses its arguments, makes one call and prints the result."""

from collections.abc import Sequence
from typing import cast

import typer

from ...errors import Cancelled
from .. import program_name
from . import bench_commands, engine_commands, hardware_commands, model_commands, workflow_commands
from .compare_command import compare
from .measure_command import measure
from .upscale_command import upscale

_typer = typer.Typer(
    name="upscale8k",
    help="8K super-resolution of images and videos. Runs ComfyUI workflows without ComfyUI.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _name, _command in {
    "run": workflow_commands.run,
    "check": workflow_commands.check,
    "convert": workflow_commands.convert,
    "nodes": workflow_commands.list_nodes,
    "upscale": upscale,
    "compare": compare,
    "measure": measure,
    "probe": hardware_commands.probe,
    "trt-build": engine_commands.build_trt_engine,
    "export": engine_commands.export_model,
    "doctor": hardware_commands.run_doctor,
}.items():
    _typer.command(_name)(_command)
_typer.add_typer(model_commands.app, name="models")
_typer.add_typer(bench_commands.app, name="bench")


# Newer versions of typer contain their own click; this finds the class of usage errors in both.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])


def run_command_line(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code. Raises ``Upscale8KError`` and ``KeyboardInterrupt``."""
    command = typer.main.get_command(_typer)
    try:
        result: object = command(
            list(arguments) or ["--help"], prog_name=program_name.get_program_name(), standalone_mode=False
        )
    except _UsageError as error:
        error.show()
        return error.exit_code
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    if result == Cancelled.exit_code:  # the result of Ctrl-C in newer versions
        raise KeyboardInterrupt
    if not arguments:
        return _UsageError.exit_code
    return result if isinstance(result, int) else 0
