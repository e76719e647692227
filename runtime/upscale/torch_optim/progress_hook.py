"""How far a network is within one tile: a large one of RRDB-23 takes a processor minutes.

A GPU is not asked: it is handed a whole tile's work at once, and a recorded graph calls nobody.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from torch.nn import Module, ModuleList, Sequential

from ..backends.base import OnProgress, no_progress


class ProgressHook:
    """Counts the blocks that a network is made of, as they finish."""

    def __init__(self, net: Module) -> None:
        self._on_progress = no_progress
        self._finished_blocks = 0
        blocks = find_blocks(net)
        self._block_count = len(blocks)
        for block in blocks:
            block.register_forward_hook(self._count_block)

    @contextmanager
    def report_to(self, on_progress: OnProgress) -> Generator[None]:
        """While one tile is made, ``part`` is told the share of it that is done."""
        self._on_progress, self._finished_blocks = on_progress, 0
        try:
            yield
        finally:
            self._on_progress = no_progress

    def _count_block(self, *_: object) -> None:
        self._finished_blocks += 1
        self._on_progress(min(self._finished_blocks / self._block_count, 1.0))


def find_blocks(net: Module) -> Sequence[Module]:
    """The longest row of modules that holds at least half of the weights: RRDBs, Swin layers, or SRVGG's convolutions.

    None where a network has no such row; some networks never call its members.
    """
    half = _count_weights(net) / 2
    rows = [list(one) for one in net.modules() if isinstance(one, (ModuleList, Sequential)) and _count_weights(one) >= half]
    return max(rows, key=len) if rows else ()


def _count_weights(net: Module) -> int:
    return sum(one.numel() for one in net.parameters())
