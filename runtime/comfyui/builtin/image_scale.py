"""What ComfyUI 0.30's own image nodes compute, for the headless runner: the same file gives the same pixels in both homes.

Written from their behaviour, not improved: whoever wants better results uses TiledUpscale. Pictures are (B, H, W, C) float32.
"""

from __future__ import annotations

from itertools import product
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ...errors import OutOfMemory, WorkflowError
from ...models.load import Descriptor
from ...progress import OpenProgress, Progress
from ...upscale.device import resolve_device
from ...upscale.memory import is_out_of_memory

_TILE, _OVERLAP, _MIN_TILE = 512, 32, 128

ResizeMethod = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]


@torch.inference_mode()
def upscale_with_model(images: Tensor, model: Descriptor, device: str, open_progress: OpenProgress) -> Tensor:
    """ImageUpscaleWithModel: tiles of 512 with 32 pixels of overlap, a linear feather on all four sides, fp32.

    Halves the tile down to 128 when memory runs out, then raises ``OutOfMemory``. Raises ``WorkflowError`` for a picture with
    another number of channels than the model has.
    """
    if images.shape[-1] != model.input_channels:
        raise WorkflowError(
            f"The model takes {model.input_channels} channels, the picture has {images.shape[-1]}.",
            "Use TiledUpscale, which also takes grey and keeps alpha.",
        )
    torch_device = resolve_device(device)
    model.to(torch_device)
    channels_first = images.movedim(-1, 1).to(torch_device)
    tile = _TILE
    while True:
        try:
            with open_progress(len(channels_first) * _count_tiles(channels_first, tile), "tile") as progress:
                # Slices, not pictures: the strides of a batch of one decide which convolution is taken, and its last bits.
                singles = [channels_first[index : index + 1] for index in range(len(channels_first))]
                upscaled = torch.cat([_upscale_feathered(image, model, tile, progress) for image in singles])
            return upscaled.movedim(1, -1).clamp(0.0, 1.0)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            tile //= 2
            if tile < _MIN_TILE:
                raise OutOfMemory(
                    f"Not even a tile of {_MIN_TILE} pixels fits in the memory of {device}.",
                    "Use TiledUpscale, which goes smaller, or --device cpu.",
                    device=device,
                    tile=_MIN_TILE,
                ) from error


def _count_tiles(images: Tensor, tile: int) -> int:
    return len(_list_positions(images.shape[2], tile)) * len(_list_positions(images.shape[3], tile))


def _list_positions(length: int, tile: int) -> list[int]:
    return list(range(0, length - _OVERLAP, tile - _OVERLAP)) if length > tile else [0]


def _upscale_feathered(image: Tensor, model: Descriptor, tile: int, progress: Progress) -> Tensor:
    height, width = image.shape[2:]
    scale = model.scale
    if height <= tile and width <= tile:
        upscaled = model(image.float()).cpu()
        progress.advance()
        return upscaled
    total = torch.zeros(1, 3, height * scale, width * scale)
    weight = torch.zeros(1, 1, height * scale, width * scale)
    for y, x in product(_list_positions(height, tile), _list_positions(width, tile)):
        upscaled = model(image[:, :, y : y + tile, x : x + tile].float()).cpu()
        mask = _make_feather_mask(upscaled.shape[2], upscaled.shape[3], _OVERLAP * scale)
        rows = slice(y * scale, y * scale + upscaled.shape[2])
        columns = slice(x * scale, x * scale + upscaled.shape[3])
        total[:, :, rows, columns] += upscaled * mask
        weight[:, :, rows, columns] += mask
        progress.advance()
    return total.div_(weight)


def _make_feather_mask(height: int, width: int, feather: int) -> Tensor:
    mask = torch.ones(height, width)
    for axis, length in enumerate((height, width)):
        if feather < length:
            ramp = torch.ones(length)
            ramp[:feather] = torch.arange(1, feather + 1) / feather
            shape = (-1, 1) if axis == 0 else (1, -1)
            mask = mask * ramp.view(shape) * ramp.flip(0).view(shape)
    return mask


def resize_images(images: Tensor, width: int, height: int, method: ResizeMethod, *, crop: bool = False) -> Tensor:
    """``common_upscale``: torch's interpolation without antialiasing, or Pillow's Lanczos on 8-bit truncated values.

    ``crop`` cuts the middle of the picture to the new aspect first. Bicubic may leave 0..1, as it does there.
    Raises ``WorkflowError`` where no pixel would be left.
    """
    channels_first = images.movedim(-1, 1)
    if width and height and crop:
        channels_first = _crop_to_aspect(channels_first, width / height)
    if not (width and height and channels_first.numel()):
        raise WorkflowError(
            f"A picture of {images.shape[2]}x{images.shape[1]} pixels cannot be made {width}x{height}"
            f"{' after a crop to that aspect' if crop else ''}: no pixel would be left.",
            "Ask for a larger size.",
        )
    if method == "lanczos":
        return torch.stack([_resize_lanczos(image, width, height) for image in channels_first.movedim(1, -1)])
    return interpolate(channels_first, size=(height, width), mode=method).movedim(1, -1)


def scale_images(images: Tensor, width: int, height: int, method: ResizeMethod, *, crop: bool = False) -> Tensor:
    """ImageScale: a width or height of 0 follows from the aspect; both 0 leave the picture as it is."""
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
    """ImageCrop: the corner is kept inside the picture, the rest is cut at its border."""
    x, y = min(x, images.shape[2] - 1), min(y, images.shape[1] - 1)
    return images[:, y : y + height, x : x + width]


def batch_images(first: Tensor, second: Tensor) -> Tensor:
    """ImageBatch: a missing alpha is opaque, the second picture takes the first one's size.

    Raises ``WorkflowError`` when the numbers of channels differ by more than an alpha.
    """
    missing = first.shape[-1] - second.shape[-1]
    if abs(missing) > 1:
        raise WorkflowError(
            f"Pictures of {first.shape[-1]} and {second.shape[-1]} channels cannot be joined.", "Make both RGB or RGBA."
        )
    if missing > 0:
        second = pad(second, (0, 1), value=1.0)
    elif missing < 0:
        first = pad(first, (0, 1), value=1.0)
    if first.shape[1:] != second.shape[1:]:
        second = resize_images(second, first.shape[2], first.shape[1], "bilinear", crop=True)
    return torch.cat([first, second])


def _crop_to_aspect(images: Tensor, aspect: float) -> Tensor:
    height, width = images.shape[2:]
    x = round((width - width * (aspect / (width / height))) / 2) if width / height > aspect else 0
    y = round((height - height * ((width / height) / aspect)) / 2) if width / height < aspect else 0
    return images[:, :, y : height - y, x : width - x]


def _resize_lanczos(image: Tensor, width: int, height: int) -> Tensor:
    pixels = np.clip(255.0 * image.cpu().numpy(), 0, 255).astype(np.uint8)
    channels = pixels.shape[2]
    resized = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).resize((width, height), Image.Resampling.LANCZOS)
    return torch.as_tensor(np.asarray(resized).astype(np.float32) / 255.0).reshape(height, width, channels)
