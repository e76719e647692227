"""Chains of models and the average over turned images: the reference is one model after the other, on the whole image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from spandrel import MAIN_REGISTRY
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from upscale8k.runtime.errors import UnsupportedModel, WorkflowError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.models.chain import chain_models, list_stages, repeat_enlargers
from upscale8k.runtime.models.load import hash_weights
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.trt.get_or_build import AttachedEngine, attach_engine
from upscale8k.runtime.upscale.backends import open_backend
from upscale8k.runtime.upscale.resolved_settings import plan_model
from upscale8k.runtime.upscale.tile_loop import upscale_image
from upscale8k.runtime.upscale.tiles import Tiling, compute_alignment

CPU = torch.device("cpu")


def make(kind: str, seed: int = 1, **settings: Any) -> Any:
    torch.manual_seed(seed)
    networks = {
        "compact": lambda: Compact(num_feat=4, num_conv=3, **settings),
        "esrgan": lambda: ESRGAN(num_filters=8, num_blocks=1, **settings),
    }
    network = networks[kind]()
    for tensor in network.parameters():  # a random network is nearly constant; this one uses its whole reach
        tensor.data.mul_(2.5 if kind == "compact" else 1.3)
    return MAIN_REGISTRY.load(dict(network.state_dict())).eval()


CHAINS: dict[str, Callable[[], list[Any]]] = {
    "1x, 4x": lambda: [make("compact", upscale=1), make("compact", 2, upscale=4)],
    "1x ESRGAN, 2x": lambda: [make("esrgan", scale=1), make("compact", 2, upscale=2)],
    "2x, 1x, 2x": lambda: [make("compact", upscale=2), make("compact", 2, upscale=1), make("compact", 3, upscale=2)],
    "1x, 2x of blocks of 2x2 pixels": lambda: [
        make("compact", upscale=1),
        make("esrgan", 2, in_nc=12, shuffle_factor=2, scale=4),
    ],
}


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(4).random((height, width, 3), np.float32)


def run(descriptor: Any, pixels: np.ndarray, tiling: Tiling, target: str = "model scale") -> np.ndarray:
    height, width, _ = pixels.shape
    model, plan = plan_model(descriptor, Size(width, height), target)
    out = np.zeros((plan.final_size.height, plan.final_size.width, 3), np.float32)
    upscale_image(pixels, model, open_backend("torch", model, CPU, "fp32"), tiling, plan, out=out, progress=SilentProgress())
    return out


def run_one_by_one(models: list[Any], pixels: np.ndarray) -> np.ndarray:
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    for model in models:
        image = model(image)
    return image[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("name", CHAINS)
def test_tiles_of_a_chain_are_its_models_one_after_the_other(name: str) -> None:
    models, pixels = CHAINS[name](), noise(48, 96)
    model = UpscaleModel.from_descriptor(chain_models(models))
    assert model.exact_halo is not None
    align = compute_alignment(model.window, model.multiple)
    wanted = run_one_by_one(models, pixels)
    assert wanted.std() > 0.05
    tiled = run(model.descriptor, pixels, Tiling(32, model.exact_halo, align=align))
    np.testing.assert_allclose(tiled, wanted, atol=2e-5)
    odd = noise(43, 97)  # padded to a size that all stages take, once, as every backend does
    tiled = run(model.descriptor, odd, Tiling(32, model.exact_halo, align=align))
    np.testing.assert_allclose(tiled, run_one_by_one([model.descriptor], odd), atol=2e-5)


def test_halos_add_up_in_their_own_scales() -> None:
    first, second = make("compact", upscale=2), make("compact", 2, upscale=2)
    reach = [UpscaleModel.from_descriptor(each).exact_halo for each in (first, second)]
    model = UpscaleModel.from_descriptor(chain_models([first, second]))
    assert reach == [5, 5]
    assert (model.exact_halo, model.halo, model.scale, model.inner_scale) == (5 + 3, 8, 4, 2)
    pixels, wanted = noise(40, 96), run_one_by_one([first, second], noise(40, 96))
    assert np.abs(run(model.descriptor, pixels, Tiling(32, 6)) - wanted).max() > 1e-4


def test_several_passes_restore_once_and_make_no_image_between() -> None:
    restore, enlarge = make("compact", upscale=1), make("compact", 2, upscale=2)
    chain, pixels = chain_models([restore, enlarge]), noise(40, 48)
    model, plan = plan_model(chain, Size(48, 40), "4x")
    assert (plan.passes, model.scale) == (1, 4)
    wanted = run_one_by_one([restore, enlarge, enlarge], pixels)
    np.testing.assert_allclose(run(chain, pixels, Tiling(32, model.halo), "4x"), wanted, atol=2e-5)
    assert repeat_enlargers(enlarge, 2) is enlarge


def test_an_ensemble_is_the_mean_of_eight_turned_images() -> None:
    model, pixels = make("compact", upscale=2), noise(40, 72)
    both = chain_models([model], ensemble=True)
    wanted = np.zeros((80, 144, 3))
    for turns in range(4):  # numpy's own rotations and mirrors
        for mirror in (False, True):
            turned = np.rot90(pixels[:, ::-1] if mirror else pixels, turns)
            result = np.rot90(run_one_by_one([model], np.ascontiguousarray(turned)), -turns)
            wanted += result[:, ::-1] if mirror else result
    np.testing.assert_allclose(run(both, pixels, Tiling(32, 5)), wanted / 8, atol=2e-5)
    assert np.abs(run(model, pixels, Tiling(32, 5)) - wanted / 8).max() > 1e-3


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_each_stage_is_converted_as_if_it_was_alone(precision: Any) -> None:
    chain, pixels = chain_models(CHAINS["1x ESRGAN, 2x"]()), noise(32, 32)
    model = UpscaleModel.from_descriptor(chain)
    backend = open_backend("torch", model, CPU, precision)
    found = backend.run(pixels[None])[0]
    assert np.abs(found - run_one_by_one(list_stages(chain), pixels)).max() < 0.06
    assert backend.warnings == []


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_other_backends_agree(backend: str) -> None:
    pytest.importorskip(backend)
    model = UpscaleModel.from_descriptor(chain_models(CHAINS["1x, 4x"](), ensemble=True))
    pixels = noise(20, 28)
    found = open_backend(backend, model, CPU, "fp32").run(pixels[None])[0]
    np.testing.assert_allclose(found, open_backend("torch", model, CPU, "fp32").run(pixels[None])[0], atol=1e-4)


def test_overflow_in_the_first_stage_is_seen() -> None:
    models = CHAINS["1x, 4x"]()
    with torch.no_grad():
        models[0].model.body[2].weight *= 1e6
    model = UpscaleModel.from_descriptor(chain_models(models))
    backend = open_backend("torch", model, CPU, "fp16")
    backend.run(noise(32, 32)[None])
    assert "overflowed in fp16" in backend.warnings[0]


def test_a_chain_has_a_hash_of_its_own_and_flattens() -> None:
    first, second = CHAINS["1x, 4x"]()
    chains = [chain_models([first, second]), chain_models([second, first]), chain_models([first, second], ensemble=True)]
    assert len({hash_weights(chain) for chain in (*chains, first, second)}) == 5
    assert list_stages(chain_models([chains[0], first])) == [first, second, first]
    assert chain_models([first]) is first


def test_models_of_an_inference_mode_are_chained_outside_of_it() -> None:
    """As ComfyUI's loader makes them: its nodes run in that mode."""
    pixels = noise(12, 16)
    expected = run(chain_models(CHAINS["1x, 4x"]()), pixels, Tiling(32, 6))
    with torch.inference_mode():
        models = CHAINS["1x, 4x"]()
    assert all(weight.is_inference() for model in models for weight in model.model.state_dict().values())
    np.testing.assert_array_equal(run(chain_models(models), pixels, Tiling(32, 6)), expected)


def test_a_grey_model_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedModel, match="takes 1 and gives 1 channels"):
        chain_models([make("compact", upscale=1, num_in_ch=1, num_out_ch=1), make("compact", 2)])


def test_an_engine_that_a_chain_would_not_use_is_refused() -> None:
    engine = AttachedEngine(Path("chain.engine"))
    restore, enlarge = make("compact", upscale=1), make("compact", 2, upscale=2)
    with pytest.raises(WorkflowError, match="A TensorRT engine of one model"):
        plan_model(chain_models([attach_engine(restore, engine), enlarge]), Size(8, 8), "model scale")
    whole = attach_engine(chain_models([restore, enlarge]), engine)
    assert plan_model(whole, Size(8, 8), "model scale")[1].passes == 1
    with pytest.raises(WorkflowError, match="takes 2 passes of this chain"):
        plan_model(whole, Size(8, 8), "32x32")
