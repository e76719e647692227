"""The backend: what torch gives, the bits of the untiled image in tiles, and sentences where it cannot run."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from spandrel import MAIN_REGISTRY
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.SwinIR import SwinIR
from upscale8k.runtime.errors import HardwareMissing, UnsupportedModel
from upscale8k.runtime.hardware import Footprint
from upscale8k.runtime.media import Size
from upscale8k.runtime.models import chain_models
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.backends import open_backend
from upscale8k.runtime.upscale.backends.base import BACKENDS, Backend
from upscale8k.runtime.upscale.target_size import plan_scale
from upscale8k.runtime.upscale.tile_loop import upscale_image
from upscale8k.runtime.upscale.tile_size import TileBudget, choose_tiling
from upscale8k.runtime.upscale.tiles import Tiling
from upscale8k.runtime.upscale.winograd import compile_kernel
from upscale8k.runtime.upscale.winograd.winograd_networks import has_winograd_layers

CPU = torch.device("cpu")
BLOCK = BACKENDS["winograd"].block


def open_on_cpu(model: UpscaleModel, name: str = "winograd") -> Backend:
    return open_backend(name, model, CPU, "fp32")


def recognise(net: torch.nn.Module) -> UpscaleModel:
    state = {key: value.clone() for key, value in net.state_dict().items()}
    return UpscaleModel.from_descriptor(MAIN_REGISTRY.load(state).eval())


def make_swinir() -> UpscaleModel:
    torch.manual_seed(1)
    return recognise(
        SwinIR(img_size=16, window_size=8, depths=[2], embed_dim=12, num_heads=[2], upscale=2, upsampler="pixelshuffledirect")
    )


@pytest.fixture(scope="module")
def small_esrgan() -> UpscaleModel:
    """Two blocks of the layout of x4plus, with random weights."""
    torch.manual_seed(3)
    return recognise(ESRGAN(num_blocks=2))


@pytest.mark.parametrize("name", ["realesr-animevideov3", "realesrgan-x4plus-anime", "realesrgan-x4plus"])
def test_it_gives_what_torch_gives(name: str, weights: Callable, photograph: np.ndarray) -> None:
    model = UpscaleModel.from_descriptor(weights(name))
    crop = np.ascontiguousarray(photograph[None, 200:231, 100:140])
    np.testing.assert_allclose(open_on_cpu(model).run(crop), open_on_cpu(model, "torch").run(crop), rtol=0, atol=2e-5)


@pytest.mark.parametrize("scale", [1, 2, 8])
def test_networks_of_every_scale_are_run(scale: int, photograph: np.ndarray) -> None:
    """At scales 1 and 2 they reduce their input by pixel unshuffle; at 8 they double three times."""
    torch.manual_seed(scale)
    factor = {1: 4, 2: 2}.get(scale)
    model = recognise(ESRGAN(in_nc=3 * (factor or 1) ** 2, num_blocks=1, scale=scale * (factor or 1), shuffle_factor=factor))
    assert model.scale == scale
    crop = np.ascontiguousarray(photograph[None, 200:236, 100:148])
    np.testing.assert_allclose(open_on_cpu(model).run(crop), open_on_cpu(model, "torch").run(crop), rtol=0, atol=2e-5)


def upscale(model: UpscaleModel, pixels: np.ndarray, tiling: Tiling) -> np.ndarray:
    height, width = pixels.shape[:2]
    plan = plan_scale(Size(width, height), model.scale, "model scale")
    out = np.zeros((plan.final_size.height, plan.final_size.width, 3), np.float32)
    upscale_image(pixels, model, open_on_cpu(model), tiling, plan, out=out, progress=SilentProgress())
    return out


@pytest.mark.parametrize("tile", [32, 76, 100])
def test_animevideov3_gives_the_same_bits_at_any_tile_size(tile: int, weights: Callable, photograph: np.ndarray) -> None:
    """Its reach is 18 pixels, and 18 blocks of four for the rounding."""
    model, crop = (
        UpscaleModel.from_descriptor(weights("realesr-animevideov3")),
        np.ascontiguousarray(photograph[100:331, 110:363]),
    )
    tiling = choose_tiling(model, TileBudget(10**9, Footprint(1000)), tile=tile, block=BLOCK)
    assert (tiling.halo, tiling.align) == (72, 4)
    np.testing.assert_array_equal(upscale(model, crop, tiling), open_on_cpu(model).run(crop[None])[0])


def test_the_reach_of_a_pixel_alone_is_not_enough_for_its_rounding(weights: Callable, photograph: np.ndarray) -> None:
    model, crop = (
        UpscaleModel.from_descriptor(weights("realesr-animevideov3")),
        np.ascontiguousarray(photograph[100:200, 110:310]),
    )
    tiled, whole = upscale(model, crop, Tiling(64, 20, align=4)), open_on_cpu(model).run(crop[None])[0]
    assert 0 < np.abs(tiled - whole).max() < 1e-5


def test_an_esrgan_gives_the_same_bits_in_tiles(small_esrgan: UpscaleModel, photograph: np.ndarray) -> None:
    """Its tail is computed in patches of 96 pixels, whose seams are elsewhere in a tile than in the whole image."""
    assert small_esrgan.exact_halo is not None
    crop = np.ascontiguousarray(photograph[:150, 100:450])
    tiling = Tiling(64, small_esrgan.exact_halo * BLOCK, align=BLOCK)
    np.testing.assert_array_equal(upscale(small_esrgan, crop, tiling), open_on_cpu(small_esrgan).run(crop[None])[0])


def test_a_halo_that_was_asked_for_is_kept(weights: Callable) -> None:
    model, budget = UpscaleModel.from_descriptor(weights("realesr-animevideov3")), TileBudget(10**9, Footprint(1000))
    assert choose_tiling(model, budget, halo=30, block=BLOCK).halo == 30
    x4plus = UpscaleModel.from_descriptor(weights("realesrgan-x4plus"))
    assert choose_tiling(x4plus, budget, block=BLOCK).halo == 64


def test_batches_are_computed_one_by_one(small_esrgan: UpscaleModel, photograph: np.ndarray) -> None:
    tiles = np.stack([photograph[:40, :44], photograph[60:100, 50:94]])
    backend = open_on_cpu(small_esrgan)
    np.testing.assert_array_equal(backend.run(tiles), np.concatenate([backend.run(tile[None]) for tile in tiles]))


def test_progress_is_reported_within_a_tile(weights: Callable, photograph: np.ndarray) -> None:
    fractions: list[float] = []
    open_on_cpu(UpscaleModel.from_descriptor(weights("realesrgan-x4plus-anime"))).run(
        photograph[None, :40, :40], fractions.append
    )
    assert len(fractions) >= 6
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_in_a_chain_torch_runs_the_rest(weights: Callable, photograph: np.ndarray) -> None:
    restorer = recognise(SwinIR(img_size=16, depths=(2,), embed_dim=12, num_heads=(2,), window_size=8, upsampler="")).descriptor
    model = UpscaleModel.from_descriptor(chain_models([restorer, weights("realesr-animevideov3")]))
    crop = photograph[None, 100:132, 100:140]
    np.testing.assert_allclose(open_on_cpu(model).run(crop), open_on_cpu(model, "torch").run(crop), rtol=0, atol=2e-5)


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_a_network_without_such_layers_is_refused() -> None:
    model = recognise(SwinIR(img_size=16, depths=(2,), embed_dim=12, num_heads=(2,), window_size=8, upsampler=""))
    with pytest.raises(UnsupportedModel, match="Compact and ESRGAN, not SwinIR"):
        open_on_cpu(model)


def test_networks_with_other_channels_are_recognised() -> None:
    assert has_winograd_layers(ESRGAN(num_filters=32, num_blocks=1))
    assert not has_winograd_layers(ESRGAN(num_filters=24, num_blocks=1))
    assert has_winograd_layers(Compact(num_feat=48, num_conv=2))
    assert not has_winograd_layers(Compact(num_feat=4, num_conv=2))


def test_another_device_is_refused(small_esrgan: UpscaleModel) -> None:
    with pytest.raises(HardwareMissing, match="on the CPU, not on cuda:0"):
        open_backend("winograd", small_esrgan, torch.device("cuda:0"), "fp32")


def test_without_llvmlite_the_command_that_installs_it_is_named(
    small_esrgan: UpscaleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_kernel.compile_kernel.cache_clear()
    module: Any = None  # makes an import of it fail
    monkeypatch.setitem(sys.modules, "llvmlite.binding", module)
    with pytest.raises(HardwareMissing, match="The backend winograd needs the package llvmlite") as caught:
        open_on_cpu(small_esrgan)
    assert "pip install llvmlite" in caught.value.hint
