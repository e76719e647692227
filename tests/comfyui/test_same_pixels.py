"""One workflow, three ways: Run on the canvas, ComfyUI's server, and our command line without ComfyUI.

The frontend's own conversion and the server's own pixels are the reference for ours.
"""

import json
import os
from pathlib import Path

import numpy
import pytest

from .commandline import runtime
from .images import make_image, only_png, pixels
from .peer.canvas import Canvas
from .peer.server import ComfyUI, Json

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]

WORKFLOW = Path("workflows") / "image_4x.json"
SHIPPED = sorted(path.name for path in (Path(__file__).resolve().parents[2] / "workflows").glob("*.json"))
SIZE = (96, 80)  # small, whatever the shipped sample is
SCALE = 4
EMPTY: Json = {"version": 0.4, "nodes": [], "links": []}


def headless(root: Path, comfyui: ComfyUI, output: Path, *settings: str) -> tuple[Path, str]:
    """The file that our command line writes for the workflow, reading ComfyUI's input folder, and what it prints."""
    changes = [part for setting in settings for part in ("--set", setting)]
    folders = ("--input-dir", comfyui.input, "--output-dir", output, "--device", "cpu", "--progress", "none")
    printed = runtime(root, "run", WORKFLOW, *changes, *folders)
    return only_png(output), printed


def load_image(prompt: Json) -> int:
    """The id of the node that loads the image."""
    (node,) = [node for node, content in prompt.items() if content["class_type"] == "LoadImage"]
    return int(node)


@pytest.mark.parametrize("name", SHIPPED)
def test_our_conversion_of_a_shipped_workflow_is_the_frontends(
    root: Path, comfyui: ComfyUI, canvas: Canvas, tmp_path: Path, name: str
) -> None:
    comfyui.take_samples(root / "workflows" / "media")
    canvas.refresh()
    canvas.load(json.loads((root / "workflows" / name).read_text(encoding="utf-8")))
    assert canvas.errors() == []
    runtime(root, "convert", root / "workflows" / name, "-o", tmp_path / "api.json")
    expected = canvas.to_prompt()
    for node in expected.values():
        node["inputs"].pop("video-preview", None)  # there once the canvas plays the video, an input of no node
    assert json.loads((tmp_path / "api.json").read_text(encoding="utf-8")) == expected


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_workflow_is_what_the_canvas_saves(root: Path, comfyui: ComfyUI, canvas: Canvas, name: str) -> None:
    comfyui.take_samples(root / "workflows" / "media")
    canvas.refresh()
    path, parts = root / "workflows" / name, ("id", "version", "nodes", "links", "groups")
    shipped = json.loads(path.read_text(encoding="utf-8"))
    canvas.load(shipped)
    saved = canvas.save()
    if os.environ.get("UPSCALE8K_WRITE_WORKFLOWS") == "1":  # after a node got a new input
        shipped |= {part: saved[part] for part in parts}
        path.write_text(json.dumps(shipped, indent=2), encoding="utf-8")
    assert {part: saved[part] for part in parts} == {part: shipped[part] for part in parts}


def test_the_command_line_gives_the_pixels_that_comfyui_gives(
    root: Path, comfyui: ComfyUI, canvas: Canvas, tmp_path: Path
) -> None:
    make_image(comfyui.input / "sample.png", *SIZE)
    canvas.refresh()
    canvas.load(json.loads((root / WORKFLOW).read_text(encoding="utf-8")))
    ran = canvas.to_prompt()
    canvas.queue()
    assert canvas.errors() == []
    theirs = only_png(comfyui.output)
    assert pixels(theirs).shape == (SIZE[1] * SCALE, SIZE[0] * SCALE, 3)

    ours, printed = headless(root, comfyui, tmp_path)
    assert str(ours) in printed
    assert ours.relative_to(tmp_path) == theirs.relative_to(comfyui.output)
    assert numpy.array_equal(pixels(ours), pixels(theirs))

    canvas.load(EMPTY)
    canvas.drop(ours)
    assert canvas.errors() == []
    assert canvas.to_prompt() == ran


def test_an_image_made_with_a_changed_value_drops_back_with_that_value(
    root: Path, comfyui: ComfyUI, canvas: Canvas, tmp_path: Path
) -> None:
    for name in ("sample.png", "small.png"):
        make_image(comfyui.input / name, *SIZE)
    canvas.refresh()
    canvas.load(json.loads((root / WORKFLOW).read_text(encoding="utf-8")))
    canvas.set(load_image(canvas.to_prompt()), {"image": "small.png"})
    changed = canvas.to_prompt()

    ours, _ = headless(root, comfyui, tmp_path, "LoadImage.image=small.png")
    canvas.load(EMPTY)
    canvas.drop(ours)
    assert canvas.to_prompt() == changed
