"""Which GPUs an engine is for, and which TensorRT builds it."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from upscale8k.runtime.errors import HardwareMissing, WorkflowError
from upscale8k.runtime.trt import target_gpu as flavours
from upscale8k.runtime.trt import target_gpu as targets
from upscale8k.runtime.trt.engine_info import ShapeProfile, make_profile_for_fixed_size, make_profile_for_tile
from upscale8k.runtime.trt.get_or_build import get_gpu_name
from upscale8k.runtime.trt.target_gpu import TargetGpu, TensorRTPackage, find_builder, find_tensorrt, resolve_target_gpu


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
    with pytest.raises(HardwareMissing, match="does not build for sm_90") as caught:
        resolve_target_gpu("", flavour())
    assert "pip install tensorrt " in caught.value.hint


def test_where_rtx_does_not_know_the_gpu_the_other_tensorrt_builds(
    flavour: Callable[..., TensorRTPackage], gpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are installed on a Hopper card."""
    gpu((9, 0))
    monkeypatch.setattr(targets, "find_tensorrt", lambda name="tensorrt_rtx": flavour(name))
    package, target = find_builder("")
    assert (package.name, target.gpu, target.capabilities) == ("tensorrt", "NVIDIA Test", ())
    assert find_builder("sm_89")[0].name == "tensorrt_rtx"
    with pytest.raises(WorkflowError, match="does not build for sm_90"):
        find_builder("sm_90")


def test_where_only_rtx_is_installed_its_reason_is_given(
    flavour: Callable[..., TensorRTPackage], gpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_rtx(name: str = "tensorrt_rtx") -> TensorRTPackage:
        if name == "tensorrt":
            raise HardwareMissing("TensorRT is not available.", feature="tensorrt")
        return flavour(name)

    gpu((9, 0))
    monkeypatch.setattr(targets, "find_tensorrt", only_rtx)
    with pytest.raises(HardwareMissing, match="does not build for sm_90"):
        find_builder("")


def test_the_target_is_the_gpu_of_the_run_not_the_first_that_the_driver_lists(
    flavour: Callable[..., TensorRTPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver lists GPUs by slot, torch the fastest first."""
    cards = [
        SimpleNamespace(usable=True, name=name, compute_capability=pair)
        for name, pair in (("RTX 3060", (8, 6)), ("RTX 4090", (8, 9)))
    ]
    monkeypatch.setattr(targets, "query_nvidia", lambda: SimpleNamespace(gpus=cards, driver="580.95", problem=None))
    assert resolve_target_gpu("", flavour()).capabilities == ("sm_86",)
    assert resolve_target_gpu("", flavour(), "RTX 4090").capabilities == ("sm_89",)
    assert resolve_target_gpu("", flavour("tensorrt"), "RTX 4090").gpu == "RTX 4090"
    assert resolve_target_gpu("", flavour(), "unknown").capabilities == ("sm_86",)


@pytest.mark.parametrize(
    ("device", "expected"),
    [("auto", "RTX 4090"), ("cuda", "RTX 4090"), ("cuda:1", "RTX 3060"), ("cuda:7", ""), ("cpu", ""), ("mps", "")],
)
def test_the_gpu_of_the_run_is_the_one_of_its_device(device: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: ("RTX 4090", "RTX 3060")[index])
    assert get_gpu_name(device) == expected


@pytest.mark.parametrize(("name", "step"), [("tensorrt_rtx", "as target, for instance sm_89"), ("tensorrt", "on the machine")])
def test_without_a_gpu_the_next_step_is_said(
    name: Any, step: str, flavour: Callable[..., TensorRTPackage], gpu: Callable[..., None]
) -> None:
    gpu(problem="The NVIDIA driver does not answer.")
    with pytest.raises(HardwareMissing, match=r"no NVIDIA GPU to build.*does not answer") as caught:
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
    assert make_profile_for_tile(512, 64, 64, fixed=True) == ShapeProfile(512, (640, 640), (640, 640), (640, 640))
    with pytest.raises(WorkflowError, match="too small"):
        make_profile_for_tile(16, 64, 1, fixed=False)


def test_a_file_of_one_size_keeps_it() -> None:
    assert make_profile_for_fixed_size((320, 256), 64) == ShapeProfile(128, (320, 256), (320, 256), (320, 256))
    with pytest.raises(WorkflowError, match="leaves less than 32"):
        make_profile_for_fixed_size((128, 128), 64)
