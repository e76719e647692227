"""The result of a frame in the memory of a device, with the values of ``output_buffer`` to the last bit."""

from bisect import bisect_right
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ...media import PlaneLayout, Region, Samples, Size
from ..memory import translate_out_of_memory
from .device_resample import load_column_taps, load_row_taps
from .rgb_to_planes import STRIPS, convert_to_planes
from .transfer import Transfer

_FULL_SCALE = 65535


def round_to_codes(values: torch.Tensor) -> torch.Tensor:
    """Return floats as codes in 0..65535, clipped and rounded half up in double as by ``images.to_integers``; float64."""
    half = torch.full((), 0.5, dtype=torch.float64, device=values.device)
    # Product and sum are exact: 24 and 16 bits.
    return torch.add(half, values.clamp(0, 1).to(torch.float64), alpha=_FULL_SCALE)


def codes_to_floats(samples: torch.Tensor) -> torch.Tensor:
    """Divide integers by their full scale, rounding once; floats are unchanged."""
    if samples.dtype == torch.float32:
        return samples
    # A number would become a multiplication by its reciprocal on a GPU, which rounds twice.
    full_scale = torch.full((), torch.iinfo(samples.dtype).max, dtype=torch.float32, device=samples.device)
    return samples.to(torch.float32) / full_scale


class DeviceBuffer:
    """An ``OutputBuffer`` of the size of its result ``out`` (H, W, C), float32 or uint16. uint16 supports no weights."""

    def __init__(self, out: torch.Tensor) -> None:
        self._out = out
        self._finished_rows = 0

    def put(self, region: Region, pixels: Any, weights: Any = None) -> None:
        destination = self._out[region.rows, region.columns]
        if destination.dtype == torch.float32:
            _write_or_add(destination, pixels, weights)
            return
        step = max(self._out.shape[0] * self._out.shape[1] // (STRIPS * region.width), 1)
        for top in range(0, region.height, step):
            destination[top : top + step] = round_to_codes(pixels[top : top + step])

    def finish_rows(self, bottom: int) -> None:
        rows = self._out[self._finished_rows : bottom]
        if rows.dtype == torch.float32:
            rows.clamp_(0.0, 1.0)
        self._finished_rows = bottom


class DeviceReducingBuffer:
    """The ``ReducingBuffer`` of a device, in encoded values: ``out`` (H, W, C) is smaller, and float32 or uint16."""

    def __init__(self, source: Size, out: torch.Tensor) -> None:
        self._out = out.permute(2, 0, 1)
        channels, height, width = self._out.shape
        self._taps, self._complete_after = load_row_taps(source.height, height, out.device)
        self._column_taps = None if source.width == width else load_column_taps(source.width, width, out.device)
        self._strip_rows = -(-source.height // STRIPS)
        self._finished_rows = 0
        self._rows = torch.zeros((channels, 0, source.width), dtype=torch.float32, device=out.device)
        self._narrowed = torch.zeros((channels, 0, width), dtype=torch.float32, device=out.device)
        self._top = self._narrowed_top = 0

    def put(self, region: Region, pixels: Any, weights: Any = None) -> None:
        missing = region.bottom - self._top - self._rows.shape[1]
        if missing > 0:
            channels, count, width = self._rows.shape
            more = self._rows.new_zeros((channels, missing, width))
            self._rows = torch.cat([self._rows, more], 1) if count else more
        destination = self._rows[:, region.y - self._top : region.bottom - self._top, region.columns]
        _write_or_add(destination, pixels.permute(2, 0, 1), None if weights is None else weights.transpose(2, 0, 1))

    def finish_rows(self, bottom: int) -> None:
        count = bottom - self._top
        for first in range(0, count, self._strip_rows):
            self._reduce(self._rows[:, first : min(first + self._strip_rows, count)])
        self._rows, self._top = self._rows[:, count:].clone(), bottom

    def _reduce(self, rows: torch.Tensor) -> None:
        """Add the next upscaled rows, and write every row of the result that they complete."""
        narrowed = rows.clamp(0, 1)
        if self._column_taps:
            narrowed = self._column_taps.apply(narrowed, 2)
        self._narrowed = torch.cat([self._narrowed, narrowed], 1)
        results = slice(self._finished_rows, bisect_right(self._complete_after, self._narrowed_top + self._narrowed.shape[1]))
        if results.start < results.stop:
            reduced = self._taps.apply(self._narrowed, 1, results, self._narrowed_top)
            self._out[:, results] = reduced.clamp_(0, 1) if self._out.dtype == torch.float32 else round_to_codes(reduced)
            self._finished_rows = results.stop
        if self._finished_rows < len(self._complete_after):
            top = max(self._taps.first[self._finished_rows], self._narrowed_top)
            self._narrowed = self._narrowed[:, top - self._narrowed_top :].clone()
            self._narrowed_top = top


def _write_or_add(destination: torch.Tensor, pixels: torch.Tensor, weights: Any) -> None:
    if weights is None:
        destination.copy_(pixels)
    else:
        destination += pixels.float() * torch.as_tensor(weights, device=pixels.device)


class ResultImage:
    """A ``DeviceImage`` of ``pixels`` (H, W, 3) uint16. Planes are made once, however often a frame is repeated."""

    def __init__(self, pixels: torch.Tensor, transfer: Transfer) -> None:
        self._pixels, self._transfer = pixels, transfer
        self._planes: dict[PlaneLayout, Callable[[], Sequence[Samples]]] = {}
        self._lent: dict[PlaneLayout, Callable[[], Sequence[torch.Tensor]]] = {}

    @property
    def size(self) -> Size:
        return Size(self._pixels.shape[1], self._pixels.shape[0])

    def download(self) -> Samples:
        with torch.inference_mode():
            (rows,) = self._transfer.start_download([self._pixels.flatten(1)])()
        return rows.reshape(self._pixels.shape)  # pyright: ignore[reportReturnType]

    def download_planes(self, layout: PlaneLayout) -> Callable[[], Sequence[Samples]]:
        if layout not in self._planes:
            with self._make_planes():
                self._planes[layout] = self._transfer.start_download(convert_to_planes(self._pixels, layout))
        return self._planes[layout]

    def lend_planes(self, layout: PlaneLayout) -> Callable[[], Sequence[torch.Tensor]]:
        if layout not in self._lent:
            with self._make_planes():
                planes = convert_to_planes(self._pixels, layout, self._transfer.ring.take(layout))
                self._lent[layout] = self._transfer.finish_later(planes)
        return self._lent[layout]

    @contextmanager
    def _make_planes(self) -> Generator[None]:
        with torch.inference_mode(), translate_out_of_memory(self.size.width, self.size.height, self._pixels.device, "result"):
            yield
