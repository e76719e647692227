"""``bench``: time and memory, side by side with the peers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...models.locate import locate
from ..display import open_display
from ..session import Places
from . import options

app = typer.Typer(help="Time and memory, side by side with the peers.", no_args_is_help=True)


@app.command("image")
def image(
    comfyui: Annotated[Path, typer.Option("--comfyui", help="A ComfyUI checkout, the peer.")],
    model: Annotated[str, typer.Option("-m", "--model", help="Catalog id or file name.")] = "realesr-animevideov3",
    size: Annotated[str, typer.Option("--size", help="Of the picture that is upscaled.")] = "1920x1080",
    runs: Annotated[int, typer.Option("--runs", min=1, help="Counted runs of each, taken in turn.")] = 3,
    threads: Annotated[int, typer.Option("--threads", min=0, help="For both; 0 is all cores.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    traceback: options.Traceback = False,
) -> None:
    """Upscale one picture with ComfyUI's own node and with ours, in turn; prints medians and their ratio."""
    from ...bench.image import compare

    located = locate(model, Places().model_folders())
    compared = compare(comfyui, located, size, runs=runs, threads=threads, say=open_display("none").say)
    typer.echo(compared.as_json() if as_json else compared.as_text())
