"""ComfyUI 0.30's nodes that upscale, resize, crop and join images, bit for bit. Images are (B, H, W, C) float32, masks
(B, H, W); the functions that compute a size accept both.

Written from their behavior and not improved: TiledUpscale gives better results.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...errors import OutOfMemory, WorkflowError
from ...models import Descriptor
from ...progress import OpenProgress, Progress
from ...upscale import is_out_of_memory, resolve_device
from .common_upscale import common_upscale, crop_to_aspect
from .tiled_scale import count_tiles, tiled_scale_multidim

_TILE, _OVERLAP, _MIN_TILE = 512, 32, 128

ResizeMethod = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]


@torch.inference_mode()
def upscale_with_model(images: Tensor, model: Descriptor, device: str, open_progress: OpenProgress) -> Tensor:
    """ImageUpscaleWithModel: tiles of 512 with 32 pixels of overlap, a linear feather on all four sides, fp32.

    Halves the tile down to 128 when memory runs out, then raises ``OutOfMemory``. Raises ``WorkflowError`` for an image with
    another number of channels than the model has.
    """
    if images.shape[-1] != model.input_channels:
        raise WorkflowError(
            f"The model takes {model.input_channels} channels, the image has {images.shape[-1]}.",
            "Use TiledUpscale, which also takes gray images and keeps alpha.",
        )
    torch_device = resolve_device(device)
    model.to(torch_device)
    channels_first = images.movedim(-1, 1).to(torch_device)
    tile = _TILE

    def run_model(pixels: Tensor) -> Tensor:
        return model(pixels.float())

    while True:
        try:
            counts = [count_tiles(length, tile, _OVERLAP) for length in channels_first.shape[2:]]
            with open_progress(len(channels_first) * math.prod(counts), "tile") as progress:
                upscaled = tiled_scale_multidim(
                    channels_first, run_model, (tile, tile), _OVERLAP, model.scale, pbar=_TileBar(progress)
                )
            return upscaled.movedim(1, -1).clamp(0.0, 1.0)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            tile //= 2
            if tile < _MIN_TILE:
                raise OutOfMemory(
                    f"Not even a tile of {_MIN_TILE} pixels fits in the memory of {device}.",
                    "Use TiledUpscale, which uses smaller tiles, or --device cpu.",
                    device=device,
                    tile=_MIN_TILE,
                ) from error


@dataclass(frozen=True)
class _TileBar:
    """Counts tiles for ``tiled_scale_multidim`` as steps of a progress display."""

    progress: Progress

    def update(self, value: float) -> None:
        self.progress.advance()


def resize_images(images: Tensor, width: int, height: int, method: ResizeMethod, *, crop: bool = False) -> Tensor:
    """``common_upscale``: torch's interpolation without antialiasing, or Pillow's Lanczos on 8-bit truncated values.

    ``crop`` first crops the center to the new aspect ratio. Bicubic can exceed 0..1, as in ComfyUI.
    Raises ``WorkflowError`` where no pixel would be left.
    """
    channels_first = images.movedim(-1, 1)
    if width and height and crop:
        channels_first = crop_to_aspect(channels_first, width / height)
    if not (width and height and channels_first.numel()):
        raise WorkflowError(
            f"An image of {images.shape[2]}x{images.shape[1]} pixels cannot be resized to {width}x{height}"
            f"{' after a crop to that aspect' if crop else ''}: no pixel would be left.",
            "Choose a larger size.",
        )
    resized = common_upscale(channels_first, width, height, method)
    return resized[..., None] if resized.ndim == 3 else resized.movedim(1, -1)


def scale_images(images: Tensor, width: int, height: int, method: ResizeMethod, *, crop: bool = False) -> Tensor:
    """ImageScale: a width or height of 0 keeps the aspect ratio; both 0 leave the image unchanged."""
    old_height, old_width = images.shape[1:3]
    if width == 0 and height == 0:
        return images
    width = width or max(1, round(old_width * height / old_height))
    height = height or max(1, round(old_height * width / old_width))
    return resize_images(images, width, height, method, crop=crop)


def scale_images_by(images: Tensor, factor: float, method: ResizeMethod) -> Tensor:
    """ImageScaleBy: sides rounded half to even."""
    height, width = images.shape[1:3]
    return resize_images(images, round(width * factor), round(height * factor), method)


def crop_images(images: Tensor, x: int, y: int, width: int, height: int) -> Tensor:
    """ImageCrop: the corner is clipped to the image, the region to its border."""
    x, y = min(x, images.shape[2] - 1), min(y, images.shape[1] - 1)
    return images[:, y : y + height, x : x + width]


def batch_images(first: Tensor, second: Tensor) -> Tensor:
    """ImageBatch: a missing alpha is opaque, the second image is resized to the size of the first.

    Raises ``WorkflowError`` when the numbers of channels differ by more than an alpha.
    """
    missing = first.shape[-1] - second.shape[-1]
    if abs(missing) > 1:
        raise WorkflowError(
            f"Images of {first.shape[-1]} and {second.shape[-1]} channels cannot be joined.", "Convert both to RGB or RGBA."
        )
    if missing > 0:
        second = pad(second, (0, 1), value=1.0)
    elif missing < 0:
        first = pad(first, (0, 1), value=1.0)
    if first.shape[1:] != second.shape[1:]:
        second = resize_images(second, first.shape[2], first.shape[1], "bilinear", crop=True)
    return torch.cat([first, second])


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


def resize_by_mode(source: Any, mode: str, values: Mapping[str, Any], method: ResizeMethod) -> Any:
    """ResizeImageMaskNode for an image, a mask or a video (frame by frame, when it is read). ``values`` are the inputs of
    ``mode`` by name.
    """
    plan = _plan_resize(_get_size(source), mode, values)
    if plan is None:
        return source
    size, (x, y, width, height) = plan.size, plan.cut or (0, 0, *plan.size)
    crop = values.get("crop") == "center"
    if isinstance(source, Tensor):
        return _resize_image_or_mask(source, size, method, crop=crop)[:, y : y + height, x : x + width]
    if not (size.width and size.height):
        raise WorkflowError(f"A video cannot be resized to {size.width}x{size.height} pixels.", "Choose a larger size.")
    return source.as_resized(*size, method, "center" if crop else "disabled", plan.cut)


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


def _get_size(source: Any) -> OptionalSize:
    """Return the size of an image or a mask, or of a video as shown, upright."""
    if isinstance(source, Tensor):
        return OptionalSize(source.shape[2], source.shape[1])
    return OptionalSize(*getattr(source, "get_display_dimensions", source.get_dimensions)())


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
    "match size": lambda _, values: _get_size(values["match"]),
}


class _ResizePlan(NamedTuple):
    size: OptionalSize
    cut: tuple[int, int, int, int] | None = None
    """x, y, width and height of what is kept of it"""


def _plan_resize(size: OptionalSize, mode: str, values: Mapping[str, Any]) -> _ResizePlan | None:
    """Return what ``mode`` does to an image of ``size``; None for nothing."""
    if mode == "scale to multiple":
        return _cover_multiple(size, int(values["multiple"]))
    new_size = _RESIZE_MODES[mode](size, values)
    return None if new_size is None else _ResizePlan(new_size)


def _cover_multiple(size: OptionalSize, multiple: int) -> _ResizePlan | None:
    """Resize, with the aspect ratio kept, to cover the largest multiples that fit, and crop the center."""
    kept = OptionalSize(size.width // multiple * multiple, size.height // multiple * multiple)
    if kept == size or not (kept.width and kept.height):
        return None
    across, down = kept.width / size.width, kept.height / size.height
    if across >= down:
        covering = OptionalSize(kept.width, max(kept.height, math.ceil(size.height * across)))
    else:
        covering = OptionalSize(max(kept.width, math.ceil(size.width * down)), kept.height)
    left, top = (covering.width - kept.width) // 2, (covering.height - kept.height) // 2
    return _ResizePlan(covering, (left, top, kept.width, kept.height))
