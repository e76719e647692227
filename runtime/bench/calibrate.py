"""Measure memory and time of the models that come with the pack on every backend that works here, and report the machine."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import torch

from ..errors import HardwareMissing, ModelError, ModelNotFound, Upscale8KError, WorkflowError
from ..hardware import (
    Calibration,
    CalibrationSubject,
    Machine,
    Measurement,
    NetworkProfile,
    load_calibration,
    make_subject,
    measure_footprint,
    measure_in_turn,
    store_calibration,
)
from ..media import ColorInfo, Size
from ..models import Descriptor, UpscaleModel, find_model, load_model
from ..progress import OpenProgress
from ..upscale import (
    BACKENDS,
    KERNEL_NAMES,
    Backend,
    convert_to_planes,
    open_backend,
    resolve_device,
    resolve_precision,
    reuse_freed_memory,
)
from ..video import RgbToYuv

CALIBRATION_MODELS = {"realesr-animevideov3": (128, 192, 256), "realesrgan-x4plus": (48, 72, 96)}
"""Models to measure, and the sides of their tiles on a CPU: some seconds in all."""
_GPU_TILE_SIDES = (128, 256, 384)
_PLANES_SIZE = Size(7680, 4320)
_MAX_LOAD = 0.2
"""The largest load by other programs, as a fraction of all cores, at which times are worth measuring."""


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

    ``remeasure=False`` skips what was measured before. Raises ``HardwareMissing`` for a device that is not available, and
    ``Upscale8KError`` where other programs use the processor too much for a measurement.
    """
    known: Calibration = {} if remeasure else load_calibration()
    found: dict[CalibrationSubject, Measurement] = {}
    for name, sides in CALIBRATION_MODELS.items():
        try:
            model = UpscaleModel.from_descriptor(load_model(find_model(name, folders)))
        except ModelNotFound as error:
            on_message(str(error))
            continue
        for subject, measurement in _measure_backends(machine, model, device, sides, known).items():
            found[subject] = measurement
            on_message(
                f"{name} by {subject.backend} in {subject.precision}: {measurement.bytes_per_pixel:,.0f} bytes per pixel, "
                f"{measurement.seconds_per_megapixel:.2f} s per million pixels."
            )
    torch_device = resolve_device(device)
    if torch_device.type == "cuda" and find_spec("triton"):
        found |= (planes := measure_planes(machine, torch_device, known, _PLANES_SIZE))
        for subject, measurement in planes.items():
            seconds = measurement.seconds_per_megapixel * _PLANES_SIZE.pixel_count / 1e6
            on_message(f"Planes of {_PLANES_SIZE} by {subject.backend}: {seconds * 1e3:.2f} ms a frame.")
    if found and store_calibration(found) is None:
        on_message("The measurement cannot be stored: the cache folder is not writable. See: python -m runtime doctor")


def _measure_backends(
    machine: Machine, model: UpscaleModel, device: str, sides: Sequence[int], known: Calibration
) -> dict[CalibrationSubject, Measurement]:
    """Measure every backend that opens here, memory one by one, times in turn; nothing if all of them are ``known``."""
    torch_device = resolve_device(device)
    precision = resolve_precision("auto", model, torch_device)
    on_cpu = torch_device.type == "cpu"
    sides = sides if on_cpu else _GPU_TILE_SIDES
    tiles = np.random.default_rng(8).random((1, max(sides), max(sides), 3), np.float32)
    subjects = {
        spec.name: make_subject(machine, str(torch_device), model.architecture, model.scale, spec.name, precision)
        for spec in BACKENDS.values()
        if spec.can_calibrate and spec.is_installed()
    }
    if known.keys() >= set(subjects.values()):
        return {}
    _check_idle()
    with ExitStack() as opened, reuse_freed_memory() if on_cpu else nullcontext():
        backends: dict[str, Backend] = {}
        for name in subjects:
            try:
                backends[name] = opened.enter_context(closing(open_backend(name, model, torch_device, precision)))
            except (HardwareMissing, ModelError, WorkflowError):  # not installed, or not for this network or device
                continue
        read_memory, date = _make_memory_reader(torch_device), time.strftime("%Y-%m-%d")
        footprints = {
            name: measure_footprint(
                lambda side, one=one: one.run(np.ascontiguousarray(tiles[:, :side, :side])), read_memory, sides
            )
            for name, one in backends.items()
        }
        results = {name: one.run(tiles) for name, one in backends.items()}
        runs = {name: (lambda one=one: one.run(tiles)) for name, one in backends.items()}
        times = measure_in_turn(runs, time.process_time if on_cpu else time.perf_counter)
        if times is None:
            raise _make_busy_error("the times did not settle")
        return {
            subjects[name]: Measurement(
                footprints[name].bytes_per_pixel,
                footprints[name].base,
                times[name] / max(sides) ** 2 * 1e6,
                float(np.abs(results[name] - results["torch"]).max()),
                date,
            )
            for name in backends
        }


def measure_planes(
    machine: Machine, device: torch.device, known: Calibration, size: Size
) -> dict[CalibrationSubject, Measurement]:
    """Measure how long the planes of a frame take without and with Triton's kernel, and whether their codes are the same.

    Nothing where they are ``known``, or where Triton cannot compile it.
    """
    subjects = [make_subject(machine, str(device), "planes", 1, name, "fp32") for name in KERNEL_NAMES]
    layout = RgbToYuv("p010le", ColorInfo(), size).plane_layout
    if known.keys() >= set(subjects) or layout is None:
        return {}
    codes = np.random.default_rng(8).integers(0, 65536, (3, size.height, size.width)).astype(np.uint16)
    pixels = torch.as_tensor(codes).to(device).permute(1, 2, 0)

    def run(by_kernel: bool) -> list[torch.Tensor]:
        planes = convert_to_planes(pixels, layout, by_kernel=by_kernel)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return planes

    try:
        ways = [[plane.cpu().numpy() for plane in run(by_kernel)] for by_kernel in (False, True)]
    except Exception:  # whatever a compiler or a driver raises, the other way is left
        return {}
    runs = {name: partial(run, by_kernel) for name, by_kernel in zip(KERNEL_NAMES, (False, True), strict=True)}
    if (times := measure_in_turn(runs, time.perf_counter)) is None:
        raise _make_busy_error("the times did not settle")
    error = 0.0 if all(map(np.array_equal, *ways)) else 1.0
    date = time.strftime("%Y-%m-%d")
    return {
        subject: Measurement(layout.frame_bytes / size.pixel_count, 0, times[name] / size.pixel_count * 1e6, error, date)
        for subject, name in zip(subjects, KERNEL_NAMES, strict=True)
    }


def _check_idle() -> None:
    load = psutil.cpu_percent(interval=1) / 100
    if load > _MAX_LOAD:
        raise _make_busy_error(f"other programs use {load:.0%} of the processor")


def _make_busy_error(reason: str) -> Upscale8KError:
    return Upscale8KError(f"Nothing is measured on a busy machine: {reason}.", "Try again when they have ended.")


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
    """Measure what was not measured before, with a progress display; a message says why it could not be measured."""
    with open_progress(len(CALIBRATION_MODELS), "model") as progress:
        try:
            calibrate_models(machine, device, folders, progress.message, remeasure=False)
        except Upscale8KError as error:
            progress.message(str(error))
