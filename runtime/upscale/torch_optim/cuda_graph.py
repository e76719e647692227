"""One tile shape, recorded as a CUDA graph and replayed: a small network is otherwise bound by the launching of its kernels.

Only one shape is recorded, the first that comes a third time: a film and a large picture have one shape of tile that nearly all
tiles have, and each recording keeps the memory of all its layers. Everything else runs as before, with the same kernels, so
the numbers are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch

_WARMUP_CALLS = 2
NetworkOutput = tuple[torch.Tensor, torch.Tensor | None]
NetworkCall = Callable[[torch.Tensor], NetworkOutput]


class CudaGraphRunner:
    """``net`` on a CUDA device; calls it, or replays what it did. A result holds until the next call."""

    def __init__(self, network: NetworkCall) -> None:
        self._network = network
        self._shape_counts: Counter[tuple[int, ...]] = Counter()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._static_input: torch.Tensor | None = None
        self._static_output: NetworkOutput | None = None
        self._is_disabled = False

    def __call__(self, tiles: torch.Tensor) -> NetworkOutput:
        shape = tuple(tiles.shape)
        if (
            self._static_output is not None
            and self._static_input is not None
            and self._graph
            and self._static_input.shape == tiles.shape
        ):
            self._static_input.copy_(tiles)
            self._graph.replay()
            return self._static_output
        self._shape_counts[shape] += 1
        if self._graph is None and not self._is_disabled and self._shape_counts[shape] > _WARMUP_CALLS:
            return self._record(tiles)
        return self._network(tiles)

    def close(self) -> None:
        self._graph = self._static_input = self._static_output = None

    def _record(self, tiles: torch.Tensor) -> NetworkOutput:
        """Record, then replay for ``tiles``. Where that fails, as for want of memory, it is not tried again."""
        graph, static_input = torch.cuda.CUDAGraph(), tiles.clone()
        try:
            with torch.cuda.graph(graph):
                static_output = self._network(static_input)
        except RuntimeError:
            self._is_disabled = True
            torch.cuda.empty_cache()
            return self._network(tiles)
        self._graph, self._static_input, self._static_output = graph, static_input, static_output
        graph.replay()
        return static_output
