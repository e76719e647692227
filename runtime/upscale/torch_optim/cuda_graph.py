"""Record one tile shape as a CUDA graph and replay it: a small network is otherwise bound by launching its kernels.

Only one shape is recorded, the first that occurs a third time: a video and a large image have one tile shape that nearly all
tiles have, and each recording keeps the memory of all its layers. All other shapes run eagerly, with the same kernels, so the
numbers are the same.
"""

from collections import Counter
from collections.abc import Callable

import torch

_WARMUP_CALLS = 2
NetworkOutput = tuple[torch.Tensor, torch.Tensor | None]
NetworkCall = Callable[[torch.Tensor], NetworkOutput]


class CudaGraphRunner:
    """Calls ``network`` on ``device``, or replays the recorded call. A result is valid until the next call.

    ``warnings`` is extended by one sentence when a recording turns out empty.
    """

    def __init__(self, network: NetworkCall, device: torch.device, warnings: list[str]) -> None:
        self._network = network
        self._device = device
        self._warnings = warnings
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

    @property
    def is_recorded(self) -> bool:
        return self._graph is not None

    def close(self) -> None:
        self._graph = self._static_input = self._static_output = None

    def _record(self, tiles: torch.Tensor) -> NetworkOutput:
        """Record and replay for ``tiles``; where that fails, such as for lack of memory, it is not tried again."""
        graph, static_input = torch.cuda.CUDAGraph(), tiles.clone()
        try:
            static_output = self._capture(graph, static_input)
            is_empty = self._is_empty(graph, static_output[0])
        except RuntimeError:
            self._is_disabled = True
            torch.cuda.empty_cache()
            return self._network(tiles)
        if is_empty:
            self._is_disabled = True
            self._warnings.append(f"The CUDA graph recorded on {self._device} was empty, so tiles run without it, more slowly.")
            return self._network(tiles)
        self._graph, self._static_input, self._static_output = graph, static_input, static_output
        return static_output

    def _capture(self, graph: torch.cuda.CUDAGraph, static_input: torch.Tensor) -> NetworkOutput:
        """Record on the device of the run, on a stream of its own; CUDA calls of other threads neither fail nor disturb it."""
        with torch.cuda.device(self._device):
            previous_stream = torch.cuda.current_stream(self._device)
            stream = torch.cuda.Stream(self._device)
            try:
                with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                    return self._network(static_input)
            finally:
                # torch leaves the thread on the capture stream when the end of a capture fails.
                torch.cuda.set_stream(previous_stream)

    @staticmethod
    def _is_empty(graph: torch.cuda.CUDAGraph, output: torch.Tensor) -> bool:
        """Replay into NaN: what a recording does not write stays NaN."""
        output.fill_(float("nan"))
        graph.replay()
        return bool(torch.isnan(output).all())
