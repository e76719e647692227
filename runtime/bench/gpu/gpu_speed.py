"""``bench gpu``: the speed of our way to run a model and of ComfyUI's on an NVIDIA GPU, in one process, in turn."""

import json
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import torch

from ...comfyui import upscale_with_model
from ...errors import HardwareMissing
from ...media import ColorInfo, DeviceFrame, PlanarFrame, Region, Size
from ...models import Descriptor, UpscaleModel
from ...progress import SilentProgress, open_silent_progress
from ...upscale import (
    DeviceResult,
    HostResult,
    TiledUpscaleSettings,
    Tiling,
    TorchBackend,
    Transfer,
    group_new_frames,
    no_progress,
    plan_scale,
    resolve_precision,
    resolve_settings,
    upscale_batch,
)
from ...video import ChromaSiting, RgbToYuv, YuvToRgb, parse_pixel_format
from ..measure import compute_psnr, make_noise_frame, make_test_image
from ..worker_jobs import parse_size

MACS_PER_PIXEL = {"realesrgan-x4plus": 17_926_848, "realesr-animevideov3": 619_200}
"""Multiply-adds per source pixel, counted from the layers; each is two operations."""
_CEILING_SIDE, _CEILING_TURNS = 8192, 20
_CHECKED_SIDE = 192
FEW = 32
"""Side of a frame whose calls are counted: enough rows for as many strips as a large frame has."""


@dataclass(frozen=True)
class GpuFigures:
    """Figures of one model. Seconds are medians per frame. The ceiling is a large fp16 matrix product on the same GPU."""

    model: str
    size: str
    gpu: str
    tile: int
    fp16_db: float
    graphs_identical: bool
    network_seconds: float
    ours_seconds: float
    comfyui_seconds: float
    teraflops: float | None
    ceiling_teraflops: float
    peak_bytes: int

    @property
    def ratio(self) -> float:
        return self.comfyui_seconds / self.ours_seconds

    @property
    def share_of_ceiling(self) -> float | None:
        return self.teraflops / self.ceiling_teraflops if self.teraflops else None

    def as_json(self) -> str:
        return json.dumps({**asdict(self), "ratio": self.ratio, "share_of_ceiling": self.share_of_ceiling}, indent=2)

    def as_text(self) -> str:
        share = (
            f", {self.share_of_ceiling:.0%} of the {self.ceiling_teraflops:.0f} TFLOP/s of a matrix product"
            if self.teraflops
            else ""
        )
        return "\n".join(
            [
                f"{self.model}, {self.size}, {self.gpu}, tile {self.tile}",
                f"  fp16 against fp32: {self.fp16_db:.1f} dB; CUDA graph and direct runs identical: {self.graphs_identical}",
                f"  tile by tile, to the GPU and back: {1 / self.network_seconds:.2f} frames per second{share}",
                f"  TiledUpscale, from and to the computer's memory: {1 / self.ours_seconds:.2f} frames per second",
                f"  ComfyUI's node (fp32, tiles of 512 with 32 overlap, joined on the CPU): {1 / self.comfyui_seconds:.2f}",
                f"  ours is {self.ratio:.1f} times as fast; peak GPU memory {self.peak_bytes / 1e9:.2f} GB",
            ]
        )


def measure_gpu(name: str, descriptor: Descriptor, size: str, *, runs: int, on_message: Callable[[str], None]) -> GpuFigures:
    """Measure one frame of ``size``, ``runs`` times each in turn after a warm-up. Raises ``HardwareMissing``."""
    require_gpu()
    frame_size = parse_size(size)
    model, pixels = UpscaleModel.from_descriptor(descriptor), make_test_image(frame_size)
    image = torch.as_tensor(pixels)[None]
    tile = resolve_settings(model, TiledUpscaleSettings("model scale", "cuda")).tiling.tile
    on_message("Correctness")
    fp16_db, identical = _check_correctness(model, pixels[:_CHECKED_SIDE, :_CHECKED_SIDE])
    ours, theirs, peak = list[float](), list[float](), 0
    for turn in range(runs + 1):
        on_message(f"Frame {turn} of {runs}" if turn else "Warm-up")
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        first = _time_seconds(
            lambda: upscale_batch(image, descriptor, TiledUpscaleSettings("model scale", "cuda"), open_silent_progress)
        )
        peak = torch.cuda.max_memory_allocated()
        second = _time_seconds(lambda: upscale_with_model(image, descriptor, "cuda", open_silent_progress))
        if turn:
            ours.append(first)
            theirs.append(second)
    network = _time_network(model, pixels, tile)
    macs = MACS_PER_PIXEL.get(name)
    return GpuFigures(
        model=name,
        size=size,
        gpu=torch.cuda.get_device_name(),
        tile=tile,
        fp16_db=fp16_db,
        graphs_identical=identical,
        network_seconds=network,
        ours_seconds=statistics.median(ours),
        comfyui_seconds=statistics.median(theirs),
        teraflops=2 * macs * frame_size.pixel_count / network / 1e12 if macs else None,
        ceiling_teraflops=_measure_ceiling(),
        peak_bytes=peak,
    )


def require_gpu() -> None:
    """Raise ``HardwareMissing`` without an NVIDIA GPU."""
    if not torch.cuda.is_available():
        raise HardwareMissing(
            "There is no NVIDIA GPU that torch can use.",
            "Run it on a machine with one. See: python -m runtime probe",
            feature="cuda",
        )


def _check_correctness(model: UpscaleModel, crop: Any) -> tuple[float, bool]:
    """Return the PSNR of fp16 against fp32 on the CPU, and whether a CUDA graph and a direct run give the same tile."""
    batch = np.ascontiguousarray(crop[None])
    other = np.ascontiguousarray(batch[:, ::-1])
    with closing(_open_torch(model)) as half, closing(TorchBackend(model, torch.device("cpu"), "fp32")) as full:
        plain = half.run(batch)
        for _ in range(2):  # the third run of one shape is recorded as a graph
            half.run(other)
        replayed = half.run(batch)
        fp16_db = compute_psnr(plain, full.run(batch), if_equal=99.0)
    return fp16_db, bool(np.array_equal(plain, replayed))


def _time_network(model: UpscaleModel, pixels: Any, tile: int) -> float:
    """Return the seconds for as many pixels as a frame has, in tiles of one shape, to the GPU and back, without halos."""
    batch = np.ascontiguousarray(pixels[None, :tile, :tile])
    with closing(_open_torch(model)) as backend:
        for _ in range(4):
            backend.run(batch)
        each = statistics.median(_time_seconds(lambda: backend.run(batch)) for _ in range(10))
    return each * pixels.shape[0] * pixels.shape[1] / (batch.shape[1] * batch.shape[2])


def _open_torch(model: UpscaleModel) -> TorchBackend:
    """Open the torch backend on the GPU in the precision of ``auto``."""
    device = torch.device("cuda")
    return TorchBackend(model, device, resolve_precision("auto", model, device))


def _measure_ceiling() -> float:
    """Return the TFLOP/s of an fp16 matrix product, the highest speed that this GPU reaches in practice."""
    matrix = torch.randn((_CEILING_SIDE, _CEILING_SIDE), device="cuda", dtype=torch.float16)
    _ = matrix @ matrix
    seconds = _time_seconds(lambda: [matrix @ matrix for _ in range(_CEILING_TURNS)])
    return 2 * _CEILING_SIDE**3 * _CEILING_TURNS / seconds / 1e12


def _time_seconds(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


class _NoTimeBackend:
    """Returns the same pixels at once, in host memory or on the device."""

    def __init__(self, scale: int) -> None:
        self.warnings: list[str] = []
        self._scale = scale
        self._pixels: np.ndarray[Any, np.dtype[np.float32]] = np.zeros(0, np.float32)

    def run(self, batch: Any, on_progress: Callable[[float], None] = no_progress) -> Any:
        shape = (batch.shape[0], batch.shape[1] * self._scale, batch.shape[2] * self._scale, 3)
        if self._pixels.shape != shape:
            self._pixels = np.full(shape, 0.5, np.float32)
        return self._pixels

    def run_on_device(self, tiles: torch.Tensor, *, checked: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        shape = (len(tiles), 3, tiles.shape[2] * self._scale, tiles.shape[3] * self._scale)
        return torch.full((), 0.5).expand(shape), torch.tensor(True)

    def close(self) -> None:
        return None


def _is_unchanged(padded: Region) -> bool:
    return False


def measure_host_time(descriptor: Descriptor, size: Size, *, frames: int) -> dict[str, float]:
    """Return the median processor seconds for a frame of ``size``, to the planes of the encoder, if the model takes no time.

    On a device that takes none either, they are ``frames``, comparison and copies of the decoded planes, and ``calls`` of
    torch: those for a whole frame, on tensors of a few pixels; both in the model's thread. ``host`` has the result in host
    memory, in all threads. Two tiles a frame.
    """
    model = UpscaleModel.from_descriptor(descriptor)
    decoded = [_decode_noise(size, seed) for seed in range(2)]
    seconds: dict[str, list[float]] = {"frames": [], "calls": [], "host": []}
    transfer, began = Transfer(torch.device("cpu")), time.thread_time()
    for group in group_new_frames((decoded[number % 2] for number in range(frames + 1)), 1):
        transfer.start_upload(group[0][0].find_samples())
        seconds["frames"].append(time.thread_time() - began)
        began = time.thread_time()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # no call waits for another thread
    seconds["calls"] = _time_frames(model, [_decode_noise(Size(FEW, FEW), seed) for seed in range(2)], frames, on_device=True)
    torch.set_num_threads(threads)
    seconds["host"] = _time_frames(model, decoded, frames, on_device=False)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


def _decode_noise(size: Size, seed: int) -> PlanarFrame:
    """Return a frame as the decoder gives it, whose pixels are converted already: that is the work of the decoder's thread."""
    frame, format_ = make_noise_frame("yuv420p", size, seed), parse_pixel_format("yuv420p")
    assert format_
    convert = YuvToRgb(format_, ColorInfo(), ChromaSiting())
    layout = convert.find_layout(size)
    assert layout
    decoded = PlanarFrame(layout, tuple(convert.extract_planes(frame)), partial(convert, frame), 0, 0, Fraction(1))
    _ = decoded.pixels
    return decoded


def _time_frames(model: UpscaleModel, decoded: list[PlanarFrame], frames: int, *, on_device: bool) -> list[float]:
    size, backend = decoded[0].size, _NoTimeBackend(model.scale)
    plan, tiling = plan_scale(size, model.scale, "model scale"), Tiling(max(size.width // 2, 16), model.halo)
    rgb_to_yuv = RgbToYuv("yuv420p10le", ColorInfo(), plan.final_size)
    layout = rgb_to_yuv.plane_layout
    assert layout
    result = (
        DeviceResult(model, backend, plan, torch.device("cpu")) if on_device else HostResult(model, backend, plan, linear=False)
    )
    clock = time.thread_time if on_device else time.process_time  # the host packs in other threads
    seconds: list[float] = []
    for number in range(frames + 1):
        began = clock()
        frame = decoded[number % 2]
        image: Any = result.prepare(frame)
        result.upscale(image, tiling, SilentProgress(), _is_unchanged)
        finished = result.make_frame(frame)
        _ = finished.image.download_planes(layout) if isinstance(finished, DeviceFrame) else rgb_to_yuv(finished.pixels)
        seconds.append(clock() - began)
    return seconds
