"""``bench limit``: how near a model comes to what this processor can do, in one run, and where the rest of the time goes.

The limit of a network is the rate of its own convolutions as torch computes them directly: each shape that occurs in a tile,
alone, on data of its own. A backend with fewer products, which ``auto`` may take in fp32, is measured too and can be beyond it.
All parts are timed in turn and the least of each counts, so that other programs slow down all of them alike.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from ..errors import WorkflowError
from ..media import ColorInfo, Size
from ..models import Descriptor, UpscaleModel
from ..progress import SilentProgress
from ..upscale import (
    MODEL_SCALE,
    REFERENCE_BACKEND,
    ResolvedPrecision,
    TiledUpscaleSettings,
    Tiling,
    open_backend,
    plan_scale,
    resolve_settings,
    reuse_freed_memory,
    upscale_image,
)
from ..video import RgbToYuv
from .measure import make_test_image
from .worker_jobs import parse_size

_MATRIX_SIDE = 2048
_COPIED_BYTES = 256 << 20
_DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
_STAGES = (
    ("convolution", ("convolution", "conv2d", "linear", "addmm", "matmul", "mm")),
    ("concatenation", ("cat",)),
    ("activation", ("relu", "gelu", "silu", "sigmoid", "tanh", "softmax")),
    ("resampling", ("upsample", "shuffle", "interpolate")),
    ("conversion", ("copy", "to", "contiguous", "clone")),
    ("sum and product", ("add", "sub", "mul", "div", "clamp")),
)
"""The first with a word that the operator's name contains; words of up to three letters must be the whole name."""

ConvShape = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], int]
"""Input (N, C, h, w), weights (out, in, h, w), stride, padding, groups."""


@dataclass(frozen=True)
class LimitFigures:
    """Least seconds for one tile."""

    model: str
    precision: str
    backend: str
    size: str
    operations: float
    """Of all convolutions; a multiply-add is two."""
    seconds: Mapping[str, float]
    """``convolutions`` alone, ``network``, ``image`` (from 8 to 16 bits, by the tile loop), ``planes`` (10 bits, 4:2:0)."""
    stages: Mapping[str, float]
    """Shares of the network's processor time by kind of operator."""

    @property
    def share_of_limit(self) -> float:
        return self.seconds["convolutions"] / self.seconds["network"]

    def as_text(self) -> str:
        rate = {name: self.operations / self.seconds[name] / 1e12 for name in ("convolutions", "network")}
        stages = ", ".join(f"{name} {share:.0%}" for name, share in sorted(self.stages.items(), key=lambda item: -item[1]))
        network = f"{self.model} {self.precision} {self.backend}, {self.size}"
        return "\n".join(
            [
                f"{network}: {self.share_of_limit:.0%} of the rate of its convolutions",
                f"  convolutions alone {rate['convolutions']:.2f} TFLOP/s, the network {rate['network']:.2f}",
                f"  seconds: {', '.join(f'{name} {value:.3f}' for name, value in self.seconds.items())}",
                f"  processor time of the network: {stages}",
            ]
        )


def measure_limits(models: Mapping[str, Descriptor], precisions: str, size: str, *, runs: int) -> Iterator[str]:
    """Yield the rates of this processor as a line of text, and then each of ``models``, by catalog id, in each precision.

    All parts run ``runs`` times on one tile of ``size`` (WIDTHxHEIGHT). Raises ``WorkflowError`` for a size or a precision that
    is none, or a precision that a model is not safe in.
    """
    wanted: list[ResolvedPrecision] = []
    for each in precisions.split(","):
        if each not in ("fp32", "bf16"):
            raise WorkflowError(f"Unknown precision {each!r}.", "Use fp32, bf16 or fp32,bf16.")
        wanted.append(each)
    tile_size = parse_size(size)
    yield measure_ceilings(runs)
    for name, descriptor in models.items():
        for precision in wanted:
            settings = TiledUpscaleSettings(MODEL_SCALE, "cpu", precision=precision)
            preferred = resolve_settings(UpscaleModel.from_descriptor(descriptor), settings).backend
            for backend in dict.fromkeys((REFERENCE_BACKEND, preferred)):
                yield measure_limit(name, descriptor, precision, tile_size, backend=backend, runs=runs).as_text()


def measure_ceilings(runs: int) -> str:
    """Return the rates of matrix products and of copies in memory, as a line of text."""
    matrices = {name: torch.ones((_MATRIX_SIDE, _MATRIX_SIDE), dtype=dtype) for name, dtype in _DTYPES.items()}
    source = torch.ones(_COPIED_BYTES, dtype=torch.uint8)
    target = torch.empty_like(source)
    works: dict[str, Callable[[], object]] = {name: (lambda each=each: each @ each) for name, each in matrices.items()}
    seconds = time_in_turn({**works, "copy": lambda: target.copy_(source)}, runs)
    rates = [f"{name} {2 * _MATRIX_SIDE**3 / seconds[name] / 1e12:.2f} TFLOP/s" for name in matrices]
    return f"matrix product: {', '.join(rates)}; memory, read and write: {2 * _COPIED_BYTES / seconds['copy'] / 1e9:.1f} GB/s"


def measure_limit(
    name: str, descriptor: Descriptor, precision: ResolvedPrecision, size: Size, *, runs: int, backend: str = REFERENCE_BACKEND
) -> LimitFigures:
    """Measure one tile on the CPU, all parts ``runs`` times in turn."""
    model = UpscaleModel.from_descriptor(descriptor)
    pixels = (make_test_image(size) * 255).astype(np.uint8)
    batch = (pixels / np.float32(255))[None].astype(np.float32)
    plan, tiling = plan_scale(size, model.scale, MODEL_SCALE), Tiling(max(*batch.shape[1:3]), model.halo)
    out = np.empty((plan.final_size.height, plan.final_size.width, 3), np.uint16)
    pack, progress = RgbToYuv("yuv420p10le", ColorInfo(), plan.final_size), SilentProgress()
    shapes = find_convolutions(descriptor, size.height, size.width)
    with reuse_freed_memory(), closing(open_backend(backend, model, torch.device("cpu"), precision)) as opened:
        seconds = time_in_turn(
            {
                **{str(shape): _make_convolution(shape, _DTYPES[precision]) for shape in shapes},
                "network": lambda: opened.run(batch),
                "image": lambda: upscale_image(pixels, model, opened, tiling, plan, out=out, progress=progress),
                "planes": lambda: pack(out),
            },
            runs,
        )
        stages = _profile_stages(lambda: opened.run(batch), is_all_torch=backend == REFERENCE_BACKEND)
    alone = sum(count * seconds[str(shape)] for shape, count in shapes.items())
    parts = {part: seconds[part] for part in ("network", "image", "planes")}
    operations = float(sum(count * count_operations(shape) for shape, count in shapes.items()))
    return LimitFigures(name, precision, backend, str(size), operations, {"convolutions": alone, **parts}, stages)


def find_convolutions(descriptor: Descriptor, height: int, width: int) -> Counter[ConvShape]:
    """Return how often each shape of convolution occurs for an input of that size; computes nothing."""
    found: Counter[ConvShape] = Counter()

    def record(layer: Any, inputs: tuple[torch.Tensor, ...], _: object) -> None:
        shapes = tuple(inputs[0].shape), tuple(layer.weight.shape)
        found[(*shapes, tuple(layer.stride), tuple(layer.padding), int(layer.groups))] += 1

    layers = [layer for layer in descriptor.model.modules() if isinstance(layer, torch.nn.Conv2d)]
    hooks = [layer.register_forward_hook(record) for layer in layers]
    try:
        with torch.inference_mode():
            state = {name: each.to("meta") for name, each in descriptor.model.state_dict().items()}
            torch.func.functional_call(descriptor.model, state, torch.empty((1, 3, height, width), device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _make_convolution(shape: ConvShape, dtype: torch.dtype) -> Callable[[], object]:
    (inputs, weights, stride, padding, groups) = shape
    data = torch.rand(inputs).to(dtype, memory_format=torch.channels_last)
    layer: Any = torch.nn.Conv2d(weights[1] * groups, weights[0], weights[2:], stride, padding, groups=groups)  # pyright: ignore[reportArgumentType]
    layer.to(dtype=dtype, memory_format=torch.channels_last)

    def run() -> None:
        with torch.inference_mode():
            layer(data)

    return run


def count_operations(shape: ConvShape) -> int:
    (count, _, height, width), (outputs, inputs, rows, columns), stride, padding, _ = shape
    out_height = (height + 2 * padding[0] - rows) // stride[0] + 1
    out_width = (width + 2 * padding[1] - columns) // stride[1] + 1
    return 2 * count * outputs * inputs * rows * columns * out_height * out_width


def time_in_turn(works: Mapping[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Return the least seconds of each of ``runs`` rounds, after one that does not count."""
    least = dict.fromkeys(works, float("inf"))
    for turn in range(runs + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            least[name] = min(least[name], time.perf_counter() - began) if turn else least[name]
    return least


def _profile_stages(work: Callable[[], object], *, is_all_torch: bool) -> dict[str, float]:
    """Return the share of each stage in the time of all operators that ``work`` runs, in all threads.

    Processor time outside torch's operators is that of another backend's convolutions.
    """
    untyped: Any = torch
    try:
        config = untyped._C._profiler._ExperimentalConfig(profile_all_threads=True)
    except TypeError:  # a torch that profiles its own thread only
        config = None
    with profile(activities=[ProfilerActivity.CPU], experimental_config=config) as profiler:
        began = time.process_time()
        work()
        seconds = time.process_time() - began
    times: Counter[str] = Counter()
    events: Any = profiler.key_averages()
    for event in events:
        times[find_stage(event.key)] += event.self_cpu_time_total
    if not is_all_torch:
        times["convolution"] += max(int(seconds * 1e6) - times.total(), 0)
    return {stage: value / times.total() for stage, value in times.items()}


def find_stage(operator: str) -> str:
    """Return the stage of an operator such as ``aten::cat``."""
    name = operator.rpartition("::")[2].strip("_")
    return next((stage for stage, words in _STAGES if any(_is_named(name, word) for word in words)), "other")


def _is_named(name: str, word: str) -> bool:
    return word in name if len(word) > 3 else word == name
