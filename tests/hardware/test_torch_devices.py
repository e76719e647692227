"""What torch is asked, with fakes of the torch that other machines have."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from upscale8k.runtime.hardware.gpu import query_torch_devices

from .conftest import GB


def fake(**more: Any) -> SimpleNamespace:
    """A torch that sees nothing but what is given."""
    nothing = SimpleNamespace(is_available=lambda: False)
    parts = {"cuda": nothing, "backends": SimpleNamespace(mps=nothing), "version": SimpleNamespace(hip=None), "xpu": nothing}
    return SimpleNamespace(**{**parts, **more})


def counted(name: str, free: int | None, **facts: Any) -> SimpleNamespace:
    def memory(index: int) -> tuple[int, int]:
        if free is None:
            raise RuntimeError("not on this driver")
        return free, 16 * GB

    return SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 1,
        get_device_properties=lambda index: SimpleNamespace(name=name, total_memory=16 * GB, **facts),
        mem_get_info=memory,
    )


def test_an_amd_card_is_rocms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        sys.modules, "torch", fake(cuda=counted("AMD Radeon RX 7900 XTX", 12 * GB), version=SimpleNamespace(hip="6.4"))
    )
    (gpu,), problem = query_torch_devices()
    assert problem is None
    assert (gpu.kind, gpu.device, gpu.name, gpu.free, gpu.total) == (
        "rocm",
        "cuda:0",
        "AMD Radeon RX 7900 XTX",
        12 * GB,
        16 * GB,
    )
    assert gpu.is_fast_in_half


def test_an_intel_card_whose_driver_does_not_tell_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake(xpu=counted("Intel(R) Arc(TM) A770", None)))
    (gpu,), _ = query_torch_devices()
    assert (gpu.kind, gpu.device, gpu.free, gpu.total) == ("xpu", "xpu:0", None, 16 * GB)


def test_apples_chip_shares_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    mps = SimpleNamespace(recommended_max_memory=lambda: 10 * GB, driver_allocated_memory=lambda: 4 * GB)
    seen = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: True))
    monkeypatch.setitem(sys.modules, "torch", fake(mps=mps, backends=seen))
    (gpu,), _ = query_torch_devices()
    assert (gpu.kind, gpu.device, gpu.free) == ("mps", "mps", 6 * GB)


def test_a_torch_that_cannot_be_asked_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> bool:
        raise RuntimeError("CUDA driver initialization failed")

    monkeypatch.setitem(sys.modules, "torch", fake(cuda=SimpleNamespace(is_available=broken)))
    gpus, problem = query_torch_devices()
    assert gpus == ()
    assert "CUDA driver initialization failed" in str(problem)
    assert "doctor" in str(problem)


def test_this_machine_answers_as_its_torch_does() -> None:
    import torch

    gpus, problem = query_torch_devices()
    assert problem is None
    assert len([gpu for gpu in gpus if gpu.kind in ("cuda", "rocm")]) == torch.cuda.device_count()
