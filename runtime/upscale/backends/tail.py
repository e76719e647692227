"""The last layers of an ESRGAN network, where it is largest, a piece at a time.

After the second doubling there are 64 channels for each of 16 pixels: four fifths of the memory that a tile takes, for an
eighth of the work. Those layers see two pixels far, so a piece needs two more on each side, and the result is the same.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from ...models.networks import ESRGAN
from .crew import Crew
from .fused import fused
from .pieces import Piece, cut

_REACH = 2
"""Input pixels that the tail sees to each side: one at twice the size and three at four times, 1.25 together, rounded up."""
_SIDE = 64
"""Of a piece, at most, as the trunk gives it."""
_TAIL = (torch.nn.Conv2d, torch.nn.Upsample, torch.nn.LeakyReLU, torch.nn.ReLU)


def tail_in_pieces(net: torch.nn.Module, crew: Crew) -> None:
    """Change ``net``, which had a tail before its layers were wrapped for bf16, in place; in any dtype."""
    first, trunk, *tail = cast(torch.nn.Sequential, net.model)
    net.model = torch.nn.Sequential(first, trunk, _InPieces(fused(tail), crew))


def has_tail(net: torch.nn.Module) -> bool:
    """Whether ``net``, as spandrel loads it, is an ESRGAN that doubles by nearest neighbours, at most twice, between 3x3
    convolutions.
    """
    if not isinstance(net, ESRGAN):
        return False
    _, _, *tail = cast(torch.nn.Sequential, net.model)
    narrow = all(one.kernel_size == (3, 3) for one in tail if isinstance(one, torch.nn.Conv2d))
    doublings = [one.scale_factor in (2, 2.0) and one.mode == "nearest" for one in tail if isinstance(one, torch.nn.Upsample)]
    return narrow and 1 <= len(doublings) <= 2 and all(doublings) and all(isinstance(one, _TAIL) for one in tail)


class _InPieces(torch.nn.Module):
    def __init__(self, layers: torch.nn.Sequential, crew: Crew) -> None:
        super().__init__()
        self.layers = layers
        self._crew = crew
        *_, last = (one for one in layers.modules() if isinstance(one, torch.nn.Conv2d))
        self._channels, self._dtype = last.out_channels, last.weight.dtype
        self._scale = 2 ** sum(isinstance(one, torch.nn.Upsample) for one in layers.modules())

    def forward(self, features: Tensor) -> Tensor:
        count, _, height, width = features.shape
        shape = (count, self._channels, height * self._scale, width * self._scale)
        result = torch.empty(shape, dtype=self._dtype, memory_format=torch.channels_last)

        def make(piece: Piece) -> None:
            piece.core(result, self._scale)[:] = piece.inner(self.layers(piece.seen(features)), self._scale)

        self._crew.each(make, cut(height, width, side=_SIDE, margin=_REACH, least=self._crew.size))
        return result
