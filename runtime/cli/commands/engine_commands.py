"""``trt-build`` and ``export``: write a model for TensorRT or as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import UnsupportedModel, WorkflowError
from ...file_types import WEIGHT_SUFFIXES
from ...models import find_model
from ..display import open_display
from ..run_options import RunOptions
from . import options

if TYPE_CHECKING:
    from ...models import UpscaleModel
    from ...trt import EngineSource

Half = Annotated[bool, typer.Option("--fp16", help="Use half precision (default: fp32).")]
Static = Annotated[bool, typer.Option("--static", help="Build for this tile size only, not for smaller ones.")]


def build_trt_engine(
    source: Annotated[str, typer.Argument(metavar="MODEL|FILE.onnx", help="Catalog id, weight file or ONNX file.")],
    out: Annotated[Path | None, typer.Option("-o", "--output", help="Engine file (default: in the cache folder).")] = None,
    half: Half = False,
    tile: Annotated[
        int, typer.Option("--tile", min=1, help="Side of the largest tile without halo, in source pixels; at least 1.")
    ] = 512,
    static: Static = False,
    workspace: Annotated[
        int, typer.Option("--workspace", min=0, metavar="MB", help="Memory for the builder in MB; 0 means no limit.")
    ] = 0,
    target: Annotated[
        str,
        typer.Option("--target", help="Compute capabilities to build for, such as sm_89,sm_120; empty is this machine's GPU."),
    ] = "",
    models_dir: options.ModelsDir = None,
    progress: options.ProgressMode = "auto",
    traceback: options.Traceback = False,
) -> None:
    """Build a TensorRT engine, or find the existing one. Prints its path."""
    from ...trt import find_builder, get_gpu_name, get_or_build_engine

    display = open_display(options.parse_display_mode(progress))
    display.start_node("TensorRT engine")
    package, build_target = find_builder(target, get_gpu_name("auto"))
    engine = get_or_build_engine(
        _open_engine_source(source, tile, models_dir, half=half, static=static),
        build_target,
        package,
        workspace,
        out,
        display.track_progress,
    )
    display.show_message("Built." if engine.is_new else "The existing engine is up to date.")
    typer.echo(engine.path)


def export_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Catalog id or weight file.")],
    out: Annotated[Path | None, typer.Option("-o", "--output", help="ONNX file to write (default: ./MODEL.onnx).")] = None,
    half: Half = False,
    tile: Annotated[
        int,
        typer.Option("--tile", min=0, help="Side of the model's input in pixels for a graph of one size; 0 means any size."),
    ] = 0,
    models_dir: options.ModelsDir = None,
    traceback: options.Traceback = False,
) -> None:
    """Write a model as ONNX and check it against torch. Prints its path."""
    from ...models import export_onnx, write_onnx

    upscale_model = _load_upscale_model(model, models_dir)
    out = out or Path(f"{Path(model).stem}.onnx")
    max_difference = write_onnx(out, export_onnx(upscale_model, size=(tile, tile) if tile else None, half=half), upscale_model)
    open_display("none").show_message(f"It differs from torch in fp32 by at most {max_difference:.2g} of 1.")
    typer.echo(out)


def _open_engine_source(name: str, tile: int, models_dir: list[Path] | None, *, half: bool, static: bool) -> EngineSource:
    from ...models import hash_weights
    from ...trt import make_source_from_model, make_source_from_onnx

    if name.lower().endswith(".onnx"):
        if half:
            raise WorkflowError(
                "The precision of an ONNX file cannot be changed.",
                "Leave --fp16 out, or export it in half precision: python -m runtime export MODEL --fp16",
            )
        return make_source_from_onnx(Path(name), tile, fixed=static)
    model = _load_upscale_model(name, models_dir)
    return make_source_from_model(model, hash_weights(model.descriptor), tile, half=half, fixed=static)


def _load_upscale_model(name: str, models_dir: list[Path] | None) -> UpscaleModel:
    from ...models import UpscaleModel, load_model

    path = Path(name)
    if path.is_file() and path.suffix.lower() not in WEIGHT_SUFFIXES:
        kinds = ", ".join(WEIGHT_SUFFIXES)
        raise UnsupportedModel(
            f"{path} is not a weight file.", f"Use a catalog id or a file with one of the suffixes {kinds}.", path=path
        )
    folders = RunOptions(models_dirs=tuple(models_dir or ())).resolve_model_folders()
    if path.is_file():  # any folder is allowed, because `export` and `trt-build` only read it
        name, folders = path.name, (path.resolve().parent,)
    return UpscaleModel.from_descriptor(load_model(find_model(name, folders)))
