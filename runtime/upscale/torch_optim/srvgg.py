"""SRVGG with its input added before the pixel shuffle instead of after it.

The network adds each input pixel to its sixteen output pixels. After the shuffle that takes a second image of the result's
size; before it, an addition in place. The sums are the same, and so is every bit of the result.
"""

from __future__ import annotations

from types import MethodType
from typing import Any, cast

from torch import Tensor
from torch.nn import Module

from ...models import Compact


def add_before_shuffle(net: Module) -> None:
    """Change ``net`` in place if it is a ``Compact``, in any dtype; leave every other network unchanged."""
    if isinstance(net, Compact) and net.num_in_ch == net.num_out_ch:
        cast(Any, net).forward = MethodType(_forward, net)


def _forward(net: Compact, image: Tensor) -> Tensor:
    features: Any = image
    for layer in net.body:
        features = layer(features)
    features.unflatten(1, (net.num_out_ch, net.upscale**2)).add_(image.unsqueeze(2))
    return net.upsampler(features)
