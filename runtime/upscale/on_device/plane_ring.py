"""Planes in the memory of a device that an encoder reads there.

NVENC registers memory by its address, at most 64 of them, and reads it until the packet of its frame is out. So these few
buffers stay where they are for a whole video, and none is written to while anything still refers to it: encoder, queue, or a
frame that may be repeated.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.dlpack import from_dlpack

from ...media import PlaneLayout

_ROW_ALIGNMENT = 512
"""Bytes, that of textures: FFmpeg gives its own frames in the memory of a GPU the same."""


class PlaneRing:
    """Lends buffers of planes. There are as many as are lent at once, which the queue and the delay of the encoder limit."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._slots: defaultdict[PlaneLayout, list[_Slot]] = defaultdict(list)

    def take(self, layout: PlaneLayout) -> list[torch.Tensor]:
        """Return two planes (rows, columns) for an interleaved ``layout``, to be written to; theirs until they are freed."""
        slots = self._slots[layout]
        slot = next((each for each in slots if each.is_free), None)
        if slot is None:
            slot = _Slot(layout, self._device)
            slots.append(slot)
        return slot.lend()


class _Slot:
    def __init__(self, layout: PlaneLayout, device: torch.device) -> None:
        dtype = torch.uint8 if layout.bit_depth == 8 else torch.uint16
        samples = _ROW_ALIGNMENT // dtype.itemsize
        self._width, self._height = layout.size.width, layout.size.height
        # An encoder expects chroma right below luma.
        shape = (self._height + layout.chroma_size.height, -(-self._width // samples) * samples)
        self._memory = torch.empty(shape, dtype=dtype, device=device)
        self._lent: Any = None  # a StorageWeakRef, which has no types

    @property
    def is_free(self) -> bool:
        return self._lent is None or bool(self._lent.expired())

    def lend(self) -> list[torch.Tensor]:
        lent = from_dlpack(self._memory)  # the same memory, with a storage that ends with the last reference
        self._lent = StorageWeakRef(lent.untyped_storage())
        return [lent[: self._height, : self._width], lent[self._height :, : self._width]]
