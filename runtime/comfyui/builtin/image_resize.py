"""ComfyUI 0.30's nodes that compute a size and resize to it, bit for bit.

Images are (B, H, W, C) float32, masks (B, H, W); functions accept both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...errors import WorkflowError
from .image_scale import ResizeMethod, resize_images

_MEGAPIXEL = 1024 * 1024


class OptionalSize(NamedTuple):
    """A computed size in pixels; it may be 0, which ``resize_images`` rejects."""

    width: int
    height: int


def scale_to_total_pixels(images: Tensor, megapixels: float, step: int, method: ResizeMethod) -> Tensor:
    """ImageScaleToTotalPixels: about ``megapixels`` times 1024 x 1024, sides rounded to multiples of ``step``."""
    size = _get_size(images)
    factor = math.sqrt(megapixels * _MEGAPIXEL / (size.width * size.height))
    return resize_images(images, round(size.width * factor / step) * step, round(size.height * factor / step) * step, method)


def scale_to_longer_side(images: Tensor, side: int, method: ResizeMethod) -> Tensor:
    """ImageScaleToMaxDimension: the longer side becomes ``side``."""
    return _resize_image_or_mask(images, _fit_longer_side(_get_size(images), side), method)


def resize_by_mode(images: Tensor, mode: str, values: Mapping[str, Any], method: ResizeMethod) -> Tensor:
    """ResizeImageMaskNode for an image or a mask. ``values`` are the inputs of ``mode`` by name."""
    if mode == "scale to multiple":
        return _scale_to_cover_multiple(images, int(values["multiple"]), method)
    size = _RESIZE_MODES[mode](_get_size(images), values)
    crop = values.get("crop") == "center"
    return images if size is None else _resize_image_or_mask(images, size, method, crop=crop)


def batch_all_images(batches: Sequence[Tensor]) -> Tensor:
    """BatchImagesNode: a missing alpha is opaque, every image is resized to the size of the first (bilinear, center crop).

    Raises ``WorkflowError`` when the numbers of channels differ by more than an alpha.
    """
    channels = max(batch.shape[-1] for batch in batches)
    if any(channels - batch.shape[-1] > 1 for batch in batches):
        found = " and ".join(str(count) for count in sorted({batch.shape[-1] for batch in batches}))
        raise WorkflowError(f"Images of {found} channels cannot form a batch.", "Convert them all to RGB or RGBA.")
    padded = [pad(batch, (0, 1), value=1.0) if batch.shape[-1] < channels else batch for batch in batches]
    height, width = padded[0].shape[1:3]
    return torch.cat(
        [
            one if one.shape[1:3] == (height, width) else resize_images(one, width, height, "bilinear", crop=True)
            for one in padded
        ]
    )


def _get_size(images: Tensor) -> OptionalSize:
    return OptionalSize(images.shape[2], images.shape[1])


def _resize_image_or_mask(images: Tensor, size: OptionalSize, method: ResizeMethod, *, crop: bool = False) -> Tensor:
    if images.ndim == 4:
        return resize_images(images, size.width, size.height, method, crop=crop)
    # The channel axis before H and W, as ComfyUI adds it: torch's kernels, and so the last bits, depend on the memory layout.
    return resize_images(images[:, None].movedim(1, -1), size.width, size.height, method, crop=crop)[..., 0]


def _fit_longer_side(size: OptionalSize, side: int) -> OptionalSize:
    if size.height > size.width:
        return OptionalSize(round(size.width / size.height * side), side)
    return OptionalSize(side, round(size.height / size.width * side) if size.width > size.height else side)


def _fit_shorter_side(size: OptionalSize, side: int) -> OptionalSize:
    if size.height < size.width:
        return OptionalSize(round(size.width / size.height * side), side)
    return OptionalSize(side, round(size.height / size.width * side) if size.width < size.height else side)


def _fit_dimensions(size: OptionalSize, width: int, height: int) -> OptionalSize | None:
    """Return the new size; 0 keeps the aspect ratio; None when both are 0."""
    if width == 0 and height == 0:
        return None
    return OptionalSize(
        width or max(1, round(size.width * height / size.height)), height or max(1, round(size.height * width / size.width))
    )


def _fit_megapixels(size: OptionalSize, megapixels: float) -> OptionalSize:
    factor = math.sqrt(int(megapixels * _MEGAPIXEL) / (size.width * size.height))
    return OptionalSize(round(size.width * factor), round(size.height * factor))


_RESIZE_MODES: Mapping[str, Callable[[OptionalSize, Mapping[str, Any]], OptionalSize | None]] = {
    "scale dimensions": lambda size, values: _fit_dimensions(size, values["width"], values["height"]),
    "scale by multiplier": lambda size, values: OptionalSize(
        round(size.width * values["multiplier"]), round(size.height * values["multiplier"])
    ),
    "scale longer dimension": lambda size, values: _fit_longer_side(size, values["longer_size"]),
    "scale shorter dimension": lambda size, values: _fit_shorter_side(size, values["shorter_size"]),
    "scale width": lambda size, values: _fit_dimensions(size, values["width"], 0),
    "scale height": lambda size, values: _fit_dimensions(size, 0, values["height"]),
    "scale total pixels": lambda size, values: _fit_megapixels(size, values["megapixels"]),
    "match size": lambda _, values: _get_size(cast(Tensor, values["match"])),
}


def _scale_to_cover_multiple(images: Tensor, multiple: int, method: ResizeMethod) -> Tensor:
    """Resize, with the aspect ratio kept, to cover the largest multiples that fit, and crop the center."""
    size = _get_size(images)
    cropped_size = OptionalSize(size.width // multiple * multiple, size.height // multiple * multiple)
    if cropped_size == size or not (cropped_size.width and cropped_size.height):
        return images
    across, down = cropped_size.width / size.width, cropped_size.height / size.height
    if across >= down:
        covering_size = OptionalSize(cropped_size.width, max(cropped_size.height, math.ceil(size.height * across)))
    else:
        covering_size = OptionalSize(max(cropped_size.width, math.ceil(size.width * down)), cropped_size.height)
    resized = _resize_image_or_mask(images, covering_size, method)
    left, top = (covering_size.width - cropped_size.width) // 2, (covering_size.height - cropped_size.height) // 2
    return resized[:, top : top + cropped_size.height, left : left + cropped_size.width]
