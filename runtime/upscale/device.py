"""Which device and which precision the word ``auto`` means, and whether what was asked for is possible."""

from __future__ import annotations

import torch

from ..errors import HardwareMissing, WorkflowError
from ..models.upscale_model import UpscaleModel
from .backends import Precision


def resolve_device(name: str) -> torch.device:
    """``auto`` is the first NVIDIA or AMD GPU, then Apple's, then Intel's, then the CPU.

    Raises ``HardwareMissing`` for a device that torch does not see, ``WorkflowError`` for a name that is none.
    """
    if name == "auto":
        return torch.device(next((kind for kind in ("cuda", "mps", "xpu") if _is_available(kind)), "cpu"))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise WorkflowError(f"{name!r} is not a device.", "Use auto, cpu, cuda, cuda:N, mps or xpu.") from error
    if device.type != "cpu" and not _is_available(device.type, device.index or 0):
        raise HardwareMissing(
            f"The device {name} was asked for, but torch {torch.__version__} sees none here.",
            "Use --device cpu, or install the driver and a build of torch for it.",
            feature=device.type,
        )
    return device


def resolve_precision(precision: Precision, model: UpscaleModel, device: torch.device) -> torch.dtype:
    """``auto`` is fp16 on an NVIDIA or AMD GPU where the model is safe in it, fp32 otherwise: without measuring anything.

    On a processor ``backends.choice`` then asks whether bf16 is worth it.

    Raises ``WorkflowError`` for a precision that the model is not safe in.
    """
    if precision == "auto":
        return torch.float16 if device.type == "cuda" and model.half_safe else torch.float32
    if precision == "fp16" and not model.half_safe:
        raise WorkflowError(f"{model.architecture} overflows in fp16.", "Choose the precision auto, fp32 or bf16.")
    if precision == "bf16" and not model.bfloat16_safe:
        raise WorkflowError(f"{model.architecture} is not made for bf16.", "Choose the precision auto or fp32.")
    return _DTYPES[precision]


_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def _is_available(kind: str, index: int = 0) -> bool:
    if kind == "mps":
        return torch.backends.mps.is_available()
    module = torch.cuda if kind == "cuda" else torch.xpu
    return kind in ("cuda", "xpu") and module.is_available() and index < module.device_count()
