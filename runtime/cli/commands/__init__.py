"""Every command and option, one file per family. A command parses its arguments, makes one call and prints the result."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, cast

import typer

from ...errors import Cancelled
from ...paths import read_version
from .. import program_name
from ..man_page import format_man_page
from . import bench_commands, engine_commands, hardware_commands, model_commands, workflow_commands
from .compare_command import compare
from .measure_command import measure
from .tune_command import tune
from .upscale_command import upscale
from .work_command import work

_EXAMPLES = {
    "": (
        "upscale photo.jpg -o photo_8k.png",
        "run image_8k --input-dir . --set LoadImage.image=photo.jpg",
        "measure photo.jpg photo_8k.png --fail-above drift=1",
    ),
    "upscale": (
        "upscale *.jpg --to 4k",
        "upscale clip.mp4 -o clip_8k.mkv --set VideoOut.codec=av1",
        "upscale title.mov -o title.webp --to 2x",
        "upscale scans/ -r -o results/ -m realesrgan-x4plus --skip-existing",
    ),
    "run": ("run video_8k --input-dir videos --set VideoIn.video=clip.mp4", "run my_workflow.json --dry-run"),
    "measure": ("measure originals/ results/ --json", "measure photo.jpg photo_8k.png --fail-above drift=1"),
}
"""By command, what is typed after the name of the program."""
_OPTIONS_ELSEWHERE = {"--scale": "--to 2x", "--outscale": "--to 2x", "-s": "--to 2x", "-n": "-m", "-i": "IN", "--input": "IN"}
"""Of Real-ESRGAN and other programs, and what they are here."""


def _format_examples(name: str) -> str | None:
    lines = [f"{program_name.get_program_name()} {example}" for example in _EXAMPLES.get(name, ())]
    return "\n\n".join(["Examples:", *lines]) if lines else None


def _print_version(is_given: bool) -> None:
    if is_given:
        typer.echo(read_version())
        raise typer.Exit


def _print_man_page(is_given: bool) -> None:
    if is_given:
        typer.echo(format_man_page(typer.main.get_command(_typer), read_version()))
        raise typer.Exit


_typer = typer.Typer(
    name="upscale8k",
    help="8K super-resolution of images and videos. Runs ComfyUI workflows without ComfyUI.",
    epilog=_format_examples(""),
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
_COMMANDS: dict[str, dict[str, Callable[..., object]]] = {
    "Images and videos": {"upscale": upscale, "tune": tune, "compare": compare, "measure": measure},
    "Workflows": {
        "run": workflow_commands.run,
        "check": workflow_commands.check,
        "convert": workflow_commands.convert,
        "nodes": workflow_commands.list_nodes,
        "work": work,
    },
    "This machine": {
        "probe": hardware_commands.probe,
        "doctor": hardware_commands.run_doctor,
        "trt-build": engine_commands.build_trt_engine,
        "export": engine_commands.export_model,
    },
}
for _group, _commands in _COMMANDS.items():
    for _name, _command in _commands.items():
        _typer.command(_name, rich_help_panel=_group, epilog=_format_examples(_name))(_command)
_workflows = typer.Typer(help="The shipped workflows.", no_args_is_help=True)
_workflows.command("list")(workflow_commands.list_workflows)
_workflows.callback()(lambda: None)
_typer.add_typer(_workflows, name="workflows", rich_help_panel="Workflows")
_typer.add_typer(model_commands.app, name="models", rich_help_panel="This machine")
_typer.add_typer(bench_commands.app, name="bench", rich_help_panel="This machine")


@_typer.callback()
def _set_global_options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
    man_page: Annotated[
        bool, typer.Option("--man-page", is_eager=True, callback=_print_man_page, help="Print the manual in roff, for man.")
    ] = False,
) -> None:
    pass


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
        if known := _OPTIONS_ELSEWHERE.get(getattr(error, "option_name", "")):
            cast("Any", error).possibilities = [known]
        error.show()
        return error.exit_code
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    if result == Cancelled.exit_code:  # the result of Ctrl-C in newer versions
        raise KeyboardInterrupt
    if not arguments:
        return _UsageError.exit_code
    return result if isinstance(result, int) else 0
