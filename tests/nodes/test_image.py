"""The nodes for pictures, run as a workflow runs them."""

import numpy as np
import pytest
import torch
from PIL import Image
from upscale8k.nodes import get_node_classes
from upscale8k.runtime.host import LocalHost


@pytest.fixture
def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).random((2, 20, 30, 3), dtype=np.float32))


def test_a_image_goes_in_and_out(host: LocalHost) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 4), np.uint8)
    Image.fromarray(pixels).save(host.input_dir / "leaf.png")
    nodes = get_node_classes(host)
    image, source = nodes["ImageIn"]().run("leaf.png")
    result = nodes["ImageOut"]().run(image, "sub/%name%_%width%", source)
    assert result == {"ui": {"images": [{"filename": "leaf_30_00001_.png", "subfolder": "sub", "type": "output"}]}}
    with Image.open(host.output_dir / "sub" / "leaf_30_00001_.png") as written:
        np.testing.assert_array_equal(np.asarray(written), pixels)


def test_names_are_numbered_or_replaced(host: LocalHost, images: torch.Tensor) -> None:
    node = get_node_classes(host)["ImageOut"]()
    names = [[item["filename"] for item in node.run(images, "a")["ui"]["images"]] for _ in range(2)]
    assert names == [["a_00001_.png", "a_00002_.png"], ["a_00003_.png", "a_00004_.png"]]
    for _ in range(2):
        shown = node.run(images, "b", if_exists="replace")["ui"]["images"]
        assert [item["filename"] for item in shown] == ["b.png", "b_00001.png"]
    assert len(list(host.output_dir.iterdir())) == 6


@pytest.mark.parametrize(
    ("filename", "expected"), [("", "Upscale8K.png"), ("sub/", "sub/Upscale8K.png"), ("a/b.tif", "a/b.tif")]
)
def test_a_folder_is_no_name(filename: str, expected: str, host: LocalHost, images: torch.Tensor) -> None:
    get_node_classes(host)["ImageOut"]().run(images[:1], filename, if_exists="replace")
    assert (host.output_dir / expected).is_file()


def test_a_preview_goes_to_the_temporary_folder(host: LocalHost, images: torch.Tensor) -> None:
    result = get_node_classes(host)["PreviewImage"]().save_images(images)
    assert [item["type"] for item in result["ui"]["images"]] == ["temp", "temp"]
    assert not list(host.output_dir.iterdir())
    assert len(list(host.folder("temp").iterdir())) == 2


def test_a_backend_that_was_forced_for_the_run_goes_first(host: LocalHost, images: torch.Tensor) -> None:
    host.backend_name = "null"
    nodes = get_node_classes(host)
    (model,) = nodes["UpscaleModel"]().run("realesr-animevideov3")
    (result,) = nodes["TiledUpscale"]().run(images, model, "model scale", backend="torch")
    assert torch.equal(result, images.repeat_interleave(4, 1).repeat_interleave(4, 2))


def test_questions_before_the_run_are_answered_with_a_sentence(host: LocalHost) -> None:
    nodes = get_node_classes(host)
    assert nodes["TiledUpscale"].VALIDATE_INPUTS("5120x2880") is True
    assert "is not a size to upscale to" in nodes["TiledUpscale"].VALIDATE_INPUTS("tall")
    assert "is not in the input folder" in nodes["ImageIn"].VALIDATE_INPUTS("nothing.png")
    assert "inside the input folder" in nodes["ImageIn"].VALIDATE_INPUTS("../x.png")
    assert "nonsense" in nodes["UpscaleModel"].VALIDATE_INPUTS("nonsense")


@pytest.mark.parametrize(
    ("node", "given", "answer"),
    [
        ("ImageOut", {"filename": "a.jpg", "bit_depth": "16"}, "a.jpg: JPEG stores 8 bits, not 16. For 16 bits use EXR, "),
        ("ImageOut", {"filename": "%name%", "format": "webp", "bit_depth": "16"}, "%name%.webp: WebP stores 8 bits, not 16. "),
        ("ImageOut", {"filename": "sub/", "format": "avif", "bit_depth": "32"}, "AVIF stores 8 bits, not 32. "),
        ("ImageOut", {"filename": "a.exr", "bit_depth": "8"}, "a.exr: EXR stores 16 or 32 bits, not 8. "),
        ("ImageOut", {"filename": "a.png", "format": "jpg", "bit_depth": "16"}, True),
        ("ImageOut", {"filename": "a", "format": "as source", "bit_depth": "16"}, True),
        ("ImageOut", {"filename": None, "format": "jpg", "bit_depth": "16"}, True),
        ("ImageOut", {"filename": "a", "format": None, "bit_depth": "16"}, True),
        ("ImageOut", {"filename": "a.jpg", "bit_depth": "12"}, "'12' is not one of as source, 8, 16, 32."),
        ("ImageOut", {"filename": "a", "format": "bmp"}, "'bmp' is not one of as source, png, jpg, "),
        ("SequenceOut", {"filename": "%05d.jpg", "bit_depth": "16"}, "%05d.jpg: JPEG stores 8 bits, not 16. "),
        ("SequenceOut", {"filename": "%05d.tif", "bit_depth": "16"}, True),
    ],
)
def test_a_depth_that_the_format_does_not_hold_is_refused_before_the_run(
    node: str, given: dict[str, str | None], answer: str | bool, host: LocalHost
) -> None:
    said = get_node_classes(host)[node].VALIDATE_INPUTS(**given)
    assert said is True if answer is True else answer in said


def test_a_file_that_changed_is_read_again(host: LocalHost) -> None:
    node = get_node_classes(host)["ImageIn"]
    path = host.input_dir / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    before = node.IS_CHANGED("a.png")
    assert node.IS_CHANGED("a.png") == before
    assert node.IS_CHANGED("a.png", 5) != before
    import os

    os.utime(path, ns=(1, 1))
    assert node.IS_CHANGED("a.png") != before
