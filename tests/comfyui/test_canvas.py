"""The peer itself: core nodes on the real canvas, and an image that gives its graph back."""

import io
from pathlib import Path

import pytest
from PIL import Image

from .peer.canvas import Canvas
from .peer.server import ComfyUI, NodeFailed, PromptRejected

pytestmark = pytest.mark.comfyui


def test_an_image_saved_from_the_canvas_drops_back_as_the_same_graph(comfyui: ComfyUI, canvas: Canvas) -> None:
    empty = canvas.add("EmptyImage", {"width": 48, "height": 32, "color": 0x4080C0}, title="A blue sheet", pos=[100, 200])
    save = canvas.add("SaveImage", {"filename_prefix": "drop/back"}, pos=[500, 200])
    canvas.connect(empty, "IMAGE", save, "images")
    canvas.group("Everything", (80, 120, 900, 400))
    drawn = canvas.save()
    entry = canvas.queue()
    assert entry["outputs"][str(save)]["images"] == [{"filename": "back_00001_.png", "subfolder": "drop", "type": "output"}]
    with Image.open(io.BytesIO(comfyui.view("back_00001_.png", "drop"))) as image:
        assert image.size == (48, 32)
        assert image.getpixel((47, 31)) == (0x40, 0x80, 0xC0)

    canvas.load({"version": 0.4, "nodes": [], "links": []})
    canvas.drop(comfyui.output / "drop" / "back_00001_.png")
    dropped = canvas.save()
    assert canvas.errors() == []
    for part in ("nodes", "links", "groups"):
        assert dropped[part] == drawn[part]


def test_the_canvas_names_a_node_that_is_not_installed(canvas: Canvas) -> None:
    node = {"id": 1, "type": "NodeOfNoPack", "pos": [0, 0], "size": [200, 100], "flags": {}, "order": 0, "mode": 0}
    canvas.load({"version": 0.4, "nodes": [node | {"properties": {}}], "links": []})
    (error,) = [error for error in canvas.errors() if error.startswith("missing node")]
    assert "NodeOfNoPack" in error


def test_a_file_without_a_workflow_says_so(canvas: Canvas, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("nothing to see")
    with pytest.raises(AssertionError, match=r"notes\.txt"):
        canvas.drop(file)


def test_a_refused_prompt_tells_which_input_of_which_node(comfyui: ComfyUI) -> None:
    prompt = {"7": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}}
    with pytest.raises(PromptRejected) as refused:
        comfyui.queue(prompt)
    (error,) = refused.value.node_errors["7"]["errors"]
    assert (error["type"], error["extra_info"]["input_name"]) == ("required_input_missing", "images")


def test_a_node_that_fails_is_named_in_the_history(comfyui: ComfyUI) -> None:
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "../outside"}},
    }
    with pytest.raises(NodeFailed, match="outside the output folder"):
        comfyui.queue(prompt)
    assert list(comfyui.output.iterdir()) == []
