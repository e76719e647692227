"""UPSCALE_MODEL is one wire: ComfyUI's loader and ours, ComfyUI's upscale node and ours, in any pairing."""

import json
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy
import pytest
from safetensors.torch import save_file
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model

from .commandline import runtime
from .images import make_image, only_png, pixels
from .peer.server import ComfyUI, Json

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]

MODEL, WEIGHTS = "realesr-animevideov3", "weights.safetensors"
WIDTH, HEIGHT, SCALE = 96, 80, 4
LOADERS: dict[str, Json] = {"UpscaleModel": {"model": MODEL}, "UpscaleModelLoader": {"model_name": WEIGHTS}}
# ComfyUI's own node knows fp32 only.
UPSCALERS: dict[str, Json] = {"TiledUpscale": {"target": "model scale", "precision": "fp32"}, "ImageUpscaleWithModel": {}}
REFERENCE = ("UpscaleModelLoader", "ImageUpscaleWithModel")
PAIRS = list(product(LOADERS, UPSCALERS))


@pytest.fixture
def peer(comfyui: ComfyUI) -> ComfyUI:
    """The server with an image in input/ and the model's weights as a file that its own loader offers."""
    path = comfyui.models / "upscale_models" / WEIGHTS
    path.parent.mkdir(exist_ok=True)
    save_file(load_model(find_model(MODEL, [])).model.state_dict(), path)
    make_image(comfyui.input / "small.png", WIDTH, HEIGHT)
    return comfyui


def prompt_of(pairs: Iterable[tuple[str, str]]) -> Json:
    """One image through each pairing of a loader and an upscaler, into loader/upscaler/image_00001_.png."""
    prompt: Json = {"load": {"class_type": "LoadImage", "inputs": {"image": "small.png"}}}
    for loader, upscaler in pairs:
        end = f"{loader}/{upscaler}"
        wires = {"upscale_model": [loader, 0], "image": ["load", 0]}
        prompt[loader] = {"class_type": loader, "inputs": LOADERS[loader]}
        prompt[end] = {"class_type": upscaler, "inputs": wires | UPSCALERS[upscaler]}
        prompt[f"save {end}"] = {
            "class_type": "SaveImage",
            "inputs": {"images": [end, 0], "filename_prefix": f"{end}/image"},
        }
    return prompt


def image_of(peer: ComfyUI, pair: tuple[str, str]) -> numpy.ndarray:
    """What ComfyUI writes when it runs one pairing."""
    peer.queue(prompt_of([pair]))
    return pixels(only_png(peer.output / pair[0] / pair[1]))


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair != REFERENCE], ids="-".join)
def test_every_pairing_gives_the_image_that_comfyuis_own_nodes_give(peer: ComfyUI, pair: tuple[str, str]) -> None:
    reference = image_of(peer, REFERENCE)
    assert reference.shape == (HEIGHT * SCALE, WIDTH * SCALE, 3)
    assert_within_a_rounding(image_of(peer, pair), reference)


def test_the_command_line_runs_every_pairing_to_that_image(root: Path, peer: ComfyUI, tmp_path: Path) -> None:
    reference = image_of(peer, REFERENCE)
    file = tmp_path / "prompt.json"
    file.write_text(json.dumps(prompt_of(PAIRS)), encoding="utf-8")
    folders = ("--input-dir", peer.input, "--output-dir", tmp_path / "out", "--models-dir", peer.models)
    runtime(root, "run", file, *folders, "--device", "cpu", "--progress", "none")
    for loader, upscaler in PAIRS:
        assert_within_a_rounding(pixels(only_png(tmp_path / "out" / loader / upscaler)), reference)


def assert_within_a_rounding(ours: numpy.ndarray, theirs: numpy.ndarray) -> None:
    """Both tile as they like, so a value may fall on the other side of SaveImage's cut, and no further."""
    assert ours.shape == theirs.shape
    assert int(numpy.abs(ours.astype(int) - theirs.astype(int)).max()) <= 1
