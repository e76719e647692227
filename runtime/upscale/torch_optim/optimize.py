"""Prepares a network for a CPU: the same weights and results, less memory and fewer passes over it."""

from __future__ import annotations

import torch

from .mixed_precision import convert_to_bfloat16
from .rrdb import has_dense_blocks, has_nearest_tail, replace_dense_blocks, replace_tail
from .srvgg import add_before_shuffle
from .thread_pool import SingleThreadWorkers


def optimize_for_cpu(net: torch.nn.Module, dtype: torch.dtype) -> torch.dtype:
    """Change ``net``, in fp32 and as spandrel loads it, in place to compute in ``dtype``; return its input dtype.

    bf16 is mixed, see ``convert_to_bfloat16``.
    """
    has_dense, has_large_tail = has_dense_blocks(net), has_nearest_tail(net)
    workers = SingleThreadWorkers() if has_dense or has_large_tail else None
    add_before_shuffle(net)
    input_dtype = dtype
    if dtype is torch.bfloat16:
        input_dtype = convert_to_bfloat16(net, workers)
    elif has_dense:
        replace_dense_blocks(net, workers)
    if has_large_tail and workers:
        replace_tail(net, workers)
    return input_dtype
