"""The pack in the real ComfyUI: it loads without a word, and it takes nothing that is ComfyUI's."""

import re

import pytest

from .peer.server import ComfyUI

pytestmark = pytest.mark.comfyui

CORE = ("LoadImage", "SaveImage", "PreviewImage", "UpscaleModelLoader", "ImageUpscaleWithModel", "ImageScale")


def test_the_pack_loads_without_a_word(comfyui: ComfyUI) -> None:
    log = comfyui.startup_log()
    assert "IMPORT FAILED" not in log, log
    (said,) = [line for line in log.splitlines() if "upscale8k" in line.lower()]
    assert re.fullmatch(rf"\[INFO\] +[0-9.]+ seconds: .*{comfyui.pack_name}", said)


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
