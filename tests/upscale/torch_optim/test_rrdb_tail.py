"""The last layers in pieces give the very numbers of the whole at once."""

from collections.abc import Callable

import pytest
import torch
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.upscale.torch_optim import rrdb
from upscale8k.runtime.upscale.torch_optim.mixed_precision import convert_to_bfloat16
from upscale8k.runtime.upscale.torch_optim.patches import SingleThreadWorkers
from upscale8k.runtime.upscale.torch_optim.rrdb import has_nearest_tail, replace_doublings, replace_tail

pytestmark = pytest.mark.usefixtures("two_threads")

CPU = torch.device("cpu")


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rrdb, "_TAIL_PATCH_SIDE", 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("scale", "shuffle", "height"), [(4, None, 41), (2, None, 33), (2, 2, 70), (1, 4, 132), (4, None, 5)])
@pytest.mark.usefixtures("small_pieces")
def test_pieces_are_the_whole(scale: int, shuffle: int | None, height: int, dtype: torch.dtype) -> None:
    torch.manual_seed(8)
    inputs = 3 * (shuffle or 1) ** 2
    doublings = scale * (shuffle or 1)
    net = ESRGAN(in_nc=inputs, num_blocks=1, num_filters=8, scale=doublings, shuffle_factor=shuffle).eval()
    image = torch.rand(2, 3, height, 28)
    takes = convert_to_bfloat16(net) if dtype is torch.bfloat16 else torch.float32
    with torch.inference_mode():
        whole = net(image.to(takes))
        replace_tail(net, SingleThreadWorkers())
        pieces = net(image.to(takes))
    assert pieces.shape == whole.shape
    # Other sizes may take other kernels, which add up in another order.
    torch.testing.assert_close(pieces.float(), whole.float(), rtol=0, atol=1e-6 if dtype is torch.float32 else 2e-2)


def test_only_networks_with_such_a_tail_have_one() -> None:
    assert has_nearest_tail(ESRGAN(num_blocks=1, num_filters=8, scale=4))
    assert has_nearest_tail(ESRGAN(num_blocks=1, num_filters=8, scale=2, plus=True))
    assert not has_nearest_tail(ESRGAN(num_blocks=1, num_filters=8, scale=1))
    assert not has_nearest_tail(ESRGAN(num_blocks=1, num_filters=8, scale=8)), "three doublings see further"
    assert not has_nearest_tail(ESRGAN(num_blocks=1, num_filters=8, scale=3)), "tripled at once"
    assert not has_nearest_tail(Compact(num_conv=2))


@pytest.mark.usefixtures("small_pieces")
def test_the_backend_works_in_pieces(weights: Callable) -> None:
    model = UpscaleModel.from_descriptor(weights("realesrgan-x4plus-anime"))
    image = torch.rand(1, 3, 24, 20, generator=torch.Generator().manual_seed(8))
    backend = TorchBackend(model, CPU, "fp32")
    assert isinstance(backend._net.model.model[2], rrdb._PatchedTail)
    with torch.inference_mode():
        expected = model.descriptor(image)
    made = backend.run(image.permute(0, 2, 3, 1).contiguous().numpy())
    torch.testing.assert_close(torch.from_numpy(made).permute(0, 3, 1, 2), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_doubling_and_convolution_in_phases_are_those_of_the_network(scale: int) -> None:
    torch.manual_seed(9)
    net = ESRGAN(num_blocks=1, num_filters=16, scale=scale).eval()
    image = torch.rand(2, 3, 7, 12)
    with torch.inference_mode():
        expected = net(image)
        replace_doublings(net)
        made = net(image)
    assert not any(isinstance(layer, torch.nn.Upsample) for layer in net.modules())
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-6)
