"""Measure time and peak memory of a block of code, describe the machine, and make the test images."""

from __future__ import annotations

import datetime
import gc
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, log10
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from ..hardware import Gpu, Machine, PeakSampler, detect_machine
from ..media import Floats, Size
from ..upscale import return_freed_memory

if TYPE_CHECKING:
    import av

_INTERVAL_SECONDS = 0.005
"""Seconds between two memory samples; a layer that matters takes longer."""


@dataclass
class ResourceCost:
    """Time and memory, set when the block ends. Bytes are relative to the start of the block."""

    seconds: float = 0.0
    peak_bytes: int = 0
    device_bytes: int | None = None
    """Bytes of all programs on this GPU, from the driver, as NVML shows them; None without such a GPU."""


@contextmanager
def measure_cost(device: torch.device) -> Generator[ResourceCost]:
    """Measure the ``with`` block: on an NVIDIA or AMD GPU by torch's allocator and the driver, otherwise by the resident set.

    Unused memory is released first, so that two runs in one process can be compared.
    """
    cost = ResourceCost()
    gc.collect()
    on_gpu = device.type == "cuda"
    with (_measure_device_memory if on_gpu else _measure_resident_set)(device, cost):
        began = time.perf_counter()
        try:
            yield cost
        finally:
            if on_gpu:
                torch.cuda.synchronize(device)
            cost.seconds = time.perf_counter() - began


@contextmanager
def _measure_device_memory(device: torch.device, cost: ResourceCost) -> Generator[None]:
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    with PeakSampler(lambda: _read_used_memory(device), _INTERVAL_SECONDS) as sampler:
        yield
    cost.peak_bytes = max(torch.cuda.max_memory_allocated(device) - before, 0)
    cost.device_bytes = sampler.growth


@contextmanager
def _measure_resident_set(device: torch.device, cost: ResourceCost) -> Generator[None]:
    return_freed_memory()
    process = psutil.Process()
    with PeakSampler(lambda: process.memory_info().rss, _INTERVAL_SECONDS) as sampler:
        yield
    cost.peak_bytes = sampler.growth


def _read_used_memory(device: torch.device) -> int:
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def describe_machine(device: str = "auto") -> tuple[str, dict[str, Any]]:
    """Return this machine as one line for ``device``, and as plain values. Raises ``HardwareMissing`` for a missing device."""
    detected = detect_machine(ask_torch=True)
    facts = {name: value for name, value in detected.as_json().items() if name != "disks"}
    return _format_machine(detected, detected.find_gpu(device)), facts


def _format_machine(detected: Machine, gpu: Gpu | None) -> str:
    cpu = f"{detected.cpu.model}, {detected.cpu.cores} cores"
    torch = f"torch {detected.versions.get('torch', '?')}"
    return ", ".join([f"{gpu.name}, {cpu}" if gpu else cpu, detected.system, torch])


def format_now() -> str:
    """Return the local time, to the minute."""
    return datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")


def make_test_pattern(size: Size, frame: int = 0, *, noise: float = 0.05, seed: int = 8) -> NDArray[np.float64]:
    """Return (H, W, 3) in 0..1 with edges, gradients and noise. Each ``frame`` of a video moves the pattern by 3 pixels."""
    y, x = np.mgrid[0 : size.height, 0 : size.width].astype(np.float32)
    moved_x = x + 3 * frame
    rings = np.sin((moved_x**2 + y**2) / 4000)
    waves = np.sin(moved_x / 17) * np.cos(y / 23)
    colors = np.stack([rings, waves, x / size.width * 2 - 1], axis=2) * 0.45 + 0.5
    return np.clip(colors + np.random.default_rng(seed).normal(0, noise, colors.shape), 0, 1)


def make_test_image(size: Size) -> Floats:
    """Return the test pattern as float32."""
    return make_test_pattern(size).astype(np.float32)


def compute_psnr(first: NDArray[Any], second: NDArray[Any], peak: float = 1.0, *, if_equal: float = inf) -> float:
    """Return the PSNR of two arrays in dB, relative to ``peak``; ``if_equal`` if they are equal."""
    mean_square = float(np.mean(np.square(np.subtract(first, second, dtype=np.float32)), dtype=np.float64))
    return 10 * log10(peak**2 / mean_square) if mean_square > 0 else if_equal


def make_noise_frame(pixel_format: str, size: Size, seed: int) -> av.VideoFrame:
    """Return a frame of planes with all codes of its bit depth."""
    import av

    frame = av.VideoFrame(size.width, size.height, pixel_format)
    bits = frame.format.components[0].bits
    rng = np.random.default_rng(seed)
    for plane in frame.planes:
        codes = np.frombuffer(memoryview(plane), np.uint8 if bits == 8 else np.uint16)
        codes[:] = rng.integers(0, 2**bits, codes.shape)
    return frame
