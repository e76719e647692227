"""Reports progress within one tile, because a large tile of RRDB-23 takes minutes on a CPU.

Not on a GPU, which receives the work of a whole tile at once; a CUDA graph calls no hooks.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from torch.nn import Module, ModuleList, Sequential

from ..backends.base import OnProgress, no_progress


class ProgressHook:
    """Counts the blocks of a network when they finish."""

    def __init__(self, net: Module) -> None:
        self._on_progress = no_progress
        self._finished_blocks = 0
        blocks = find_blocks(net)
        self._block_count = len(blocks)
        for block in blocks:
            block.register_forward_hook(self._count_block)

    @contextmanager
    def report_to(self, on_progress: OnProgress) -> Generator[None]:
        """Call ``on_progress`` with the finished fraction of the tile that runs inside the context."""
        self._on_progress, self._finished_blocks = on_progress, 0
        try:
            yield
        finally:
            self._on_progress = no_progress

    def _count_block(self, *_: object) -> None:
        self._finished_blocks += 1
        self._on_progress(min(self._finished_blocks / self._block_count, 1.0))


def find_blocks(net: Module) -> Sequence[Module]:
    """Return the longest list of modules that holds at least half of the weights: RRDBs, Swin layers, or SRVGG's convolutions.

    Empty if a network has no such list; some networks never call its members.
    """
    half = _count_weights(net) / 2
    rows = [list(one) for one in net.modules() if isinstance(one, (ModuleList, Sequential)) and _count_weights(one) >= half]
    return max(rows, key=len) if rows else ()


def _count_weights(net: Module) -> int:
    return sum(one.numel() for one in net.parameters())
