"""ComfyUI's own image nodes are the reference: the real classes run in a process of their own on the same values."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_model
from upscale8k.nodes import get_node_classes
from upscale8k.runtime.comfyui.builtin import image_scale
from upscale8k.runtime.errors import OutOfMemory, WorkflowError
from upscale8k.runtime.host import LocalHost

from ..comfyui.peer.tree import require_tree

METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")

# What both processes build their models from: a fake that shows where a tile began, and two small networks of spandrel's.
MODELS = """
import os
import torch
from spandrel import ImageModelDescriptor, ModelLoader
from spandrel.architectures.Compact import Compact, CompactArch
from spandrel.architectures.ESRGAN import ESRGAN, ESRGANArch


class Tilted(torch.nn.Module):
    # Repeats pixels and adds a ramp over the tile, so that every weight of the merge is seen in the result.
    def __init__(self, scale):
        super().__init__()
        self.scale = scale
        self.still = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image):
        large = image.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)
        rows = torch.linspace(0, 0.2, large.shape[2])[:, None]
        return large * 0.5 + rows + torch.linspace(0, 0.3, large.shape[3])


def describe(net, architecture, scale):
    return ImageModelDescriptor(
        net, net.state_dict(), architecture, "SR", [], False, False, scale=scale, input_channels=3, output_channels=3
    ).eval()


def model(name):
    torch.manual_seed(8)
    if name == "real":
        return ModelLoader().load_from_file(os.environ["REAL_WEIGHTS"]).eval()
    if name.startswith("tilted"):
        return describe(Tilted(int(name[-1])), CompactArch(), int(name[-1]))
    if name == "rrdb":
        return describe(ESRGAN(num_blocks=1, num_filters=8, scale=2), ESRGANArch(), 2)
    return describe(Compact(num_feat=8, num_conv=2, upscale=3), CompactArch(), 3)
"""

CORE = """
import os, pickle, sys
tree, models, cases, results = sys.argv[1:]
sys.argv = [sys.argv[0], "--cpu"]
sys.path.insert(0, tree)
os.chdir(tree)
import comfy.options
comfy.options.enable_args_parsing()
import nodes, torch
from comfy import model_patcher
from comfy_extras.nodes_images import ImageCrop
from comfy_extras.nodes_upscale_model import ImageUpscaleWithModel
exec(open(models).read())

def run(node_id, values):
    values = dict(values)
    if "upscale_model" in values:
        net = model(values["upscale_model"])
        net.patcher = model_patcher.CoreModelPatcher(net.model, torch.device("cpu"), torch.device("cpu"))
        values["upscale_model"] = net
    if node_id in ("ImageCrop", "ImageUpscaleWithModel"):
        return {"ImageCrop": ImageCrop, "ImageUpscaleWithModel": ImageUpscaleWithModel}[node_id].execute(**values).args[0]
    cls = nodes.NODE_CLASS_MAPPINGS[node_id]
    return getattr(cls(), cls.FUNCTION)(**values)[0]

torch.set_num_threads(int(os.environ["THREADS"]))
with torch.inference_mode():
    found = [run(*case) for case in pickle.load(open(cases, "rb"))]
pickle.dump(found, open(results, "wb"))
"""


def make_image(height: int, width: int, channels: int = 3, count: int = 1) -> torch.Tensor:
    noise = np.random.default_rng(height * width + channels).random((count, height, width, channels), dtype=np.float32)
    ramp = np.linspace(0, 1, width, dtype=np.float32)[None, None, :, None]
    return torch.from_numpy(0.5 * noise + 0.5 * ramp)


def _cases() -> dict[str, tuple[str, dict[str, Any]]]:
    cases: dict[str, tuple[str, dict[str, Any]]] = {}
    for method in METHODS:
        for channels in (1, 3, 4):
            if method == "lanczos" and channels == 1:
                continue  # core turns such a image on its side; see the test below
            for width, height, crop in ((70, 90, "disabled"), (33, 20, "center"), (200, 31, "center"), (0, 25, "center")):
                values = {"upscale_method": method, "width": width, "height": height, "crop": crop}
                cases[f"{method} {channels} {width}x{height} {crop}"] = (
                    "ImageScale",
                    {"image": make_image(50, 61, channels, 2), **values},
                )
        for factor in (0.5, 0.37, 1.0, 2.5):
            values = {"image": make_image(45, 61), "upscale_method": method, "scale_by": factor}
            cases[f"{method} by {factor}"] = ("ImageScaleBy", values)
    for width, height in ((0, 0), (64, 0), (0, 1), (1, 0)):
        values = {"upscale_method": "bilinear", "width": width, "height": height, "crop": "disabled"}
        cases[f"kept aspect {width}x{height}"] = ("ImageScale", {"image": make_image(50, 61), **values})
    for x, y, width, height in ((0, 0, 10, 10), (55, 45, 100, 100), (16384, 16384, 5, 5), (7, 3, 1, 40)):
        values = {"image": make_image(50, 61, 4, 2), "x": x, "y": y, "width": width, "height": height}
        cases[f"crop {x} {y} {width}x{height}"] = ("ImageCrop", values)
    for first, second in (((50, 61, 3), (50, 61, 3)), ((50, 61, 3), (20, 90, 4)), ((50, 61, 4), (90, 20, 3))):
        cases[f"batch {first} {second}"] = ("ImageBatch", {"image1": make_image(*first, 2), "image2": make_image(*second)})
    for name, height, width, count in (
        ("tilted2", 40, 60, 2),  # one tile
        ("tilted2", 512, 513, 1),  # a last tile of 33 columns
        ("tilted3", 530, 300, 2),
        ("tilted1", 1000, 1100, 1),  # three rows and three columns
        ("rrdb", 40, 516, 1),
        ("compact", 514, 40, 2),
        ("real", 40, 520, 1),  # realesr-animevideov3
    ):
        cases[f"{name} {width}x{height}"] = (
            "ImageUpscaleWithModel",
            {"upscale_model": name, "image": make_image(height, width, 3, count)},
        )
    return cases


CASES = _cases()


@pytest.fixture(scope="module")
def real_weights(weights: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """realesr-animevideov3 in a file that both read."""
    path = tmp_path_factory.mktemp("weights") / "realesr-animevideov3.safetensors"
    save_model(weights("realesr-animevideov3").model, str(path))
    return path


@pytest.fixture
def model(real_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.setenv("REAL_WEIGHTS", str(real_weights))
    found: dict[str, Any] = {}
    exec(MODELS, found)  # noqa: S102 - the text above, as the peer runs it
    return found["model"]


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory, real_weights: Path) -> dict[str, torch.Tensor]:
    """What ComfyUI 0.30 computes, by the name of the case."""
    folder = tmp_path_factory.mktemp("core")
    (folder / "models.py").write_text(MODELS, encoding="utf-8")
    (folder / "cases").write_bytes(pickle.dumps(list(CASES.values())))
    arguments = [str(require_tree()), *(str(folder / name) for name in ("models.py", "cases", "results"))]
    environment = {**os.environ, "THREADS": str(torch.get_num_threads()), "REAL_WEIGHTS": str(real_weights)}
    command = [sys.executable, "-c", CORE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(zip(CASES, pickle.loads((folder / "results").read_bytes()), strict=True))


@pytest.mark.comfyui
@pytest.mark.parametrize("case", CASES)
def test_a_node_computes_what_comfyui_computes(case: str, core: dict[str, torch.Tensor], model: Callable[[str], Any]) -> None:
    node_id, values = CASES[case]
    node: Any = get_node_classes(LocalHost(device_name="cpu"))[node_id]
    if "upscale_model" in values:
        values = {**values, "upscale_model": model(values["upscale_model"])}
    (ours,) = getattr(node(), node.FUNCTION)(**values)
    assert ours.shape == core[case].shape
    assert ours.dtype == core[case].dtype == torch.float32
    # The second image of a batch may differ in the last bit of a convolution; all else is exact.
    tolerance = 1e-6 if case.startswith("compact") else 0
    torch.testing.assert_close(ours, core[case], rtol=0, atol=tolerance)


def test_grey_lanczos_keeps_its_sides() -> None:
    """ComfyUI 0.30 swaps width and height of a image with one channel here; Pillow says what is right."""
    grey = make_image(50, 61, 1)
    expected = Image.fromarray((grey[0, :, :, 0].numpy() * 255).astype(np.uint8)).resize((20, 40), Image.Resampling.LANCZOS)
    ours = image_scale.resize_images(grey, 20, 40, "lanczos")
    np.testing.assert_array_equal(ours[0, :, :, 0].numpy(), np.asarray(expected).astype(np.float32) / 255)


class Counted:
    """A display that keeps its figures."""

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.done = 0

    def __call__(self, total: int, unit: str) -> "Counted":
        self.totals.append(total)
        self.done = 0
        return self

    def __enter__(self) -> "Counted":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def advance(self, steps: int = 1) -> None:
        self.done += steps

    def message(self, text: str) -> None:
        raise AssertionError(text)


@pytest.mark.parametrize(("height", "width", "count", "tiles"), [(40, 50, 2, 2), (512, 512, 1, 1), (513, 992, 2, 8)])
def test_progress_counts_tiles(height: int, width: int, count: int, tiles: int, model: Callable[[str], Any]) -> None:
    watch = Counted()
    image_scale.upscale_with_model(make_image(height, width, 3, count), model("tilted1"), "cpu", watch)
    assert watch.totals == [tiles]
    assert watch.done == tiles


def cramped(model: Any, most: int, error: type[Exception] | Exception) -> Any:
    """The model, on a device where only ``most`` pixels fit."""
    whole = model.model.forward

    def forward(images: torch.Tensor) -> torch.Tensor:
        if images.shape[2] * images.shape[3] > most:
            raise error
        return whole(images)

    model.model.forward = forward
    return model


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("full"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you")]
)
def test_out_of_memory_halves_the_tile(error: Exception, model: Callable[[str], Any]) -> None:
    watch, source = Counted(), make_image(300, 400)
    upscaled = image_scale.upscale_with_model(source, cramped(model("compact"), 260 * 260, error), "cpu", watch)
    assert watch.totals == [1, 4]  # one tile of 512, then two by two of 256
    whole = image_scale.upscale_with_model(source, model("compact"), "cpu", Counted())
    assert float((upscaled - whole).abs().max()) < 0.05


def test_out_of_memory_ends_in_a_sentence(model: Callable[[str], Any]) -> None:
    with pytest.raises(OutOfMemory, match="Not even a tile of 128") as caught:
        image_scale.upscale_with_model(
            make_image(300, 400), cramped(model("tilted1"), 100, torch.OutOfMemoryError("full")), "cpu", Counted()
        )
    assert "TiledUpscale" in caught.value.hint


def test_another_failure_of_the_model_is_not_taken_for_a_lack_of_memory(model: Callable[[str], Any]) -> None:
    with pytest.raises(RuntimeError, match="out of luck"):
        image_scale.upscale_with_model(
            make_image(30, 40), cramped(model("tilted1"), 1, RuntimeError("out of luck")), "cpu", Counted()
        )


@pytest.mark.parametrize("channels", [1, 4])
def test_an_image_that_the_model_cannot_take_is_refused_with_the_way_out(channels: int, model: Callable[[str], Any]) -> None:
    with pytest.raises(WorkflowError, match=f"takes 3 channels, the image has {channels}") as caught:
        image_scale.upscale_with_model(make_image(30, 40, channels), model("tilted1"), "cpu", Counted())
    assert "TiledUpscale" in caught.value.hint


def test_a_size_without_pixels_is_refused() -> None:
    with pytest.raises(WorkflowError, match="of 61x50 pixels cannot be resized to 1x0"):
        image_scale.scale_images_by(make_image(50, 61), 0.01, "bilinear")
    with pytest.raises(WorkflowError, match="after a crop to that aspect: no pixel would be left"):
        image_scale.scale_images(make_image(10, 100), 1, 1000, "area", crop=True)


def test_images_that_cannot_be_joined_are_refused() -> None:
    with pytest.raises(WorkflowError, match="of 1 and 3 channels cannot be joined"):
        image_scale.batch_images(make_image(10, 10, 1), make_image(10, 10, 3))
