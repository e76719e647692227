"""How much memory a tile may take on a device, and how torch says that there was not enough."""

from __future__ import annotations

import torch

from ..hardware.footprint import spendable
from ..hardware.memory import memory

# torch has a type for a full GPU only; these say the same in a plain RuntimeError.
_SENTENCES = (
    "DefaultCPUAllocator: can't allocate memory",
    "MPS backend out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def free_memory(device: torch.device) -> int:
    """Bytes that the activations of one batch of tiles may take: a share of what is free, and never more than pays."""
    if device.type == "cuda":
        return spendable(torch.cuda.mem_get_info(device)[0], on_gpu=True)
    return spendable(memory().available, on_gpu=False)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory ran out, so that a smaller tile may succeed."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sentence in str(error) for sentence in _SENTENCES)
