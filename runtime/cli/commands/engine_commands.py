"""``trt-build`` and ``export``: a model for other programs to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import UnsupportedModel, WorkflowError
from ...file_types import WEIGHT_SUFFIXES
from ...models.locate import find_model
from ..display import open_display
from ..run_options import RunOptions
from . import options

if TYPE_CHECKING:
    from ...models.upscale_model import UpscaleModel
    from ...trt.engine_source import EngineSource

Half = Annotated[bool, typer.Option("--fp16", help="In half precision.")]
Static = Annotated[bool, typer.Option("--static", help="For this one size, and no smaller one.")]


def build_trt_engine(
    source: Annotated[str, typer.Argument(metavar="MODEL|FILE.onnx", help="A catalog id, a file of weights, or ONNX.")],
    out: Annotated[Path | None, typer.Option("-o", "--output", help="The engine; the cache folder otherwise.")] = None,
    half: Half = False,
    tile: Annotated[int, typer.Option("--tile", min=1, help="Largest tile, without its halo, in source pixels.")] = 512,
    static: Static = False,
    workspace: Annotated[int, typer.Option("--workspace", min=0, metavar="MB", help="For the builder; 0 is all.")] = 0,
    target: Annotated[
        str, typer.Option("--target", help="Compute capabilities, as sm_89,sm_120; this machine's GPU else.")
    ] = "",
    models_dir: options.ModelsDir = None,
    progress: options.ProgressMode = "auto",
    traceback: options.Traceback = False,
) -> None:
    """Build a TensorRT engine, or find that it is there already. Prints where it is."""
    from ...trt.get_or_build import get_gpu_name, get_or_build_engine
    from ...trt.target_gpu import find_builder

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
    display.show_message("Built." if engine.is_new else "It was built before and is as it should be.")
    typer.echo(engine.path)


def export_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A catalog id or a file of weights.")],
    out: Annotated[Path | None, typer.Option("-o", "--output", help="The ONNX file (default: ./MODEL.onnx).")] = None,
    half: Half = False,
    tile: Annotated[
        int, typer.Option("--tile", min=0, help="Side that the network sees, for a graph of one size; 0 is any size.")
    ] = 0,
    models_dir: options.ModelsDir = None,
    traceback: options.Traceback = False,
) -> None:
    """Write a model as ONNX, checked against torch. Prints where it is."""
    from ...models.onnx_export import export_onnx, write_onnx

    upscale_model = _load_upscale_model(model, models_dir)
    out = out or Path(f"{Path(model).stem}.onnx")
    max_difference = write_onnx(out, export_onnx(upscale_model, size=(tile, tile) if tile else None, half=half), upscale_model)
    open_display("none").show_message(f"It differs from torch in fp32 by at most {max_difference:.2g} of 1.")
    typer.echo(out)


def _open_engine_source(name: str, tile: int, models_dir: list[Path] | None, *, half: bool, static: bool) -> EngineSource:
    from ...models.load import hash_weights
    from ...trt.engine_source import make_source_from_model, make_source_from_onnx

    if name.lower().endswith(".onnx"):
        if half:
            raise WorkflowError(
                "An ONNX file has the precision that it was written in.",
                "Leave --fp16 out, or write one in half precision: python -m runtime export MODEL --fp16",
            )
        return make_source_from_onnx(Path(name), tile, fixed=static)
    model = _load_upscale_model(name, models_dir)
    return make_source_from_model(model, hash_weights(model.descriptor), tile, half=half, fixed=static)


def _load_upscale_model(name: str, models_dir: list[Path] | None) -> UpscaleModel:
    from ...models.load import load_model
    from ...models.upscale_model import UpscaleModel

    path = Path(name)
    if path.is_file() and path.suffix.lower() not in WEIGHT_SUFFIXES:
        kinds = ", ".join(WEIGHT_SUFFIXES)
        raise UnsupportedModel(
            f"{path} is no file of weights.", f"Give a catalog id or a file that ends in {kinds}.", path=path
        )
    folders = RunOptions(models_dirs=tuple(models_dir or ())).resolve_model_folders()
    if path.is_file():  # weights anywhere on the disk, as `export` and `trt-build` only read them
        name, folders = path.name, (path.resolve().parent,)
    return UpscaleModel.from_descriptor(load_model(find_model(name, folders)))
