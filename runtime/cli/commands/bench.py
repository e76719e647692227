"""``bench``: time and memory, side by side with the peers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ...errors import WorkflowError
from ...models.locate import locate
from ..display import open_display
from ..session import Places, shipped
from . import options
from .workflows import run_workflow

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


@app.command("video")
def video(
    comfyui: Annotated[Path, typer.Option("--comfyui", help="A ComfyUI checkout, the peer.")],
    model: Annotated[str, typer.Option("-m", "--model", help="Catalog id or file name.")] = "realesr-animevideov3",
    size: Annotated[str, typer.Option("--size", help="Of the film that is made four times as large.")] = "1920x1080",
    frames: Annotated[
        int, typer.Option("--frames", min=2, help="Its length; half as many show growth, ours also runs four times as many.")
    ] = 8,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Counted runs of each, taken in turn.")] = 1,
    threads: Annotated[int, typer.Option("--threads", min=0, help="For both; 0 is all cores.")] = 0,
    codec: Annotated[str, typer.Option("--codec", help="What ours encodes to, in 10 bits.")] = "hevc",
    preset: Annotated[str, typer.Option("--preset", help="The encoder's own word; empty is our default.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    traceback: options.Traceback = False,
) -> None:
    """Upscale one film with ComfyUI's own nodes and with ours, in turn; prints speed, memory, its growth, and ratios."""
    from ...bench.video import compare_films

    located = locate(model, Places().model_folders())
    encoder = {"codec": codec, "preset": preset, "bit_depth": "10"}
    say = open_display("none").say
    compared = compare_films(comfyui, located, size, frames=frames, runs=runs, threads=threads, encoder=encoder, say=say)
    typer.echo(compared.as_json() if as_json else compared.as_text())


@app.command("models")
def models(
    out: Annotated[Path, typer.Option("-o", "--output", help="A folder for benchmark.json, .md and .png.")],
    names: Annotated[str | None, typer.Option("--models", help="Ids or file names with commas, or all.")] = None,
    sizes: Annotated[str | None, typer.Option("--sizes", help="WIDTHxHEIGHT that goes in; several with commas.")] = None,
    tiles: Annotated[str | None, typer.Option("--tiles", help="Sides of a tile; 0 chooses. Several with commas.")] = None,
    precisions: Annotated[str | None, typer.Option("--precisions", help="auto, fp32, fp16, bf16; several with commas.")] = None,
    backends: Annotated[str | None, typer.Option("--backends", help="auto, torch, ...; several with commas.")] = None,
    warmups: Annotated[int | None, typer.Option("--warmups", min=0, help="Runs of each that do not count.")] = None,
    runs: Annotated[int | None, typer.Option("--runs", min=1, help="Runs of each that count.")] = None,
    against: Annotated[Path | None, typer.Option("--against", help="benchmark.json of an earlier run.")] = None,
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
    device: options.Device = "auto",
    progress: options.ProgressMode = "auto",
    traceback: options.Traceback = False,
) -> None:
    """Time every model, size, tile, precision and backend that is named. Prints the files that it wrote."""
    earlier = against.resolve() if against else None
    places = Places(earlier.parent if earlier else None, out, tuple(models_dir or ()), extra_model_paths, device)
    wanted = {"models": names, "sizes": sizes, "tiles": tiles, "precisions": precisions, "backends": backends}
    wanted |= {"warmups": warmups, "repeats": runs, "folder": "", "earlier": earlier and earlier.name}
    settings = [f"Benchmark.{name}={value}" for name, value in wanted.items() if value is not None]
    display = open_display(options.mode(progress))
    for path in run_workflow(shipped("benchmark.json"), settings, places, display, download=False):
        typer.echo(path)


@app.command("halo")
def halo(
    names: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Catalog ids or file names.")],
    pictures: Annotated[list[Path] | None, typer.Option("--picture", help="To measure on; may be repeated.")] = None,
    models_dir: options.ModelsDir = None,
    device: options.Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    traceback: options.Traceback = False,
) -> None:
    """Measure the error beside a cut for each halo; a model whose weights are not here is measured with generated ones."""
    from ...bench.halo import measure

    folders = Places(models_dirs=tuple(models_dir or ())).model_folders()
    profiles = [measure(name, folders, device, pictures or ()) for name in names]
    typer.echo(json.dumps([one.as_dict() for one in profiles], indent=2) if as_json else "\n\n".join(map(str, profiles)))


@app.command("peers")
def peers(
    comfyui: Annotated[Path | None, typer.Option("--comfyui", help="A ComfyUI checkout, one of the peers.")] = None,
    models: Annotated[
        str, typer.Option("-m", "--models", help="Catalog ids of 4x models, with commas.")
    ] = "realesr-animevideov3",
    sizes: Annotated[str, typer.Option("--sizes", help="Of the picture: one for all, or one for each model.")] = "640x480",
    runs: Annotated[int, typer.Option("--runs", min=1, help="Counted runs of each, taken in turn.")] = 3,
    threads: Annotated[int, typer.Option("--threads", min=1, help="For everybody.")] = 2,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", help="A page of Markdown; a plot of each model beside it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    traceback: options.Traceback = False,
) -> None:
    """One picture through everybody who can upscale it on this CPU: time, memory, error where tiles meet."""
    from ...bench.machine import machine
    from ...bench.rivals import compare_everybody, versions_of_peers
    from ...bench.rivals_page import section, write_page

    found = [locate(name.strip(), Places().model_folders()) for name in models.split(",")]
    versions, say = versions_of_peers(comfyui), open_display("none").say
    tables = [
        compare_everybody(model, size, comfyui=comfyui, runs=runs, threads=threads, say=say)
        for model, size in zip(found, one_for_each(sizes, len(found)), strict=True)
    ]
    if out:
        write_page(out, tables, machine("cpu")[0], versions)
    if as_json:
        typer.echo(json.dumps([table.as_dict() for table in tables], indent=2))
    else:
        typer.echo("\n\n".join("\n".join(section(table)) for table in tables))


def one_for_each(sizes: str, count: int) -> list[str]:
    """``sizes`` split at commas, the only one repeated. Raises ``WorkflowError`` for another number of them than ``count``."""
    named = [size.strip() for size in sizes.split(",")]
    named = named * count if len(named) == 1 else named
    if len(named) != count:
        raise WorkflowError(f"There are {len(named)} sizes for {count} models.", "Name one for all, or one for each.")
    return named


@app.command("gpu")
def gpu(
    models: Annotated[str, typer.Option("-m", "--models", help="Catalog ids, with commas.")] = (
        "realesrgan-x4plus,realesr-animevideov3"
    ),
    size: Annotated[str, typer.Option("--size", help="Of the frame that is made four times as large.")] = "1920x1080",
    runs: Annotated[int, typer.Option("--runs", min=1, help="Counted frames of each, taken in turn.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    traceback: options.Traceback = False,
) -> None:
    """What an NVIDIA GPU makes of our way to run a model and of ComfyUI's."""
    from ...bench.gpu import measure_gpu
    from ...models.load import load

    for name in models.split(","):
        descriptor = load(locate(name, Places().model_folders()))
        figures = measure_gpu(name, descriptor, size, runs=runs, say=open_display("none").say)
        typer.echo(figures.as_json() if as_json else figures.as_text())
