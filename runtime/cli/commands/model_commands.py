"""``models``: list, pull, verify and import models."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ...errors import ModelDamaged
from ...paths import get_default_models_dir
from ..display import open_display
from ..manage_models import build_model_tables, download_model, list_models_as_json
from ..program_name import insert_program_name
from ..run_options import RunOptions
from . import options

app = typer.Typer(help="List, download and check models.", invoke_without_command=True)


TargetDir = Annotated[
    Path | None, typer.Option("--models-dir", help="Folder for the weights (default: UPSCALE8K_MODELS_DIR or ./models).")
]


@app.callback()
def list_models_without_subcommand(context: typer.Context) -> None:
    """List, download and check models."""
    if context.invoked_subcommand is None:
        list_models()


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")] = False,
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
) -> None:
    """List the available models and those that can be pulled."""
    folders = RunOptions(models_dirs=tuple(models_dir or ()), extra_model_paths=extra_model_paths).resolve_model_folders()
    if as_json:
        typer.echo(json.dumps(list_models_as_json(folders), indent=2))
        return
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160, markup=False, emoji=False)
    for table in build_model_tables(folders, console.width):
        console.print(table)


@app.command("pull")
def pull_models(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Catalog ids, or openmodeldb:NAME for a model of OpenModelDB.")
    ],
    models_dir: TargetDir = None,
    progress: options.ProgressMode = "auto",
    traceback: options.Traceback = False,
) -> None:
    """Download official weights and check their hashes. Prints the files.

    Of a model of OpenModelDB the licence is shown, and the halo that it needs is measured and kept beside the file.
    """
    display = open_display(options.parse_display_mode(progress))
    for name in names:
        typer.echo(download_model(name, models_dir or get_default_models_dir(), display))


@app.command("verify")
def verify_models(models_dir: options.ModelsDir = None, traceback: options.Traceback = False) -> int:
    """Compare the available files with the hashes of the official ones. Exit code 2 if one differs."""
    from ...models import verify_models

    verdicts = verify_models(RunOptions(models_dirs=tuple(models_dir or ())).resolve_model_folders())
    for verdict in verdicts:
        typer.echo(insert_program_name(f"{verdict.path}: {verdict.what}"))
    return 0 if all(verdict.is_good for verdict in verdicts) else ModelDamaged.exit_code


@app.command("import")
def import_model(
    file: Annotated[Path, typer.Argument(help="Weight file that you downloaded.")],
    models_dir: TargetDir = None,
    traceback: options.Traceback = False,
) -> None:
    """Check a weight file and copy it into the models folder. Prints the new file."""
    from ...models import import_file

    imported = import_file(file, models_dir or get_default_models_dir())
    typer.echo(imported.what, err=True)
    typer.echo(imported.path)
