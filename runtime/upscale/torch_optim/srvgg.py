"""SRVGG, whose picture is added before the pixels are shuffled to their places instead of after.

The network adds to each pixel's sixteen the pixel itself. Afterwards that takes a second picture of the result's size, made by
nearest neighbours; before, it is an addition in place. The sums are the same ones, and so is every bit of the result.
"""

from __future__ import annotations

from types import MethodType
from typing import Any, cast

from torch import Tensor
from torch.nn import Module

from ...models.spandrel_import import Compact


def add_before_shuffle(net: Module) -> None:
    """Change ``net`` in place where it is a ``Compact``, in any dtype; leave every other network as it is."""
    if isinstance(net, Compact) and net.num_in_ch == net.num_out_ch:
        cast(Any, net).forward = MethodType(_forward, net)


def _forward(net: Compact, image: Tensor) -> Tensor:
    features: Any = image
    for layer in net.body:
        features = layer(features)
    features.unflatten(1, (net.num_out_ch, net.upscale**2)).add_(image.unsqueeze(2))
    return net.upsampler(features)
