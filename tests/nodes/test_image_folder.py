"""A folder of images of different sizes as a list, in a workflow and alone."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from upscale8k.nodes import get_node_classes
from upscale8k.runtime.cli import main
from upscale8k.runtime.errors import MediaError
from upscale8k.runtime.host import LocalHost

SIZES = {"img2.png": (12, 8), "img10.png": (7, 9), "sub/a.png": (5, 6)}


def make_pixels(name: str) -> np.ndarray:
    width, height = SIZES[name]
    return np.random.default_rng(len(name)).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def node(host: LocalHost) -> Any:
    for name in SIZES:
        path = host.input_dir / "shots" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_pixels(name)).save(path)
    (host.input_dir / "shots/notes.txt").write_text("no image")
    return get_node_classes(host)["ImageFolderIn"]()


def test_each_image_keeps_its_size_its_pixels_and_its_name(node: Any) -> None:
    images, sources, names = node.run("shots", recursive=True)
    assert names == ["img2", "img10", "sub/a"]
    assert [source.name for source in sources] == ["img2", "img10", "a"]
    for image, name in zip(images, SIZES, strict=True):
        np.testing.assert_array_equal((image[0].numpy() * 255).round(), make_pixels(name))


@pytest.mark.parametrize(("inputs", "expected"), [({}, ["img2", "img10"]), ({"start": 1}, ["img10"]), ({"limit": 1}, ["img2"])])
def test_a_part_of_the_folder(node: Any, inputs: dict[str, int], expected: list[str]) -> None:
    assert node.run("shots", **inputs)[2] == expected


def test_a_changed_file_changes_the_key_and_another_folder_does_not(node: Any, host: LocalHost) -> None:
    before = node.IS_CHANGED("shots")
    os.utime(host.input_dir / "shots/sub/a.png", (1, 1))
    assert node.IS_CHANGED("shots") == before != node.IS_CHANGED("shots", start=1)
    os.utime(host.input_dir / "shots/img2.png", (1, 1))
    assert node.IS_CHANGED("shots") != before


def test_a_damaged_file_is_an_error_or_left_out(node: Any, host: LocalHost) -> None:
    (host.input_dir / "shots/img3.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(MediaError, match=r"img3\.png"):
        node.run("shots")
    assert node.run("shots", damaged="skip")[2] == ["img2", "img10"]


def test_what_cannot_be_read_is_said(node: Any, host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.input_dir / "empty").mkdir()
    with pytest.raises(MediaError, match="empty has no image"):
        node.run("empty")
    with pytest.raises(MediaError, match="has 2 images, and number 2 is behind the last"):
        node.run("shots", start=2)
    assert "is not in the input folder" in node.VALIDATE_INPUTS("nowhere")
    assert "outside" in node.VALIDATE_INPUTS("../..")
    monkeypatch.setattr("upscale8k.runtime.comfyui.types.image_folder._BYTES_PER_PIXEL", 10**12)
    with pytest.raises(MediaError, match=r"2 images of .* need .* GB at once"):
        node.run("shots")


def test_a_workflow_upscales_each_image_under_its_name(node: Any, host: LocalHost, tmp_path: Path) -> None:
    prompt = {
        "1": {"class_type": "UpscaleModel", "inputs": {"model": "realesr-animevideov3"}},
        "2": {"class_type": "ImageFolderIn", "inputs": {"folder": "shots", "recursive": True}},
        "3": {"class_type": "TiledUpscale", "inputs": {"image": ["2", 0], "upscale_model": ["1", 0], "target": "2x"}},
        "4": {
            "class_type": "ImageOut",
            "inputs": {"images": ["3", 0], "source": ["2", 1], "filename": ["2", 2], "if_exists": "replace"},
        },
    }
    workflow = tmp_path / "folder.json"
    workflow.write_text(json.dumps(prompt))
    arguments = ["run", str(workflow), "--input-dir", str(host.input_dir), "--output-dir", str(host.output_dir)]
    assert main([*arguments, "--backend", "null", "--progress", "none"]) == 0
    written = {path.relative_to(host.output_dir).as_posix(): path for path in host.output_dir.rglob("*.png")}
    assert written.keys() == SIZES.keys()
    for name, path in written.items():
        with Image.open(path) as image:
            assert image.size == tuple(2 * side for side in SIZES[name])
