"""PyTorch: the reference that every other backend is measured against.

On an NVIDIA GPU tiles are transferred through pinned memory, axes and depth are converted there, and a repeated tile shape is
replayed as a CUDA graph. fp32 is never TF32.

The weights are a copy of the model's in channels_last layout, so that the UPSCALE_MODEL value stays unchanged and another node
may use it at the same time. In bf16 ends and sums stay fp32, see ``mixed_precision``; what a device needs is in ``optimize``.
In fp16 a second copy in fp32 is made only when a tile overflows.
"""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...models import ANY_SIZE, ChainNetwork, Descriptor, UpscaleModel, copy_without_host_state
from ..device import DTYPES, resolve_precision
from ..memory import release_memory, translate_out_of_memory
from ..torch_optim.cuda_graph import CudaGraphRunner, NetworkCall, NetworkOutput
from ..torch_optim.optimize import optimize_for_cpu, optimize_for_gpu
from ..torch_optim.progress_hook import ProgressHook
from .base import OnProgress, ResolvedPrecision, no_progress

_MAX_OVERFLOWS = 2


class TorchBackend:
    """Runs a spandrel model by torch on one device, in one precision."""

    def __init__(self, model: UpscaleModel, device: torch.device, precision: ResolvedPrecision) -> None:
        self.warnings: list[str] = []
        self._model = model
        self._device = device
        self._fp32_network: Descriptor | None = None
        self._overflow_count = 0
        self._load_network(DTYPES[resolve_precision(precision, model, device)])

    def _load_network(self, dtype: torch.dtype) -> None:
        self._finite: torch.Tensor | None = None
        self._net = self._copy_to_device(torch.float32)
        network = self._net.model
        stages = list(network.networks) if isinstance(network, ChainNetwork) else [network]
        input_dtypes = [self._optimize(stage, dtype) for stage in stages]
        self._input_dtype = input_dtypes[0]
        if isinstance(network, ChainNetwork):
            network.input_dtypes = input_dtypes
        self._progress_hook = ProgressHook(self._net.model) if self._device.type == "cpu" else None
        self._run_network: NetworkCall = self._forward
        self._graph_runner: CudaGraphRunner | None = None
        if self._device.type == "cuda" and self._model.architecture in ANY_SIZE:
            self._run_network = self._graph_runner = CudaGraphRunner(self._forward, self._device, self.warnings)
        if dtype is torch.float16:  # bf16 has the range of fp32
            for stage in stages:
                stage.register_forward_hook(self._record_finiteness)

    def run(self, batch: NDArray[np.float32], on_progress: OnProgress = no_progress) -> NDArray[np.float32]:
        with (
            translate_out_of_memory(batch.shape[2], batch.shape[1], self._device),
            self._progress_hook.report_to(on_progress) if self._progress_hook else nullcontext(),
        ):
            return self._run(batch)

    def run_on_device(self, tiles: torch.Tensor, *, checked: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        with (
            translate_out_of_memory(tiles.shape[3], tiles.shape[2], self._device),
            torch.inference_mode(),
            full_fp32(self._device),
        ):
            try:
                upscaled, finite = self._run_network(tiles.to(self._input_dtype))
            except RuntimeError:  # what a recording keeps is free before a smaller tile is tried
                if self._graph_runner:
                    self._graph_runner.close()
                raise
            if finite is None:
                return upscaled, None
            is_valid = finite & is_plausible(tiles, upscaled)
            if checked and not bool(is_valid):
                return self._rerun_in_fp32(tiles), None
            return upscaled, is_valid

    @property
    def has_graph(self) -> bool:
        """Whether tiles of one shape are replayed as a CUDA graph."""
        return self._graph_runner is not None and self._graph_runner.is_recorded

    def close(self) -> None:
        if self._graph_runner:
            self._graph_runner.close()
        del self._net, self._run_network, self._graph_runner
        self._fp32_network = None
        self._finite = None
        release_memory(self._device)

    def _optimize(self, net: torch.nn.Module, dtype: torch.dtype) -> torch.dtype:
        """Change ``net``, in fp32, in place for the device; return its input dtype."""
        return (optimize_for_cpu if self._device.type == "cpu" else optimize_for_gpu)(net, dtype)

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            tiles = _copy_to_gpu(batch, self._device).permute(0, 3, 1, 2)  # (N, h, w, C) -> (N, C, h, w)
            upscaled, _ = self.run_on_device(tiles, checked=True)
            return _copy_to_host(upscaled.permute(0, 2, 3, 1).float())  # (N, C, H, W) -> (N, H, W, C)

    def _forward(self, tiles: torch.Tensor) -> NetworkOutput:
        """The result, and in fp16 whether the network's own output was finite, both on the device."""
        self._finite = None
        return self._net(tiles), self._finite

    def _record_finiteness(self, net: torch.nn.Module, inputs: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        """A hook on the network itself, because spandrel clamps infinity to 1, which looks like white.

        Reading the answer here would wait for the GPU, which a CUDA graph must not. A sum takes one pass and is finite only if
        all of its terms are.
        """
        result = output if isinstance(output, torch.Tensor) else output[0]
        finite = torch.isfinite(result.sum(dtype=torch.float32))
        self._finite = finite if self._finite is None else self._finite & finite

    def _rerun_in_fp32(self, tiles: torch.Tensor) -> torch.Tensor:
        """The same tiles in fp32; after ``_MAX_OVERFLOWS`` of them everything is, because each is otherwise computed twice."""
        self._overflow_count += 1
        if self._overflow_count < _MAX_OVERFLOWS:
            self.warnings.append("A tile overflowed in fp16 and was computed again in fp32. The precision fp32 avoids this.")
            self._fp32_network = self._copy_to_device(torch.float32)
            return self._fp32_network(tiles)
        self.warnings.append(
            f"{_MAX_OVERFLOWS} tiles overflowed in fp16: the rest of this run uses fp32. The precision fp32 avoids this."
        )
        if self._graph_runner:
            self._graph_runner.close()
        self._fp32_network = None
        self._load_network(torch.float32)
        return self._net(tiles)

    def _copy_to_device(self, dtype: torch.dtype) -> Descriptor:
        source = self._model.descriptor
        net = copy_without_host_state(source, source.model)
        net.model.to(device=self._device, dtype=dtype, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return net.eval()


def _copy_to_gpu(batch: NDArray[np.float32], device: torch.device) -> torch.Tensor:
    tiles = torch.as_tensor(batch)
    if device.type != "cuda":
        return tiles.to(device)
    return tiles.pin_memory().to(device, non_blocking=True)


def _copy_to_host(upscaled: torch.Tensor) -> NDArray[np.float32]:
    if upscaled.device.type != "cuda":
        return upscaled.cpu().numpy()
    # torch caches pinned blocks, and getting one does not wait.
    pinned = torch.empty(upscaled.shape, dtype=upscaled.dtype, pin_memory=True)
    pinned.copy_(upscaled, non_blocking=True)
    torch.cuda.current_stream(upscaled.device).synchronize()
    return pinned.numpy()


@contextmanager
def full_fp32(device: torch.device) -> Generator[None]:
    """Compute fp32 convolutions and matrix products in fp32: torch allows cuDNN TF32, which has the mantissa of fp16.

    Whatever the process has set before, globally or by the older ``allow_tf32``, holds again afterwards.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    switches: list[tuple[Any, str, Any]] = [(cudnn, "benchmark", False), (cudnn, "deterministic", False)]
    if hasattr(matmul, "fp32_precision"):
        switches += [(each, "fp32_precision", "ieee") for each in (cudnn.conv, matmul)]
    else:  # before torch 2.9
        switches += [(each, "allow_tf32", False) for each in (cudnn, matmul)]
    before = [getattr(owner, name) for owner, name, _ in switches]
    for owner, name, value in switches:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for (owner, name, _), value in zip(switches, before, strict=True):
            setattr(owner, name, value)


def is_plausible(tiles: torch.Tensor, upscaled: torch.Tensor) -> torch.Tensor:
    """Whether no tile is black whose input was not, on the device: the other way in which half precision fails."""
    black = upscaled.amax(dim=(1, 2, 3)) == 0
    return ~(black & (tiles.amax(dim=(1, 2, 3)) > 0.1)).any()
