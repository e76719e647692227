"""The reach of every network is measured on the network itself.

A NaN in one input pixel spreads to exactly the output pixels that read it, whatever the weights are: that is the receptive
field. The numbers of the catalog and those derived in ``facts`` must be the ones found so.
"""

import copy
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage import data
from spandrel import ModelLoader
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.HAT import HAT
from spandrel.architectures.SPAN import SPAN
from spandrel.architectures.SwinIR import SwinIR
from upscale8k.runtime.models.catalog import load_catalog
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.models.upscale_model import UpscaleModel

from .conftest import NETWORKS, Descriptor, described, in_folder, thin_swinir

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")


@cache
def reach(network: Callable[[], torch.nn.Module], claimed: int, period: int) -> int:
    """How many pixels beyond a cut the result still depends on, the worst of all cuts.

    Found with a NaN at each place of the network's ``period``. One with a pixel unshuffle is cut between blocks of 2 pixels.
    """
    descriptor = described(network())
    block = 2 if "unshuffle" in descriptor.tags else 1
    width = round_up(2 * claimed + 64, 64)
    columns = torch.arange(width // 2, width // 2 + period)
    images = torch.zeros(period, descriptor.input_channels, max(period, 2), width)
    images[torch.arange(period), :, :, columns] = float("nan")
    with torch.inference_mode():
        spoiled = descriptor.model(images).isnan().any(dim=1).any(dim=1)
    worst = 0
    for column, row in zip(columns.tolist(), spoiled, strict=True):
        blocks = row.nonzero().flatten() // (descriptor.scale * block)
        assert 0 < blocks.min() < blocks.max() < width // block - 1, "the image is too narrow for the whole field"
        worst = max(worst, int(column // block - blocks.min()), int(blocks.max() - column // block))
    return worst * block


def round_up(value: int, step: int) -> int:
    return -(-value // step) * step


ENTRIES = load_catalog().values()


@pytest.mark.parametrize("entry", [one for one in ENTRIES if one.exact_halo is not None], ids=lambda entry: entry.id)
def test_the_catalog_states_the_reach_that_the_network_has(entry) -> None:
    network = NETWORKS[entry.id]
    facts = UpscaleModel.from_descriptor(described(network()))
    assert entry.exact_halo == facts.exact_halo == round_up(reach(network, entry.exact_halo, entry.window), entry.window)


@pytest.mark.parametrize("entry", load_catalog().values(), ids=lambda entry: entry.id)
def test_the_catalog_and_the_network_agree_on_everything_else(entry) -> None:
    facts = UpscaleModel.from_descriptor(described(NETWORKS[entry.id]()))
    assert (
        facts.architecture,
        facts.scale,
        facts.multiple,
        facts.window,
        facts.halo,
        facts.half_safe,
        facts.bfloat16_safe,
    ) == (
        entry.architecture,
        entry.scale,
        entry.multiple,
        entry.window,
        entry.halo,
        entry.half_safe,
        entry.bfloat16_safe,
    )


@pytest.mark.parametrize("entry", [one for one in ENTRIES if one.exact_halo is None], ids=lambda entry: entry.id)
def test_no_halo_is_exact_where_the_catalog_states_none(entry) -> None:
    descriptor = described(NETWORKS[entry.id]())
    image = torch.zeros(1, 3, 8, 1200)
    image[..., 0] = float("nan")
    with torch.inference_mode():
        assert descriptor.model(image)[..., -1].isnan().all()
    assert UpscaleModel.from_descriptor(descriptor).exact_halo is None


def test_the_published_receptive_fields_are_met() -> None:
    """As the design's halo table has them, derived by another hand; the catalog rounds those of SwinIR up to its windows."""
    published = {
        "realesr-animevideov3": 18,
        "realesr-general-x4v3": 34,
        "realesrgan-x4plus-anime": 94,
        "realesrgan-x4plus": 349,
        "swinir-m-x4": 153,
        "swinir-l-x4": 227,
    }
    entries = [load_catalog()[name] for name in published]
    assert {entry.id: reach(NETWORKS[entry.id], entry.exact_halo, entry.window) for entry in entries} == published


def loud(network: torch.nn.Module) -> torch.nn.Module:
    """Weights large enough that even the last pixel of the receptive field is seen in the result, in float64."""
    torch.manual_seed(3)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def crop_error(descriptor: Descriptor, halo: int, core: int, width: int) -> float:
    """Largest difference between a tile whose core begins at ``core`` and the same columns of the untiled result."""
    torch.manual_seed(5)
    image = torch.rand(1, descriptor.input_channels, 16, width, dtype=torch.float64)
    origin = core - halo
    assert origin > 0, "the tile must not touch the edge of the image"
    with torch.inference_mode():
        whole, tile = descriptor(image), descriptor(image[..., origin:])
    scale = descriptor.scale
    return float((whole[..., core * scale :] - tile[..., halo * scale :]).abs().max())


def in_float64(network: torch.nn.Module) -> Descriptor:
    descriptor = described(network)
    descriptor.model.double()
    with torch.inference_mode():
        peak = float(descriptor.model(torch.rand(1, descriptor.input_channels, 16, 160, dtype=torch.float64)).abs().max())
    descriptor._call_fn = lambda model, image: model(image) / (4 * peak) + 0.5  # spandrel cuts off what is outside 0..1
    return descriptor


@pytest.mark.parametrize("convolutions", [2, 6, 16])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_tile_of_srvgg_is_exact_from_its_halo_on_and_not_before(convolutions: int, scale: int) -> None:
    descriptor = in_float64(loud(Compact(num_feat=4, num_conv=convolutions, upscale=scale)))
    halo = UpscaleModel.from_descriptor(descriptor).exact_halo
    assert halo == convolutions + 2
    core = halo + 5
    assert crop_error(descriptor, halo, core, core + 40) < 1e-12
    assert crop_error(descriptor, halo - 1, core, core + 40) > 1e-9


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_a_tile_of_rrdb_is_exact_from_its_halo_on_and_not_before(scale: int) -> None:
    descriptor = in_float64(loud(ESRGAN(num_filters=4, num_blocks=1, scale=scale)))
    halo = UpscaleModel.from_descriptor(descriptor).exact_halo
    assert halo is not None
    core = halo + 3
    assert crop_error(descriptor, halo, core, core + 24) < 1e-12
    assert crop_error(descriptor, halo - 1, core, core + 24) > 1e-12


@pytest.mark.parametrize("width", [100, 101, 102, 103])
def test_tiles_of_x2plus_are_exact_whatever_is_left_of_the_width(width: int) -> None:
    descriptor = in_float64(loud(ESRGAN(in_nc=12, num_filters=4, num_blocks=1, shuffle_factor=2)))
    facts = UpscaleModel.from_descriptor(descriptor)
    assert (facts.scale, facts.window, facts.multiple, facts.exact_halo) == (2, 4, 4, 40)
    assert crop_error(descriptor, 40, 44, width) < 1e-12
    assert crop_error(descriptor, 36, 44, width) > 1e-12
    assert crop_error(descriptor, 42, 44, width) > 1e-6, "a tile that begins off the grid should differ"


@pytest.mark.parametrize(
    "settings",
    [
        {"upsampler": "nearest+conv"},
        {"upsampler": "nearest+conv", "resi_connection": "3conv"},
        {"upsampler": "pixelshuffle"},
        {"upsampler": "pixelshuffledirect"},
    ],
    ids=str,
)
@pytest.mark.parametrize("width", [96, 101])
def test_a_tile_of_swinir_is_exact_on_its_window_grid_and_not_off_it(settings: dict[str, str], width: int) -> None:
    descriptor = in_float64(loud(thin_swinir([2, 2], **settings)))
    facts = UpscaleModel.from_descriptor(descriptor)
    assert facts.window == 8
    assert facts.exact_halo in (24, 32, 40)
    core = facts.exact_halo + 8
    assert crop_error(descriptor, facts.exact_halo, core, width) < 1e-12
    assert crop_error(descriptor, facts.exact_halo - 8, core, width) > 1e-12
    assert crop_error(descriptor, facts.exact_halo + 4, core, width) > 1e-9


@pytest.mark.parametrize("depths", [(1,), (2,), (3, 1), (2, 2, 1), (1, 1, 1, 1)], ids=str)
@pytest.mark.parametrize("upsampler", ["nearest+conv", "pixelshuffle", "pixelshuffledirect"])
@pytest.mark.parametrize("connection", ["1conv", "3conv"])
def test_the_reach_of_any_swinir_is_the_one_that_it_has(depths: tuple[int, ...], upsampler: str, connection: str) -> None:
    """Small ones of many shapes, because rounding to the window hides an error of a few pixels in any single one."""
    network = partial(thin_swinir, list(depths), upsampler=upsampler, resi_connection=connection)
    assert UpscaleModel.from_descriptor(described(network())).exact_halo == round_up(reach(network, 128, 8), 8)


def test_swinir_with_unshuffle_is_given_sizes_that_it_can_take() -> None:
    """spandrel asks for a multiple of 4 here, and then the network fails on most of those."""
    network = SwinIR(
        img_size=32,
        window_size=8,
        embed_dim=4,
        depths=[2],
        num_heads=[1],
        upscale=4,
        start_unshuffle=2,
        upsampler="nearest+conv",
    )
    network.load_state_dict(network.state_dict())
    state = {key.replace("conv_first.", "conv_first.1."): value for key, value in network.state_dict().items()}
    descriptor = ModelLoader().load_from_state_dict(state).eval()
    facts = UpscaleModel.from_descriptor(descriptor)
    assert facts.scale == 2
    assert facts.multiple == facts.window == 16
    assert descriptor(torch.rand(1, 3, 32, 3 * facts.multiple)).shape == (1, 3, 64, 6 * facts.multiple)


# Networks whose reach has no end or is not known.


def test_a_window_network_without_a_known_reach_gets_its_grid_and_a_careful_halo() -> None:
    network = HAT(
        img_size=64,
        window_size=16,
        embed_dim=30,
        depths=(1,),
        num_heads=(1,),
        upscale=2,
        upsampler="pixelshuffle",
        overlap_ratio=0.5,
    )
    facts = UpscaleModel.from_descriptor(described(network))
    assert (facts.window, facts.halo, facts.exact_halo, facts.half_safe) == (16, 64, None, False)


def test_a_convolutional_network_that_is_not_in_the_table_gets_a_careful_halo() -> None:
    facts = UpscaleModel.from_descriptor(described(SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2)))
    assert (facts.window, facts.halo, facts.exact_halo) == (1, 64, None)


@pytest.fixture(scope="module")
def dat(dat_folder: Path) -> UpscaleModel:
    return UpscaleModel.from_descriptor(load_model(find_model("DAT_light_x2.pth", [dat_folder])))


def test_dat_is_described(dat: UpscaleModel) -> None:
    # split_size 8x32 in the authors' options/Test/test_DAT_light_x2.yml
    assert (dat.architecture, dat.scale, dat.window, dat.halo, dat.exact_halo) == ("DAT", 2, 32, 64, None)


def test_on_its_grid_a_tile_of_dat_is_nearer_to_the_untiled_result_than_off_it(dat: UpscaleModel) -> None:
    image = torch.from_numpy(data.chelsea()[64:96, 128:256].astype(np.float32) / 255).permute(2, 0, 1)[None]
    core = 96
    whole = dat.descriptor(image)

    def decibels(halo: int) -> float:
        tile = dat.descriptor(image[..., core - halo :])
        seam = slice(core * 2, core * 2 + 16)
        error = (tile[..., halo * 2 : halo * 2 + 16] - whole[..., seam]).square().mean()
        return float(-10 * error.log10())

    aligned, unaligned, none = decibels(dat.halo), decibels(dat.halo - 4), decibels(0)
    assert aligned > 60
    assert aligned > unaligned + 3
    assert aligned > none + 10


# Who loaded it does not matter; what the name claims does not either.


@pytest.mark.parametrize("model", ["realesrgan-x4plus-anime", "realesr-animevideov3"])
def test_a_value_of_comfyuis_loader_has_the_same_facts_as_ours(model: str) -> None:
    ours = load_model(find_model(model, []))
    theirs = ModelLoader().load_from_state_dict(copy.deepcopy(ours.model.state_dict())).eval()
    mine, other = UpscaleModel.from_descriptor(ours), UpscaleModel.from_descriptor(theirs)
    assert other.provenance is None
    assert mine.provenance is not None
    for name in ("scale", "input_channels", "minimum", "multiple", "window", "halo", "exact_halo", "half_safe", "architecture"):
        assert getattr(mine, name) == getattr(other, name)


def test_a_file_with_the_name_of_another_model_gets_the_facts_of_its_network(tmp_path: Path) -> None:
    path = tmp_path / "RealESRGAN_x4plus.pth"
    torch.save(Compact(num_feat=4, num_conv=16).state_dict(), path)
    facts = UpscaleModel.from_descriptor(load_model(find_model("realesrgan-x4plus", [tmp_path])))
    assert (facts.architecture, facts.halo, facts.exact_halo) == ("Compact", 18, 18)


def test_channels_are_those_of_the_network(tmp_path: Path) -> None:
    path = tmp_path / "gray.safetensors"
    save_file(Compact(num_in_ch=1, num_out_ch=1, num_feat=4, num_conv=2, upscale=2).state_dict(), path)
    facts = UpscaleModel.from_descriptor(load_model(in_folder(path)))
    assert (facts.input_channels, facts.output_channels) == (1, 1)


@pytest.mark.parametrize("value", [None, "model", torch.nn.Conv2d(3, 3, 1)])
def test_another_value_on_the_wire_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="ImageModelDescriptor"):
        UpscaleModel.from_descriptor(value)
