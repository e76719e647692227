"""What an engine is built from: a loaded model, exported only when necessary, or an unchanged ONNX file."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from math import lcm
from pathlib import Path
from typing import Any

from ..errors import HardwareMissing, ModelDamaged, ModelNotFound, UnsupportedModel, WorkflowError
from ..models import ANY_SIZE, DEFAULT_HALO, UpscaleModel, export_onnx, get_exporter_version
from .engine_info import ShapeProfile, make_profile_for_fixed_size, make_profile_for_tile


@dataclass(frozen=True)
class EngineSource:
    """``make_onnx`` returns the ONNX bytes, which may take seconds; everything else is known without them."""

    title: str
    weights_sha256: str
    scale: int
    multiple: int
    precision: str
    shape_profile: ShapeProfile
    make_onnx: Callable[[], bytes]
    exporter: str = ""
    """While it is the same, so is the graph; otherwise the graph may still be the same."""


def make_source_from_model(model: UpscaleModel, weights_sha256: str, tile: int, *, half: bool, fixed: bool) -> EngineSource:
    """A model with the hash of its weights. A network whose graph is valid for one size only gets an engine for one size.

    Raises ``WorkflowError`` for half precision in which the network overflows, or for a tile below 32.
    """
    if half and not model.half_safe:
        raise WorkflowError(f"{model.architecture} overflows in fp16.", "Choose the precision fp32.")
    fixed = fixed or model.architecture not in ANY_SIZE
    shape_profile = make_profile_for_tile(tile, model.halo, lcm(model.window, model.multiple), fixed=fixed)
    return EngineSource(
        title=model.provenance.path.name if model.provenance else model.architecture,
        weights_sha256=weights_sha256,
        scale=model.scale,
        multiple=model.multiple,
        precision="fp16" if half else "fp32",
        shape_profile=shape_profile,
        make_onnx=lambda: export_onnx(model, size=shape_profile.max if fixed else None, half=half).content,
        exporter=get_exporter_version(),
    )


def make_source_from_onnx(path: Path, tile: int, *, fixed: bool) -> EngineSource:
    """An ONNX file that takes one image (1, C, h, w). Without the metadata that our export writes, the halo is 64.

    Raises ``ModelNotFound``, ``ModelDamaged`` if it is not an ONNX file, ``UnsupportedModel`` if it is not an upscaling model.
    """
    content, graph = _read_onnx(path)
    metadata = {entry.key.removeprefix("upscale8k."): entry.value for entry in graph.metadata_props}
    input_axes, half = _read_image_input(graph, path)
    multiple, halo = _get_number(metadata, "multiple", 1), _get_number(metadata, "halo", DEFAULT_HALO)
    size = (input_axes[2], input_axes[3])
    shape_profile = (
        make_profile_for_fixed_size(size, halo) if all(size) else make_profile_for_tile(tile, halo, multiple, fixed=fixed)
    )
    return EngineSource(
        title=path.name,
        weights_sha256=hashlib.sha256(content).hexdigest(),
        scale=_get_number(metadata, "scale", 0),
        multiple=multiple,
        precision="fp16" if half else "fp32",
        shape_profile=shape_profile,
        make_onnx=lambda: content,
    )


def _read_onnx(path: Path) -> tuple[bytes, Any]:
    if find_spec("onnx") is None:
        raise HardwareMissing("Reading ONNX needs the package onnx.", "Install it with: pip install onnx", feature="onnx")
    onnx: Any = import_module("onnx")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelNotFound(f"{path} cannot be read: {error.strerror}.", "Check the path.", path=path) from error
    try:
        graph = onnx.load_from_string(content)
        is_external = any(weight.data_location == onnx.TensorProto.EXTERNAL for weight in graph.graph.initializer)
        if not is_external:
            onnx.checker.check_model(graph)
    except Exception as error:  # protobuf and onnx raise their own classes, which need imports to be named
        raise ModelDamaged(
            f"{path} is not an ONNX file, or is incomplete.", "Export it again: python -m runtime export", path=path
        ) from error
    if is_external:
        raise UnsupportedModel(
            f"{path} stores its weights in another file.",
            "Save it as one file: python -c \"import onnx; onnx.save(onnx.load('many.onnx'), 'one.onnx')\"",
            path=path,
        )
    return content, graph


def _read_image_input(graph: Any, path: Path) -> tuple[list[int], bool]:
    """The dimensions of the only input, 0 where they are dynamic, and whether it is fp16."""
    onnx: Any = import_module("onnx")
    inputs = [value for value in graph.graph.input if value.name not in {weight.name for weight in graph.graph.initializer}]
    axes = [int(axis.dim_value) for axis in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    element_type = inputs[0].type.tensor_type.elem_type if inputs else 0
    half, full = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    if len(axes) != 4 or axes[1] not in (1, 3) or element_type not in (half, full):
        raise UnsupportedModel(
            f"{path} does not take one image (N, 3, h, w) in fp32 or fp16.", "Choose a super-resolution model.", path=path
        )
    return axes, bool(element_type == half)


def _get_number(metadata: dict[str, str], name: str, default: int) -> int:
    try:
        value: object = json.loads(metadata.get(name, ""))
    except ValueError:
        return default
    return value if isinstance(value, int) and value >= 0 else default
