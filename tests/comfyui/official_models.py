"""Small models with random weights, for the official workflows that load one: a models folder as ComfyUI's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from upscale8k.runtime.comfyui.builtin.networks.depth_anything import DepthHead
from upscale8k.runtime.comfyui.builtin.networks.dinov2 import DinoV2
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.upscale.temporal.networks.rife import Rife

MODELS = {
    "UpscaleModelLoader": ("model_name", "upscale_models"),
    "FrameInterpolationModelLoader": ("model_name", "frame_interpolation"),
    "LoadDA3Model": ("model_name", "geometry_estimation"),
}
"""class -> its input, and ComfyUI's folder for the files"""
FILE = "weights.safetensors"
_COMFYUI_NAMES = (
    (r"^projection", "embeddings.patch_embeddings.projection"),
    (r"^(cls_token|position_embeddings)", r"embeddings.\1"),
    (r"^blocks\.(\d+)\.(query|key|value)", r"encoder.layer.\1.attention.attention.\2"),
    (r"^blocks\.(\d+)\.dense", r"encoder.layer.\1.attention.output.dense"),
    (r"^blocks\.(\d+)\.scale(\d)", r"encoder.layer.\1.layer_scale\2.lambda1"),
    (r"^blocks\.(\d+)\.fc", r"encoder.layer.\1.mlp.fc"),
    (r"^blocks\.", "encoder.layer."),
)


def write_models(folder: Path) -> None:
    """Write one file into the folder of each loader."""
    torch.manual_seed(1)
    weights: dict[str, Any] = {
        "upscale_models": load_model(find_model("realesr-animevideov3", [])).model.state_dict(),
        "frame_interpolation": Rife(4, (32, 24, 16, 16, 8)).state_dict(),
        "geometry_estimation": _make_depth_weights(),
    }
    for name, tensors in weights.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        save_file({key: value.contiguous() for key, value in tensors.items()}, folder / name / FILE)


def _make_depth_weights() -> dict[str, torch.Tensor]:
    """Return Depth Anything 3 Mono in ComfyUI's layout, in the width of Small."""
    backbone, head = DinoV2(384, 12, 37 * 37 + 1), DepthHead(384, [32] * 4, 32, 1, has_sky=True)
    named = {f"head.{key}": value for key, value in head.state_dict().items()}
    for key, value in backbone.state_dict().items():
        name = key
        for pattern, replacement in _COMFYUI_NAMES:
            name = re.sub(pattern, replacement, name)
        named[f"backbone.{name}"] = value
    return named
