"""The pack in the real ComfyUI: it loads without a word, and it takes nothing that is ComfyUI's."""

import re

import pytest

from .peer.canvas import Canvas
from .peer.server import ComfyUI, NodeFailed

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
