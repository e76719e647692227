"""PyTorch: the reference that every other backend is measured against.

On an NVIDIA GPU tiles come and go through pinned memory, the change of axes and depth is made there, and a shape that comes
again and again is replayed as a CUDA graph. fp32 is fp32 there too, not TF32.

The weights are a copy of the model's own in channels_last layout, so that the value on the wire stays as it was loaded and
another node may use it at the same time. In bf16 its ends and sums stay fp32, see ``bfloat16``; what a CPU gains from doing
otherwise is in ``processor``. In fp16 a second copy in fp32 is made only when a tile needs it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import OutOfMemory
from ...models.export import ANY_SIZE
from ...models.facts import UpscaleModel
from ...models.load import Descriptor
from ..device import resolve, resolve_precision
from ..memory import is_out_of_memory
from . import Part, Precision, untold
from .bfloat16 import in_bfloat16
from .cuda_graph import Network, Output, Recorded
from .processor import suit_processor
from .share import Share


class TorchBackend:
    """Runs a spandrel model by torch on one device, in one precision."""

    def __init__(self, model: UpscaleModel, device: str, precision: Precision) -> None:
        self.warnings: list[str] = []
        self._model = model
        self._device = resolve(device)
        self._dtype = self._takes = resolve_precision(precision, model, self._device)
        self._finite: torch.Tensor | None = None
        self._net = self._placed(torch.float32 if self._dtype is torch.bfloat16 else self._dtype)
        if self._device.type == "cpu":
            self._takes = suit_processor(self._net.model, self._dtype)
        elif self._dtype is torch.bfloat16:
            self._takes = in_bfloat16(self._net.model)
        self._share = Share(self._net.model) if self._device.type == "cpu" else None
        self._call: Network = self._through
        self._recorded: Recorded | None = None
        if self._device.type == "cuda" and model.architecture in ANY_SIZE:
            self._call = self._recorded = Recorded(self._through)
        if self._dtype is torch.float16:  # bf16 reaches as far as fp32
            self._net.model.register_forward_hook(self._look_for_overflow)
        self._full_precision: Descriptor | None = None

    def run(self, batch: NDArray[np.float32], part: Part = untold) -> NDArray[np.float32]:
        try:
            with self._share.told_to(part) if self._share else nullcontext():
                return self._run(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._release()
            raise OutOfMemory(
                f"A tile of {batch.shape[2]}x{batch.shape[1]} pixels does not fit in the memory of {self._device}.",
                "Close other programs that use it" + (", or run with --device cpu." if self._device.type != "cpu" else "."),
                device=str(self._device),
                tile=max(batch.shape[1:3]),
            ) from error

    def close(self) -> None:
        if self._recorded:
            self._recorded.close()
        del self._net, self._call, self._recorded
        self._full_precision = None
        self._finite = None
        self._release()

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode(), _real_fp32(self._device):
            tiles = _uploaded(batch, self._device).permute(0, 3, 1, 2)  # (N, h, w, C) -> (N, C, h, w)
            upscaled, finite = self._call(tiles.to(self._takes))
            if finite is not None and not (bool(finite) and plausible(tiles, upscaled)):
                upscaled = self._again(tiles)
            return _downloaded(upscaled.permute(0, 2, 3, 1).float())  # (N, C, H, W) -> (N, H, W, C)

    def _through(self, tiles: torch.Tensor) -> Output:
        """The result, and in fp16 whether the network's own numbers were all finite, still on the device."""
        return self._net(tiles), self._finite

    def _look_for_overflow(self, net: torch.nn.Module, inputs: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        """Called with what the network itself gives: spandrel cuts infinity off to 1, where it looks like white.

        Asking for the answer here would wait for the GPU, which a recording must not. A sum takes one pass over the numbers,
        and is finite only where each of them is.
        """
        result = output if isinstance(output, torch.Tensor) else output[0]
        self._finite = torch.isfinite(result.sum(dtype=torch.float32))

    def _again(self, tiles: torch.Tensor) -> torch.Tensor:
        if self._full_precision is None:
            self.warnings.append(
                "A tile overflowed in half precision and was computed again in fp32; the precision fp32 avoids this."
            )
            self._full_precision = self._placed(torch.float32)
        return self._full_precision(tiles)

    def _placed(self, dtype: torch.dtype) -> Descriptor:
        source = self._model.descriptor
        # ComfyUI hangs its memory manager on the descriptor; the copy must not take that along.
        patcher = getattr(source, "patcher", None)
        net = deepcopy(source, {id(patcher): None} if patcher is not None else {})
        net.model.to(device=self._device, dtype=dtype, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return net.eval()

    def _release(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _uploaded(batch: NDArray[np.float32], device: torch.device) -> torch.Tensor:
    tiles = torch.as_tensor(batch)
    if device.type != "cuda":
        return tiles.to(device)
    return tiles.pin_memory().to(device, non_blocking=True)


def _downloaded(upscaled: torch.Tensor) -> NDArray[np.float32]:
    if upscaled.device.type != "cuda":
        return upscaled.cpu().numpy()
    # torch keeps pinned blocks for the next time, and asking for one waits for nothing.
    landed = torch.empty(upscaled.shape, dtype=upscaled.dtype, pin_memory=True)
    landed.copy_(upscaled, non_blocking=True)
    torch.cuda.current_stream(upscaled.device).synchronize()
    return landed.numpy()


def _real_fp32(device: torch.device) -> AbstractContextManager[None]:
    """torch lets cuDNN compute fp32 convolutions in TF32, which has the mantissa of fp16."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False)


def plausible(tiles: torch.Tensor, upscaled: torch.Tensor) -> bool:
    """No black tile where the picture was not black: the other way in which half precision fails."""
    black = upscaled.amax(dim=(1, 2, 3)) == 0
    return not bool((black & (tiles.amax(dim=(1, 2, 3)) > 0.1)).any())
