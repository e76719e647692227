"""IFNet of RIFE 4 (Huang et al., ECCV 2022, https://arxiv.org/abs/2011.06294): blocks refine the flow between two images."""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .warp import warp

_BLOCKS = 5
_FLOW_CHANNELS = 4
_FEATURE_CHANNELS = 8
"""channels that a block hands to the next, beside flow and mask"""


class _Head(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cnn0 = nn.Conv2d(3, 16, 3, 2, 1)
        self.cnn1 = nn.Conv2d(16, 16, 3, 1, 1)
        self.cnn2 = nn.Conv2d(16, 16, 3, 1, 1)
        self.cnn3 = nn.ConvTranspose2d(16, channels, 4, 2, 1)
        self.relu = nn.LeakyReLU(0.2)

    def forward(self, image: Tensor) -> Tensor:
        features = image
        for layer in (self.cnn0, self.cnn1, self.cnn2):
            features = self.relu(layer(features))
        return self.cnn3(features)


class _ResidualConv(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)
        self.beta = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.relu = nn.LeakyReLU(0.2)

    def forward(self, features: Tensor) -> Tensor:
        return self.relu(torch.addcmul(features, self.conv(features), self.beta))


class _Block(nn.Module):
    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv0 = nn.Sequential(
            nn.Sequential(nn.Conv2d(in_channels, half, 3, 2, 1), nn.LeakyReLU(0.2)),
            nn.Sequential(nn.Conv2d(half, channels, 3, 2, 1), nn.LeakyReLU(0.2)),
        )
        self.convblock = nn.Sequential(*(_ResidualConv(channels) for _ in range(8)))
        shuffled = 4 * (_FLOW_CHANNELS + 1 + _FEATURE_CHANNELS)
        self.lastconv = nn.Sequential(nn.ConvTranspose2d(channels, shuffled, 4, 2, 1), nn.PixelShuffle(2))

    def forward(self, known: Tensor, flow: Tensor | None, scale: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the change of the flow, the logit of the mask, and features; computed at 1/``scale`` of the size."""
        known = interpolate(known, scale_factor=1.0 / scale, mode="bilinear")
        if flow is not None:
            known = torch.cat((known, interpolate(flow, scale_factor=1.0 / scale, mode="bilinear") / scale), 1)
        output = interpolate(self.lastconv(self.convblock(self.conv0(known))), scale_factor=float(scale), mode="bilinear")
        return output[:, :_FLOW_CHANNELS] * scale, output[:, _FLOW_CHANNELS, None], output[:, _FLOW_CHANNELS + 1 :]


class Rife(nn.Module):
    """Images are (1, 3, H, W) in 0..1, H and W multiples of ``multiple``."""

    multiple = 64
    smallest_side = 33  # a mirrored border is narrower than the image

    def __init__(self, head_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.encode = _Head(head_channels)
        first = 2 * (3 + head_channels) + 1
        later = first + 1 + _FEATURE_CHANNELS + _FLOW_CHANNELS
        self.blocks = nn.ModuleList(_Block(later if number else first, width) for number, width in enumerate(channels))

    def extract(self, image: Tensor) -> Tensor:
        """Return features, which serve two pairs."""
        return self.encode(image)

    def interpolate(
        self, first: Tensor, second: Tensor, features: tuple[Tensor, Tensor], times: Sequence[float]
    ) -> Sequence[Tensor]:
        """Return the image of each time in 0..1."""
        return [self._interpolate_once(first, second, features, time) for time in times]

    def _interpolate_once(self, first: Tensor, second: Tensor, features: tuple[Tensor, Tensor], time: float) -> Tensor:
        time_plane = torch.full_like(first[:, :1], time)
        flow, mask, state = self.blocks[0](torch.cat((first, second, *features, time_plane), 1), None, 16)
        for block, scale in zip(list(self.blocks)[1:], (8, 4, 2, 1), strict=True):
            pair = (first, second, *features)
            warped = [warp(one, flow[:, 2 * (index % 2) : 2 * (index % 2) + 2]) for index, one in enumerate(pair)]
            change, mask, state = block(torch.cat((*warped, time_plane, mask, state), 1), flow, scale)
            flow = flow + change
        return torch.lerp(warp(second, flow[:, 2:]), warp(first, flow[:, :2]), torch.sigmoid(mask))


def build_rife(weights: Mapping[str, Tensor]) -> Rife | None:
    """Return the network for these weights, or None if they are of another one."""
    named = {re.sub(r"^(module\.)?(flownet\.)?(?:block(\d)\.)?", _rename_block, key): value for key, value in weights.items()}
    own = {key: value for key, value in named.items() if not key.startswith(("teacher.", "caltime."))}
    head, widths = own.get("encode.cnn3.weight"), [own.get(f"blocks.{number}.conv0.1.0.weight") for number in range(_BLOCKS)]
    if head is None or any(width is None for width in widths):
        return None
    network = Rife(head.shape[1], [width.shape[0] for width in widths if width is not None])
    network.load_state_dict(own)
    return network


def _rename_block(match: re.Match[str]) -> str:
    return f"blocks.{match[3]}." if match[3] else ""
