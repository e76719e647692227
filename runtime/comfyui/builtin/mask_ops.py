"""ComfyUI's mask and compositing nodes, bit for bit. Masks are (B, H, W) or (H, W) float32, images (B, H, W, C)."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d, pad

from .common_upscale import common_upscale
from .image_ops import repeat_to_length

_Operation = Callable[[Tensor, Tensor], Tensor]
_OPERATIONS: Mapping[str, _Operation] = {
    "multiply": torch.mul,
    "add": torch.add,
    "subtract": torch.sub,
    "and": lambda below, above: (below.round().bool() & above.round().bool()).float(),
    "or": lambda below, above: (below.round().bool() | above.round().bool()).float(),
    "xor": lambda below, above: (below.round().bool() ^ above.round().bool()).float(),
}


def as_planes(mask: Tensor) -> Tensor:
    """Return a mask as (B, H, W)."""
    return mask.reshape(-1, *mask.shape[-2:])


def mask_to_images(mask: Tensor) -> Tensor:
    """MaskToImage: the mask in three channels."""
    return as_planes(mask)[..., None].expand(-1, -1, -1, 3)


def match_color(images: Tensor, color: int) -> Tensor:
    """ImageColorToMask: 1 where the 8-bit color is 0xRRGGBB."""
    levels = (images.clamp(0, 1) * 255).round().to(torch.int)
    return ((levels[..., 0] << 16) + (levels[..., 1] << 8) + levels[..., 2] == color).float()


def combine_masks(below: Tensor, above: Tensor, x: int, y: int, operation: str) -> Tensor:
    """MaskComposite: ``above`` with its corner at (x, y); what lies outside is dropped."""
    result, above = as_planes(below).clone(), as_planes(above)
    part = result[:, y : y + above.shape[1], x : x + above.shape[2]]
    part.copy_(_OPERATIONS[operation](part, above[:, : part.shape[1], : part.shape[2]]))
    return result.clamp_(0, 1)


def feather_mask(mask: Tensor, left: int, top: int, right: int, bottom: int) -> Tensor:
    """FeatherMask: the given numbers of columns and rows rise from 0 at the border."""
    result = as_planes(mask).clone()
    for axis, start, end in ((2, left, right), (1, top, bottom)):
        side = result.shape[axis]
        for length, first, step in ((min(start, side), 0, 1), (min(end, side), side - 1, -1)):
            for index in range(length):
                result.select(axis, first + step * index).mul_((index + 1) / length)
    return result


def grow_mask(mask: Tensor, pixels: int, tapered: bool) -> Tensor:
    """GrowMask: dilate by ``pixels``, erode where negative; ``tapered`` grows along rows and columns, not diagonally."""
    sign = -1.0 if pixels < 0 else 1.0
    planes = as_planes(mask)[:, None] * sign
    for _ in range(abs(pixels)):
        if tapered:
            planes = torch.maximum(max_pool2d(planes, (3, 1), 1, (1, 0)), max_pool2d(planes, (1, 3), 1, (0, 1)))
        else:
            planes = max_pool2d(planes, 3, 1, 1)
    return planes[:, 0] * sign


def composite_images(below: Tensor, above: Tensor, x: int, y: int, resize: bool, mask: Tensor | None) -> Tensor:
    """ImageCompositeMasked: ``above`` with its corner at (x, y), blended by a mask of its size; resizing is bilinear."""
    channels = below.shape[-1]
    above = pad(above, (0, 1), value=1.0) if above.shape[-1] < channels else above[..., :channels]
    result = below.clone()
    planes = above.movedim(-1, 1)
    planes = interpolate(planes, size=below.shape[1:3], mode="bilinear") if resize else planes
    planes = repeat_to_length(planes, len(below))
    weights = torch.ones_like(planes[:, :1])
    if mask is not None:
        weights = repeat_to_length(interpolate(as_planes(mask)[:, None], size=planes.shape[-2:], mode="bilinear"), len(planes))
    part = result.movedim(-1, 1)[..., y : y + planes.shape[2], x : x + planes.shape[3]]
    height, width = part.shape[-2:]
    planes, weights = planes[..., :height, :width], weights[..., :height, :width]
    part.copy_(weights * planes + (1.0 - weights) * part)
    return result


def fit_into(images: Tensor, width: int, height: int, color: str, method: str) -> Tensor:
    """ResizeAndPadImage: scaled to fit, centered on white or black."""
    old_height, old_width = images.shape[1:3]
    scale = min(width / old_width, height / old_height)
    inner = common_upscale(images.movedim(-1, 1), int(old_width * scale), int(old_height * scale), method)
    left, top = (width - inner.shape[-1]) // 2, (height - inner.shape[-2]) // 2
    ends = (left, width - inner.shape[-1] - left, top, height - inner.shape[-2] - top)
    return pad(inner, ends, value=0.0 if color == "black" else 1.0).movedim(1, -1)


def make_histograms(images: Tensor) -> tuple[list[int], ...]:
    """ImageHistogram: 256 counts of the first image: mean of the channels, BT.709 luma, red, green, blue."""
    image = images[0].cpu()
    luma = 0.2126 * image[..., 0] + 0.7152 * image[..., 1] + 0.0722 * image[..., 2]

    def count(plane: Tensor) -> Tensor:
        return torch.bincount((plane * 255).clamp(0, 255).to(torch.uint8).flatten(), minlength=256)

    red, green, blue = (count(image[..., channel]) for channel in range(3))
    mean = torch.div(red + green + blue, 3, rounding_mode="floor")
    return tuple([int(level) for level in counts] for counts in (mean, count(luma), red, green, blue))


def make_silence(seconds: float, rate: int, channels: int) -> dict[str, Any]:
    """EmptyAudio: a waveform (1, C, samples) of zeros."""
    return {"waveform": torch.zeros(1, channels, round(seconds * rate)), "sample_rate": rate}


def merge_audio(first: Mapping[str, Any], second: Mapping[str, Any], method: str) -> dict[str, Any]:
    """AudioMerge: two waveforms (B, C, samples) of the length of the first, scaled down when above 1."""
    rate = max(int(one["sample_rate"]) for one in (first, second))
    waves: list[Tensor] = [resample_audio(one["waveform"], int(one["sample_rate"]), rate) for one in (first, second)]
    wave, other = waves
    if wave.shape[-1] and other.shape[-1]:
        other = pad(other[..., : wave.shape[-1]], (0, max(0, wave.shape[-1] - other.shape[-1])))
        wave = (wave + other) / 2 if method == "mean" else _OPERATIONS[method](wave, other)
        wave = wave / max(1.0, wave.abs().max().item())
    return {"waveform": wave, "sample_rate": rate}


def resample_audio(wave: Tensor, rate: int, new_rate: int) -> Tensor:
    """Return (..., samples) at another rate, by a windowed sinc of six zero crossings as torchaudio's default is."""
    if rate == new_rate:
        return wave
    step, count = (one // math.gcd(rate, new_rate) for one in (rate, new_rate))
    cutoff = min(step, count) * 0.99
    reach = math.ceil(6 * step / cutoff)
    taps = torch.arange(-reach, reach + step, dtype=torch.float64) / step
    position = ((taps - torch.arange(count, dtype=torch.float64)[:, None] / count) * cutoff).clamp(-6, 6)
    kernel = (torch.sinc(position) * torch.cos(position * math.pi / 12) ** 2 * (cutoff / step)).to(wave.dtype)
    flat = pad(wave.reshape(-1, 1, wave.shape[-1]), (reach, reach + step))
    result = torch.nn.functional.conv1d(flat, kernel[:, None], stride=step).transpose(1, 2).flatten(1)
    return result[:, : math.ceil(count * wave.shape[-1] / step)].reshape(*wave.shape[:-1], -1)
