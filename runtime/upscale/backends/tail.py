"""The last layers of an ESRGAN network, where it is largest, a strip of rows at a time.

After the second doubling there are 64 channels for each of 16 pixels: four fifths of the memory that a tile takes, for an
eighth of the work. Those layers see two pixels far, so a strip needs two rows more on each side, and the result is the same.
What is left is the trunk; in the same memory a tile may be three times as large, and less of it is halo.
"""

from __future__ import annotations

from typing import cast

import torch
from spandrel.architectures.ESRGAN import ESRGAN
from torch import Tensor

_REACH = 2
"""Input pixels that the tail sees to each side: one at twice the size and three at four times, 1.25 together, rounded up."""
_PIXELS = 1 << 14
"""Of a strip, as the trunk gives it: as fast as the whole at once."""
_TAIL = (torch.nn.Conv2d, torch.nn.Upsample, torch.nn.LeakyReLU, torch.nn.ReLU)


def tail_in_strips(net: torch.nn.Module) -> None:
    """Change ``net``, which ``has_tail``, in place, so that it makes its last layers in strips; in any dtype."""
    first, trunk, *tail = cast(torch.nn.Sequential, net.model)
    net.model = torch.nn.Sequential(first, trunk, _InStrips(torch.nn.Sequential(*tail)))


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


class _InStrips(torch.nn.Module):
    def __init__(self, layers: torch.nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, features: Tensor) -> Tensor:
        count, _, height, width = features.shape
        step = max(_PIXELS // (count * width), 4 * _REACH)
        if height <= step:
            return self.layers(features)
        result: Tensor | None = None
        for top in range(0, height, step):
            bottom = min(top + step, height)
            above, below = max(top - _REACH, 0), min(bottom + _REACH, height)
            rows: Tensor = self.layers(features[:, :, above:below])
            scale = rows.shape[2] // (below - above)
            if result is None:
                shape = (count, rows.shape[1], height * scale, width * scale)
                result = torch.empty(shape, dtype=rows.dtype, device=rows.device).to(memory_format=torch.channels_last)
            result[:, :, top * scale : bottom * scale] = rows[:, :, (top - above) * scale : (bottom - above) * scale]
        assert result is not None
        return result
