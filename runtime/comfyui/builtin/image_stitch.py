"""ComfyUI's Stitch Images: two batches side by side."""

import torch
from torch import Tensor

from .common_upscale import common_upscale

_COLORS = {"white": (1, 1, 1), "black": (0, 0, 0), "red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}


def stitch_images(first: Tensor, second: Tensor | None, direction: str, match_size: bool, spacing: int, color: str) -> Tensor:
    """Return two batches (B, H, W, C) joined, the second in ``direction`` of the first, ``spacing`` pixels apart."""
    if second is None:
        return first
    is_row = direction in ("left", "right")
    count = max(len(first), len(second))
    first, second = (torch.cat([one, one[-1:].repeat(count - len(one), 1, 1, 1)]) for one in (first, second))
    if match_size:
        second = _match_size(first, second, is_row)
    else:
        fill = float(_COLORS[color][0]) if color in ("white", "black") else 0.0
        side = max(one.shape[1 if is_row else 2] for one in (first, second))
        first, second = (_pad(one, side, is_row, fill) for one in (first, second))
    channels = max(first.shape[-1], second.shape[-1])
    first, second = (torch.cat([one, torch.ones(*one.shape[:-1], channels - one.shape[-1])], -1) for one in (first, second))
    parts = [second, first] if direction in ("left", "up") else [first, second]
    if spacing > 0:
        width = spacing + spacing % 2
        height, length = max(first.shape[1], second.shape[1]), max(first.shape[2], second.shape[2])
        gap = torch.ones(count, *((height, width) if is_row else (width, length)), channels)
        gap[..., : min(3, channels)] = torch.tensor(_COLORS[color], dtype=gap.dtype)[: min(3, channels)]
        parts.insert(1, gap)
    return torch.cat(parts, dim=2 if is_row else 1)


def _match_size(first: Tensor, second: Tensor, is_row: bool) -> Tensor:
    """Return the second batch scaled to the height, or in a column the width, of the first."""
    aspect = second.shape[2] / second.shape[1]
    height, width = first.shape[1:3]
    size = (int(height * aspect), height) if is_row else (width, int(width / aspect))
    return common_upscale(second.movedim(-1, 1), *size, "lanczos", "disabled").movedim(1, -1)


def _pad(images: Tensor, side: int, is_row: bool, fill: float) -> Tensor:
    missing = side - images.shape[1 if is_row else 2]
    ends = (missing // 2, missing - missing // 2)
    return torch.nn.functional.pad(images, (0, 0, 0, 0, *ends) if is_row else (0, 0, *ends), value=fill)
