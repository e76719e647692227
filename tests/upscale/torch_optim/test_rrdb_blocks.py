"""Dense blocks in pieces, by threads that each compute alone, give the numbers of the network as spandrel runs it."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from upscale8k.runtime.hardware import Cpu
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.upscale.torch_optim import rrdb
from upscale8k.runtime.upscale.torch_optim.optimize import optimize_for_cpu
from upscale8k.runtime.upscale.torch_optim.patches import SingleThreadWorkers
from upscale8k.runtime.upscale.torch_optim.rrdb import has_dense_blocks, replace_dense_blocks

pytestmark = pytest.mark.usefixtures("two_threads")


@pytest.mark.parametrize("size", [(75, 61), (24, 130), (7, 9)])
@pytest.mark.parametrize("workers", [True, False])
def test_pieces_are_the_whole(size: tuple[int, int], workers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rrdb, "_choose_patch_side", lambda dtype: 20)
    torch.manual_seed(8)
    net = ESRGAN(num_blocks=2, num_filters=64, scale=4).eval()
    changed = deepcopy(net)
    replace_dense_blocks(changed, SingleThreadWorkers() if workers else None)
    image = torch.rand(2, 3, *size)
    with torch.inference_mode():
        torch.testing.assert_close(changed(image), net(image), rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_bit_depends_on_the_pieces(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(8)
    net = ESRGAN(num_blocks=1, num_filters=64, scale=4).eval()
    for one in net.parameters():
        one.data.mul_(4)  # so that what is missing at a border is not lost in the rounding
    image = torch.rand(1, 3, 61, 75)
    results: list[torch.Tensor] = []
    for side in (20, 33, 1000):
        monkeypatch.setattr(rrdb, "_choose_patch_side", lambda dtype, side=side: side)
        changed = deepcopy(net)
        optimize_for_cpu(changed, dtype)
        with torch.inference_mode():
            results.append(changed(image))
    assert all(torch.equal(one, results[-1]) for one in results)


def test_pieces_in_bf16_are_smaller_with_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    sides: dict[bool, dict[torch.dtype, int]] = {}
    for has_amx in (True, False):
        sets = ("AVX-512 BF16", "AMX") if has_amx else ("AVX-512 BF16",)
        monkeypatch.setattr(rrdb, "query_cpu", lambda sets=sets: Cpu("", 2, 2, None, sets))
        choose = rrdb._choose_patch_side.__wrapped__  # without what was kept for this processor
        sides[has_amx] = {dtype: choose(dtype) for dtype in (torch.float32, torch.float16, torch.bfloat16)}
    assert sides[True].pop(torch.bfloat16) < sides[False].pop(torch.bfloat16)
    assert sides[True] == sides[False]


def test_many_threads_compute_a_tiny_image(monkeypatch: pytest.MonkeyPatch) -> None:
    net = ESRGAN(num_blocks=1, num_filters=64, scale=4).eval()
    changed = deepcopy(net)
    workers = SingleThreadWorkers()
    monkeypatch.setattr(workers, "size", 64)
    replace_dense_blocks(changed, workers)
    image = torch.rand(1, 3, 3, 5)
    with torch.inference_mode():
        torch.testing.assert_close(changed(image), net(image), rtol=0, atol=2e-6)


def test_real_weights_on_a_processor_are_the_reference(weights: Callable) -> None:
    model = UpscaleModel.from_descriptor(weights("realesrgan-x4plus-anime"))
    image = torch.rand(1, 3, 70, 66, generator=torch.Generator().manual_seed(8))
    net = deepcopy(model.descriptor.model).to(memory_format=torch.channels_last)
    assert optimize_for_cpu(net, torch.float32) is torch.float32
    with torch.inference_mode():
        torch.testing.assert_close(net(image), model.descriptor.model(image), rtol=0, atol=1e-5)


def test_only_plain_dense_blocks_are_changed() -> None:
    assert has_dense_blocks(ESRGAN(num_blocks=1, num_filters=8, scale=4))
    assert not has_dense_blocks(ESRGAN(num_blocks=1, num_filters=8, scale=4, plus=True))
    assert not has_dense_blocks(ESRGAN(num_blocks=1, num_filters=8, scale=4, norm="batch"))
    assert not has_dense_blocks(ESRGAN(num_blocks=1, num_filters=8, scale=4, act="relu"))
    assert not has_dense_blocks(Compact(num_conv=2))
