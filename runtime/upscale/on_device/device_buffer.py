"""The result of a frame in the memory of a device, with the values of ``output_buffer`` to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...media import PlaneLayout, Region, Samples, Size
from .rgb_to_planes import convert_to_planes
from .transfer import Transfer

_FULL_SCALE = 65535


def round_to_codes(values: torch.Tensor) -> torch.Tensor:
    """Return floats in 0..1 as codes in 0..65535, rounded half up in double as by ``images.to_integers``; still float64."""
    return values.to(torch.float64).mul_(_FULL_SCALE).add_(0.5).clamp_(0, _FULL_SCALE)


class DeviceBuffer:
    """An ``OutputBuffer`` of the size of its result ``out`` (H, W, C), float32 or uint16. uint16 supports no weights."""

    def __init__(self, out: torch.Tensor) -> None:
        self._out = out
        self._finished_rows = 0

    def put(self, region: Region, pixels: Any, weights: Any = None) -> None:
        destination = self._out[region.rows, region.columns]
        if destination.dtype != torch.float32:
            destination.copy_(round_to_codes(pixels))
        elif weights is None:
            destination.copy_(pixels)
        else:
            destination += pixels.float() * torch.as_tensor(weights, device=pixels.device)

    def finish_rows(self, bottom: int) -> None:
        rows = self._out[self._finished_rows : bottom]
        if rows.dtype == torch.float32:
            rows.clamp_(0.0, 1.0)
        self._finished_rows = bottom


class ResultImage:
    """A ``DeviceImage`` of ``pixels`` (H, W, 3) uint16. Planes are made once, however often a frame is repeated."""

    def __init__(self, pixels: torch.Tensor, transfer: Transfer) -> None:
        self._pixels, self._transfer = pixels, transfer
        self._planes: dict[PlaneLayout, Callable[[], Sequence[Samples]]] = {}

    @property
    def size(self) -> Size:
        return Size(self._pixels.shape[1], self._pixels.shape[0])

    def download(self) -> Samples:
        with torch.inference_mode():
            (rows,) = self._transfer.start_download([self._pixels.flatten(1)])()
        return rows.reshape(self._pixels.shape)  # pyright: ignore[reportReturnType]

    def download_planes(self, layout: PlaneLayout) -> Callable[[], Sequence[Samples]]:
        if layout not in self._planes:
            with torch.inference_mode():
                self._planes[layout] = self._transfer.start_download(convert_to_planes(self._pixels, layout))
        return self._planes[layout]
