"""Read ncnn's two files (text ``.param``, binary ``.bin``) as a state dict with the official key names.

Source: the wiki page "param-and-model-file-structure" of Tencent/ncnn. The ``.bin`` contains the weights of each layer in the
order of the ``.param``. A convolution is a 4-byte flag for the storage type of its kernel (fp16 and fp32 are supported), the
kernel, padded to 4 bytes, and an fp32 bias. A PReLU is its fp32 slopes.

Two networks are recognised by their layers: SRVGGNetCompact (convolutions and PReLUs, then a pixel shuffle) and RRDBNet.
"""

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
WEIGHTLESS = frozenset({"Input", "Split", "Concat", "Eltwise", "BinaryOp", "Interp", "PixelShuffle"})

# Keys of a layer's parameters in the .param, numbered by ncnn.
NUM_OUTPUT, KERNEL_W, BIAS_TERM, WEIGHT_COUNT, ACTIVATION, KERNEL_H, ACTIVATION_SLOPE = 0, 1, 5, 6, 9, 11, -23310
PRELU_SLOPES = 0
LEAKY_RELU = "2"

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
        UnsupportedModel: The network is neither SRVGGNetCompact nor RRDBNet.
    """
    layers = _read_layers(param)
    reader = _WeightReader(weights)
    try:
        tensors = [read for layer in layers if (read := _read_layer(layer, reader, param))]
    except ValueError as error:
        raise _make_damaged_error(param, f"has a parameter that is not a number: {error}") from error
    reader.check_end()
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
    raise _make_unsupported_error(param, f"is neither SRVGGNetCompact nor RRDBNet ({count} layers with weights)")


def _iterate_rrdb_names(blocks: int, upsamplings: int) -> Iterator[str]:
    yield "conv_first"
    for block, dense, conv in product(range(blocks), (1, 2, 3), (1, 2, 3, 4, 5)):
        yield f"body.{block}.rdb{dense}.conv{conv}"
    yield "conv_body"
    yield from (f"conv_up{step}" for step in range(1, upsamplings + 1))
    yield from ("conv_hr", "conv_last")


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
