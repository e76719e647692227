"""Which device and which precision ``auto`` means, and whether the requested ones are possible."""

from collections.abc import Sequence

import torch

from ..errors import HardwareMissing, WorkflowError
from ..models import UpscaleModel
from .backends.base import Precision, ResolvedPrecision

DTYPES: dict[ResolvedPrecision, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def resolve_device(name: str, preferred: Sequence[str] = ()) -> torch.device:
    """The device of ``name``. ``auto`` is the first of the device types ``preferred`` that is available, else an NVIDIA or AMD
    GPU, Apple's, Intel's, or the CPU.

    Raises ``HardwareMissing`` for a device that torch does not see, ``WorkflowError`` for an invalid name.
    """
    if name == "auto":
        kinds = (*preferred, "cuda", "mps", "xpu", "cpu")
        return torch.device(next(kind for kind in kinds if kind == "cpu" or _is_available(kind)))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise WorkflowError(f"{name!r} is not a device.", "Use auto, cpu, cuda, cuda:N, mps or xpu.") from error
    if device.type != "cpu" and not _is_available(device.type, device.index or 0):
        raise HardwareMissing(
            f"The device {name} was requested, but torch {torch.__version__} does not see it.",
            "Use --device cpu, or install the driver and a build of torch for it.",
            feature=device.type,
        )
    return device


def resolve_precision(precision: Precision, model: UpscaleModel, device: torch.device) -> ResolvedPrecision:
    """What ``precision`` means for torch, without measuring: ``auto`` is fp16 on an NVIDIA or AMD GPU if the model is safe in
    it, fp32 otherwise. On a CPU ``autotune`` then decides whether bf16 is worth it.

    Raises ``WorkflowError`` for a precision that the model is not safe in.
    """
    if precision == "auto":
        return "fp16" if device.type == "cuda" and model.half_safe else "fp32"
    if precision == "fp16" and not model.half_safe:
        raise WorkflowError(f"{model.architecture} overflows in fp16.", "Choose the precision auto, fp32 or bf16.")
    if precision == "bf16" and not model.bfloat16_safe:
        raise WorkflowError(f"{model.architecture} does not support bf16.", "Choose the precision auto or fp32.")
    return precision


def _is_available(kind: str, index: int = 0) -> bool:
    if kind == "mps":
        return torch.backends.mps.is_available()
    module = torch.cuda if kind == "cuda" else torch.xpu
    return kind in ("cuda", "xpu") and module.is_available() and index < module.device_count()
