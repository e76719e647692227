"""What ``auto`` means: a function of processor or GPU, installed packages and the model; never of a stopwatch.

Two machines of one kind give the same pixels, and so do an idle and a busy one. On a CPU:

* Precision: bf16 where the processor multiplies matrices of it (AMX, Arm), the network is one that bf16 is fast for, and
  ``bf16_check`` finds it accurate; with AVX-512 BF16 alone only where ``winograd``, which is faster, cannot run. By ``bench
  peers`` bf16 takes 0.37 (SRVGG) and 0.21 (RRDB-23) of the time of direct convolutions in fp32 with AMX, and 0.5 with AVX-512
  BF16 alone.
* Backend in fp32: the first row of ``BACKENDS`` that names the architecture and whose instruction set there is, else torch.
  ``winograd`` takes 0.37 of torch's time (SRVGG and RRDB-23, ``bench limit``); OpenVINO 0.91 to 0.93 with SRVGG.
* ``probe --calibrate`` may have found a faster backend with the same pixels, to 1e-4, on this machine. Its result stands until
  ``probe --forget``.
"""

import os
from dataclasses import dataclass
from typing import Any

import torch

from ...hardware import Cpu, choose_backend, detect_machine, find_measurements, has_bf16, load_calibration, query_cpu
from ...models import ANY_SIZE, UpscaleModel
from ...trt import get_engine
from ..backends.base import AUTO, BACKENDS, REFERENCE_BACKEND, Precision
from ..device import resolve_precision
from ..winograd.winograd_networks import has_winograd_layers
from .bf16_check import is_bf16_accurate


@dataclass(frozen=True)
class BackendChoice:
    """What to open. ``precision`` stays ``auto`` for a backend with its own."""

    backend: str
    precision: Precision


def select_backend(model: UpscaleModel, device: torch.device, precision: Precision, backend: str = AUTO) -> BackendChoice:
    """Replace ``auto`` in ``backend`` and, for torch, in ``precision``.

    Raises ``WorkflowError`` for a precision that the model is not safe in.
    """
    if backend == AUTO and get_engine(model.descriptor) is not None:
        return BackendChoice("tensorrt", precision)
    if backend not in (AUTO, REFERENCE_BACKEND):
        return BackendChoice(backend, precision)
    resolved_precision = resolve_precision(precision, model, device)
    if device.type == "cpu" and resolved_precision == "fp32":
        if precision == AUTO and _prefers_bf16(model):
            return BackendChoice(REFERENCE_BACKEND, "bf16")
        if backend == AUTO:
            return BackendChoice(_select_fp32_backend(model), "fp32")
    return BackendChoice(REFERENCE_BACKEND, resolved_precision)


def _prefers_bf16(model: UpscaleModel) -> bool:
    cpu = query_cpu()
    if _is_bf16_masked():
        return False
    if "AMX" not in cpu.sets and _find_preferred(model, cpu) == "winograd":
        return False
    return model.bfloat16_safe and model.architecture in ANY_SIZE and has_bf16(cpu) and is_bf16_accurate(model, cpu)


def _is_bf16_masked() -> bool:
    """Return whether the user keeps oneDNN from the instructions for bf16, so that torch refuses it."""
    untyped: Any = torch
    is_limited = any(name in os.environ for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"))
    return is_limited and not untyped.ops.mkldnn._is_mkldnn_bf16_supported()


def _select_fp32_backend(model: UpscaleModel) -> str:
    if calibration := load_calibration():
        measured = find_measurements(calibration, detect_machine(), "cpu", model.architecture, model.scale, "fp32")
        if (fastest := choose_backend(measured)) and BACKENDS[fastest].is_installed():
            return fastest
    return _find_preferred(model, query_cpu())


def _find_preferred(model: UpscaleModel, cpu: Cpu) -> str:
    """Return the backend for fp32 on ``cpu``."""
    rows = (spec for spec in BACKENDS.values() if model.architecture in spec.cpu_architectures and spec.cpu_set in cpu.sets)
    return next((spec.name for spec in rows if spec.is_installed() and _can_run(spec.name, model)), REFERENCE_BACKEND)


def _can_run(backend: str, model: UpscaleModel) -> bool:
    return backend != "winograd" or has_winograd_layers(model.descriptor.model)
