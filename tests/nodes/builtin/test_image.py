"""More of ComfyUI's image nodes: declared as there, and with its pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest
import torch
from PIL import Image
from upscale8k.nodes import DISPLAY_NAMES, bind_to_host, get_node_classes
from upscale8k.nodes.builtin import image_extras
from upscale8k.nodes.declare import list_nodes
from upscale8k.runtime.errors import OutputError, WorkflowError
from upscale8k.runtime.graph.check import check_prompt
from upscale8k.runtime.graph.definitions import describe_classes
from upscale8k.runtime.graph.execute.events import NodeFinished
from upscale8k.runtime.graph.execute.executor import execute_plan
from upscale8k.runtime.graph.execute.plan import make_plan
from upscale8k.runtime.host import LocalHost

from ...comfyui.peer.tree import declarations
from .core_peer import Case, call, differences, run_core, same

METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")


def bound(host: LocalHost) -> dict[str, type]:
    return bind_to_host(list_nodes(image_extras), host)


def make_image(height: int, width: int, channels: int = 3, count: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.rand(count, height, width, channels, generator=generator)


WIDE, TALL, SQUARE, RGBA = make_image(37, 61), make_image(53, 40, count=2), make_image(64, 64), make_image(37, 61, 4)
WITH_SPARE = make_image(200, 300)[:, 20:57, 30:91]  # a view: not contiguous, as crops are
MASK, MASKS = make_image(30, 45)[..., 0], make_image(53, 40, count=2)[..., 1].contiguous()
TILED = make_image(150, 230)

RESIZES: list[dict[str, Any]] = [
    {"resize_type": "scale dimensions", "resize_type.width": 50, "resize_type.height": 0, "resize_type.crop": "center"},
    {"resize_type": "scale dimensions", "resize_type.width": 0, "resize_type.height": 33, "resize_type.crop": "disabled"},
    {"resize_type": "scale dimensions", "resize_type.width": 20, "resize_type.height": 40, "resize_type.crop": "center"},
    {"resize_type": "scale dimensions", "resize_type.width": 0, "resize_type.height": 0, "resize_type.crop": "center"},
    {"resize_type": "scale by multiplier", "resize_type.multiplier": 1.7},
    {"resize_type": "scale longer dimension", "resize_type.longer_size": 97},
    {"resize_type": "scale shorter dimension", "resize_type.shorter_size": 24},
    {"resize_type": "scale width", "resize_type.width": 71},
    {"resize_type": "scale height", "resize_type.height": 71},
    {"resize_type": "scale total pixels", "resize_type.megapixels": 0.01},
    {"resize_type": "match size", "resize_type.match": TALL, "resize_type.crop": "center"},
    {"resize_type": "match size", "resize_type.match": MASK, "resize_type.crop": "disabled"},
    {"resize_type": "scale to multiple", "resize_type.multiple": 8},
    {"resize_type": "scale to multiple", "resize_type.multiple": 1},
    {"resize_type": "scale to multiple", "resize_type.multiple": 100},
]

TAKES_VIDEOS = {"required.input", "required.resize_type", "display_name", "search_aliases"}

CASES: list[Case] = [
    *(
        ("ImageScaleToTotalPixels", {"image": image, "upscale_method": method, "megapixels": 0.012, "resolution_steps": step})
        for method in METHODS
        for image, step in ((WIDE, 1), (TALL, 8), (RGBA, 1))
    ),
    *(
        ("ImageScaleToMaxDimension", {"image": image, "upscale_method": method, "largest_size": 90})
        for method in METHODS
        for image in (WIDE, TALL, SQUARE)
    ),
    *(
        ("ResizeImageMaskNode", {"input": either, "scale_method": method, **choice})
        for method in METHODS
        for either in (WIDE, TALL, MASK, MASKS)
        for choice in RESIZES
    ),
    ("ImageInvert", {"image": RGBA}),
    ("EmptyImage", {"width": 5, "height": 3, "batch_size": 2, "color": 0x123456}),
    ("RebatchImages", {"images": [TALL, TALL[:1], TALL], "batch_size": [2]}),
    ("RebatchImages", {"images": [TALL, WIDE], "batch_size": [1]}),
    *(
        ("ImageFromBatch", {"image": make_image(4, 5, count=5), "batch_index": index, "length": length})
        for index, length in ((0, 1), (2, 9), (-2, 1), (-99, 2), (99, 3))
    ),
    ("RepeatImageBatch", {"image": TALL, "amount": 3}),
    ("GetImageSize", {"image": TALL}),
    ("SplitImageWithAlpha", {"image": RGBA}),
    ("SplitImageWithAlpha", {"image": TALL}),
    ("JoinImageWithAlpha", {"image": TALL, "alpha": MASK}),
    ("JoinImageWithAlpha", {"image": RGBA, "alpha": MASKS}),
    ("JoinImageWithAlpha", {"image": TALL, "alpha": MASKS}),
    ("JoinImageWithAlpha", {"image": make_image(8, 8, count=5), "alpha": MASKS}),
    ("BatchImagesNode", {"images.image0": WIDE, "images.image1": TALL, "images.image3": RGBA}),
    ("BatchImagesNode", {"images.image0": TALL, "images.image1": TALL}),
    ("BatchImagesNode", {"images.image2": SQUARE}),
    *(
        ("SplitImageToTileList", {"image": TILED, "tile_width": width, "tile_height": height, "overlap": overlap})
        for width, height, overlap in ((64, 64, 16), (100, 70, 0), (64, 64, 60), (300, 64, 8))
    ),
    *(
        ("ImageMergeTileList", {"image_list": tiles, "final_width": [230], "final_height": [150], "overlap": [overlap]})
        for overlap in (0, 16)
        for tiles in (
            [make_image(64, 64, count=2) * step for step in range(1, 40)],
            [make_image(64, 64) * 0.5] * 3,
            [make_image(80, 300), make_image(64, 64), make_image(90, 20)],
        )
    ),
]


@pytest.mark.parametrize("node_id", list_nodes(image_extras))
def test_it_is_declared_as_in_comfyui(node_id: str, host: LocalHost) -> None:
    ours, theirs = describe_classes(bound(host), DISPLAY_NAMES)[node_id], declarations()[node_id]
    # the files of another folder; the videos of ComfyUI 0.38
    allowed = {"LoadImageMask": {"required.image"}, "ResizeImageMaskNode": TAKES_VIDEOS}
    assert differences(ours, theirs) <= allowed.get(node_id, set())


@pytest.mark.comfyui
def test_every_result_is_cores_bit_for_bit(tmp_path: Path, host: LocalHost) -> None:
    nodes = bound(host)
    for (name, inputs), core in zip(CASES, run_core(CASES, tmp_path), strict=True):
        told = {key: tuple(value.shape) if isinstance(value, torch.Tensor) else value for key, value in inputs.items()}
        assert "error" not in core, (name, core, told)
        assert same(list(call(nodes[name], inputs)), core["result"]), (name, told)


def test_a_view_that_lies_apart_in_memory_is_resized_as_any_other(host: LocalHost) -> None:
    node = bound(host)["ResizeImageMaskNode"]
    for method in METHODS:
        inputs = {"scale_method": method, "resize_type": "scale by multiplier", "resize_type.multiplier": 2.0}
        (apart,), (together,) = (call(node, {"input": image, **inputs}) for image in (WITH_SPARE, WITH_SPARE.contiguous()))
        torch.testing.assert_close(apart, together, rtol=0, atol=1e-6)


# ---------------------------------------------------------------- files


@pytest.fixture
def with_files(tmp_path: Path, host: LocalHost) -> LocalHost:
    values = np.random.default_rng(1).integers(0, 256, (40, 50, 4), np.uint8)
    for folder in ("input", "output"):
        Image.fromarray(values).save(tmp_path / folder / "rgba.png")
        Image.fromarray(values[..., :3]).save(tmp_path / folder / "rgb.png")
    return host


@pytest.mark.comfyui
def test_masks_and_earlier_results_load_as_in_core(tmp_path: Path, with_files: LocalHost) -> None:
    cases: list[Case] = [
        ("LoadImageMask", {"image": name, "channel": channel})
        for name in ("rgba.png", "rgb.png", "rgba.png [output]")
        for channel in ("alpha", "red", "green", "blue")
    ]
    cases += [("LoadImageOutput", {"image": name}) for name in ("rgba.png [output]", "rgb.png [output]", "rgb.png")]
    nodes: dict[str, Any] = bound(with_files)
    for (name, inputs), core in zip(cases, run_core(cases, tmp_path), strict=True):
        assert nodes[name].VALIDATE_INPUTS(image=inputs["image"]) is True
        assert same(list(call(nodes[name], inputs)), core["result"]), inputs


WORKFLOW = {"prompt": {"1": {"a": "é"}}, "extra_pnginfo": {"workflow": {"b": 1}}}
STEPS = torch.linspace(-0.2, 1.3, 40 * 50 * 4).reshape(40, 50, 4)
SAVED = [
    {"images": STEPS[None, ..., :channels].contiguous(), "format": kind, "format.bit_depth": bits, **space}
    for channels in (1, 3, 4)
    for kind, bits, space in (
        ("png", "8-bit", {"format.input_color_space": "sRGB"}),
        ("png", "16-bit", {}),
        ("exr", "32-bit float", {"format.input_color_space": "sRGB"}),
        ("exr", "32-bit float", {"format.input_color_space": "HDR"}),
        ("exr", "32-bit float", {"format.input_color_space": "linear"}),
    )
]


def _read(path: Path) -> tuple[np.ndarray, oiio.ImageSpec]:
    image = oiio.ImageBuf(str(path))
    assert not image.has_error, image.geterror()
    kind = {"uint8": oiio.UINT8, "uint16": oiio.UINT16, "float": oiio.FLOAT}[str(image.spec().format)]
    return image.get_pixels(kind), image.spec()


@pytest.mark.comfyui
def test_files_have_cores_names_pixels_and_workflow(tmp_path: Path, host: LocalHost) -> None:
    theirs_at = tmp_path / "core"
    theirs_at.mkdir()
    cases: list[Case] = [("SaveImageAdvanced", {"filename_prefix": "a/b", **inputs}) for inputs in SAVED]
    answers = run_core(cases, theirs_at)
    node = bound(host)["SaveImageAdvanced"]
    for (_, inputs), core in zip(cases, answers, strict=True):
        ui = node().save(**inputs, **WORKFLOW)["ui"]
        assert "error" not in core, core
        assert ui == core["ui"]
        name = f"a/{ui['images'][0]['filename']}"
        (ours, our_spec), (theirs, their_spec) = _read(host.output_dir / name), _read(theirs_at / "output" / name)
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes(), inputs
        assert our_spec.channelnames == their_spec.channelnames
        for key in ("prompt", "workflow"):
            assert our_spec.getattribute(key) == their_spec.getattribute(key) is not None
        if name.endswith(".exr"):
            assert our_spec.getattribute("chromaticities") == their_spec.getattribute("chromaticities")


def test_grey_images_without_a_channel_axis_are_saved_as_in_core(tmp_path: Path, host: LocalHost) -> None:
    images = make_image(37, 61, 2).movedim(-1, 1)[0].contiguous()  # (2, 37, 61), as masks are
    theirs_at = tmp_path / "core"
    theirs_at.mkdir()
    (core,) = run_core([("SaveImage", {"images": images, "filename_prefix": "grey"})], theirs_at)
    saver: Any = get_node_classes(host)["SaveImage"]
    answer = saver().save_images(images=images, filename_prefix="grey")
    assert answer["ui"] == core["ui"]
    assert same(answer["result"][0], images)
    for one in core["ui"]["images"]:
        with (
            Image.open(host.output_dir / one["filename"]) as ours,
            Image.open(theirs_at / "output" / one["filename"]) as theirs,
        ):
            assert ours.mode == theirs.mode == "L"
            assert ours.tobytes() == theirs.tobytes()


def test_packs_say_where_a_derived_saver_writes(tmp_path: Path, host: LocalHost) -> None:
    core: Any = get_node_classes(host)["SaveImage"]

    class Previewing(core):
        def __init__(self) -> None:
            self.output_dir = str(host.folder("temp"))
            self.type = "temp"
            self.prefix_append = "_temp_abcde"

    class Below(core):
        def __init__(self) -> None:
            super().__init__()
            self.output_dir = str(Path(self.output_dir) / "below")

    (shown,) = Previewing().save_images(SQUARE, "x")["ui"]["images"]
    assert shown == {"filename": "x_temp_abcde_00001_.png", "subfolder": "", "type": "temp"}
    (below,) = Below().save_images(SQUARE, "x")["ui"]["images"]
    assert below == {"filename": "x_00001_.png", "subfolder": "below", "type": "output"}


def test_a_image_that_is_no_number_leaves_no_file(host: LocalHost) -> None:
    node = bound(host)["SaveImageAdvanced"]
    for bits in ("8-bit", "16-bit"):
        with pytest.raises(OutputError, match="not numbers"):
            call(node, {"images": torch.full((1, 8, 8, 3), float("nan")), "format": "png", "format.bit_depth": bits})
    assert not list(host.output_dir.iterdir())


def test_a_comparison_saves_both_sides_without_a_workflow(host: LocalHost) -> None:
    ui = bound(host)["ImageCompare"]().compare(["", ""], image_a=TALL, prompt={"1": {}})["ui"]
    assert [len(ui["a_images"]), len(ui["b_images"])] == [2, 0]
    with Image.open(host.folder("temp") / ui["a_images"][0]["filename"]) as saved:
        assert saved.size == (40, 53)
        assert not saved.text


def test_what_core_fails_on_obscurely_is_a_sentence(host: LocalHost) -> None:
    nodes = bound(host)
    for name, inputs, sentence in (
        ("RebatchImages", {"images": [TALL, WIDE], "batch_size": [4]}, "40x53 with 3 channels and 61x37"),
        ("BatchImagesNode", {"images.image0": RGBA, "images.image1": RGBA[..., :1]}, "1 and 4 channels"),
        ("ImageMergeTileList", {"image_list": [], "final_width": [64], "final_height": [64], "overlap": [0]}, "no tile"),
        ("ImageScaleToMaxDimension", {"image": WIDE, "upscale_method": "area", "largest_size": 0}, "no pixel would be left"),
        ("SaveImageAdvanced", {"images": RGBA[..., :2], "format": "png", "format.bit_depth": "8-bit"}, "2 channels"),
    ):
        with pytest.raises(WorkflowError, match=sentence) as caught:
            call(nodes[name], inputs)
        assert caught.value.hint


# ---------------------------------------------------------------- through the executor


def test_dynamic_inputs_and_lists_arrive_in_a_run(with_files: LocalHost) -> None:
    nodes = {**get_node_classes(with_files), **bound(with_files)}
    resize = {"input": ["1", 0], "resize_type": "scale width", "resize_type.width": 32, "scale_method": "area"}
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 100, "height": 80, "batch_size": 1, "color": 255}},
        "2": {"class_type": "ResizeImageMaskNode", "inputs": resize},
        "3": {"class_type": "BatchImagesNode", "inputs": {"images.image0": ["2", 0], "images.image1": ["1", 0]}},
        "4": {
            "class_type": "SplitImageToTileList",
            "inputs": {"image": ["1", 0], "tile_width": 64, "tile_height": 64, "overlap": 8},
        },
        "5": {"class_type": "ImageInvert", "inputs": {"image": ["4", 0]}},
        "6": {
            "class_type": "ImageMergeTileList",
            "inputs": {"image_list": ["5", 0], "final_width": 100, "final_height": 80, "overlap": 8},
        },
        "7": {
            "class_type": "SaveImageAdvanced",
            "inputs": {
                "images": ["6", 0],
                "filename_prefix": "merged",
                "format": "png",
                "format.bit_depth": "16-bit",
                "format.input_color_space": "sRGB",
            },
        },
        "8": {"class_type": "ImageCompare", "inputs": {"image_a": ["3", 0], "compare_view": {"__value__": ["", ""]}}},
    }
    checked = check_prompt(prompt, nodes)
    assert not checked.problems, checked.problems
    shown = {
        event.node_id: event.ui
        for event in execute_plan(make_plan(checked.prompt, nodes), nodes)
        if isinstance(event, NodeFinished)
    }
    assert len(shown["8"]["a_images"]) == 2
    pixels, _ = _read(with_files.output_dir / shown["7"]["images"][0]["filename"])
    assert pixels.shape == (80, 100, 3)
    assert np.ptp(pixels, axis=(0, 1)).max() <= 1
    np.testing.assert_allclose(pixels[0, 0], [65535, 65535, 0], atol=1)
