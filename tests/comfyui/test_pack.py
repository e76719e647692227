"""The pack in the real ComfyUI: it loads without a word, and it takes nothing that is ComfyUI's."""

import json
import re
from pathlib import Path

import numpy
import pytest

from .commandline import runtime
from .images import make_image, pixels
from .peer.canvas import Canvas
from .peer.server import ComfyUI, Json, NodeFailed

pytestmark = pytest.mark.comfyui

CORE = ("LoadImage", "SaveImage", "PreviewImage", "UpscaleModelLoader", "ImageUpscaleWithModel", "ImageScale")


def test_the_pack_loads_without_a_word(comfyui: ComfyUI) -> None:
    log = comfyui.startup_log()
    assert "IMPORT FAILED" not in log, log
    (said,) = [line for line in log.splitlines() if "upscale8k" in line.lower()]
    assert re.fullmatch(rf"(\[INFO\])? +[0-9.]+ seconds: .*{comfyui.pack_name}", said)


def test_comfyui_offers_our_nodes_under_8k(comfyui: ComfyUI) -> None:
    nodes = comfyui.object_info()
    for name in ("UpscaleModel", "TiledUpscale"):
        assert nodes[name]["python_module"] == f"custom_nodes.{comfyui.pack_name}"
        assert nodes[name]["category"].split("/")[0] == "8K"
        assert nodes[name]["display_name"]
        assert nodes[name]["description"]


def test_every_node_of_ours_is_in_our_category(comfyui: ComfyUI) -> None:
    ours = {name: info for name, info in comfyui.object_info().items() if comfyui.pack_name in info["python_module"]}
    assert ours
    assert {name for name, info in ours.items() if info["category"].split("/")[0] != "8K"} == set()


@pytest.mark.parametrize("name", CORE)
def test_core_nodes_stay_comfyuis_own(comfyui: ComfyUI, name: str) -> None:
    assert comfyui.object_info()[name]["python_module"] in ("nodes", "comfy_extras.nodes_upscale_model")


def test_the_canvas_shows_how_far_an_upscale_is_and_its_stop_button_ends_it(comfyui: ComfyUI, canvas: Canvas) -> None:
    """To 8K on a CPU takes far longer than a click."""
    image = canvas.add("EmptyImage", {"width": 512, "height": 512})
    model = canvas.add("UpscaleModel", {"model": "realesr-animevideov3"})
    upscale = canvas.add("TiledUpscale", {"target": "8K", "tile": 64})
    save = canvas.add("SaveImage")
    canvas.connect(image, "IMAGE", upscale, "image")
    canvas.connect(model, "upscale_model", upscale, "upscale_model")
    canvas.connect(upscale, "image", save, "images")
    prompt_id = canvas.press_run()
    (bar,) = canvas.progress()
    assert bar["node_id"] == str(upscale)
    assert 0 < bar["value"] < bar["max"]
    canvas.press_stop()
    with pytest.raises(NodeFailed) as stopped:
        comfyui.wait(prompt_id, timeout=60)
    messages = dict(stopped.value.entry["status"]["messages"])
    assert messages["execution_interrupted"]["node_id"] == str(upscale)
    assert list(comfyui.output.iterdir()) == []
    assert canvas.errors() == []


def test_a_folder_of_images_runs_as_a_list_under_their_names(root: Path, comfyui: ComfyUI, tmp_path: Path) -> None:
    """Sizes differ, so no batch could hold them; the command line gives the same pixels."""
    sizes = {"b": (24, 16), "a": (16, 32), "sub/c": (40, 24)}
    for name, size in sizes.items():
        path = comfyui.input / "shots" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_image(path, *size)
    prompt: Json = {
        "1": {"class_type": "UpscaleModel", "inputs": {"model": "realesr-animevideov3"}},
        "2": {"class_type": "ImageFolderIn", "inputs": {"folder": "shots", "recursive": True}},
        "3": {"class_type": "TiledUpscale", "inputs": {"image": ["2", 0], "upscale_model": ["1", 0], "target": "2x"}},
        "4": {"class_type": "ImageOut", "inputs": {"images": ["3", 0], "source": ["2", 1], "filename": ["2", 2]}},
    }
    comfyui.queue(prompt)
    theirs = {path.relative_to(comfyui.output).as_posix(): pixels(path) for path in comfyui.output.rglob("*.png")}
    assert {name: image.shape for name, image in theirs.items()} == {
        f"{name}_00001_.png": (2 * height, 2 * width, 3) for name, (width, height) in sizes.items()
    }
    (tmp_path / "folder.json").write_text(json.dumps(prompt), encoding="utf-8")
    folders = ("--input-dir", comfyui.input, "--output-dir", tmp_path / "output", "--device", "cpu", "--progress", "none")
    runtime(root, "run", tmp_path / "folder.json", *folders)
    for name, image in theirs.items():
        assert numpy.array_equal(pixels(tmp_path / "output" / name), image), name
