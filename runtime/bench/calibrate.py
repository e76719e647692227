"""Measure memory and time of the models that come with the pack on every backend that works here, and report the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np
import psutil
import torch

from ..errors import HardwareMissing, ModelError, ModelNotFound, WorkflowError
from ..hardware import (
    Calibration,
    CalibrationSubject,
    Machine,
    Measurement,
    NetworkProfile,
    load_calibration,
    make_subject,
    measure_tiles,
    store_calibration,
)
from ..models import Descriptor, UpscaleModel, find_model, load_model
from ..progress import OpenProgress
from ..upscale import BACKENDS, open_backend, resolve_device, resolve_precision, reuse_freed_memory

CALIBRATION_MODELS = {"realesr-animevideov3": (128, 192, 256), "realesrgan-x4plus": (48, 72, 96)}
"""Models to measure, and the sides of their tiles on a CPU: some seconds in all."""
_GPU_TILE_SIDES = (128, 256, 384)


def describe_network(descriptor: Descriptor) -> NetworkProfile:
    """Describe a loaded model."""
    model = UpscaleModel.from_descriptor(descriptor)
    entry = model.provenance.entry if model.provenance else None
    title = entry.title if entry else f"{model.architecture} x{model.scale}"
    return NetworkProfile(title, model.architecture, model.scale, model.halo, model.half_safe)


def calibrate_models(
    machine: Machine, device: str, folders: Sequence[Path], on_message: Callable[[str], None], *, remeasure: bool = True
) -> None:
    """Measure ``CALIBRATION_MODELS`` on every backend that opens here and store the result in the cache folder.

    ``remeasure=False`` skips what was measured before. Raises ``HardwareMissing`` for a device that is not available.
    """
    known: Calibration = {} if remeasure else load_calibration()
    found: dict[CalibrationSubject, Measurement] = {}
    for name, sides in CALIBRATION_MODELS.items():
        try:
            model = UpscaleModel.from_descriptor(load_model(find_model(name, folders)))
        except ModelNotFound as error:
            on_message(str(error))
            continue
        for subject, measurement in _measure_backends(machine, model, device, sides, known):
            found[subject] = measurement
            on_message(
                f"{name} by {subject.backend} in {subject.precision}: {measurement.bytes_per_pixel:,.0f} bytes per pixel, "
                f"{measurement.seconds_per_megapixel:.2f} s per million pixels."
            )
    if found and store_calibration(found) is None:
        on_message("The measurement cannot be stored: the cache folder is not writable. See: python -m runtime doctor")


def _measure_backends(
    machine: Machine, model: UpscaleModel, device: str, sides: Sequence[int], known: Calibration
) -> Iterator[tuple[CalibrationSubject, Measurement]]:
    torch_device = resolve_device(device)
    precision = resolve_precision("auto", model, torch_device)
    sides = sides if torch_device.type == "cpu" else _GPU_TILE_SIDES
    tiles = np.random.default_rng(8).random((1, max(sides), max(sides), 3), np.float32)
    for backend_name in (spec.name for spec in BACKENDS.values() if spec.can_calibrate):
        subject = make_subject(machine, str(torch_device), model.architecture, model.scale, backend_name, precision)
        if subject in known:
            continue
        try:
            backend_instance = open_backend(backend_name, model, torch_device, precision)
        except (HardwareMissing, ModelError, WorkflowError):  # not installed, or not for this network or device
            continue
        with closing(backend_instance) as backend, reuse_freed_memory() if torch_device.type == "cpu" else nullcontext():

            def run_tile(side: int) -> None:
                backend.run(np.ascontiguousarray(tiles[:, :side, :side]))

            yield subject, measure_tiles(run_tile, _make_memory_reader(torch_device), sides)


def _make_memory_reader(torch_device: torch.device) -> Callable[[], int]:
    """Return a function that reads the used memory: of a CUDA GPU by all programs, because TensorRT does not allocate through
    torch; otherwise of this process."""
    if torch_device.type == "cuda":
        return lambda: torch.cuda.mem_get_info(torch_device)[1] - torch.cuda.mem_get_info(torch_device)[0]
    if torch_device.type == "mps":
        return torch.mps.driver_allocated_memory
    if torch_device.type == "xpu":
        return lambda: torch.xpu.memory_reserved(torch_device)
    process = psutil.Process()
    return lambda: process.memory_info().rss


def calibrate_with_progress(machine: Machine, device: str, folders: Sequence[Path], open_progress: OpenProgress) -> None:
    """Measure what was not measured before, with a progress display."""
    with open_progress(len(CALIBRATION_MODELS), "model") as progress:
        calibrate_models(machine, device, folders, progress.message, remeasure=False)
