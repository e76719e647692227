"""``models``: the table, and pull, verify and import."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ...errors import ModelDamaged
from .. import manage_models as model_commands
from ..display import open_display
from ..run_options import RunOptions, get_default_models_dir
from . import options

app = typer.Typer(help="What models are here, and getting more.", invoke_without_command=True)


@app.callback()
def list_models_without_subcommand(context: typer.Context) -> None:
    """What models are here, and getting more."""
    if context.invoked_subcommand is None:
        list_models()


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
) -> None:
    """Show the models that are here and those that can be pulled."""
    folders = RunOptions(models_dirs=tuple(models_dir or ()), extra_model_paths=extra_model_paths).resolve_model_folders()
    if as_json:
        typer.echo(json.dumps(model_commands.list_models_as_json(folders), indent=2))
        return
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160, markup=False, emoji=False)
    for table in model_commands.build_model_tables(folders, console.width):
        console.print(table)


@app.command("pull")
def pull_models(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Catalog ids.")],
    models_dir: Annotated[Path | None, typer.Option("--models-dir", help="Where to put them.")] = None,
    progress: options.ProgressMode = "auto",
    traceback: options.Traceback = False,
) -> None:
    """Download official weights and check them. Prints where they are."""
    display = open_display(options.parse_display_mode(progress))
    for name in names:
        typer.echo(model_commands.download_model(name, models_dir or get_default_models_dir(), display))


@app.command("verify")
def verify_models(models_dir: options.ModelsDir = None, traceback: options.Traceback = False) -> int:
    """Compare the files that are here with the hashes of the official ones."""
    from ...models.verify import verify_models

    verdicts = verify_models(RunOptions(models_dirs=tuple(models_dir or ())).resolve_model_folders())
    for verdict in verdicts:
        typer.echo(f"{verdict.path}: {verdict.what}")
    return 0 if all(verdict.is_good for verdict in verdicts) else ModelDamaged.exit_code


@app.command("import")
def import_model(
    file: Annotated[Path, typer.Argument(help="Weights that you downloaded yourself.")],
    models_dir: Annotated[Path | None, typer.Option("--models-dir", help="Where to put them.")] = None,
    traceback: options.Traceback = False,
) -> None:
    """Take a file into the models folder, after a look at what it is."""
    from ...models.verify import import_file

    imported = import_file(file, models_dir or get_default_models_dir())
    typer.echo(imported.what, err=True)
    typer.echo(imported.path)
