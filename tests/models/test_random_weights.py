"""Generated weights: what the authors' own classes say of them stands in tests/upscale/test_transformers.py."""

import pytest
import torch
from upscale8k.runtime.models import random_weights as module
from upscale8k.runtime.models.catalog import load_catalog
from upscale8k.runtime.models.random_weights import generate_checkpoint, generate_model
from upscale8k.runtime.models.upscale_model import UpscaleModel


def test_every_model_of_the_catalog_can_be_generated() -> None:
    assert set(module._LAYOUTS) == set(load_catalog())


def test_the_same_seed_gives_the_same_weights_and_keeps_the_random_state() -> None:
    entry = load_catalog()["realesr-animevideov3"]
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first, second, other = (generate_checkpoint(entry, seed)["params"]["body.0.weight"] for seed in (8, 8, 9))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", ["realesr-animevideov3", "swinir-lightweight-x4", "swinir-lightweight-x3"])
def test_what_it_makes_of_noise_is_hardly_cut_off(name: str) -> None:
    entry = load_catalog()[name]
    descriptor = generate_model(entry)
    facts = UpscaleModel.from_descriptor(descriptor)
    assert (facts.architecture, facts.scale, facts.exact_halo) == (entry.architecture, entry.scale, entry.exact_halo)
    made = descriptor.model(torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(2)))
    assert 0.4 < float(made.mean()) < 0.6
    assert float(made.std()) > 0.1
    assert float(((made < 0) | (made > 1)).float().mean()) < 0.1
