"""One convolution: torch's own in fp64, at every size and with everything fused; the same bits on every processor."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, interpolate
from upscale8k.runtime.errors import HardwareMissing
from upscale8k.runtime.hardware import query_cpu
from upscale8k.runtime.upscale.winograd import compile_kernel, winograd_conv
from upscale8k.runtime.upscale.winograd.compile_kernel import choose_blocking, find_target
from upscale8k.runtime.upscale.winograd.feature_memory import FeatureMemory
from upscale8k.runtime.upscale.winograd.winograd_conv import WinogradConv, is_winograd_conv
from upscale8k.runtime.upscale.winograd.winograd_kernel import Blocking, KernelShape, write_kernel
from upscale8k.runtime.upscale.winograd.winograd_program import NetworkResources, Program

TARGETS = [name for name in ("AVX-512", "AVX2") if name in query_cpu().sets] + ["NEON"]
"""The code for NEON has vectors of four floats, which every processor has: only its machine code is another one."""


def make_conv(inputs: int, outputs: int, *, bias: bool = True) -> torch.nn.Conv2d:
    torch.manual_seed(inputs + outputs)
    return torch.nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias).requires_grad_(False)


def make_features(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def run(layer: WinogradConv, features: torch.Tensor, *others: torch.Tensor, **settings: Any) -> torch.Tensor:
    program = Program(NetworkResources())
    result = layer(program, features, *others, **settings)
    program.run()
    return result


def convolve(layer: torch.nn.Conv2d, features: torch.Tensor) -> torch.Tensor:
    return conv2d(features.double(), layer.weight.double(), None if layer.bias is None else layer.bias.double(), padding=1)


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (4, 4), (5, 9), (37, 45), (64, 8)])
@pytest.mark.parametrize(("inputs", "outputs"), [(64, 64), (64, 3), (3, 64), (16, 48), (192, 64)])
def test_it_is_a_convolution(size: tuple[int, int], inputs: int, outputs: int) -> None:
    layer, features = make_conv(inputs, outputs), make_features(2, inputs, *size)
    result = run(WinogradConv(layer), features)
    np.testing.assert_allclose(result, convolve(layer, features), rtol=0, atol=1e-5)


PRELU = torch.nn.PReLU(32).requires_grad_(False)
PRELU.weight.copy_(torch.linspace(-1, 1, 32))


@pytest.mark.parametrize("activation", [torch.nn.LeakyReLU(0.2), torch.nn.ReLU(), PRELU])
def test_an_activation_is_applied(activation: torch.nn.Module) -> None:
    layer, features = make_conv(64, 32, bias=False), make_features(1, 64, 10, 7)
    result = run(WinogradConv(layer, activation), features)
    expected = activation(convolve(layer, features).float())
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


def test_a_doubling_is_part_of_it() -> None:
    layer, features = make_conv(64, 64), make_features(1, 64, 7, 11)
    result = run(WinogradConv(layer, doubles=True), features)
    np.testing.assert_allclose(result, convolve(layer, interpolate(features, scale_factor=2)), rtol=0, atol=1e-5)


def test_two_tensors_are_read_and_the_result_is_added() -> None:
    """As the last layer of a dense block does it, into memory that holds other channels too."""
    layer = make_conv(96, 32)
    trunk, grown = make_features(1, 64, 9, 10), make_features(1, 32, 9, 10)
    pool = FeatureMemory()
    addend = pool.allocate(1, 32, 9, 10).copy_(make_features(1, 32, 9, 10))
    memory = pool.allocate(1, 64, 9, 10)
    memory.fill_(7)
    adding = WinogradConv(layer, more_channels=32, addends=1)
    result = run(adding, trunk, grown, out=memory[:, 16:48], addends=[addend], share=0.2)
    convolved = convolve(layer, torch.cat((trunk, grown), 1))
    np.testing.assert_allclose(run(adding, trunk, grown, addends=[addend]), addend + convolved, rtol=0, atol=1e-5)
    expected = addend + 0.2 * convolved
    twice = run(WinogradConv(layer, more_channels=32, addends=2), trunk, grown, addends=[addend, result], share=0.2)
    np.testing.assert_allclose(twice, result + 0.2 * expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)
    assert result.data_ptr() == memory[:, 16:48].data_ptr()
    assert (memory[:, :16] == 7).all()
    assert (memory[:, 48:] == 7).all()


def test_the_error_is_that_of_fp32() -> None:
    """Sums of 576 products of unit variance: direct sums have an error of 2e-7 to 3e-7, these at most four times as much."""
    layer, features = make_conv(64, 64), make_features(1, 64, 64, 64)
    layer.weight.normal_(0, 1 / 24)
    expected = convolve(layer, features)
    errors = [(one.double() - expected).square().mean().sqrt() for one in (layer(features), run(WinogradConv(layer), features))]
    assert errors[1] < 4 * errors[0]


@pytest.fixture
def compiled_for(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda target: monkeypatch.setattr(
        winograd_conv, "choose_blocking", lambda outputs: choose_blocking(outputs, target)
    )


@pytest.mark.parametrize("outputs", [16, 32, 48])
def test_every_kind_of_processor_gives_the_same_bits(outputs: int, compiled_for: Callable[[str], None]) -> None:
    layer, features = make_conv(80, outputs), make_features(1, 80, 18, 22)
    results: dict[str, torch.Tensor] = {}
    for target in TARGETS:
        compiled_for(target)
        results[target] = run(WinogradConv(layer, torch.nn.LeakyReLU(0.1)), features)
    for result in results.values():
        np.testing.assert_array_equal(result, results["NEON"])


@pytest.mark.usefixtures("two_threads")
def test_threads_share_the_tiles_and_change_no_bit() -> None:
    layer, features = make_conv(64, 64), make_features(1, 64, 90, 110)
    assert NetworkResources().workers.size == 2
    many = run(WinogradConv(layer), features)
    torch.set_num_threads(1)
    np.testing.assert_array_equal(many, run(WinogradConv(layer), features))


def test_an_arm_processor_multiplies_and_adds_in_one_instruction() -> None:
    """Compiled for AArch64 here, where it cannot run: 24 sums and their operands have 32 registers."""
    from llvmlite import binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = llvm.parse_assembly(write_kernel(KernelShape(64, 0, 32, doubles=False, addends=0, blocking=Blocking(4, 4, 6))))
    module.verify()
    assembly = llvm.Target.from_triple("aarch64-linux-gnu").create_target_machine(opt=2).emit_assembly(module)
    assert assembly.count("fmla\tv") >= 4 * 24  # four values of the inner loop, each for six rows of 16 outputs


@pytest.mark.parametrize(
    ("sets", "limit", "expected"),
    [
        (("AVX2", "AVX-512"), "", "AVX-512"),
        (("AVX2", "AVX-512"), "AVX2", "AVX2"),
        (("AVX2", "AVX-512"), "AVX512_CORE_BF16", "AVX-512"),
        (("AVX2",), "", "AVX2"),
        (("NEON", "SVE"), "", "NEON"),
        ((), "", None),
    ],
)
def test_the_best_instructions_that_are_allowed_are_taken(
    sets: tuple[str, ...], limit: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert find_target(sets) == expected


def test_another_processor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_kernel, "find_target", lambda: None)
    with pytest.raises(HardwareMissing, match="none of AVX2, AVX-512 and NEON"):
        choose_blocking(64)


@pytest.mark.parametrize(
    "change",
    [
        {"stride": 2},
        {"dilation": 2},
        {"groups": 2},
        {"padding_mode": "reflect"},
        {"padding": 0},
        {"kernel_size": 5},
        {"in_channels": 24},
    ],
)
def test_other_convolutions_stay_with_torch(change: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"in_channels": 64, "out_channels": 64, "kernel_size": 3, "padding": 1}
    assert is_winograd_conv(torch.nn.Conv2d(**plain))
    assert not is_winograd_conv(torch.nn.Conv2d(**plain | change))
