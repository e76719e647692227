"""Export a loaded model as ONNX, for OpenVINO, onnxruntime and TensorRT.

The graph maps ``input`` (N, 3, h, w) in 0..1 to ``output`` (N, 3, h * scale, w * scale), clamped to 0..1 as in spandrel.
Padding is not part of it: height and width must be multiples of ``UpscaleModel.multiple``.

torch's older exporter is used: for RRDB-23 it took 2 s and the one based on ``torch.export`` 26 s, with the same graph. Both
write the example's size into the graph of a network with windows, even if the axes are declared dynamic; the file of such a
network therefore has one size only.
"""

import hashlib
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch

from ..atomic_write import atomic_output
from ..errors import HardwareMissing, UnsupportedModel, WorkflowError
from .network_copy import copy_without_host_state
from .upscale_model import UpscaleModel

INPUT, OUTPUT = "input", "output"
OPSET = 17
ANY_SIZE = ("Compact", "ESRGAN")
"""Architectures of plain convolutions, whose graph is valid for every height and width."""

_EXAMPLE_SIDE = 32
_TOLERANCE = {False: 1e-4, True: 2e-2}
"""Largest allowed difference from torch in fp32, by whether the graph is in half precision."""
_NetworkCall = Callable[[torch.nn.Module, torch.Tensor], torch.Tensor]


class _ClampedNetwork(torch.nn.Module):
    """The network and the clamp that ends spandrel's own call."""

    def __init__(self, net: torch.nn.Module, call: _NetworkCall) -> None:
        super().__init__()
        self.net = net
        self._call = call

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._call(self.net, images).clamp(0, 1)


@dataclass(frozen=True)
class OnnxExport:
    """An ONNX file in memory. ``size`` is its only (height, width); None allows any multiple of ``model.multiple``."""

    content: bytes
    size: tuple[int, int] | None
    half: bool


@cache
def get_exporter_version() -> str:
    """Return a text that changes with everything that makes a graph: this file, torch and the networks of spandrel."""
    packages = f"{torch.__version__} {version('spandrel')}"
    return hashlib.sha256(Path(__file__).read_bytes() + packages.encode()).hexdigest()[:16]


def hash_graph(content: bytes) -> str:
    """Return a hash of all that an ONNX file computes: operators, wires and constants, but not the names that torch chose."""
    onnx: Any = import_module("onnx")
    graph = onnx.load_from_string(content).graph
    numbers: dict[str, int] = {}

    def number(names: Any) -> list[int]:
        return [numbers.setdefault(name, len(numbers)) for name in names]

    parts: list[object] = [number(value.name for value in graph.input)]
    for node in graph.node:
        parts += [node.domain, node.op_type, number(node.input), number(node.output)]
        parts += [each.SerializeToString(deterministic=True) for each in sorted(node.attribute, key=lambda each: each.name)]
    parts.append(number(value.name for value in graph.output))
    for weight in sorted(graph.initializer, key=lambda weight: numbers.get(weight.name, -1)):
        parts += number([weight.name])
        weight.ClearField("name")
        parts.append(hashlib.sha256(weight.SerializeToString(deterministic=True)).hexdigest())
    shapes = [value.type.SerializeToString(deterministic=True) for value in (*graph.input, *graph.output)]
    return hashlib.sha256(repr((parts, shapes)).encode()).hexdigest()


def export_onnx(model: UpscaleModel, *, size: tuple[int, int] | None = None, half: bool = False) -> OnnxExport:
    """Export ``model``, for one ``size`` (height, width) or for every size.

    Raises:
        HardwareMissing: The package onnx is not installed.
        WorkflowError: The network does not support the size, needs one, or overflows in half precision.
        UnsupportedModel: The exporter does not support the network.
    """
    if find_spec("onnx") is None:
        raise HardwareMissing("Writing ONNX needs the package onnx.", "Install it with: pip install onnx", feature="onnx")
    if half and not model.half_safe:
        raise WorkflowError(f"{model.architecture} overflows in fp16.", "Export it without --fp16.")
    if size is None and model.architecture not in ANY_SIZE:
        raise WorkflowError(
            f"The graph of a {model.architecture} network is valid for one tile size only.", "Set it with --tile N."
        )
    _check_multiple(size, model)
    content = _export_graph(model, size or _choose_example_size(model), fixed=size is not None, half=half)
    return OnnxExport(_add_metadata(content, model, half=half), size, half)


def measure_difference(export: OnnxExport, model: UpscaleModel) -> float:
    """Return the largest difference between the graph, run by onnxruntime on the CPU, and torch in fp32.

    A graph for every size is tested on another size than the exporter's example. Raises ``HardwareMissing`` without
    onnxruntime.
    """
    try:
        runtime: Any = import_module("onnxruntime")
    except ImportError as error:
        hint = "Install it with: pip install onnxruntime"
        raise HardwareMissing("Checking an ONNX file needs onnxruntime.", hint, feature="onnxruntime") from error
    height, width = export.size or (
        _choose_example_size(model)[0] + model.multiple,
        _choose_example_size(model)[1] + 3 * model.multiple,
    )
    image = torch.rand((1, model.input_channels, height, width), generator=torch.Generator().manual_seed(8))
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(export.content, options, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {INPUT: (image.half() if export.half else image).numpy()})
    net = _copy_to_cpu(model, half=False)
    with torch.inference_mode():
        expected = net(image)
    if tuple(result.shape) != tuple(expected.shape):
        return float("inf")
    return float((torch.as_tensor(result).float() - expected).abs().max())


def write_onnx(path: Path, export: OnnxExport, model: UpscaleModel) -> float:
    """Check the graph's structure, axes and result, write the file atomically, and return the difference from torch.

    Raises ``UnsupportedModel`` if the result differs from torch, ``OutputError`` if the file cannot be written.
    """
    onnx: Any = import_module("onnx")
    graph = onnx.load_from_string(export.content)
    onnx.checker.check_model(graph, full_check=True)
    _check_axes(graph, export, model)
    largest_difference = measure_difference(export, model)
    if not largest_difference <= _TOLERANCE[export.half]:
        raise UnsupportedModel(
            f"The exported {model.architecture} network differs from torch by {largest_difference:.3g}; nothing was written.",
            "Run it with the torch backend.",
        )
    with atomic_output(path, "Choose another file with -o.") as temp_file:
        temp_file.write_bytes(export.content)
    return largest_difference


def _export_graph(model: UpscaleModel, size: tuple[int, int], *, fixed: bool, half: bool) -> bytes:
    net = _copy_to_cpu(model, half=half)
    example = torch.zeros((1, model.input_channels, *size), dtype=torch.float16 if half else torch.float32)
    axes = {} if fixed else {INPUT: {0: "n", 2: "h", 3: "w"}, OUTPUT: {0: "n", 2: "H", 3: "W"}}
    file = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the old exporter, and Python numbers in graphs, which are checked
            torch.onnx.export(  # pyright: ignore[reportUnknownMemberType]
                net,
                (example,),
                cast("Any", file),  # accepts a file in memory, unlike its annotation
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes=axes,
            )
    except Exception as error:  # an unsupported operator can raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnsupportedModel(
            f"torch cannot export a {model.architecture} network to ONNX: {reason}.", "Run it with the torch backend."
        ) from error
    return file.getvalue()


def _copy_to_cpu(model: UpscaleModel, *, half: bool) -> torch.nn.Module:
    """Return a copy on the CPU; the descriptor itself does not change."""
    source = model.descriptor
    call = cast("_NetworkCall", source._call_fn)  # pyright: ignore[reportPrivateUsage]
    net = copy_without_host_state(source.model, source.model).cpu().float()
    return _ClampedNetwork(net.half() if half else net, call).eval().requires_grad_(False)


def _choose_example_size(model: UpscaleModel) -> tuple[int, int]:
    side = -(-max(_EXAMPLE_SIDE, model.minimum) // model.multiple) * model.multiple
    return side, side


def _check_multiple(size: tuple[int, int] | None, model: UpscaleModel) -> None:
    if size and any(side < max(model.minimum, 1) or side % model.multiple for side in size):
        raise WorkflowError(
            f"This network needs multiples of {model.multiple} pixels, not {size[1]}x{size[0]}.",
            f"Choose a tile that is a multiple of {model.multiple}.",
        )


def _check_axes(graph: Any, export: OnnxExport, model: UpscaleModel) -> None:
    """Raise ``UnsupportedModel`` if the exporter fixed an axis that was declared dynamic."""
    sides = [axis.dim_value for axis in graph.graph.input[0].type.tensor_type.shape.dim[2:]]
    if sides != list(export.size or (0, 0)):
        raise UnsupportedModel(
            f"The exporter wrote the size {sides[1]}x{sides[0]} into the graph of this {model.architecture} network.",
            "Export it for one tile size.",
        )


def _add_metadata(content: bytes, model: UpscaleModel, *, half: bool) -> bytes:
    """Add the origin of the weights and the requirements of the graph to the file's metadata."""
    onnx: Any = import_module("onnx")
    graph = onnx.load_from_string(content)
    graph.producer_name = "upscale8k"
    for key, value in build_metadata(model, half=half).items():
        graph.metadata_props.add(key=key, value=value)
    return graph.SerializeToString()


def build_metadata(model: UpscaleModel, *, half: bool) -> dict[str, str]:
    """Return the ``metadata_props`` of an ONNX file; numbers are JSON."""
    provenance = model.provenance
    return {
        "upscale8k.architecture": model.architecture,
        "upscale8k.scale": json.dumps(model.scale),
        "upscale8k.multiple": json.dumps(model.multiple),
        "upscale8k.window": json.dumps(model.window),
        "upscale8k.halo": json.dumps(model.halo),
        "upscale8k.precision": "fp16" if half else "fp32",
        "upscale8k.weights": provenance.path.name if provenance else "",
        "upscale8k.weights_sha256": provenance.sha256 if provenance else "",
        "upscale8k.licence": (provenance.licence if provenance else None) or "unknown",
    }
