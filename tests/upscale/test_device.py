"""Device names and precisions: what auto means, and what is refused."""

from dataclasses import replace

import pytest
import torch
from upscale8k.runtime.errors import HardwareMissing, WorkflowError
from upscale8k.runtime.upscale.device import DTYPES, resolve_device, resolve_precision

from .test_tile_loop import MODEL


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """A machine with so many CUDA and XPU devices, and with Apple's GPU or without."""

    def make(cuda: int = 0, xpu: int = 0, mps: bool = False) -> None:
        for module, count in ((torch.cuda, cuda), (torch.xpu, xpu)):
            monkeypatch.setattr(module, "is_available", lambda count=count: count > 0)
            monkeypatch.setattr(module, "device_count", lambda count=count: count)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return make


def test_auto_is_the_best_that_is_here(machine) -> None:
    for here, expected in (({}, "cpu"), ({"xpu": 1}, "xpu"), ({"xpu": 1, "mps": True}, "mps"), ({"cuda": 2, "xpu": 1}, "cuda")):
        machine(**here)
        assert resolve_device("auto").type == expected


def test_a_device_is_taken_by_its_number(machine) -> None:
    machine(cuda=2)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(HardwareMissing, match="cuda:2 was requested"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "xpu", "meta", "vulkan"])
def test_a_device_that_is_not_here_is_named(name: str, machine) -> None:
    machine()
    with pytest.raises(HardwareMissing, match=f"device {name} was requested") as caught:
        resolve_device(name)
    assert caught.value.feature == name.partition(":")[0]
    assert "--device cpu" in caught.value.hint


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:x", "cpu:x", "CPU", "auto "])
def test_nonsense_is_no_device(name: str) -> None:
    with pytest.raises(WorkflowError, match="is not a device") as caught:
        resolve_device(name)
    assert "cuda:N" in caught.value.hint


@pytest.mark.parametrize(
    ("device", "half_safe", "expected"),
    [("cuda", True, "fp16"), ("cuda", False, "fp32"), ("mps", True, "fp32"), ("cpu", True, "fp32")],
)
def test_auto_is_half_precision_where_that_is_fast_and_safe(device: str, half_safe: bool, expected: str) -> None:
    assert resolve_precision("auto", replace(MODEL, half_safe=half_safe), torch.device(device)) == expected


def test_a_precision_is_taken_by_its_name() -> None:
    for name, dtype in (("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)):
        assert DTYPES[resolve_precision(name, MODEL, torch.device("cpu"))] == dtype


def test_an_unsafe_precision_is_refused() -> None:
    with pytest.raises(WorkflowError, match="test overflows in fp16"):
        resolve_precision("fp16", replace(MODEL, half_safe=False), torch.device("cuda"))
    with pytest.raises(WorkflowError, match="does not support bf16"):
        resolve_precision("bf16", replace(MODEL, bfloat16_safe=False), torch.device("cuda"))
