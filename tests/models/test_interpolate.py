"""Two models mixed by weight: the reference is the arithmetic of Real-ESRGAN's ``dni``, and each twin at the ends."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from upscale8k.runtime.errors import UnsupportedModel, WorkflowError
from upscale8k.runtime.models.load import hash_weights, interpolate_models, load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.models.onnx_export import build_metadata
from upscale8k.runtime.models.upscale_model import UpscaleModel

from .conftest import Descriptor, thin_rrdb, thin_srvgg


def save(path: Path, make: Callable[[], torch.nn.Module], seed: int) -> Descriptor:
    torch.manual_seed(seed)
    save_file(make().state_dict(), path)
    return load_model(find_model(path.name, [path.parent]))


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Descriptor, Descriptor]:
    return save(tmp_path / "a.safetensors", thin_srvgg(3), 1), save(tmp_path / "b.safetensors", thin_srvgg(3), 2)


def test_the_ends_are_the_models_themselves(twins: tuple[Descriptor, Descriptor]) -> None:
    assert interpolate_models(*twins, 0) is twins[0]
    assert interpolate_models(*twins, 1) is twins[1]


def test_the_weights_between_are_those_of_realesrgan(twins: tuple[Descriptor, Descriptor]) -> None:
    before = {name: tensor.clone() for name, tensor in twins[0].model.state_dict().items()}
    mixed = interpolate_models(*twins, 0.3)
    # realesrgan/utils.py, RealESRGANer.dni: dni_weight[0] * net_a + dni_weight[1] * net_b
    for name, tensor in mixed.model.state_dict().items():
        wanted = 0.7 * before[name].double() + 0.3 * twins[1].model.state_dict()[name].double()
        np.testing.assert_allclose(tensor.numpy(), wanted.numpy(), rtol=1e-6, atol=1e-7)
        assert torch.equal(twins[0].model.state_dict()[name], before[name])
    assert not mixed.model.training


def test_each_mixture_has_a_hash_of_its_own(twins: tuple[Descriptor, Descriptor]) -> None:
    mixtures = [interpolate_models(*twins, weight) for weight in (0, 0.25, 0.5, 1)]
    assert len({hash_weights(mixed) for mixed in mixtures}) == 4
    assert hash_weights(interpolate_models(*twins, 0.25)) == hash_weights(mixtures[1])
    metadata = build_metadata(UpscaleModel.from_descriptor(mixtures[1]), half=False)
    assert metadata["upscale8k.weights_sha256"] == hash_weights(mixtures[1])
    assert metadata["upscale8k.weights"] == "a+0.25xb.safetensors"


def test_a_model_of_another_loader_is_hashed_by_its_tensors(twins: tuple[Descriptor, Descriptor]) -> None:
    foreign = interpolate_models(*twins, 0.5)
    del foreign.upscale8k_provenance  # type: ignore[attr-defined]
    halves = [interpolate_models(twins[0], foreign, weight) for weight in (0.5, 0.25)]
    assert hash_weights(halves[0]) != hash_weights(halves[1])


@pytest.mark.parametrize("make", [thin_srvgg(4), thin_rrdb(num_blocks=1)])
def test_other_networks_are_refused_by_name(
    twins: tuple[Descriptor, Descriptor], tmp_path: Path, make: Callable[[], torch.nn.Module]
) -> None:
    other = save(tmp_path / "other.safetensors", make, 3)
    with pytest.raises(UnsupportedModel, match=r"a\.safetensors \(.* 4x\) and other\.safetensors .* cannot be mixed"):
        interpolate_models(twins[0], other, 0.5)


@pytest.mark.parametrize("weight", [-0.1, 1.5, float("nan")])
def test_a_weight_outside_is_refused(twins: tuple[Descriptor, Descriptor], weight: float) -> None:
    with pytest.raises(WorkflowError, match="Use a number from 0 to 1"):
        interpolate_models(*twins, weight)
