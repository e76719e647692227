"""The sizes that ComfyUI 0.30's own resizing nodes work out, bit for bit; ``like_comfyui.resize`` then does the work.

Pictures are (B, H, W, C) float32, masks (B, H, W); what takes one takes the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..errors import WorkflowError
from .like_comfyui import Method, resize

_MEGAPIXEL = 1024 * 1024


class Sides(NamedTuple):
    """What was worked out for a picture; 0 is possible, and refused by ``resize``."""

    width: int
    height: int


def to_total_pixels(images: Tensor, megapixels: float, step: int, method: Method) -> Tensor:
    """ImageScaleToTotalPixels: about ``megapixels`` times 1024 x 1024, sides rounded to multiples of ``step``."""
    size = _size(images)
    factor = math.sqrt(megapixels * _MEGAPIXEL / (size.width * size.height))
    return resize(images, round(size.width * factor / step) * step, round(size.height * factor / step) * step, method)


def to_longer_side(images: Tensor, side: int, method: Method) -> Tensor:
    """ImageScaleToMaxDimension: the longer side becomes ``side``."""
    return _resize_either(images, _with_longer_side(_size(images), side), method)


def resize_as_chosen(images: Tensor, choice: str, values: Mapping[str, Any], method: Method) -> Tensor:
    """ResizeImageMaskNode: a picture or a mask. ``values`` are what the node shows for ``choice``, by their own names."""
    if choice == "scale to multiple":
        return _cover_multiple(images, int(values["multiple"]), method)
    size = _CHOICES[choice](_size(images), values)
    crop = values.get("crop") == "center"
    return images if size is None else _resize_either(images, size, method, crop=crop)


def batch_all(batches: Sequence[Tensor]) -> Tensor:
    """BatchImagesNode: a missing alpha is opaque, every picture takes the first one's size (bilinear, its middle).

    Raises ``WorkflowError`` when the numbers of channels differ by more than an alpha.
    """
    channels = max(batch.shape[-1] for batch in batches)
    if any(channels - batch.shape[-1] > 1 for batch in batches):
        found = " and ".join(str(count) for count in sorted({batch.shape[-1] for batch in batches}))
        raise WorkflowError(f"Pictures of {found} channels cannot be one batch.", "Make them all RGB or RGBA.")
    padded = [pad(batch, (0, 1), value=1.0) if batch.shape[-1] < channels else batch for batch in batches]
    height, width = padded[0].shape[1:3]
    return torch.cat(
        [one if one.shape[1:3] == (height, width) else resize(one, width, height, "bilinear", crop=True) for one in padded]
    )


def _size(images: Tensor) -> Sides:
    return Sides(images.shape[2], images.shape[1])


def _resize_either(images: Tensor, size: Sides, method: Method, *, crop: bool = False) -> Tensor:
    if images.ndim == 4:
        return resize(images, size.width, size.height, method, crop=crop)
    # A channel axis in front, as ComfyUI adds it: torch's kernels, and so the last bits, depend on where it lies in memory.
    return resize(images[:, None].movedim(1, -1), size.width, size.height, method, crop=crop)[..., 0]


def _with_longer_side(size: Sides, side: int) -> Sides:
    if size.height > size.width:
        return Sides(round(size.width / size.height * side), side)
    return Sides(side, round(size.height / size.width * side) if size.width > size.height else side)


def _with_shorter_side(size: Sides, side: int) -> Sides:
    if size.height < size.width:
        return Sides(round(size.width / size.height * side), side)
    return Sides(side, round(size.height / size.width * side) if size.width < size.height else side)


def _to_dimensions(size: Sides, width: int, height: int) -> Sides | None:
    """0 keeps the aspect; both 0 leave everything as it is."""
    if width == 0 and height == 0:
        return None
    return Sides(
        width or max(1, round(size.width * height / size.height)), height or max(1, round(size.height * width / size.width))
    )


def _to_megapixels(size: Sides, megapixels: float) -> Sides:
    factor = math.sqrt(int(megapixels * _MEGAPIXEL) / (size.width * size.height))
    return Sides(round(size.width * factor), round(size.height * factor))


_CHOICES: Mapping[str, Callable[[Sides, Mapping[str, Any]], Sides | None]] = {
    "scale dimensions": lambda size, values: _to_dimensions(size, values["width"], values["height"]),
    "scale by multiplier": lambda size, values: Sides(
        round(size.width * values["multiplier"]), round(size.height * values["multiplier"])
    ),
    "scale longer dimension": lambda size, values: _with_longer_side(size, values["longer_size"]),
    "scale shorter dimension": lambda size, values: _with_shorter_side(size, values["shorter_size"]),
    "scale width": lambda size, values: _to_dimensions(size, values["width"], 0),
    "scale height": lambda size, values: _to_dimensions(size, 0, values["height"]),
    "scale total pixels": lambda size, values: _to_megapixels(size, values["megapixels"]),
    "match size": lambda _, values: _size(cast(Tensor, values["match"])),
}


def _cover_multiple(images: Tensor, multiple: int, method: Method) -> Tensor:
    """The largest multiples that fit, covered by the picture at its own aspect, and what stands over cut off evenly."""
    size = _size(images)
    wanted = Sides(size.width // multiple * multiple, size.height // multiple * multiple)
    if wanted == size or not (wanted.width and wanted.height):
        return images
    across, down = wanted.width / size.width, wanted.height / size.height
    if across >= down:
        covering = Sides(wanted.width, max(wanted.height, math.ceil(size.height * across)))
    else:
        covering = Sides(max(wanted.width, math.ceil(size.width * down)), wanted.height)
    resized = _resize_either(images, covering, method)
    left, top = (covering.width - wanted.width) // 2, (covering.height - wanted.height) // 2
    return resized[:, top : top + wanted.height, left : left + wanted.width]
