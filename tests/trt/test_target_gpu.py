"""Which GPUs an engine is for, and which TensorRT builds it."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from upscale8k.runtime.errors import HardwareMissing, WorkflowError
from upscale8k.runtime.trt import package as flavours
from upscale8k.runtime.trt import target_gpu as targets
from upscale8k.runtime.trt.package import TensorRTPackage, find_tensorrt
from upscale8k.runtime.trt.shape_profile import ShapeProfile, make_profile_for_fixed_size, make_profile_for_tile
from upscale8k.runtime.trt.target_gpu import TargetGpu, resolve_target_gpu


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts GPUs into the machine."""

    def put(*capabilities: tuple[int, int] | None, problem: str | None = None) -> None:
        found = [SimpleNamespace(usable=True, name="NVIDIA Test", compute_capability=pair) for pair in capabilities]
        monkeypatch.setattr(targets, "query_nvidia", lambda: SimpleNamespace(gpus=found, driver="580.95", problem=problem))

    return put


def test_named_capabilities_are_sorted_and_said_once(flavour: Callable[..., TensorRTPackage]) -> None:
    assert resolve_target_gpu("sm_120, SM89 sm_89", flavour()) == TargetGpu(("sm_89", "sm_120"))


@pytest.mark.parametrize("name", ["sm_90", "ada", "8.9", "sm_", "89"])
def test_what_cannot_be_built_for_is_refused_with_what_can(name: str, flavour: Callable[..., TensorRTPackage]) -> None:
    with pytest.raises(WorkflowError) as caught:
        resolve_target_gpu(name, flavour())
    assert "sm_75, sm_86, sm_89, sm_120" in caught.value.hint


def test_the_gpu_that_is_here_is_the_target(flavour: Callable[..., TensorRTPackage], gpu: Callable[..., None]) -> None:
    gpu((8, 9))
    assert resolve_target_gpu("", flavour()).capabilities == ("sm_89",)
    plain = resolve_target_gpu("", flavour("tensorrt"))
    assert (plain.capabilities, plain.gpu, plain.driver) == ((), "NVIDIA Test", "580.95")


def test_rtx_refuses_a_data_centre_gpu_that_it_does_not_know(
    flavour: Callable[..., TensorRTPackage], gpu: Callable[..., None]
) -> None:
    gpu((9, 0))
    with pytest.raises(WorkflowError, match="does not build for sm_90"):
        resolve_target_gpu("", flavour())


@pytest.mark.parametrize(("name", "step"), [("tensorrt_rtx", "as target, for instance sm_89"), ("tensorrt", "on the machine")])
def test_without_a_gpu_the_next_step_is_said(
    name: Any, step: str, flavour: Callable[..., TensorRTPackage], gpu: Callable[..., None]
) -> None:
    gpu(problem="The NVIDIA driver does not answer.")
    with pytest.raises(HardwareMissing, match=r"no NVIDIA GPU here.*does not answer") as caught:
        resolve_target_gpu("", flavour(name))
    assert step in caught.value.hint


def test_plain_tensorrt_builds_for_no_other_machine(flavour: Callable[..., TensorRTPackage]) -> None:
    with pytest.raises(HardwareMissing, match="only for the GPU") as caught:
        resolve_target_gpu("sm_89", flavour("tensorrt"))
    assert "tensorrt-rtx" in caught.value.hint


def test_no_tensorrt_names_both_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(HardwareMissing) as caught:
        find_tensorrt()
    assert "pip install tensorrt-rtx" in caught.value.hint
    assert "pip install tensorrt " in caught.value.hint


def test_a_tensorrt_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> ModuleType:
        raise OSError("libnvinfer.so.11: cannot open shared object file")

    monkeypatch.setattr(flavours, "import_module", broken)
    with pytest.raises(HardwareMissing, match=r"does not start \(libnvinfer"):
        find_tensorrt("tensorrt")


def test_the_best_size_is_the_whole_tile_in_both_directions() -> None:
    assert make_profile_for_tile(512, 64, 1, fixed=False) == ShapeProfile(512, (32, 32), (640, 640), (640, 640))
    assert make_profile_for_tile(100, 18, 8, fixed=False) == ShapeProfile(100, (32, 32), (136, 136), (136, 136))
    assert make_profile_for_tile(512, 64, 64, fixed=True).min == (640, 640)
    assert make_profile_for_tile(512, 64, 64, fixed=True).is_fixed
    with pytest.raises(WorkflowError, match="too small"):
        make_profile_for_tile(16, 64, 1, fixed=False)


def test_a_file_of_one_size_keeps_it() -> None:
    assert make_profile_for_fixed_size((320, 256), 64) == ShapeProfile(128, (320, 256), (320, 256), (320, 256))
    with pytest.raises(WorkflowError, match="leaves too little"):
        make_profile_for_fixed_size((128, 128), 64)
