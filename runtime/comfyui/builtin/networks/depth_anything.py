"""Depth Anything 3 (Lin et al., 2025, https://arxiv.org/abs/2511.10647), the models of one view: Mono and Metric."""

import math
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ....errors import UnsupportedModel, WorkflowError
from ....progress import OpenProgress
from ....upscale import resolve_device
from ..common_upscale import common_upscale
from .dinov2 import PATCH, build_dinov2
from .load_network import load_network

_LAYERS = {12: (5, 7, 9, 11), 24: (4, 11, 17, 23)}
"""layers of the transformer -> those that the head reads"""
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SKY = 0.3
"""probability from which a pixel counts as sky"""
_QUANTILE_SAMPLE = 100_000


class Geometry(TypedDict):
    """What ``estimate_depth`` found, at the size of the image: (B, H, W), except ``image`` (B, H, W, 3)."""

    depth: Tensor
    image: Tensor
    mode: str
    sky: NotRequired[Tensor]
    confidence: NotRequired[Tensor]


class _ResidualUnit(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, features: Tensor) -> Tensor:
        return self.conv2(torch.relu(self.conv1(torch.relu(features)))) + features


class _FusionBlock(nn.Module):
    def __init__(self, width: int, *, takes_side: bool) -> None:
        super().__init__()
        self.resConfUnit1 = _ResidualUnit(width) if takes_side else None
        self.resConfUnit2 = _ResidualUnit(width)
        self.out_conv = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor, side: Tensor | None, size: tuple[int, int]) -> Tensor:
        if self.resConfUnit1 is not None and side is not None:
            features = features + self.resConfUnit1(side)
        return self.out_conv(_enlarge(self.resConfUnit2(features), size))


class DepthHead(nn.Module):
    """The head of DPT: four layers of the transformer at four scales, joined from the coarsest on."""

    def __init__(self, in_width: int, stages: list[int], width: int, outputs: int, *, has_sky: bool) -> None:
        super().__init__()
        self.projects = nn.ModuleList(nn.Conv2d(in_width, stage, 1) for stage in stages)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(stages[0], stages[0], 4, 4),
                nn.ConvTranspose2d(stages[1], stages[1], 2, 2),
                nn.Identity(),
                nn.Conv2d(stages[3], stages[3], 3, 2, 1),
            ]
        )
        scratch: dict[str, nn.Module] = {"output_conv1": nn.Conv2d(width, width // 2, 3, padding=1)}
        for number, stage in enumerate(stages, 1):
            scratch[f"layer{number}_rn"] = nn.Conv2d(stage, width, 3, padding=1, bias=False)
            scratch[f"refinenet{number}"] = _FusionBlock(width, takes_side=number < len(stages))
        for name, count in (("output_conv2", outputs), *((("sky_output_conv2", 1),) if has_sky else ())):
            scratch[name] = nn.Sequential(nn.Conv2d(width // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, count, 1))
        self.scratch = nn.ModuleDict(scratch)

    def forward(self, layers: list[Tensor]) -> dict[str, Tensor]:
        part = self.scratch
        sides: list[Tensor] = []
        for number, (layer, project, resize) in enumerate(zip(layers, self.projects, self.resize_layers, strict=True), 1):
            sides.append(part[f"layer{number}_rn"](resize(project(layer))))
        sizes = [tuple(side.shape[-2:]) for side in sides]
        sizes.insert(0, (2 * sizes[0][0], 2 * sizes[0][1]))
        joined = sides[-1]
        for number in range(len(sides), 0, -1):
            joined = part[f"refinenet{number}"](joined, None if number == len(sides) else sides[number - 1], sizes[number - 1])
        height, width = layers[0].shape[-2:]
        features = _enlarge(part["output_conv1"](joined), (height * PATCH, width * PATCH))
        logits = part["output_conv2"](features)
        found = {"depth": torch.exp(logits[:, 0])}
        if logits.shape[1] > 1:
            found["confidence"] = torch.exp(logits[:, -1]) + 1
        if "sky_output_conv2" in part:
            found["sky"] = torch.relu(part["sky_output_conv2"](features)[:, 0])
        return found


class DepthAnything3(nn.Module):
    """The transformer and its head. Images are (1, 3, H, W), normalized, H and W multiples of 14."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.head(self.backbone(images, _LAYERS[len(cast(Any, self.backbone).blocks)]))


def load_depth_model(path: str) -> nn.Module:
    """Return a Mono or Metric model in ComfyUI's layout. Raises ``ModelDamaged``, ``UnsupportedModel``."""
    return load_network(path, (_build,), "model of Depth Anything 3 in ComfyUI's layout")


def _build(weights: Mapping[str, Tensor]) -> DepthAnything3 | None:
    if "backbone.embeddings.patch_embeddings.projection.weight" not in weights:
        return None
    parts = {
        name: {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
        for name in ("backbone", "head")
    }
    backbone, tensors = build_dinov2(parts["backbone"])
    if len(backbone.blocks) not in _LAYERS or "scratch.refinenet1_aux.out_conv.weight" in parts["head"]:
        what = "Depth Anything 3 in sizes Small, Base and Giant, which relate several views, needs ComfyUI."
        raise UnsupportedModel(what, "Choose depth_anything_3_mono_large or depth_anything_3_metric_large.")
    head = parts["head"]
    stages = [head[f"projects.{number}.weight"] for number in range(4)]
    network = DepthAnything3(
        backbone,
        DepthHead(
            stages[0].shape[1],
            [stage.shape[0] for stage in stages],
            head["scratch.refinenet1.out_conv.weight"].shape[0],
            head["scratch.output_conv2.2.weight"].shape[0],
            has_sky="scratch.sky_output_conv2.0.weight" in head,
        ),
    )
    backbone.load_state_dict(tensors)
    network.head.load_state_dict(head)
    return network


@torch.inference_mode()
def estimate_depth(
    model: nn.Module, images: Tensor, resolution: int, method: str, device: str, open_progress: OpenProgress
) -> Geometry:
    """Return depth, and sky and confidence where the model has them, for ``images`` (B, H, W, 3 or 4), one at a time.

    ``resolution`` is that of the longer side, with ``method`` lower_bound_resize of the shorter side.
    """
    target = resolve_device(device)
    model.to(target)
    height, width = images.shape[1:3]
    scale = resolution / (min if method == "lower_bound_resize" else max)(height, width)
    size = [_round_to_patch(round(side * scale)) for side in (height, width)]
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _DEVIATION))
    found: dict[str, list[Tensor]] = {}
    with open_progress(len(images), "frame") as progress:
        for image in images:
            pixels = image[None, ..., :3].movedim(-1, 1).contiguous()
            if size != [height, width]:
                pixels = common_upscale(pixels, size[1], size[0], "lanczos")
            output = model(((pixels.clamp(0, 1) - mean) / deviation).to(target, torch.float32))
            for name, plane in output.items():
                full = interpolate(plane[:, None].float(), size=(height, width), mode="bilinear")[:, 0].cpu()
                found.setdefault(name, []).append(full)
            progress.advance()
    planes = {name: torch.cat(each) for name, each in found.items()}
    return cast(Geometry, {**planes, "image": images[..., :3], "mode": "mono"})


def render_depth(geometry: Geometry, output: str, options: Mapping[str, Any]) -> Tensor:
    """Return DA3Render's image (B, H, W, 3) of one ``output``. Raises ``WorkflowError`` where the model did not give it."""
    if output in ("depth", "depth_colored"):
        depth, sky = geometry["depth"], geometry.get("sky")
        if options.get("apply_sky_clip"):
            depth = torch.stack([_clip_sky(*pair) for pair in zip(depth, _get_plane(geometry, "sky"), strict=True)])
        plane = _normalize_depth(depth, sky, options["normalization"])
        return _apply_turbo(plane) if output == "depth_colored" else plane[..., None].repeat(1, 1, 1, 3)
    plane = _get_plane(geometry, "sky" if output == "sky_mask" else "confidence")
    if output == "confidence":
        low, high = plane.amin((1, 2), keepdim=True), plane.amax((1, 2), keepdim=True)
        plane = torch.where(high > low, (plane - low) / (high - low), 1.0)
    return _apply_turbo(plane) if options.get("colored") else plane[..., None].repeat(1, 1, 1, 3)


def _get_plane(geometry: Geometry, name: Literal["sky", "confidence"]) -> Tensor:
    plane = geometry.get(name)
    if plane is None:
        raise WorkflowError(f"This model of Depth Anything 3 gives no {name}.", "Choose another output, or another model.")
    return plane


def _clip_sky(depth: Tensor, sky: Tensor) -> Tensor:
    """Give the sky the 99th percentile of the depth before it."""
    ground = sky < _SKY
    if min(ground.sum(), (~ground).sum()) <= 10:
        return depth
    return torch.where(ground, depth, _sample(depth[ground]).quantile(0.99))


def _normalize_depth(depth: Tensor, sky: Tensor | None, method: str) -> Tensor:
    """Return 1 for near, 0 for far and sky; ``raw`` keeps the depth."""
    if method == "raw":
        return depth
    if method == "min_max":
        low, high = depth.amin((1, 2), keepdim=True), depth.amax((1, 2), keepdim=True)
        return 1 - ((depth - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    planes: list[Tensor] = []
    for index, plane in enumerate(depth):
        ground = torch.ones_like(plane, dtype=torch.bool) if sky is None else sky[index] < _SKY
        values = _sample(plane[ground] if ground.any() else plane.flatten())
        low, high = values.quantile(0.01), values.quantile(0.99)
        near = 1 - ((plane - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
        planes.append(torch.where(ground, near, 0.0))
    return torch.stack(planes)


def _sample(values: Tensor) -> Tensor:
    """Return evenly spaced ones; ComfyUI draws some 100,000 by chance, without a seed."""
    return values[:: math.ceil(len(values) / _QUANTILE_SAMPLE)]


def _round_to_patch(side: int) -> int:
    """Return the nearest multiple of 14, the larger of two that are as near."""
    return max(1, (side + PATCH // 2) // PATCH * PATCH)


def _enlarge(features: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(features, size=size, mode="bilinear", align_corners=True)


_TURBO = (
    (0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943),
    (0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604),
    (0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973),
)
"""red, green and blue as polynomials: https://research.google/blog/turbo-an-improved-rainbow-colormap-for-visualization"""


def _apply_turbo(plane: Tensor) -> Tensor:
    """Return (..., 3) for values in 0..1."""
    powers = torch.stack([plane.clamp(0, 1) ** power for power in range(6)], dim=-1)
    return (powers @ torch.tensor(_TURBO).T).clamp(0, 1)
