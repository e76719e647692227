"""``trt-build`` and ``export``: a model for other programs to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import UnsupportedModel, WorkflowError
from ...models.catalog import WEIGHT_SUFFIXES
from ...models.locate import locate
from ..display import open_display
from ..session import Places
from . import options

if TYPE_CHECKING:
    from ...engines.source import Source
    from ...models.facts import UpscaleModel

Half = Annotated[bool, typer.Option("--fp16", help="In half precision.")]
Static = Annotated[bool, typer.Option("--static", help="For this one size, and no smaller one.")]


def trt_build(
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
    from ...engines.flavour import installed
    from ...engines.obtain import obtain
    from ...engines.target import target_for

    display = open_display(options.mode(progress))
    display.node("TensorRT engine")
    flavour = installed()
    aimed = target_for(target, flavour)
    found = obtain(
        _source(source, tile, models_dir, half=half, static=static), aimed, flavour, workspace, out, display.progress
    )
    display.say("Built." if found.built else "It was built before and is as it should be.")
    typer.echo(found.path)


def export(
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
    from ...models.export import export_onnx, write_onnx

    loaded = _model(model, models_dir)
    out = out or Path(f"{Path(model).stem}.onnx")
    found = write_onnx(out, export_onnx(loaded, size=(tile, tile) if tile else None, half=half), loaded)
    open_display("none").say(f"It differs from torch in fp32 by at most {found:.2g} of 1.")
    typer.echo(out)


def _source(name: str, tile: int, models_dir: list[Path] | None, *, half: bool, static: bool) -> Source:
    from ...engines.source import from_file, from_model
    from ...models.load import weights_hash

    if name.lower().endswith(".onnx"):
        if half:
            raise WorkflowError(
                "An ONNX file has the precision that it was written in.",
                "Leave --fp16 out, or write one in half precision: python -m runtime export MODEL --fp16",
            )
        return from_file(Path(name), tile, fixed=static)
    model = _model(name, models_dir)
    return from_model(model, weights_hash(model.descriptor), tile, half=half, fixed=static)


def _model(name: str, models_dir: list[Path] | None) -> UpscaleModel:
    from ...models.facts import UpscaleModel
    from ...models.load import load

    path = Path(name)
    if path.is_file() and path.suffix.lower() not in WEIGHT_SUFFIXES:
        kinds = ", ".join(WEIGHT_SUFFIXES)
        raise UnsupportedModel(
            f"{path} is no file of weights.", f"Give a catalog id or a file that ends in {kinds}.", path=path
        )
    folders = Places(models_dirs=tuple(models_dir or ())).model_folders()
    if path.is_file():  # weights anywhere on the disk, as `export` and `trt-build` only read them
        name, folders = path.name, (path.resolve().parent,)
    return UpscaleModel.of(load(locate(name, folders)))
