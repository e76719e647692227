"""ESRGAN's dense blocks, a piece of the picture at a time.

A dense block ends at three times the channels that it began with, each of its convolutions reads all of them, and on a whole
tile none of it stays in a processor's cache. It sees five pixels far. Made in pieces with a margin of five, it takes a piece's
memory instead of the tile's, so that tiles are larger and fewer pixels are halo. RRDB-23 on two cores with AMX: 640x480 took
15.6 s in bf16 at once and 9.3 to 9.7 s in pieces, their margins counted; 320x240 in fp32 11.5 and 10.9 s.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from ...models.networks import ESRGAN
from .crew import Crew
from .fused import Activated
from .pieces import Piece, cut

_MARGIN = 5
"""How far a dense block sees: five convolutions of 3x3."""
_SIDE, _SIDE_IN_BF16 = 160, 120
"""Of a piece, at most; smaller where there would not be one for each thread."""
_SHARE = 0.2
"""Of what a block makes is added to what came in; ESRGAN's residual scaling."""


def dense_in_pieces(net: torch.nn.Module, crew: Crew | None) -> None:
    """Change ``net``, which ``has_dense_blocks``, in place; the weights stay the same ones, in any dtype.

    Without a crew the blocks are made at once, as a GPU likes them.
    """
    *blocks, _ = cast(Any, net).model[1].sub
    for index, block in enumerate(blocks):
        cast(Any, net).model[1].sub[index] = _Block(block, crew)


def has_dense_blocks(net: torch.nn.Module) -> bool:
    """Whether ``net``, as spandrel loads it, is an ESRGAN of 3x3 convolutions without the additions of ESRGAN+ and norms."""
    if not isinstance(net, ESRGAN):
        return False
    *blocks, _ = cast(Any, net).model[1].sub
    return all(_is_plain(dense) for block in blocks for dense in (block.RDB1, block.RDB2, block.RDB3))


def _is_plain(dense: Any) -> bool:
    grown = [dense.conv1, dense.conv2, dense.conv3, dense.conv4]
    pairs = all(len(one) == 2 and isinstance(one[1], torch.nn.LeakyReLU) for one in grown)
    narrow = all(_is_narrow(one[0]) for one in (*grown, dense.conv5))
    return dense.conv1x1 is None and pairs and narrow and len(dense.conv5) == 1


def _is_narrow(layer: Any) -> bool:
    return isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (3, 3) and layer.padding == (1, 1)


class _Block(torch.nn.Module):
    """Three dense blocks, added to what came in."""

    def __init__(self, block: Any, crew: Crew | None) -> None:
        super().__init__()
        self.dense = torch.nn.Sequential(*(_DenseBlock(one, crew) for one in (block.RDB1, block.RDB2, block.RDB3)))

    def forward(self, trunk: Tensor) -> Tensor:
        made = self.dense(trunk)
        return torch.add(trunk, made, alpha=_SHARE, out=made)


class _DenseBlock(torch.nn.Module):
    """Five convolutions in the dtype of their weights, added to what came in, which stays in its own."""

    def __init__(self, block: Any, crew: Crew | None) -> None:
        super().__init__()
        self._crew = crew
        self.growing = torch.nn.ModuleList([Activated(*one) for one in (block.conv1, block.conv2, block.conv3, block.conv4)])
        (self.last,) = block.conv5

    def forward(self, trunk: Tensor) -> Tensor:
        if self._crew is None:
            return trunk.add(self._made(trunk), alpha=_SHARE)
        largest = _SIDE_IN_BF16 if self.last.weight.dtype is torch.bfloat16 else _SIDE
        height, width = trunk.shape[2:]
        result = torch.empty_like(trunk)

        def make(piece: Piece) -> None:
            made = self._made(piece.seen(trunk))
            torch.add(piece.core(trunk), piece.inner(made), alpha=_SHARE, out=piece.core(result))

        self._crew.each(make, cut(height, width, side=largest, margin=_MARGIN, least=self._crew.size))
        return result

    def _made(self, piece: Tensor) -> Tensor:
        seen = piece.to(self.last.weight.dtype, memory_format=torch.channels_last)
        for grow in self.growing:
            seen = torch.cat((seen, grow(seen)), 1)
        return self.last(seen)
