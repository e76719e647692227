"""Which device the word ``auto`` means, and whether the one that was asked for is here."""

from __future__ import annotations

import torch

from ..errors import HardwareMissing, WorkflowError


def resolve(name: str) -> torch.device:
    """``auto`` is the first NVIDIA or AMD GPU, then Apple's, then Intel's, then the CPU.

    Raises ``HardwareMissing`` for a device that torch does not see, ``WorkflowError`` for a name that is none.
    """
    if name == "auto":
        return torch.device(next((kind for kind in ("cuda", "mps", "xpu") if _is_here(kind)), "cpu"))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise WorkflowError(f"{name!r} is not a device.", "Use auto, cpu, cuda, cuda:N, mps or xpu.") from error
    if device.type != "cpu" and not _is_here(device.type, device.index or 0):
        raise HardwareMissing(
            f"The device {name} was asked for, but torch {torch.__version__} sees none here.",
            "Use --device cpu, or install the driver and a build of torch for it.",
            feature=device.type,
        )
    return device


def _is_here(kind: str, index: int = 0) -> bool:
    if kind == "mps":
        return torch.backends.mps.is_available()
    module = torch.cuda if kind == "cuda" else torch.xpu
    return kind in ("cuda", "xpu") and module.is_available() and index < module.device_count()
