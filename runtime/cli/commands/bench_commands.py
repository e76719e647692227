"""``bench``: time and memory, side by side with the peers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ...errors import WorkflowError
from ...models.locate import find_model
from ..display import open_display
from ..run_options import RunOptions, find_shipped_workflow
from . import options
from .workflow_commands import load_and_run

app = typer.Typer(help="Time and memory, side by side with the peers.", no_args_is_help=True)


@app.command("image")
def bench_image(
    comfyui: Annotated[Path, typer.Option("--comfyui", help="A ComfyUI checkout, the peer.")],
    model: Annotated[str, typer.Option("-m", "--model", help="Catalog id or file name.")] = "realesr-animevideov3",
    size: Annotated[str, typer.Option("--size", help="Of the picture that is upscaled.")] = "1920x1080",
    runs: Annotated[int, typer.Option("--runs", min=1, help="Counted runs of each, taken in turn.")] = 3,
    threads: Annotated[int, typer.Option("--threads", min=0, help="For both; 0 is all cores.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    traceback: options.Traceback = False,
) -> None:
    """Upscale one picture with ComfyUI's own node and with ours, in turn; prints medians and their ratio."""
    from ...bench.image import benchmark_image

    found_model = find_model(model, RunOptions().resolve_model_folders())
    comparison = benchmark_image(
        comfyui, found_model, size, runs=runs, threads=threads, on_message=open_display("none").show_message
    )
    typer.echo(comparison.as_json() if as_json else comparison.as_text())


@app.command("video")
def bench_video(
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
    from ...bench.video import benchmark_video

    found_model = find_model(model, RunOptions().resolve_model_folders())
    encoder = {"codec": codec, "preset": preset, "bit_depth": "10"}
    show_message = open_display("none").show_message
    comparison = benchmark_video(
        comfyui, found_model, size, frames=frames, runs=runs, threads=threads, encoder=encoder, on_message=show_message
    )
    typer.echo(comparison.as_json() if as_json else comparison.as_text())


@app.command("models")
def bench_models(
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
    run_options = RunOptions(earlier.parent if earlier else None, out, tuple(models_dir or ()), extra_model_paths, device)
    values = {"models": names, "sizes": sizes, "tiles": tiles, "precisions": precisions, "backends": backends}
    values |= {"warmups": warmups, "repeats": runs, "folder": "", "earlier": earlier and earlier.name}
    settings = [f"Benchmark.{name}={value}" for name, value in values.items() if value is not None]
    display = open_display(options.parse_display_mode(progress))
    for path in load_and_run(find_shipped_workflow("benchmark.json"), settings, run_options, display, download=False):
        typer.echo(path)


@app.command("halo")
def bench_halo(
    names: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Catalog ids or file names.")],
    images: Annotated[list[Path] | None, typer.Option("--picture", help="To measure on; may be repeated.")] = None,
    models_dir: options.ModelsDir = None,
    device: options.Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    traceback: options.Traceback = False,
) -> None:
    """Measure the error beside a cut for each halo; a model whose weights are not here is measured with generated ones."""
    from ...bench.halo import profile_model

    folders = RunOptions(models_dirs=tuple(models_dir or ())).resolve_model_folders()
    profiles = [profile_model(name, folders, device, images or ()) for name in names]
    typer.echo(json.dumps([one.as_dict() for one in profiles], indent=2) if as_json else "\n\n".join(map(str, profiles)))


@app.command("peers")
def bench_peers(
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
    from ...bench.measure import describe_machine
    from ...bench.peers import benchmark_peers, list_peer_versions
    from ...bench.peers_page import format_section, write_page

    found_models = [find_model(name.strip(), RunOptions().resolve_model_folders()) for name in models.split(",")]
    versions, show_message = list_peer_versions(comfyui), open_display("none").show_message
    tables = [
        benchmark_peers(model, size, comfyui=comfyui, runs=runs, threads=threads, on_message=show_message)
        for model, size in zip(found_models, expand_sizes(sizes, len(found_models)), strict=True)
    ]
    if out:
        write_page(out, tables, describe_machine("cpu")[0], versions)
    if as_json:
        typer.echo(json.dumps([table.as_dict() for table in tables], indent=2))
    else:
        typer.echo("\n\n".join("\n".join(format_section(table)) for table in tables))


def expand_sizes(sizes: str, count: int) -> list[str]:
    """``sizes`` split at commas, the only one repeated. Raises ``WorkflowError`` for another number of them than ``count``."""
    size_list = [size.strip() for size in sizes.split(",")]
    size_list = size_list * count if len(size_list) == 1 else size_list
    if len(size_list) != count:
        raise WorkflowError(f"There are {len(size_list)} sizes for {count} models.", "Name one for all, or one for each.")
    return size_list


@app.command("gpu")
def bench_gpu(
    models: Annotated[str, typer.Option("-m", "--models", help="Catalog ids, with commas.")] = (
        "realesrgan-x4plus,realesr-animevideov3"
    ),
    size: Annotated[str, typer.Option("--size", help="Of the frame that is made four times as large.")] = "1920x1080",
    runs: Annotated[int, typer.Option("--runs", min=1, help="Counted frames of each, taken in turn.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    traceback: options.Traceback = False,
) -> None:
    """What an NVIDIA GPU makes of our way to run a model and of ComfyUI's."""
    from ...bench.gpu_speed import measure_gpu
    from ...models.load import load_model

    for name in models.split(","):
        descriptor = load_model(find_model(name, RunOptions().resolve_model_folders()))
        figures = measure_gpu(name, descriptor, size, runs=runs, on_message=open_display("none").show_message)
        typer.echo(figures.as_json() if as_json else figures.as_text())
