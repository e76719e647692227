"""Fetch every pixel of an image from where a flow says."""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Return ``image`` (B, C, H, W), bilinear, at each pixel's place plus ``flow`` (B, 2, H, W: x, y in pixels); edges last."""
    height, width = flow.shape[-2:]
    ys, xs = (torch.linspace(1 / size - 1, 1 - 1 / size, size, device=flow.device) for size in (height, width))
    grid = torch.stack([xs[None, None, :] + flow[:, 0] / (width * 0.5), ys[None, :, None] + flow[:, 1] / (height * 0.5)], dim=3)
    return grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
