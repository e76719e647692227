"""``bench``: measure time and memory, also of other programs."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from ...errors import WorkflowError
from ...models import find_model
from ..display import open_display
from ..run_options import RunOptions, find_shipped_workflow
from . import options
from .workflow_commands import load_and_run

app = typer.Typer(help="Measure time and memory, also of ComfyUI and other programs.", no_args_is_help=True)

Comfyui = Annotated[Path, typer.Option("--comfyui", help="Folder of a ComfyUI checkout to compare with.")]
Model = Annotated[str, typer.Option("-m", "--model", help="Catalog id or file name of the model.")]
Runs = Annotated[int, typer.Option("--runs", min=1, help="Counted runs of each peer, taken in turn; at least 1.")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="CPU threads of each peer; 0 uses all cores.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]


@app.command("image")
def bench_image(
    comfyui: Comfyui,
    model: Model = "realesr-animevideov3",
    size: Annotated[str, typer.Option("--size", help="Size of the input image as WIDTHxHEIGHT, in pixels.")] = "1920x1080",
    runs: Runs = 3,
    threads: Threads = 0,
    as_json: AsJson = False,
    traceback: options.Traceback = False,
) -> None:
    """Upscale one image with ComfyUI's own node and with ours, in turn. Prints medians and their ratio."""
    from ...bench import benchmark_image

    found_model = find_model(model, RunOptions().resolve_model_folders())
    comparison = benchmark_image(
        comfyui, found_model, size, runs=runs, threads=threads, on_message=open_display("none").show_message
    )
    typer.echo(comparison.as_json() if as_json else comparison.as_text())


@app.command("workers")
def bench_workers(
    video: Annotated[Path, typer.Argument(help="Video to upscale.")],
    workers: Annotated[str, typer.Option("--workers", help="As for upscale.")] = "2",
    to: Annotated[str, typer.Option("--to", help="Target size.")] = "2x",
    backend: options.BackendName = "null",
    runs: Runs = 1,
    traceback: options.Traceback = False,
) -> None:
    """Upscale one video in one process and by several, in turn. Prints both times and their ratio."""
    from ...bench import benchmark_workers

    typer.echo(benchmark_workers(video, workers, ["--to", to, "--backend", backend, "-m", "realesr-animevideov3"], runs))


@app.command("checkout")
def bench_checkout(
    other: Annotated[Path, typer.Argument(help="Folder of another checkout of this project, such as one of an older commit.")],
    video: Annotated[Path, typer.Argument(help="Video to upscale.")],
    to: Annotated[str, typer.Option("--to", help="Target size.")] = "4x",
    model: Model = "realesr-animevideov3",
    runs: Runs = 3,
    traceback: options.Traceback = False,
) -> None:
    """Upscale one video by another checkout of this project and by this one, in turn. Prints times and their ratio."""
    from ...bench import benchmark_checkouts

    typer.echo(benchmark_checkouts(video, other, ["--to", to, "-m", model], runs))


@app.command("video")
def bench_video(
    comfyui: Comfyui,
    model: Model = "realesr-animevideov3",
    size: Annotated[
        str, typer.Option("--size", help="Size of the input video as WIDTHxHEIGHT, in pixels; it is enlarged four times.")
    ] = "1920x1080",
    frames: Annotated[
        int,
        typer.Option(
            "--frames", min=2, help="Frames of the video, at least 2. Half as many and four times as many show memory growth."
        ),
    ] = 8,
    runs: Runs = 1,
    threads: Threads = 0,
    codec: Annotated[str, typer.Option("--codec", help="Codec of our result (10 bits), as in Video Out.")] = "hevc",
    preset: Annotated[str, typer.Option("--preset", help="Preset of our encoder, as in Video Out; empty is its default.")] = "",
    as_json: AsJson = False,
    traceback: options.Traceback = False,
) -> None:
    """Upscale one video with ComfyUI's own nodes and with ours, in turn. Prints speed, memory, its growth, and ratios."""
    from ...bench import benchmark_video

    found_model = find_model(model, RunOptions().resolve_model_folders())
    encoder = {"codec": codec, "preset": preset, "bit_depth": "10"}
    show_message = open_display("none").show_message
    comparison = benchmark_video(
        comfyui, found_model, size, frames=frames, runs=runs, threads=threads, encoder=encoder, on_message=show_message
    )
    typer.echo(comparison.as_json() if as_json else comparison.as_text())


@app.command("models")
def bench_models(
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for benchmark.json, benchmark.md and benchmark.png.")],
    names: Annotated[
        str | None,
        typer.Option(
            "--models",
            help="Catalog ids or file names, separated by commas, or all "
            "(default: realesr-animevideov3, realesrgan-x4plus-anime).",
        ),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option("--sizes", help="Input sizes as WIDTHxHEIGHT, in pixels, separated by commas (default: 256x256)."),
    ] = None,
    tiles: Annotated[
        str | None,
        typer.Option("--tiles", help="Tile sides in input pixels, separated by commas; 0 is automatic (default: 0)."),
    ] = None,
    precisions: Annotated[
        str | None, typer.Option("--precisions", help="auto, fp32, fp16 or bf16, separated by commas (default: auto).")
    ] = None,
    backends: Annotated[
        str | None, typer.Option("--backends", help="Backends as in --backend, separated by commas (default: auto).")
    ] = None,
    warmups: Annotated[
        int | None, typer.Option("--warmups", min=0, help="Runs of each combination that do not count, 0 to 100 (default: 1).")
    ] = None,
    runs: Annotated[
        int | None, typer.Option("--runs", min=1, help="Runs of each combination that count, 1 to 1000 (default: 3).")
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="The benchmark.json of an earlier run, to find regressions.")
    ] = None,
    models_dir: options.ModelsDir = None,
    extra_model_paths: options.ExtraPaths = None,
    device: options.Device = "auto",
    progress: options.ProgressMode = "auto",
    traceback: options.Traceback = False,
) -> None:
    """Measure every combination of models, sizes, tiles, precisions and backends. Prints the written files."""
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
    names: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Catalog ids or file names of models.")],
    images: Annotated[
        list[Path] | None,
        typer.Option("--picture", help="Image file to measure on; may be repeated (default: a synthetic image)."),
    ] = None,
    models_dir: options.ModelsDir = None,
    device: options.Device = "cpu",
    as_json: AsJson = False,
    traceback: options.Traceback = False,
) -> None:
    """Measure the error next to a tile border by halo. A model without weights is measured with random ones."""
    from ...bench import profile_model

    folders = RunOptions(models_dirs=tuple(models_dir or ())).resolve_model_folders()
    profiles = [profile_model(name, folders, device, images or ()) for name in names]
    texts = json.dumps([profile.as_dict() for profile in profiles], indent=2) if as_json else "\n\n".join(map(str, profiles))
    typer.echo(texts)


@app.command("peers")
def bench_peers(
    comfyui: Annotated[
        Path | None, typer.Option("--comfyui", help="Folder of a ComfyUI checkout to compare with (default: none).")
    ] = None,
    models: Annotated[
        str, typer.Option("-m", "--models", help="Catalog ids of 4x models, separated by commas.")
    ] = "realesr-animevideov3",
    sizes: Annotated[
        str,
        typer.Option("--sizes", help="Input size as WIDTHxHEIGHT, in pixels: one for all models, or one for each with commas."),
    ] = "640x480",
    runs: Runs = 3,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of each peer; at least 1.")] = 2,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Markdown file to write, with a plot for each model next to it (default: none)."),
    ] = None,
    as_json: AsJson = False,
    traceback: options.Traceback = False,
) -> None:
    """Upscale one image with every installed program on this CPU: time, memory, and error at tile borders."""
    from ...bench import benchmark_peers, describe_machine, format_section, list_peer_versions, write_page

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
        typer.echo("\n".join(map(format_section, tables)), nl=False)


def expand_sizes(sizes: str, count: int) -> list[str]:
    """Return ``count`` sizes from ``sizes``, separated by commas; a single size is repeated.

    Raises ``WorkflowError`` for any other number of sizes.
    """
    size_list = [size.strip() for size in sizes.split(",")]
    size_list = size_list * count if len(size_list) == 1 else size_list
    if len(size_list) != count:
        raise WorkflowError(f"There are {len(size_list)} sizes for {count} models.", "Set one size, or one for each.")
    return size_list


@app.command("gpu")
def bench_gpu(
    models: Annotated[str, typer.Option("-m", "--models", help="Catalog ids, separated by commas.")] = (
        "realesrgan-x4plus,realesr-animevideov3"
    ),
    size: Annotated[str, typer.Option("--size", help="Size of the input frame as WIDTHxHEIGHT, in pixels.")] = "1920x1080",
    runs: Runs = 3,
    full: Annotated[
        bool,
        typer.Option("--full", help="Also check that results are correct: tiles, CUDA graphs, little memory, a second GPU."),
    ] = False,
    dry: Annotated[bool, typer.Option("--dry", help="Try --full on the CPU with small images.")] = False,
    host_time: Annotated[
        bool, typer.Option("--host-time", help="Only time the CPU's work for a frame, with a device that takes no time.")
    ] = False,
    as_json: AsJson = False,
    traceback: options.Traceback = False,
) -> int:
    """Measure our way to run a model and ComfyUI's on an NVIDIA GPU. With --full exit code 1 means an incorrect result."""
    from ...bench import check_gpu, measure_gpu, measure_host_time, parse_size
    from ...models import load_model

    if host_time:
        first = find_model(models.split(",")[0], RunOptions().resolve_model_folders())
        seconds = measure_host_time(load_model(first), parse_size(size), frames=runs)
        typer.echo(json.dumps(seconds) if as_json else "\n".join(f"{k}: {1000 * v:.1f} ms" for k, v in seconds.items()))
        return 0
    if full or dry:
        folders = RunOptions().resolve_model_folders()
        found = {name: load_model(find_model(name, folders)) for name in models.split(",")}
        return 0 if check_gpu(found, size, runs=runs, dry=dry, on_row=lambda row: typer.echo(str(row))) else 1
    for name in models.split(","):
        descriptor = load_model(find_model(name, RunOptions().resolve_model_folders()))
        figures = measure_gpu(name, descriptor, size, runs=runs, on_message=open_display("none").show_message)
        typer.echo(figures.as_json() if as_json else figures.as_text())
    return 0


@app.command("limit")
def bench_limit(
    models: Annotated[str, typer.Option("-m", "--models", help="Catalog ids, separated by commas.")] = (
        "realesrgan-x4plus,realesr-animevideov3"
    ),
    size: Annotated[str, typer.Option("--size", help="Size of one tile as WIDTHxHEIGHT, in pixels.")] = "256x256",
    precisions: Annotated[str, typer.Option("--precisions", help="fp32, bf16 or both, separated by commas.")] = "fp32,bf16",
    runs: Runs = 3,
    traceback: options.Traceback = False,
) -> None:
    """Measure how near each model comes to the rate of its own convolutions on this CPU, and where its time goes."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler would report that there is no GPU
    from ...bench import measure_limits
    from ...models import load_model

    folders = RunOptions().resolve_model_folders()
    found = {name: load_model(find_model(name, folders)) for name in models.split(",")}
    for text in measure_limits(found, precisions, size, runs=runs):
        typer.echo(text)
