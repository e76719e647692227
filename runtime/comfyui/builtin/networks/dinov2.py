"""DINOv2 (Oquab et al., 2023, https://arxiv.org/abs/2304.07193), the transformer under ComfyUI's models of depth."""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, scaled_dot_product_attention

PATCH = 14
_HEAD_WIDTH = 64
# ComfyUI's names -> ours
_RENAMES = (
    (r"embeddings\.patch_embeddings\.", ""),
    (r"embeddings\.", ""),
    (r"encoder\.layer\.", "blocks."),
    (r"attention\.(attention|output)\.", ""),
    (r"layer_scale(\d)\.lambda1", r"scale\1"),
    (r"mlp\.", ""),
)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.query, self.key, self.value, self.dense = (nn.Linear(width, width) for _ in range(4))
        self.scale1, self.scale2 = (nn.Parameter(torch.ones(width)) for _ in range(2))
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        heads = (layer(normed).unflatten(2, (-1, _HEAD_WIDTH)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        attended = scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        tokens = tokens + self.dense(attended) * self.scale1
        return tokens + self.fc2(gelu(self.fc1(self.norm2(tokens)))) * self.scale2


class DinoV2(nn.Module):
    """Images are (B, 3, H, W), normalized, H and W multiples of ``PATCH``."""

    def __init__(self, width: int, layers: int, positions: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, width, PATCH, PATCH)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position_embeddings = nn.Parameter(torch.zeros(1, positions, width))
        self.blocks = nn.ModuleList(_Block(width) for _ in range(layers))
        self.layernorm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, images: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return the normalized patches after each of ``layers`` as (B, width, H / 14, W / 14)."""
        patches = self.projection(images)
        size = patches.shape[-2:]
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches.flatten(2).mT], 1) + self._place(*size)
        found: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens)
            if number in layers:
                found.append(self.layernorm(tokens)[:, 1:].mT.unflatten(2, size))
        return found

    def _place(self, height: int, width: int) -> Tensor:
        """Return the embeddings of the positions, resized from the square that they were trained on."""
        trained = self.position_embeddings[:, 1:]
        side = round(trained.shape[1] ** 0.5)
        if height * width == side * side:
            return self.position_embeddings
        square = trained.mT.reshape(1, -1, side, side)
        # The tenth is DINOv2's own, against a size that is rounded down.
        resized = interpolate(square, scale_factor=((height + 0.1) / side, (width + 0.1) / side), mode="bicubic")
        return torch.cat([self.position_embeddings[:, :1], resized.flatten(2).mT], 1)


def build_dinov2(weights: Mapping[str, Tensor]) -> tuple[DinoV2, dict[str, Tensor]]:
    """Return an empty network for weights in ComfyUI's layout, and the weights under its own names."""
    own: dict[str, Tensor] = {}
    for key, value in weights.items():
        name = key
        for pattern, replacement in _RENAMES:
            name = re.sub(pattern, replacement, name)
        own[name] = value
    layers = 1 + max(int(key.split(".")[1]) for key in own if key.startswith("blocks."))
    return DinoV2(own["projection.weight"].shape[0], layers, own["position_embeddings"].shape[1]), own
