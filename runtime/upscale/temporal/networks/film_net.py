"""FILM (Reda et al., ECCV 2022, https://arxiv.org/abs/2202.04901): flow in a pyramid of features that scales share."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pad

from .warp import warp

_LEVELS = 7
_FUSED_LEVELS = 5
_SUBLEVELS = 4
_WIDTH = 64
_FLOW_WIDTHS = (32, 64, 128, 256)
Pyramid = list[Tensor]
"""finest level first"""


def _count_features(level: int) -> int:
    return sum(_WIDTH << sublevel for sublevel in range(min(level + 1, _SUBLEVELS)))


class _Conv(nn.Module):
    """A convolution of any size that keeps H and W, and a leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, size: int, *, active: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, size, padding=size // 2 if size % 2 else 0)
        self.padding = (0, 0, 0, 0) if size % 2 else (0, 1, 0, 1)
        self.activation = nn.LeakyReLU(0.2) if active else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        return self.activation(self.conv(pad(features, self.padding)))


class _Extractor(nn.Module):
    """Features of an image, and of its halves, quarters and eighths."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, *(_WIDTH << level for level in range(_SUBLEVELS))]
        self.convs = nn.ModuleList(
            nn.Sequential(_Conv(before, after, 3), _Conv(after, after, 3)) for before, after in pairwise(widths)
        )

    def forward(self, image: Tensor, levels: int) -> Pyramid:
        found = [self.convs[0](image)]
        for number in range(1, levels):
            found.append(self.convs[number](avg_pool2d(found[-1], 2, 2)))
        return found


class _FlowEstimator(nn.Module):
    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        layers = [_Conv(in_channels, width, 3), _Conv(width, width, 3), _Conv(width, width, 3), _Conv(width, width // 2, 1)]
        self._convs = nn.Sequential(*layers, _Conv(width // 2, 2, 1, active=False))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self._convs(torch.cat([first, second], dim=1))


class _PyramidFlow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        estimators = [_FlowEstimator(2 * _count_features(level), width) for level, width in enumerate(_FLOW_WIDTHS)]
        self._predictor = estimators[-1]
        self._predictors = nn.ModuleList(estimators[-2::-1])

    def forward(self, first: Pyramid, second: Pyramid) -> Pyramid:
        """Return the flow from ``first`` to ``second`` for the levels that are fused."""
        flow = self._predictor(first[-1], second[-1])
        flows = [flow]
        for level in range(len(first) - 2, -1, -1):
            own = len(self._predictors) - 1 - level
            estimator = self._predictors[own] if own >= 0 else self._predictor
            flow = interpolate(flow, size=first[level].shape[2:], mode="bilinear") * 2
            flow = flow + estimator(first[level], warp(second[level], flow))
            flows.append(flow)
        return flows[::-1][:_FUSED_LEVELS]


class _Fusion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.output_conv = nn.Conv2d(_WIDTH, 3, kernel_size=1)
        self.convs = nn.ModuleList()
        # both images, their features and both flows
        sides = [2 * (_count_features(level) + 3 + 2) for level in range(_FUSED_LEVELS)]
        before = sides[-1]
        for level in range(_FUSED_LEVELS - 2, -1, -1):
            width = _WIDTH << level
            layers = [_Conv(before, width, 2, active=False), _Conv(sides[level] + width, width, 3), _Conv(width, width, 3)]
            self.convs.append(nn.ModuleList(layers))
            before = width

    def forward(self, pyramid: Pyramid) -> Tensor:
        features = pyramid[-1]
        for layers, side in zip(self.convs, pyramid[-2::-1], strict=True):
            enlarge, join, refine = cast(nn.ModuleList, layers)
            enlarged: Tensor = enlarge(interpolate(features, size=side.shape[2:], mode="nearest"))
            features = cast(Tensor, refine(join(torch.cat([side, enlarged], dim=1))))
        return self.output_conv(features)


class FilmNet(nn.Module):
    """Images are (1, 3, H, W) in 0..1, with 64 pixels or more on each side."""

    multiple = 1
    smallest_side = 2 ** (_LEVELS - 1)

    def __init__(self) -> None:
        super().__init__()
        self.extract_sublevels = _Extractor()
        self.predict_flow = _PyramidFlow()
        self.fuse = _Fusion()

    def extract(self, image: Tensor) -> tuple[Pyramid, Pyramid]:
        """Return the image and its features at every level; they serve two pairs."""
        images = [image]
        for _ in range(1, _LEVELS):
            images.append(avg_pool2d(images[-1], 2, 2))
        levels = [self.extract_sublevels(one, min(_LEVELS - level, _SUBLEVELS)) for level, one in enumerate(images)]
        return images, [
            torch.cat([levels[level - below][below] for below in range(min(level + 1, _SUBLEVELS))], dim=1)
            for level in range(_LEVELS)
        ]

    def interpolate(
        self, first: Tensor, second: Tensor, features: Sequence[tuple[Pyramid, Pyramid]], times: Sequence[float]
    ) -> Sequence[Tensor]:
        """Return the image of each time in 0..1; the flow is found once."""
        forth = self.predict_flow(features[0][1], features[1][1])
        back = self.predict_flow(features[1][1], features[0][1])
        sources = [[torch.cat(pair, dim=1) for pair in zip(*one, strict=True)][:_FUSED_LEVELS] for one in features]
        return [self._fuse_at(sources, forth, back, time) for time in times]

    def _fuse_at(self, sources: Sequence[Pyramid], forth: Pyramid, back: Pyramid, time: float) -> Tensor:
        levels = Pyramid()
        for first, second, flow_forth, flow_back in zip(*sources, forth, back, strict=True):
            to_first, to_second = flow_back * time, flow_forth * (1 - time)
            levels.append(torch.cat([warp(first, to_first), warp(second, to_second), to_first, to_second], dim=1))
        return self.fuse(levels)


def build_film_net(weights: Mapping[str, Tensor]) -> FilmNet | None:
    """Return the network for these weights, or None if they are of another one."""
    if "extract.extract_sublevels.convs.0.0.conv.weight" not in weights:
        return None
    network = FilmNet()
    network.load_state_dict({key.removeprefix("extract."): value for key, value in weights.items()})
    return network
