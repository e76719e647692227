"""The limit of a network: what its convolutions take alone, and where the rest of its time goes."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from upscale8k.runtime.bench import limit
from upscale8k.runtime.cli import main
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model

ANIME = "realesr-animevideov3"


def count_by_torch(network: torch.nn.Module, shape: tuple[int, ...]) -> int:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(shape))
    return counter.get_total_flops()


@pytest.mark.parametrize(
    "network",
    [
        torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.PReLU(8), torch.nn.Conv2d(8, 5, 1)),
        torch.nn.Sequential(torch.nn.Conv2d(3, 12, (3, 5), stride=2, padding=(1, 0), groups=3), torch.nn.Conv2d(12, 2, 3)),
    ],
    ids=["plain", "strided, grouped, not square"],
)
def test_operations_are_those_that_torch_counts(network: torch.nn.Module) -> None:
    found = limit.find_convolutions(SimpleNamespace(model=network), 20, 31)  # type: ignore[arg-type]
    assert sum(found.values()) == 2
    assert sum(n * limit.count_operations(shape) for shape, n in found.items()) == count_by_torch(network, (1, 3, 20, 31))


def test_a_model_keeps_its_weights_and_is_counted_whole() -> None:
    descriptor = load_model(find_model(ANIME, ()))
    found = limit.find_convolutions(descriptor, 8, 8)
    assert sum(found.values()) == 18
    operations = sum(count * limit.count_operations(shape) for shape, count in found.items())
    assert operations == count_by_torch(descriptor.model, (1, 3, 8, 8))
    assert {each.device.type for each in descriptor.model.parameters()} == {"cpu"}
    assert not any(module._forward_hooks for module in descriptor.model.modules())


@pytest.mark.parametrize(
    ("operator", "stage"),
    [
        ("aten::mkldnn_convolution", "convolution"),
        ("mkldnn::_convolution_pointwise", "convolution"),
        ("aten::cat", "concatenation"),
        ("aten::leaky_relu_", "activation"),
        ("aten::_prelu_kernel", "activation"),
        ("aten::pixel_shuffle", "resampling"),
        ("aten::copy_", "conversion"),
        ("aten::add_", "sum and product"),
        ("aten::addmm", "convolution"),
        ("aten::select", "other"),
    ],
)
def test_every_operator_has_a_stage(operator: str, stage: str) -> None:
    assert limit.find_stage(operator) == stage


def test_the_least_of_all_rounds_counts_and_the_first_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, took = [0.0], iter([9.0, 1.0, 5.0, 4.0, 3.0, 6.0])
    monkeypatch.setattr(limit, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def work() -> None:
        clock[0] += next(took)

    assert limit.time_in_turn({"one": work, "other": work}, 2) == {"one": 3.0, "other": 4.0}


def test_the_command_prints_the_share_and_the_stages(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit, "_MATRIX_SIDE", 64)
    monkeypatch.setattr(limit, "_COPIED_BYTES", 4096)
    assert main(["bench", "limit", "-m", ANIME, "--size", "24x16", "--runs", "1", "--precisions", "fp32"]) == 0
    ceiling, *lines = capsys.readouterr().out.splitlines()
    assert ceiling.startswith("matrix product: fp32 ")
    (first, rates, seconds, stages), others = lines[:4], lines[4:]
    assert first.startswith(f"{ANIME} fp32 torch, 24x16: ")
    assert [line.partition(",")[0] for line in others[::4]] == [f"{ANIME} fp32 winograd"]
    assert rates.startswith("  convolutions alone ")
    values = {part.split()[0]: float(part.split()[1]) for part in seconds.removeprefix("  seconds: ").split(", ")}
    assert list(values) == ["convolutions", "network", "image", "planes"]
    shares = [int(part.rpartition(" ")[2].rstrip("%")) for part in stages.partition(": ")[2].split(", ")]
    assert 95 <= sum(shares) <= 105
    assert "convolution" in stages


def test_an_unknown_precision_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "limit", "-m", ANIME, "--precisions", "fp8"]) == 2
    assert "fp8" in capsys.readouterr().err
