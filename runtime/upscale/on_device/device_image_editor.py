"""A whole frame that is finished in the memory of a device, with the values of ``color_fix.HostImage`` to the last bit.

Only images of the source's size go to the host and back, where they are averaged.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import numpy as np
import torch

from ...images import ResizeTaps, make_area_taps, to_floats
from ...media import Floats, Samples, srgb_to_linear
from ..color_fix import make_blend_taps
from .device_buffer import codes_to_floats, round_to_codes
from .device_resample import DeviceTaps
from .rgb_to_planes import STRIPS
from .transfer import Transfer


class DeviceImageEditor:
    """An ``EditableImage`` of ``pixels`` (H, W, 3) uint16."""

    def __init__(self, pixels: torch.Tensor, transfer: Transfer) -> None:
        self.shape: Sequence[int] = pixels.shape
        self._planes, self._transfer = pixels.permute(2, 0, 1), transfer

    def reduce_to_linear(self, height: int, width: int) -> Floats:
        planes = self._planes
        across, down = self._load_taps((make_area_taps(self.shape[1], width), make_area_taps(self.shape[0], height)))
        curve = _load_srgb_curve(planes.device)
        reduced = torch.empty((height, width, 3), dtype=torch.float32, device=planes.device)
        for rows in cut_strips(height):
            needed = down.find_source(rows, planes.shape[1])
            codes = planes[:, needed].to(torch.int32)
            light = curve.index_select(0, codes.flatten()).reshape(codes.shape)
            reduced[rows] = down.apply(across.apply(light, 2), 1, rows, needed.start).permute(1, 2, 0)
        return cast("Floats", self._transfer.start_download([reduced.flatten(1)])()[0]).reshape(height, width, 3)

    def blend(self, added: Floats, strength: float = 1.0) -> None:
        planes = self._planes
        across, down = self._load_taps(make_blend_taps(added.shape, self.shape))
        smaller = self._transfer.upload(cast("Samples", added)).permute(2, 0, 1).contiguous()
        for rows in cut_strips(planes.shape[1]):
            needed = down.find_source(rows, smaller.shape[1])
            finished = codes_to_floats(planes[:, rows]) * strength
            finished += down.apply(across.apply(smaller[:, needed], 2), 1, rows, needed.start)
            planes[:, rows] = round_to_codes(finished)

    def _load_taps(self, taps: tuple[ResizeTaps, ResizeTaps]) -> tuple[DeviceTaps, DeviceTaps]:
        across, down = (DeviceTaps.from_resize_taps(each, self._planes.device) for each in taps)
        return across, down


def cut_strips(height: int) -> list[slice]:
    """Return the rows of an image in parts, of which few exist in floats at once."""
    step = -(-height // STRIPS)
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]


@lru_cache(2)
def _load_srgb_curve(device: torch.device) -> torch.Tensor:
    """Return the linear light of each 16-bit code, as the host computes it: powers differ between devices."""
    return torch.as_tensor(srgb_to_linear(to_floats(np.arange(65536, dtype=np.uint16))), device=device)
