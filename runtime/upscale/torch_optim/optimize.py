"""Prepares a network for a device: the same weights and results, less memory and fewer passes over it."""

from types import MethodType
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Module

from ...models import Compact
from .mixed_precision import convert_to_bfloat16, convert_to_float16
from .patches import SingleThreadWorkers
from .rrdb import has_dense_blocks, has_nearest_tail, replace_dense_blocks, replace_doublings, replace_tail


def optimize_for_cpu(net: torch.nn.Module, dtype: torch.dtype) -> torch.dtype:
    """Change ``net``, in fp32 and as spandrel loads it, in place to compute in ``dtype``; return its input dtype.

    bf16 and fp16 are mixed, see ``mixed_precision``.
    """
    has_dense, has_large_tail = has_dense_blocks(net), has_nearest_tail(net)
    workers = SingleThreadWorkers() if has_dense or has_large_tail else None
    add_before_shuffle(net)
    if has_large_tail:
        replace_doublings(net)
    input_dtype = dtype
    if dtype is torch.bfloat16:
        input_dtype = convert_to_bfloat16(net, workers)
    else:
        if has_dense:
            replace_dense_blocks(net, workers)
        if dtype is torch.float16:
            input_dtype = convert_to_float16(net)
    if has_large_tail and workers:
        replace_tail(net, workers)
    return input_dtype


def optimize_for_gpu(net: torch.nn.Module, dtype: torch.dtype) -> torch.dtype:
    """Do the same for a GPU, where layers are computed at once: each sum of an ESRGAN is one pass, rounded once.

    Concatenations stay: cuDNN reads dense features only, so torch would copy a slice of a wider buffer before each convolution,
    which is what the concatenation copies.
    """
    add_before_shuffle(net)
    if dtype is torch.bfloat16:
        return convert_to_bfloat16(net)
    if has_dense_blocks(net):
        replace_dense_blocks(net, None)
    return convert_to_float16(net) if dtype is torch.float16 else dtype


def add_before_shuffle(net: Module) -> None:
    """Add a ``Compact``'s input before its pixel shuffle, in place and in any dtype; leave every other network unchanged.

    The network adds each input pixel to its sixteen output pixels. After the shuffle that takes a second image of the result's
    size; before it, an addition in place. The sums are the same, and so is every bit of the result.
    """
    if isinstance(net, Compact) and net.num_in_ch == net.num_out_ch:
        cast(Any, net).forward = MethodType(_forward, net)


def _forward(net: Compact, image: Tensor) -> Tensor:
    features: Any = image
    for layer in net.body:
        features = layer(features)
    features.unflatten(1, (net.num_out_ch, net.upscale**2)).add_(image.unsqueeze(2))
    return net.upsampler(features)
