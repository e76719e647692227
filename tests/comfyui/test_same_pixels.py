"""One workflow, three ways: Run on the canvas, ComfyUI's server, and our command line without ComfyUI.

The frontend's own conversion and the server's own pixels are the reference for ours.
"""

import json
import shutil
from pathlib import Path

import numpy
import pytest

from .commandline import runtime
from .peer.canvas import Canvas
from .peer.server import ComfyUI, Json
from .pictures import make_picture, only_png, pixels

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]

WORKFLOW = Path("workflows") / "image_4x.json"
SHIPPED = ("image_4x.json", "image_8k.json")
SIZE = (96, 80)
SCALE = 4


def class_of(prompt: Json, name: str) -> str:
    (node,) = [node for node, content in prompt.items() if content["class_type"] == name]
    return node


@pytest.mark.parametrize("name", SHIPPED)
def test_our_conversion_of_a_shipped_workflow_is_the_frontends(
    root: Path, comfyui: ComfyUI, canvas: Canvas, tmp_path: Path, name: str
) -> None:
    for sample in (root / "workflows" / "media").iterdir():
        shutil.copy(sample, comfyui.input)
    canvas.refresh()
    canvas.load(json.loads((root / "workflows" / name).read_text(encoding="utf-8")))
    assert canvas.errors() == []
    runtime(root, "convert", root / "workflows" / name, "-o", tmp_path / "api.json")
    assert json.loads((tmp_path / "api.json").read_text(encoding="utf-8")) == canvas.to_prompt()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_workflow_is_what_the_canvas_saves(root: Path, comfyui: ComfyUI, canvas: Canvas, name: str) -> None:
    for sample in (root / "workflows" / "media").iterdir():
        shutil.copy(sample, comfyui.input)
    canvas.refresh()
    shipped = json.loads((root / "workflows" / name).read_text(encoding="utf-8"))
    canvas.load(shipped)
    saved = canvas.save()
    for part in ("id", "version", "nodes", "links", "groups"):
        assert saved[part] == shipped[part]


def test_the_command_line_gives_the_pixels_that_comfyui_gives(
    root: Path, comfyui: ComfyUI, canvas: Canvas, tmp_path: Path
) -> None:
    make_picture(comfyui.input / "small.png", *SIZE)
    canvas.refresh()
    canvas.load(json.loads((root / WORKFLOW).read_text(encoding="utf-8")))
    canvas.set(int(class_of(canvas.to_prompt(), "LoadImage")), {"image": "small.png"})
    prompt = canvas.to_prompt()
    canvas.queue()
    assert canvas.errors() == []
    theirs = only_png(comfyui.output)
    assert pixels(theirs).shape == (SIZE[1] * SCALE, SIZE[0] * SCALE, 3)

    folders = ("--input-dir", comfyui.input, "--output-dir", tmp_path, "--device", "cpu", "--progress", "none")
    printed = runtime(root, "run", WORKFLOW, "--set", "LoadImage.image=small.png", *folders)
    ours = only_png(tmp_path)
    assert str(ours) in printed
    assert ours.relative_to(tmp_path) == theirs.relative_to(comfyui.output)
    assert numpy.array_equal(pixels(ours), pixels(theirs))

    canvas.drop(ours)
    assert canvas.to_prompt() == prompt
    assert canvas.errors() == []
