"""Read ncnn's two files (text ``.param``, binary ``.bin``) as a state dict with the official key names.

Source: the wiki page "param-and-model-file-structure" of Tencent/ncnn. The ``.bin`` contains the weights of each layer in the
order of the ``.param``. A convolution is a 4-byte flag for the storage type of its kernel (fp16 and fp32 are supported), the
kernel, padded to 4 bytes, and an fp32 bias. A PReLU is its fp32 slopes, a MemoryData its fp32 values.

Three networks are recognised by their layers: SRVGGNetCompact (convolutions and PReLUs, then a pixel shuffle), RRDBNet, and
SPAN, whose layers must be exactly those of its authors' network.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch

from ...errors import ModelDamaged, UnsupportedModel

MAGIC = "7767517"
FLAG_FP32 = 0
FLAG_FP16 = 0x01306B47
WEIGHTLESS = frozenset({"Input", "Split", "Concat", "Eltwise", "BinaryOp", "Interp", "PixelShuffle", "Sigmoid", "Swish"})

# Keys of a layer's parameters in the .param, numbered by ncnn.
NUM_OUTPUT, KERNEL_W, BIAS_TERM, WEIGHT_COUNT, ACTIVATION, KERNEL_H, ACTIVATION_SLOPE = 0, 1, 5, 6, 9, 11, -23310
PRELU_SLOPES = 0
LEAKY_RELU = "2"
MEMORY_SHAPE = (0, 1, 11, 2)
BINARY_OPERATIONS = {0: "add", 1: "subtract", 2: "multiply"}
BINARY_HAS_SCALAR, BINARY_SCALAR = 1, 2

# SPAN of H. Yu et al., "Swift parameter-free attention network for efficient super-resolution", 2023.
_SPAN_BLOCKS = 6
_SPAN_BLOCK = ("Convolution", "Swish") * 2 + ("Convolution", "Sigmoid", "subtract 0.5", "add", "multiply")
_SPAN_END = ("Convolution", "Concat", "Convolution", "Convolution", "PixelShuffle")
_SPAN_MEAN = (0.4488, 0.4371, 0.4040)
_SPAN_RANGE = 255.0
_SPAN_GAIN = 2

StateDict = dict[str, torch.Tensor]


@dataclass(frozen=True)
class _Layer:
    kind: str
    name: str
    params: Mapping[int, str]

    def get_integer(self, key: int, default: int = 0) -> int:
        return int(self.params.get(key, default))


def read_ncnn(param: Path, weights: Path) -> StateDict:
    """Return the tensors of an ncnn model as float32 on the CPU, under the key names of its authors, ready for spandrel.

    Raises:
        ModelDamaged: A file is incomplete, or the two do not belong together.
        UnsupportedModel: The network is neither SRVGGNetCompact nor RRDBNet nor SPAN.
    """
    layers = _read_layers(param)
    reader = _WeightReader(weights)
    try:
        tensors = [read for layer in layers if (read := _read_layer(layer, reader, param))]
        reader.check_end()
        if any(layer.kind == "Swish" for layer in layers):
            return _convert_span(layers, tensors, param)
    except ValueError as error:
        raise _make_damaged_error(param, f"has a parameter that is not a number: {error}") from error
    names = _name_modules(layers, len(tensors), param)
    return {f"{name}.{key}": tensor for name, group in zip(names, tensors, strict=True) for key, tensor in group.items()}


def _read_layers(param: Path) -> list[_Layer]:
    try:
        lines = param.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _make_damaged_error(param, "is not the text file of an ncnn model") from error
    if not lines or lines[0].strip() != MAGIC:
        raise _make_damaged_error(param, f"does not start with ncnn's magic number {MAGIC}")
    try:
        layers = [_parse_layer(line) for line in lines[2:] if line.strip()]
        layer_count = int(lines[1].split()[0])
    except (IndexError, ValueError) as error:
        raise _make_damaged_error(param, "has a line that is not a layer of an ncnn model") from error
    if len(layers) != layer_count:
        raise _make_damaged_error(param, f"declares {layer_count} layers and contains {len(layers)}")
    return layers


def _parse_layer(line: str) -> _Layer:
    kind, name, inputs, outputs, *rest = line.split()
    pairs = [word.split("=", 1) for word in rest[int(inputs) + int(outputs) :]]
    return _Layer(kind, name, {int(key): value for key, value in pairs})


class _WeightReader:
    """Reads a ``.bin`` from start to end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._bytes = path.read_bytes()
        except OSError as error:
            raise _make_damaged_error(path, f"cannot be read ({error.strerror})") from error
        self._position = 0

    def read_values(self, count: int, dtype: str) -> torch.Tensor:
        """Return the next ``count`` values as float32, and skip to a multiple of 4 bytes."""
        size = np.dtype(dtype).itemsize * count
        self._check_available(size)
        values = np.frombuffer(self._bytes, dtype, count, self._position).astype(np.float32)
        self._position += size + (-size) % 4
        return torch.from_numpy(values)  # pyright: ignore[reportUnknownMemberType]

    def read_flag(self) -> int:
        self._check_available(4)
        self._position += 4
        return int.from_bytes(self._bytes[self._position - 4 : self._position], "little")

    def check_end(self) -> None:
        remaining = len(self._bytes) - self._position
        if remaining:
            raise _make_damaged_error(self.path, f"has {remaining} bytes more than its .param describes")

    def _check_available(self, size: int) -> None:
        if size < 0 or self._position + size > len(self._bytes):
            raise _make_damaged_error(self.path, f"ends after {len(self._bytes)} bytes, in the middle of the weights")


def _read_layer(layer: _Layer, reader: _WeightReader, param: Path) -> StateDict:
    if layer.kind == "Convolution":
        return _read_convolution(layer, reader, param)
    if layer.kind == "PReLU":
        return {"weight": reader.read_values(layer.get_integer(PRELU_SLOPES), "<f4")}
    if layer.kind == "MemoryData":
        return {"data": reader.read_values(math.prod(layer.get_integer(key) or 1 for key in MEMORY_SHAPE), "<f4")}
    if layer.kind in WEIGHTLESS:
        return {}
    raise _make_unsupported_error(param, f"has a layer of kind {layer.kind} ({layer.name})")


def _read_convolution(layer: _Layer, reader: _WeightReader, param: Path) -> StateDict:
    outputs, width, count = (layer.get_integer(key) for key in (NUM_OUTPUT, KERNEL_W, WEIGHT_COUNT))
    height = layer.get_integer(KERNEL_H, width)
    per_input = outputs * height * width
    if per_input <= 0 or count <= 0 or count % per_input:
        raise _make_damaged_error(
            param, f"declares {count} weights for {layer.name}, not a {height}x{width} kernel with {outputs} outputs"
        )
    flag = reader.read_flag()
    if flag not in (FLAG_FP32, FLAG_FP16):
        raise _make_unsupported_error(param, f"stores {layer.name} in a format other than fp16 and fp32 (flag {flag:#010x})")
    kernel = reader.read_values(count, "<f2" if flag == FLAG_FP16 else "<f4")
    tensors = {"weight": kernel.reshape(outputs, count // per_input, height, width)}
    if layer.get_integer(BIAS_TERM):
        tensors["bias"] = reader.read_values(outputs, "<f4")
    return tensors


def _name_modules(layers: Sequence[_Layer], count: int, param: Path) -> list[str]:
    kinds = {layer.kind for layer in layers}
    if {"PReLU", "PixelShuffle"} <= kinds and "Concat" not in kinds:
        return [f"body.{index}" for index in range(count)]
    upsamplings = sum(layer.kind == "Interp" for layer in layers)
    blocks, remainder = divmod(count - 4 - upsamplings, 15)
    if "Concat" in kinds and "PReLU" not in kinds and blocks > 0 and remainder == 0 and _collect_leaky_slopes(layers) == {0.2}:
        return list(_iterate_rrdb_names(blocks, upsamplings))
    raise _make_unsupported_error(param, f"is neither SRVGGNetCompact nor RRDBNet nor SPAN ({count} layers with weights)")


def _iterate_rrdb_names(blocks: int, upsamplings: int) -> Iterator[str]:
    yield "conv_first"
    for block, dense, conv in product(range(blocks), (1, 2, 3), (1, 2, 3, 4, 5)):
        yield f"body.{block}.rdb{dense}.conv{conv}"
    yield "conv_body"
    yield from (f"conv_up{step}" for step in range(1, upsamplings + 1))
    yield from ("conv_hr", "conv_last")


def _convert_span(layers: Sequence[_Layer], tensors: Sequence[StateDict], param: Path) -> StateDict:
    """Return SPAN's tensors; each merged 3x3 convolution is written as the chain that spandrel merges again.

    Raises ``UnsupportedModel`` where a layer differs from the authors' network, or where the file subtracts another mean: that
    cannot be moved into the first convolution, which pads with zeros.
    """
    kinds = [_describe_operation(layer) for layer in layers if layer.kind != "Split"]
    body = ["Convolution", *_SPAN_BLOCK * _SPAN_BLOCKS, *_SPAN_END]
    start, steps = kinds[: -len(body)], kinds[-len(body) :]
    *head, last = start or [""]
    factor = float(last.removeprefix("multiply ")) if last.startswith("multiply ") else 1.0
    subtracting = head if last.startswith("multiply ") else start
    means = [group["data"] for group in tensors if "data" in group]
    is_known = subtracting in (["Input"], ["Input", "MemoryData", "subtract"]) and math.isfinite(factor)
    if steps != body or not is_known:
        raise _make_unsupported_error(param, "has the activations of SPAN, but not its layers")
    if any(mean.numel() != 3 or not torch.allclose(mean, torch.tensor(_SPAN_MEAN), atol=1e-6) for mean in means):
        raise _make_unsupported_error(param, "subtracts another mean than SPAN, which a file of weights cannot state")
    blocks = [f"block_{block}.c{conv}_r" for block, conv in product(range(1, _SPAN_BLOCKS + 1), (1, 2, 3))]
    names = ("conv_1", *blocks, "conv_2", "conv_cat", "upsampler.0")
    groups = dict(zip(names, (group for group in tensors if "weight" in group), strict=True))
    if means:
        groups["conv_1"]["weight"] *= factor / _SPAN_RANGE
    merged = {f"{name}.{key}": value for name in names[-2:] for key, value in groups[name].items()}
    for name in names[:-2]:
        merged |= {f"{name}.{key}": value for key, value in _split_merged_convolution(groups[name], param).items()}
    return merged if means else {**merged, "no_norm": torch.zeros(1)}


def _describe_operation(layer: _Layer) -> str:
    """Return the kind of a layer; of arithmetic the operation, with the number if one operand is a number."""
    if layer.kind != "BinaryOp":
        return layer.kind
    name = BINARY_OPERATIONS.get(layer.get_integer(0), layer.kind)
    return f"{name} {float(layer.params.get(BINARY_SCALAR, 0)):g}" if layer.get_integer(BINARY_HAS_SCALAR) else name


def _split_merged_convolution(group: StateDict, param: Path) -> StateDict:
    """Return 1x1, 3x3 and 1x1 convolutions that together are exactly the 3x3 one of ``group``: products with 1 and 0."""
    weight = group["weight"]
    outputs, inputs, height, width = weight.shape
    if (height, width) != (3, 3) or "bias" not in group:
        raise _make_unsupported_error(param, f"has a {height}x{width} convolution where SPAN has a 3x3 one with a bias")
    middle = torch.zeros(_SPAN_GAIN * outputs, _SPAN_GAIN * inputs, 3, 3)
    middle[:outputs, :inputs] = weight
    convs = {
        "sk": torch.zeros(outputs, inputs, 1, 1),
        "conv.0": torch.eye(_SPAN_GAIN * inputs, inputs)[:, :, None, None],
        "conv.1": middle,
        "conv.2": torch.eye(outputs, _SPAN_GAIN * outputs)[:, :, None, None],
    }
    tensors = {f"{name}.weight": conv.contiguous() for name, conv in convs.items()}
    tensors |= {f"{name}.bias": torch.zeros(len(conv)) for name, conv in convs.items()}
    return tensors | {"conv.2.bias": group["bias"], "eval_conv.weight": weight, "eval_conv.bias": group["bias"].clone()}


def _collect_leaky_slopes(layers: Sequence[_Layer]) -> set[float]:
    """Return the slopes of the activations fused into convolutions; NaN for another kind of activation."""
    fused = [layer.params for layer in layers if ACTIVATION in layer.params]
    return {
        float(params[ACTIVATION_SLOPE].split(",")[-1])
        if params[ACTIVATION] == LEAKY_RELU and ACTIVATION_SLOPE in params
        else float("nan")
        for params in fused
    }


def _make_damaged_error(path: Path, reason: str) -> ModelDamaged:
    return ModelDamaged(f"{path} {reason}.", "Download the .param and the .bin again.", path=path)


def _make_unsupported_error(path: Path, reason: str) -> UnsupportedModel:
    hint = "Use the .pth or .safetensors file of this model instead."
    return UnsupportedModel(f"The ncnn model {path} {reason}.", hint, path=path)
