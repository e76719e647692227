"""RIFE 4.0, the network before that of five blocks: two flows and a mask, corrected in four steps."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate, pad

_BLOCKS = tuple(f"block{index}." for index in range(4))
_SCALES = (8, 4, 2, 1)
_MULTIPLE = 128
"""Sides are padded to it where the flow is found at full size."""
_LARGE = 2880
"""Frames that are wider or higher have their flow found at half the size, twice as large ones at a quarter."""
_FAST_MOTION = 32
"""Pixels of correction in the second step from which the flow is searched again at twice the scale."""


class _Block(nn.Module):
    """Corrects two flows (N, 4, H, W) and a mask (N, 1, H, W) from images ``scale`` times as small."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv0 = nn.Sequential(_convolve(channels, width // 2, 2), _convolve(width // 2, width, 2))
        self.convblock = nn.Sequential(*(_convolve(width, width) for _ in range(8)))
        self.lastconv = nn.ConvTranspose2d(width, 5, 4, 2, 1)

    def forward(self, images: Tensor, flow: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
        images = interpolate(images, scale_factor=1 / scale, mode="bilinear")
        if flow is not None:
            images = torch.cat((images, interpolate(flow, scale_factor=1 / scale, mode="bilinear") / scale), 1)
        features: Tensor = self.conv0(images)
        found = interpolate(self.lastconv(self.convblock(features) + features), scale_factor=2 * scale, mode="bilinear")
        return found[:, :4] * (2 * scale), found[:, 4:]


class RifeFourBlocks(nn.Module):
    """Images are (1, 3, H, W) in 0..1, of any size."""

    multiple = smallest_side = 1

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        for index, width in enumerate(widths):
            self.add_module(f"block{index}", _Block(12 if index else 7, width))

    def extract(self, image: Tensor) -> None:
        """Return nothing: this network has no features of one image."""

    def interpolate(self, first: Tensor, second: Tensor, features: object, times: Sequence[float]) -> Sequence[Tensor]:
        """Return the image of each time in 0..1."""
        height, width = first.shape[2:]
        shrink = 1 if max(height, width) <= _LARGE else 2 if max(height, width) <= 2 * _LARGE else 4
        padding = (0, -width % (_MULTIPLE * shrink), 0, -height % (_MULTIPLE * shrink))
        first, second = (pad(image, padding, "replicate") for image in (first, second))
        scales = [float(shrink * scale) for scale in _SCALES]
        return [self._interpolate_once(first, second, time, scales)[..., :height, :width] for time in times]

    def _interpolate_once(self, first: Tensor, second: Tensor, time: float, scales: list[float]) -> Tensor:
        blocks, plane = list(self.children()), torch.full_like(first[:, :1], time)
        unmoved = torch.cat((first, second, plane), 1)

        def correct(index: int, flow: Tensor, mask: Tensor, scale: float) -> tuple[Tensor, Tensor]:
            moved = (_warp(first, flow[:, :2]), _warp(second, flow[:, 2:]), plane, mask)
            return blocks[index](torch.cat(moved, 1), flow, scale)

        flow, mask = blocks[0](unmoved, None, scales[0])
        for index in range(1, len(blocks)):
            change, mask_change = correct(index, flow, mask, scales[index])
            if index == 1 and min(change[:, :2].abs().max(), change[:, 2:].abs().max()) > _FAST_MOTION:
                scales = [2 * scale for scale in scales]
                flow, mask = blocks[0](unmoved, None, scales[0])
                change, mask_change = correct(1, flow, mask, scales[1])
            flow, mask = flow + change, mask + mask_change
        share = torch.sigmoid(mask)
        return _warp(first, flow[:, :2]) * share + _warp(second, flow[:, 2:]) * (1 - share)


def build_rife_four_blocks(weights: Mapping[str, Tensor]) -> RifeFourBlocks | None:
    """Return the network for these weights, or None if they are of another one. Raises ``RuntimeError`` for other shapes."""
    own = {key: value for key, value in weights.items() if key.startswith(_BLOCKS)}
    widths = [own.get(f"{name}lastconv.weight") for name in _BLOCKS]
    if any(width is None for width in widths):
        return None
    with torch.device("meta"):  # nothing is allocated before the shapes agree
        network = RifeFourBlocks([len(width) for width in widths if width is not None])
    network.load_state_dict(own, assign=True)
    return network


def _convolve(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 3, stride, 1), nn.PReLU(width))


def _warp(image: Tensor, flow: Tensor) -> Tensor:
    """As ``warp`` of the later networks, but with corners aligned, as these weights were trained."""
    height, width = image.shape[2:]
    across = torch.linspace(-1, 1, width, device=image.device) + flow[:, 0] / ((width - 1) / 2)
    down = torch.linspace(-1, 1, height, device=image.device)[:, None] + flow[:, 1] / ((height - 1) / 2)
    return grid_sample(image, torch.stack((across, down), 3), "bilinear", "border", align_corners=True)
