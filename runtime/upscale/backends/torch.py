"""PyTorch: the reference that every other backend is measured against.

The weights are a copy of the model's own in channels_last layout, so that the value on the wire stays as it was loaded and
another node may use it at the same time. In half precision a second copy in fp32 is made only when a tile needs it.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from spandrel import ImageModelDescriptor

from ...errors import OutOfMemory, WorkflowError
from ...models.facts import UpscaleModel
from ..device import resolve
from . import Precision

_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchBackend:
    """Runs a spandrel model by torch on one device, in one precision."""

    def __init__(self, model: UpscaleModel, device: str, precision: Precision) -> None:
        self.warnings: list[str] = []
        self._model = model
        self._device = resolve(device)
        self._dtype = _DTYPES[_precision(precision, model, self._device)]
        self._net = self._placed(self._dtype)
        self._full_precision: ImageModelDescriptor[Any] | None = None

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            tiles = torch.as_tensor(batch).to(self._device).permute(0, 3, 1, 2)  # (N, h, w, C) -> (N, C, h, w)
            upscaled = self._net(tiles.to(self._dtype))
            if self._dtype is not torch.float32 and not _plausible(tiles, upscaled):
                upscaled = self._again(tiles)
            return upscaled.permute(0, 2, 3, 1).float().cpu().numpy()  # (N, C, H, W) -> (N, H, W, C)
        except (torch.OutOfMemoryError, MemoryError) as error:
            self._release()
            raise OutOfMemory(
                f"A tile of {batch.shape[2]}x{batch.shape[1]} pixels does not fit in the memory of {self._device}.",
                "Close other programs that use it, or run with --device cpu.",
                device=str(self._device),
                tile=max(batch.shape[1:3]),
            ) from error

    def close(self) -> None:
        del self._net
        self._full_precision = None
        self._release()

    def _again(self, tiles: torch.Tensor) -> torch.Tensor:
        if self._full_precision is None:
            self.warnings.append(
                "A tile overflowed in half precision and was computed again in fp32; --precision fp32 avoids this."
            )
            self._full_precision = self._placed(torch.float32)
        return self._full_precision(tiles)

    def _placed(self, dtype: torch.dtype) -> ImageModelDescriptor[Any]:
        source = self._model.descriptor
        # ComfyUI hangs its memory manager on the descriptor; the copy must not take that along.
        patcher = getattr(source, "patcher", None)
        net = deepcopy(source, {id(patcher): None} if patcher is not None else {})
        net.model.to(device=self._device, dtype=dtype, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return net.eval()

    def _release(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _precision(wanted: Precision, model: UpscaleModel, device: torch.device) -> Precision:
    if wanted == "auto":
        return "fp16" if device.type == "cuda" and model.half_safe else "fp32"
    if wanted == "fp16" and not model.half_safe:
        raise WorkflowError(f"{model.architecture} overflows in fp16.", "Choose the precision auto, fp32 or bf16.")
    if wanted == "bf16" and not model.bfloat16_safe:
        raise WorkflowError(f"{model.architecture} is not made for bf16.", "Choose the precision auto or fp32.")
    return wanted


def _plausible(tiles: torch.Tensor, upscaled: torch.Tensor) -> bool:
    """Finite, and no black tile where the picture was not black: both are how half precision fails."""
    if not bool(torch.isfinite(upscaled).all()):
        return False
    black = upscaled.amax(dim=(1, 2, 3)) == 0
    return not bool((black & (tiles.amax(dim=(1, 2, 3)) > 0.1)).any())
