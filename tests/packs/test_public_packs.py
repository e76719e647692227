"""Public packs, unmodified, on the command line: a workflow of each, against values computed without it.

``python tests/packs/obtain.py`` gets them; UPSCALE8K_PACKS may name a folder of clones instead. A pack that is not there is
skipped and says so; with UPSCALE8K_REQUIRE_PACKS=1 it fails instead.
"""

import base64
import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from .public_packs import OBTAIN, git_tree, place

Pixels = NDArray[np.uint8]
SIZE = (48, 32)  # width, height


def pack(name: str) -> Path:
    folder = place(name)
    if not (folder / "__init__.py").is_file():
        reason = f"the pack {name} is not in {folder.parent}. Get it with: {OBTAIN}"
        if os.environ.get("UPSCALE8K_REQUIRE_PACKS") == "1":
            pytest.fail(f"UPSCALE8K_REQUIRE_PACKS=1, but {reason}", pytrace=False)
        pytest.skip(reason)
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Pixels:
    """``input/a.png``: noise with a red square."""
    pixels = np.random.default_rng(7).integers(0, 200, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    pixels[8:16, 8:24] = (255, 0, 0)
    (tmp_path / "input").mkdir()
    Image.fromarray(pixels).save(tmp_path / "input" / "a.png")
    return pixels


def run(root: Path, tmp_path: Path, prompt: dict[str, Any], *packs: Path) -> dict[str, list[Pixels]]:
    """The images that a prompt saves, by the prefix of their names."""
    workflow = tmp_path / "workflow.json"
    workflow.write_text(json.dumps(prompt), encoding="utf-8")
    folders = ["--input-dir", str(tmp_path / "input"), "--output-dir", str(tmp_path / "output")]
    named = [argument for folder in packs for argument in ("--nodes", str(folder))]
    command = [sys.executable, "-m", "runtime", "run", str(workflow), "--device", "cpu", "--progress", "none", *folders, *named]
    # Some packs install what they miss; these tests install nothing.
    offline = {**os.environ, "PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}
    done = subprocess.run(command, cwd=root, env=offline, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    saved: dict[str, list[Pixels]] = {}
    for path in sorted((tmp_path / "output").glob("*.png")):
        saved.setdefault(path.name.split("_")[0], []).append(np.asarray(Image.open(path)))
    return saved


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


LOAD = node("LoadImage", image="a.png")


def save(source: str, slot: int = 0, prefix: str = "result") -> dict[str, Any]:
    return node("SaveImage", images=[source, slot], filename_prefix=prefix)


def test_comfyui_essentials(root: Path, tmp_path: Path, image: Pixels) -> None:
    prompt = {
        "load": LOAD,
        "flip": node("ImageFlip+", image=["load", 0], axis="xy"),
        "red": node("MaskFromColor+", image=["load", 0], red=255, green=0, blue=0, threshold=3),
        "mix": node("ImageCompositeFromMaskBatch+", image_from=["load", 0], image_to=["flip", 0], mask=["red", 0]),
        "size": node("GetImageSize+", image=["mix", 0]),
        "half": node("SimpleMath+", value="a / 2", a=["size", 0]),
        "cut": node("ImageCrop+", image=["mix", 0], width=["half", 0], height=16, position="top-left", x_offset=0, y_offset=0),
        "save": save("mix", prefix="mixed"),
        "saved": save("cut", prefix="cut"),
    }
    saved = run(root, tmp_path, prompt, pack("ComfyUI_essentials"))
    red = (image == (255, 0, 0)).all(axis=2, keepdims=True)
    expected = np.where(red, image[::-1, ::-1], image)
    assert np.array_equal(saved["mixed"], [expected])
    assert np.array_equal(saved["cut"], [expected[:16, : SIZE[0] // 2]])


def test_comfyui_kjnodes(root: Path, tmp_path: Path, image: Pixels) -> None:
    prompt = {
        "load": LOAD,
        "beside": node("ImageConcanate", image1=["load", 0], image2=["load", 0], direction="right", match_image_size=True),
        "inverted": node("ImageInvert", image=["load", 0]),
        "grid": node(
            "ImageGridComposite2x2",
            image1=["load", 0],
            image2=["inverted", 0],
            image3=["inverted", 0],
            image4=["load", 0],
        ),
        "twice": node("ImageBatchRepeatInterleaving", images=["grid", 0], repeats=2),
        "count": node("GetImageSizeAndCount", image=["twice", 0]),
        "black": node("EmptyImage", width=["count", 1], height=["count", 2], batch_size=["count", 3], color=0),
        "save": save("beside", prefix="beside"),
        "saved": save("count", prefix="grid"),
        "third": save("black", prefix="black"),
        "shown": node("ImageAndMaskPreview", image=["load", 0], mask_opacity=1.0, mask_color="0", pass_through=False),
    }
    saved = run(root, tmp_path, prompt, pack("ComfyUI-KJNodes"))
    inverted = 255 - image
    grid = np.block([[[image], [inverted]], [[inverted], [image]]])
    assert np.array_equal(saved["beside"], [np.hstack([image, image])])
    assert [np.abs(one.astype(int) - grid).max() <= 1 for one in saved["grid"]] == [True, True]  # 1 - x is cut to 8 bits
    assert np.array_equal(saved["black"], np.zeros((2, 2 * SIZE[1], 2 * SIZE[0], 3)))


def test_comfyui_post_processing_nodes(root: Path, tmp_path: Path, image: Pixels) -> None:
    prompt = {
        "load": LOAD,
        "inverted": node("ImageInvert", image=["load", 0]),
        "product": node("Blend", image1=["load", 0], image2=["inverted", 0], blend_factor=1.0, blend_mode="multiply"),
        "screen": node("Blend", image1=["load", 0], image2=["load", 0], blend_factor=0.5, blend_mode="screen"),
        "normal": node("Blend", image1=["load", 0], image2=["inverted", 0], blend_factor=0.25, blend_mode="normal"),
        "save": save("product", prefix="product"),
        "saved": save("screen", prefix="screen"),
        "third": save("normal", prefix="normal"),
    }
    saved = run(root, tmp_path, prompt, pack("ComfyUI-post-processing-nodes"))
    value = image / 255
    for name, expected in {
        "product": value * (1 - value),
        "screen": (value + 1 - (1 - value) ** 2) / 2,
        "normal": 0.75 * value + 0.25 * (1 - value),
    }.items():
        assert np.abs(saved[name][0] / 255 - expected).max() <= 1 / 255


def test_masquerade_nodes(root: Path, tmp_path: Path, image: Pixels) -> None:
    rectangle = {"origin": "topleft", "x": 10, "y": 4, "width": 20, "height": 12, "image_width": 64, "image_height": 64}
    prompt = {
        "load": LOAD,
        "inverted": node("ImageInvert", image=["load", 0]),
        "mask": node("Create Rect Mask", mode="pixels", copy_image_size=["load", 0], **rectangle),
        "mixed": node("Mix Images By Mask", image1=["load", 0], image2=["inverted", 0], mask=["mask", 0]),
        "outside": node("Unary Mask Op", image=["mask", 0], op="invert"),
        "black": node("Mix Color By Mask", image=["load", 0], r=0, g=0, b=0, mask=["outside", 0]),
        "save": save("mixed", prefix="mixed"),
        "saved": save("black", prefix="inside"),
        "shape": save("outside", prefix="mask"),  # (B, H, W): grey, as core saves it
    }
    saved = run(root, tmp_path, prompt, pack("masquerade-nodes-comfyui"))
    inside = np.zeros((SIZE[1], SIZE[0], 1), dtype=bool)
    inside[4:17, 10:31] = True  # the pack counts the last row and column in
    mixed = np.where(inside, 255 - image, image)
    assert np.abs(saved["mixed"][0].astype(int) - mixed).max() <= 1
    assert np.array_equal(saved["inside"], [np.where(inside, image, 0)])
    assert np.array_equal(saved["mask"], [np.where(inside[:, :, 0], 0, 255)])


def test_two_packs_of_the_package_index_together(root: Path, tmp_path: Path, image: Pixels) -> None:
    file = BytesIO()
    Image.fromarray(image[:, :, 0]).save(file, "PNG")
    mask = base64.b64encode(file.getvalue()).decode()
    prompt = {
        "load": node("LoadImageFromPath", image="a.png"),
        "crop": node("ETN_CropImage", image=["load", 0], x=5, y=3, width=20, height=10),
        "objects": node("ImageToPIL", images=["crop", 0]),
        "back": node("PILToImage", images=["objects", 0]),
        "mask": node("ETN_LoadMaskBase64", mask=mask),
        "masked": node("ETN_ApplyMaskToImage", image=["load", 0], mask=["mask", 0]),
        "save": save("back", prefix="crop"),
        "saved": save("masked", prefix="masked"),
        "sent": node("ETN_SendImageWebSocket", images=["crop", 0]),
    }
    saved = run(root, tmp_path, prompt, pack("ComfyUI_Ib_CustomNodes"), pack("comfyui_tooling_nodes"))
    assert np.array_equal(saved["crop"], [image[3:13, 5:25]])
    assert np.array_equal(saved["masked"], [np.dstack([image, image[:, :, 0]])])


def test_the_id_of_a_tree_is_gits(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    for name, text in {"b.txt": "two\n", "a/x.py": "one\n", "a.b": "three\n", "a/deep/y": ""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "a" / "x.py").chmod(0o755)
    (folder / "empty").mkdir()
    ours = git_tree(folder)
    for command in (["init", "-q"], ["add", "-A"], ["write-tree"]):
        done = subprocess.run(["git", "-C", folder, *command], capture_output=True, text=True, check=True)
    assert ours == done.stdout.strip()
