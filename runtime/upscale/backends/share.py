"""How far a network is within one tile: a large one of RRDB-23 takes a processor minutes.

A GPU is not asked: it is handed a whole tile's work at once, and a recorded graph calls nobody.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from torch.nn import Module, ModuleList, Sequential

from . import Part, untold


class Share:
    """Counts the blocks that a network is made of, as they finish."""

    def __init__(self, net: Module) -> None:
        self._part = untold
        self._finished = 0
        blocks = blocks_of(net)
        self._count = len(blocks)
        for block in blocks:
            block.register_forward_hook(self._one_more)

    @contextmanager
    def told_to(self, part: Part) -> Generator[None]:
        """While one tile is made, ``part`` is told the share of it that is done."""
        self._part, self._finished = part, 0
        try:
            yield
        finally:
            self._part = untold

    def _one_more(self, *_: object) -> None:
        self._finished += 1
        self._part(min(self._finished / self._count, 1.0))


def blocks_of(net: Module) -> Sequence[Module]:
    """The longest row of modules that holds at least half of the weights: RRDBs, Swin layers, or SRVGG's convolutions.

    None where a network has no such row; some networks never call its members.
    """
    half = _weights(net) / 2
    rows = [list(one) for one in net.modules() if isinstance(one, (ModuleList, Sequential)) and _weights(one) >= half]
    return max(rows, key=len) if rows else ()


def _weights(net: Module) -> int:
    return sum(one.numel() for one in net.parameters())
