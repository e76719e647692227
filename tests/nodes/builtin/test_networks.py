"""ComfyUI's nodes with a network of their own: declared as there, and the same pixels for the same weights."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from upscale8k.nodes import DISPLAY_NAMES, get_node_classes
from upscale8k.nodes.builtin import networks
from upscale8k.nodes.declare import list_nodes
from upscale8k.runtime.errors import ModelDamaged, ModelNotFound, UnsupportedModel, WorkflowError
from upscale8k.runtime.graph.check import check_prompt
from upscale8k.runtime.graph.definitions import describe_classes
from upscale8k.runtime.host import LocalHost

from ...comfyui.peer.tree import declarations, require_tree
from .core_peer import differences

# ComfyUI builds the networks, gives them weights, and runs its nodes with them.
CORE = """
import os, sys
from pathlib import Path
tree, folder = sys.argv[1], Path(sys.argv[2])
sys.argv = [sys.argv[0], "--cpu"]
sys.path.insert(0, tree)
os.chdir(tree)
import comfy.options
comfy.options.enable_args_parsing()
import comfy.ops, folder_paths, numpy as np, torch
from comfy.ldm.depth_anything_3.model import DepthAnything3Net
from comfy_extras.nodes_depth_anything_3 import DA3Inference, DA3Render, LoadDA3Model
from comfy_extras.nodes_frame_interpolation import FILMNet, FrameInterpolate, FrameInterpolationModelLoader, IFNet
from safetensors.torch import save_file
for name in ("frame_interpolation", "geometry_estimation"):
    (folder / name).mkdir()
    folder_paths.folder_names_and_paths[name] = ([str(folder / name)], {".safetensors"})
torch.manual_seed(1)
torch.set_grad_enabled(False)
operations = {"operations": comfy.ops.disable_weight_init, "dtype": torch.float32}
head = {"head_dim_in": 384, "head_features": 32, "head_out_channels": (32, 32, 32, 32)}
networks = {
    "frame_interpolation/rife": IFNet(head_ch=4, channels=(32, 24, 16, 16, 8)),
    "frame_interpolation/film": FILMNet(),
    "geometry_estimation/depth": DepthAnything3Net("vits", (5, 7, 9, 11), **head, **operations),
}
for name, network in networks.items():
    weights = network.state_dict()
    for key, value in weights.items():
        if value.ndim == 4 and "beta" not in key:
            torch.nn.init.kaiming_normal_(value, a=0.2)
        elif value.ndim == 2:
            torch.nn.init.normal_(value, std=value.shape[1] ** -0.5)
        elif ("norm" in key and key.endswith("weight")) or "lambda" in key or "beta" in key:
            value.fill_(0.5)
        else:
            torch.nn.init.normal_(value, std=0.05)
        if any(part in key for part in ("lastconv", "output_conv2.2.weight")):
            value.mul_(0.1)
        if key.endswith("sky_output_conv2.2.bias"):
            value.fill_(0.3)
    save_file(weights, folder / f"{name}.safetensors")
images, results = torch.from_numpy(np.load(folder / "images.npy")), {}
for name in ("rife", "film"):
    (model,) = FrameInterpolationModelLoader.execute(f"{name}.safetensors").args
    (results[name],) = FrameInterpolate.execute(model, images[:2], 3 if name == "rife" else 2).args
(model,) = LoadDA3Model.execute("depth.safetensors", "default").args
for method in ("upper_bound_resize", "lower_bound_resize"):
    (geometry,) = DA3Inference.execute(model, images[:2], 140, method, {"mode": "mono"}).args
    for normalization in ("v2_style", "min_max", "raw"):
        for output in ("depth", "depth_colored"):
            for clip in (False, True):
                chosen = {"output": output, "normalization": normalization, "apply_sky_clip": clip}
                (results[f"{method} {output} {normalization} {clip}"],) = DA3Render.execute(geometry, chosen).args
    for colored in (False, True):
        chosen = {"output": "sky_mask", "colored": colored}
        (results[f"{method} sky_mask {colored}"],) = DA3Render.execute(geometry, chosen).args
np.savez(folder / "results.npz", **{name: value.numpy() for name, value in results.items()})
"""


def make_images() -> np.ndarray:
    """Return (3, 70, 90, 3): a smooth pattern that moves."""
    coarse = torch.rand(1, 3, 12, 14, generator=torch.Generator().manual_seed(3))
    scene = torch.nn.functional.interpolate(coarse, size=(90, 120), mode="bicubic")[0].clamp(0, 1)
    return torch.stack([scene[:, step : step + 70, 2 * step : 2 * step + 90] for step in (0, 3, 6)]).movedim(1, -1).numpy()


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Return a models folder, and what ComfyUI makes with the weights in it."""
    place, folder = require_tree(), tmp_path_factory.mktemp("networks")
    np.save(folder / "images.npy", make_images())
    command = [sys.executable, "-c", CORE, str(place), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, np.load(folder / "results.npz")


def get_nodes(host: LocalHost, models: Path) -> dict[str, Any]:
    (models / "upscale_models").mkdir(exist_ok=True)
    return get_node_classes(
        LocalHost(input_dir=host.input_dir, output_dir=host.output_dir, models_dirs=(models / "upscale_models",))
    )


@pytest.mark.parametrize("node_id", list_nodes(networks))
def test_it_is_declared_as_in_comfyui(node_id: str, host: LocalHost) -> None:
    described = describe_classes(get_node_classes(host), DISPLAY_NAMES)[node_id]
    assert differences(described, declarations()[node_id]) == set()


@pytest.mark.comfyui
@pytest.mark.parametrize("name", ["rife", "film"])
def test_frames_between_are_those_of_comfyui(host: LocalHost, core: tuple[Path, Any], name: str) -> None:
    folder, results = core
    nodes, images = get_nodes(host, folder), torch.from_numpy(make_images())
    (model,) = nodes["FrameInterpolationModelLoader"]().load(f"{name}.safetensors")
    (frames,) = nodes["FrameInterpolate"]().interpolate(model, images[:2], 3 if name == "rife" else 2)
    assert frames.shape == (4 if name == "rife" else 3, 70, 90, 3)
    assert torch.equal(frames[[0, -1]], images[:2])
    assert float((frames[1] - frames[0]).abs().mean()) > 0.01
    torch.testing.assert_close(frames, torch.from_numpy(results[name]), rtol=0, atol=1e-4)
    if name == "rife":  # the features of an image serve both pairs, and are those of its own
        (more,) = nodes["FrameInterpolate"]().interpolate(model, images, 3)
        (last,) = nodes["FrameInterpolate"]().interpolate(model, images[1:], 3)
        assert torch.equal(more, torch.cat([frames, last[1:]]))


@pytest.mark.comfyui
def test_depth_and_sky_are_those_of_comfyui(host: LocalHost, core: tuple[Path, Any]) -> None:
    folder, results = core
    nodes, images = get_nodes(host, folder), torch.from_numpy(make_images())
    (model,) = nodes["LoadDA3Model"]().load("depth.safetensors")
    seen = set()
    for method in ("upper_bound_resize", "lower_bound_resize"):
        (geometry,) = nodes["DA3Inference"]().estimate(model, images[:2], 140, method, "mono")
        for name in filter(lambda name: name.startswith(method), results.files):
            _, output, *values = name.split()
            keys = ("output.colored",) if output == "sky_mask" else ("output.normalization", "output.apply_sky_clip")
            options = {
                key: value == "True" if value in ("True", "False") else value for key, value in zip(keys, values, strict=True)
            }
            (image,) = nodes["DA3Render"]().render(geometry, output, **options)
            torch.testing.assert_close(image, torch.from_numpy(results[name]), rtol=0, atol=2e-3)
            seen.add(round(float(image.std()), 4))
    assert len(seen) > 8
    with pytest.raises(WorkflowError, match="gives no confidence"):
        nodes["DA3Render"]().render(geometry, "confidence")


@pytest.mark.comfyui
def test_images_that_are_too_small_for_a_model_are_refused_by_their_size(host: LocalHost, core: tuple[Path, Any]) -> None:
    nodes = get_nodes(host, core[0])
    for name, side in (("rife", 33), ("film", 64)):
        (model,) = nodes["FrameInterpolationModelLoader"]().load(f"{name}.safetensors")
        (frames,) = nodes["FrameInterpolate"]().interpolate(model, torch.rand(2, side, side, 3), 2)
        assert frames.shape == (3, side, side, 3)
        with pytest.raises(WorkflowError, match=f"{side} pixels and more on each side, not 80x{side - 1}"):
            nodes["FrameInterpolate"]().interpolate(model, torch.rand(2, side - 1, 80, 3), 2)


def test_files_that_hold_no_such_network_are_refused_by_name(host: LocalHost, tmp_path: Path) -> None:
    nodes, folder = get_nodes(host, tmp_path), tmp_path / "frame_interpolation"
    load = nodes["FrameInterpolationModelLoader"]().load
    folder.mkdir()
    with pytest.raises(ModelNotFound, match=r"no file 'rife\.safetensors'"):
        load("rife.safetensors")
    save_file({"head.weight": torch.zeros(3)}, folder / "other.safetensors")
    with pytest.raises(UnsupportedModel, match=r"other\.safetensors contains no frame interpolation model"):
        load("other.safetensors")
    blocks = {f"block{number}.conv0.1.0.weight": torch.zeros(8, 4, 3, 3) for number in range(5)}
    save_file({**blocks, "encode.cnn3.weight": torch.zeros(16, 4, 4, 4)}, folder / "half.safetensors")
    with pytest.raises(ModelDamaged, match=r"half\.safetensors .*do not fit together"):
        load("half.safetensors")
    (folder / "text.safetensors").write_text("no weights")
    with pytest.raises(ModelDamaged, match=r"text\.safetensors"):
        load("text.safetensors")


def test_what_is_not_there_is_said_by_the_check(host: LocalHost, tmp_path: Path) -> None:
    nodes = get_nodes(host, tmp_path)
    prompt = {
        "1": {"class_type": "LoadDA3Model", "inputs": {"model_name": "depth.safetensors", "weight_dtype": "default"}},
        "2": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 0}},
        "3": {
            "class_type": "DA3Inference",
            "inputs": {
                "da3_model": ["1", 0],
                "image": ["2", 0],
                "resolution": 140,
                "resize_method": "upper_bound_resize",
                "mode": "multiview",
                "mode.ref_view_strategy": "first",
                "mode.pose_method": "cam_dec",
            },
        },
        "4": {"class_type": "DA3Render", "inputs": {"da3_geometry": ["3", 0], "output": "sky_mask", "output.colored": False}},
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}},
    }
    problems = [str(problem) for problem in check_prompt(json.loads(json.dumps(prompt)), nodes).problems]
    assert any("'depth.safetensors'" in one for one in problems)
    assert any("multiview relates several images" in one for one in problems)
