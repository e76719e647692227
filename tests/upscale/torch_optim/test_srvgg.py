"""The image added before the shuffle gives the very bits of the image added after it."""

import pytest
import torch
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from upscale8k.runtime.upscale.torch_optim.optimize import add_before_shuffle

pytestmark = pytest.mark.usefixtures("two_threads")


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_every_bit_is_the_same(scale: int, layout: torch.memory_format) -> None:
    torch.manual_seed(8)
    net = Compact(num_conv=2, num_feat=8, upscale=scale).eval().to(memory_format=layout)
    image = torch.rand(2, 3, 19, 13).contiguous(memory_format=layout)
    with torch.inference_mode():
        expected = net(image)
        add_before_shuffle(net)
        assert torch.equal(net(image), expected)


def test_other_networks_stay_as_they_are() -> None:
    net = ESRGAN(num_blocks=1, num_filters=8, scale=4)
    add_before_shuffle(net)
    assert "forward" not in vars(net)
