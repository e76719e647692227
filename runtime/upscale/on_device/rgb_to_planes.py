"""R'G'B' on a device to the planes that an encoder takes, with the codes of ``video.color.rgb_to_yuv`` to the last one."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import numpy as np
import torch
from torch.nn.functional import pad

from ...errors import HardwareMissing
from ...hardware import choose_backend, detect_machine, find_measurements, load_calibration
from ...media import PlaneLayout
from ..backends.base import REFERENCE_BACKEND
from .opencv_transform import transform_floats, transform_to_one, transform_to_three

STRIPS = 8
"""A frame is converted in as many parts, whatever its size, because every call costs; a pixel takes some 60 bytes meanwhile."""
_ROW_ALIGNMENT = 64
"""Bytes: encoders read rows by vectors."""


def convert_to_planes(
    pixels: torch.Tensor,
    layout: PlaneLayout,
    planes: list[torch.Tensor] | None = None,
    *,
    by_kernel: bool | None = None,
) -> list[torch.Tensor]:
    """Return the planes of ``pixels`` (H, W, 3) uint16 over 0..65535, on their device: uint8 or uint16, (rows, columns).

    They are written to ``planes``, or else to new ones. The codes are the same ``by_kernel``; None: where it was measured.
    """
    planes = planes or _allocate_planes(layout, pixels.device)
    if _is_kernel_faster(pixels.device) if by_kernel is None else by_kernel:
        from .triton_planes import pack_planes

        pack_planes(pixels, layout, _list_coefficients(layout), planes)
        return planes
    size, coefficients = layout.size, _list_coefficients(layout)
    strip_rows = -(-size.height // (2 * STRIPS)) * 2
    for top in range(0, size.height, strip_rows):
        bottom = min(top + strip_rows, size.height)
        rows = pixels[top:bottom].permute(2, 0, 1).to(torch.float64)
        _convert_rows(
            _repeat_edges(rows, right=size.width - rows.shape[2], bottom=bottom - top - rows.shape[1]),
            layout,
            coefficients,
            _make_writer(layout, planes, top),
        )
    return planes


KERNEL_NAMES = REFERENCE_BACKEND, "triton"
"""What ``probe --calibrate`` measures under, in turn without and with the kernel."""


@cache
def _is_kernel_faster(device: torch.device) -> bool:
    """Whether ``probe --calibrate`` found ``triton_planes`` faster on this GPU, with the same codes."""
    calibration = load_calibration()
    if not calibration or device.type != "cuda" or find_spec("triton") is None:
        return False
    try:
        measured = find_measurements(calibration, detect_machine(), str(device), "planes", 1, "fp32")
    except HardwareMissing:  # the driver lists other GPUs than torch
        return False
    return choose_backend(measured) == KERNEL_NAMES[1]


def _allocate_planes(layout: PlaneLayout, device: torch.device) -> list[torch.Tensor]:
    dtype = torch.uint8 if layout.bit_depth == 8 else torch.uint16
    chroma = layout.chroma_size
    shapes = [(layout.size.height, layout.size.width)]
    shapes += [(chroma.height, 2 * chroma.width)] if layout.is_interleaved else [(chroma.height, chroma.width)] * 2
    samples = _ROW_ALIGNMENT // dtype.itemsize
    return [
        torch.empty((height, -(-width // samples) * samples), dtype=dtype, device=device)[:, :width] for height, width in shapes
    ]


def _list_coefficients(layout: PlaneLayout) -> list[list[float]]:
    """Return those of Y', Cb and Cr for 16-bit samples, or sums of them, as float32, as OpenCV takes them."""
    matrix = np.array(layout.matrix)
    matrix[:, :3] /= 65535
    if layout.horizontal_factor == 2:
        matrix[1:, :3] /= 4 * layout.vertical_factor
    return matrix.astype(np.float32).tolist()


Write = Callable[[int, torch.Tensor], None]
"""Gets the number of a component, and its codes."""


def _convert_rows(values: torch.Tensor, layout: PlaneLayout, coefficients: list[list[float]], write: Write) -> None:
    """Write the components of ``values`` (3, h, w) float64."""
    if layout.horizontal_factor == 1:
        for index, row in enumerate(coefficients):
            write(index, transform_to_three(values.unbind(), row))
        return
    write(0, transform_to_one(values.unbind(), coefficients[0]))
    sums = _sum_left_sited_chroma(values, layout.vertical_factor)
    for index, row in enumerate(coefficients[1:], start=1):
        write(index, transform_floats(sums.unbind(), row).round_())


def _make_writer(layout: PlaneLayout, planes: list[torch.Tensor], top: int) -> Write:
    """Write to the rows of ``planes`` from luma row ``top`` on."""

    def write(index: int, codes: torch.Tensor) -> None:
        codes.clamp_(max=2**layout.bit_depth - 1)
        if layout.is_interleaved and layout.bit_depth > 8:
            codes *= 2 ** (16 - layout.bit_depth)
        plane, first = planes[min(index, len(planes) - 1)], top // (layout.vertical_factor if index else 1)
        columns = slice(index - 1, None, 2) if layout.is_interleaved and index else slice(None)
        plane[first : first + len(codes), columns] = codes

    return write


def _sum_left_sited_chroma(values: torch.Tensor, vertical_factor: int) -> torch.Tensor:
    """4 * ``vertical_factor`` times the mean around every chroma sample: columns 1 2 1 around the even ones."""
    height, width = values.shape[1:]
    padded = _repeat_edges(values, left=1, right=1 + width % 2, bottom=height % vertical_factor)
    lines = padded[:, 0::2] + padded[:, 1::2] if vertical_factor == 2 else padded
    return lines[:, :, 1:-1:2] * 2 + lines[:, :, 0:-2:2] + lines[:, :, 2::2]


def _repeat_edges(values: torch.Tensor, *, left: int = 0, right: int = 0, bottom: int = 0) -> torch.Tensor:
    return pad(values[None], (left, right, 0, bottom), "replicate")[0] if left or right or bottom else values
