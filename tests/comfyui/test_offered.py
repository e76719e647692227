"""What ComfyUI offers of the pack before a node is touched: templates with thumbnails, and blueprints that are one node."""

import json
from pathlib import Path

import numpy
import pytest

from .commandline import runtime
from .images import make_image, only_png, pixels
from .peer.canvas import Canvas
from .peer.server import ComfyUI, Json
from .videos import make_video, video

pytestmark = pytest.mark.comfyui

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
TEMPLATES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
BLUEPRINTS = ["Image to 8K", "Video to 8K"]
MODEL = "realesr-animevideov3"
JPEG = b"\xff\xd8\xff"


def test_every_workflow_is_a_template_with_a_thumbnail(comfyui: ComfyUI) -> None:
    offered: Json = comfyui._ask_json("/api/workflow_templates")
    assert sorted(offered[comfyui.pack_name]) == TEMPLATES
    for name in TEMPLATES:
        at = f"/api/workflow_templates/{comfyui.pack_name}/{name}"
        assert comfyui._ask_json(f"{at}.json")["nodes"], name
        thumbnail = comfyui._ask(f"{at}.jpg")
        assert thumbnail.startswith(JPEG), name
        assert len(thumbnail) < 60_000, name


def test_a_template_is_chosen_by_its_image(comfyui: ComfyUI, page: Canvas) -> None:
    comfyui.take_samples(WORKFLOWS / "media")
    page.refresh()
    window = page._page

    def choose() -> list[str]:
        window.evaluate("peer.command('Comfy.BrowseTemplates')")
        window.get_by_text(comfyui.pack_name, exact=True).first.click()
        window.get_by_text("image_4x", exact=True).first.wait_for()
        window.wait_for_function("[...document.images].some((one) => one.alt === 'image_4x' && one.naturalWidth === 400)")
        window.locator("img[alt=image_4x]").first.click()
        window.wait_for_function("window.app.rootGraph.nodes.some((one) => one.type === 'TiledUpscale') && peer.settled()")
        return window.evaluate("window.app.rootGraph.nodes.map((one) => one.type)")

    shipped = json.loads((WORKFLOWS / "image_4x.json").read_text(encoding="utf-8"))
    assert sorted(page._browser.do(choose)) == sorted(node["type"] for node in shipped["nodes"])
    assert page.errors() == []


def take_blueprint(page: Canvas, name: str, at: tuple[int, int]) -> int:
    """Look a blueprint up in the node library and put it on the canvas; its node id there."""
    window = page._page

    def take() -> int:
        before = window.evaluate("window.app.rootGraph.nodes.length")
        window.evaluate("peer.command('Workspace.ToggleSidebarTab.node-library')")
        window.locator(".sidebar-content-container input").first.fill(name)
        window.get_by_text(name, exact=True).first.click()
        window.mouse.click(*at)
        window.wait_for_function("(before) => window.app.rootGraph.nodes.length > before", arg=before)
        window.evaluate("peer.command('Workspace.ToggleSidebarTab.node-library')")
        return window.evaluate("window.app.rootGraph.nodes.at(-1).id")

    return page._browser.do(take)


def test_the_server_lists_the_blueprints_as_ours(comfyui: ComfyUI) -> None:
    offered: Json = comfyui._ask_json("/api/global_subgraphs")
    ours = [one for one in offered.values() if one["source"] == "custom_node"]
    assert sorted(one["name"] for one in ours) == BLUEPRINTS
    assert {one["info"]["node_pack"] for one in ours} == {"custom_nodes.upscale8k-blueprints"}
    log = comfyui.startup_log()
    assert "upscale8k-blueprints" not in log, "ComfyUI took the folder of blueprints for a pack of nodes"


def plain(comfyui: ComfyUI) -> None:
    """Upscale the two samples by the nodes themselves."""

    def by(kind: str, name: str) -> Json:
        return {
            "class_type": kind,
            "inputs": {name: ["1" if name == "image" else "5", 0], "upscale_model": ["2", 0], "target": "2x"},
        }

    comfyui.queue(
        {
            "1": {"class_type": "LoadImage", "inputs": {"image": "sample.png"}},
            "2": {"class_type": "UpscaleModel", "inputs": {"model": MODEL}},
            "3": by("TiledUpscale", "image"),
            "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "plain/p"}},
            "5": {"class_type": "VideoIn", "inputs": {"video": "sample.mp4"}},
            "6": by("TiledUpscaleVideo", "video"),
            "7": {"class_type": "VideoOut", "inputs": {"video": ["6", 0], "filename_prefix": "plain/p"}},
        }
    )


def made(folder: Path) -> tuple[numpy.ndarray, list[numpy.ndarray]]:
    """The image and the frames of the video in a folder."""
    (path,) = folder.rglob("*.mp4")
    return pixels(only_png(folder)), video(path)[0]


def same(one: tuple[numpy.ndarray, list[numpy.ndarray]], other: tuple[numpy.ndarray, list[numpy.ndarray]]) -> bool:
    return numpy.array_equal(one[0], other[0]) and all(map(numpy.array_equal, one[1], other[1]))


def test_blueprints_from_the_library_give_what_their_nodes_give(comfyui: ComfyUI, page: Canvas, tmp_path: Path) -> None:
    make_image(comfyui.input / "sample.png", 48, 40)
    make_video(comfyui.input / "sample.mp4", 48, 32, 3)
    plain(comfyui)
    wanted = made(comfyui.output / "plain")
    assert wanted[0].shape == (80, 96, 3)
    assert len(wanted[1]) == 3

    page.load({"version": 0.4, "nodes": [], "links": []})
    page.refresh()
    image, moving = take_blueprint(page, BLUEPRINTS[0], (900, 300)), take_blueprint(page, BLUEPRINTS[1], (900, 700))
    load, save = page.add("LoadImage", {"image": "sample.png"}), page.add("SaveImage", {"filename_prefix": "block/b"})
    opened, written = page.add("VideoIn", {"video": "sample.mp4"}), page.add("VideoOut", {"filename_prefix": "block/b"})
    for block in (image, moving):
        page.set(block, {"target": "2x", "model": MODEL})
    page.connect(load, "IMAGE", image, "image")
    page.connect(image, "image", save, "images")
    page.connect(opened, "video", moving, "video")
    page.connect(moving, "video", written, "video")
    page.queue()
    assert page.errors() == []
    assert same(made(comfyui.output / "block"), wanted)

    page.save(tmp_path / "block.json")
    exported = page.to_prompt()
    (tmp_path / "exported.json").write_text(json.dumps(exported), encoding="utf-8")
    for node in exported.values():
        for played in ("video-preview", "$$comfy_animation_preview"):  # the canvas's own players, inputs of no node
            node["inputs"].pop(played, None)
    runtime(WORKFLOWS.parent, "convert", tmp_path / "block.json", "-o", tmp_path / "api.json")
    assert json.loads((tmp_path / "api.json").read_text(encoding="utf-8")) == exported
    folders = ("--input-dir", comfyui.input, "--output-dir", tmp_path / "out", "--device", "cpu", "--progress", "none")
    runtime(WORKFLOWS.parent, "run", tmp_path / "exported.json", *folders)
    assert same(made(tmp_path / "out"), wanted)
