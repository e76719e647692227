"""UPSCALE_MODEL is one wire: ComfyUI's loader and ours, ComfyUI's upscale node and ours, in any pairing."""

import json
from itertools import product
from pathlib import Path

import numpy
import pytest
from safetensors.torch import save_file
from upscale8k.runtime.models.load import load
from upscale8k.runtime.models.locate import locate

from .commandline import runtime
from .peer.server import ComfyUI, Json
from .pictures import make_picture, only_png, pixels

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]

MODEL, WEIGHTS = "realesr-animevideov3", "weights.safetensors"
WIDTH, HEIGHT, SCALE = 96, 80, 4
LOADERS: dict[str, Json] = {"UpscaleModel": {"model": MODEL}, "UpscaleModelLoader": {"model_name": WEIGHTS}}
UPSCALERS: dict[str, Json] = {"TiledUpscale": {"target": "model scale"}, "ImageUpscaleWithModel": {}}


REFERENCE = ("UpscaleModelLoader", "ImageUpscaleWithModel")
PAIRS = list(product(LOADERS, UPSCALERS))


@pytest.fixture
def peer(comfyui: ComfyUI) -> ComfyUI:
    """The server with a picture in input/ and the model's weights as a file that its own loader offers."""
    path = comfyui.models / "upscale_models" / WEIGHTS
    path.parent.mkdir(exist_ok=True)
    save_file(load(locate(MODEL, [])).model.state_dict(), path)
    make_picture(comfyui.input / "small.png", WIDTH, HEIGHT)
    return comfyui


def prompt_of(pair: tuple[str, str]) -> Json:
    loader, upscaler = pair
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "small.png"}},
        "2": {"class_type": loader, "inputs": LOADERS[loader]},
        "3": {"class_type": upscaler, "inputs": {"upscale_model": ["2", 0], "image": ["1", 0]} | UPSCALERS[upscaler]},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": f"{loader}/{upscaler}/picture"}},
    }


def picture_of(peer: ComfyUI, pair: tuple[str, str]) -> numpy.ndarray:
    """What ComfyUI writes when it runs one pairing."""
    peer.queue(prompt_of(pair))
    return pixels(only_png(peer.output / pair[0] / pair[1]))


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair != REFERENCE], ids="-".join)
def test_every_pairing_gives_the_picture_that_comfyuis_own_nodes_give(peer: ComfyUI, pair: tuple[str, str]) -> None:
    reference = picture_of(peer, REFERENCE)
    assert reference.shape == (HEIGHT * SCALE, WIDTH * SCALE, 3)
    assert_within_a_rounding(picture_of(peer, pair), reference)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_the_command_line_runs_every_pairing_to_that_picture(
    root: Path, peer: ComfyUI, tmp_path: Path, pair: tuple[str, str]
) -> None:
    file = tmp_path / "prompt.json"
    file.write_text(json.dumps(prompt_of(pair)), encoding="utf-8")
    folders = ("--input-dir", peer.input, "--output-dir", tmp_path / "out", "--models-dir", peer.models)
    runtime(root, "run", file, *folders, "--device", "cpu", "--progress", "none")
    assert_within_a_rounding(pixels(only_png(tmp_path / "out")), picture_of(peer, REFERENCE))


def assert_within_a_rounding(ours: numpy.ndarray, theirs: numpy.ndarray) -> None:
    """Both tile as they like, so a value may fall on the other side of SaveImage's cut, and no further."""
    assert ours.shape == theirs.shape
    assert int(numpy.abs(ours.astype(int) - theirs.astype(int)).max()) <= 1
