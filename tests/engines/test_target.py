"""Which GPUs an engine is for, and which TensorRT builds it."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from upscale8k.runtime.engines import flavour as flavours
from upscale8k.runtime.engines import target as targets
from upscale8k.runtime.engines.flavour import Flavour, installed
from upscale8k.runtime.engines.shapes import Shapes, shapes_for, shapes_of_file
from upscale8k.runtime.engines.target import Target, target_for
from upscale8k.runtime.errors import HardwareMissing, WorkflowError


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts GPUs into the machine."""

    def put(*capabilities: tuple[int, int] | None, problem: str | None = None) -> None:
        found = [SimpleNamespace(usable=True, name="NVIDIA Test", compute_capability=pair) for pair in capabilities]
        monkeypatch.setattr(targets, "nvidia", lambda: SimpleNamespace(gpus=found, driver="580.95", problem=problem))

    return put


def test_named_capabilities_are_sorted_and_said_once(flavour: Callable[..., Flavour]) -> None:
    assert target_for("sm_120, SM89 sm_89", flavour()) == Target(("sm_89", "sm_120"))


@pytest.mark.parametrize("name", ["sm_90", "ada", "8.9", "sm_", "89"])
def test_what_cannot_be_built_for_is_refused_with_what_can(name: str, flavour: Callable[..., Flavour]) -> None:
    with pytest.raises(WorkflowError) as caught:
        target_for(name, flavour())
    assert "sm_75, sm_86, sm_89, sm_120" in caught.value.hint


def test_the_gpu_that_is_here_is_the_target(flavour: Callable[..., Flavour], gpu: Callable[..., None]) -> None:
    gpu((8, 9))
    assert target_for("", flavour()).capabilities == ("sm_89",)
    plain = target_for("", flavour("tensorrt"))
    assert (plain.capabilities, plain.gpu, plain.driver) == ((), "NVIDIA Test", "580.95")


def test_rtx_refuses_a_data_centre_gpu_that_it_does_not_know(flavour: Callable[..., Flavour], gpu: Callable[..., None]) -> None:
    gpu((9, 0))
    with pytest.raises(WorkflowError, match="does not build for sm_90"):
        target_for("", flavour())


@pytest.mark.parametrize(("name", "step"), [("tensorrt_rtx", "as target, for instance sm_89"), ("tensorrt", "on the machine")])
def test_without_a_gpu_the_next_step_is_said(
    name: Any, step: str, flavour: Callable[..., Flavour], gpu: Callable[..., None]
) -> None:
    gpu(problem="The NVIDIA driver does not answer.")
    with pytest.raises(HardwareMissing, match=r"no NVIDIA GPU here.*does not answer") as caught:
        target_for("", flavour(name))
    assert step in caught.value.hint


def test_plain_tensorrt_builds_for_no_other_machine(flavour: Callable[..., Flavour]) -> None:
    with pytest.raises(HardwareMissing, match="only for the GPU") as caught:
        target_for("sm_89", flavour("tensorrt"))
    assert "tensorrt-rtx" in caught.value.hint


def test_no_tensorrt_names_both_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(HardwareMissing) as caught:
        installed()
    assert "pip install tensorrt-rtx" in caught.value.hint
    assert "pip install tensorrt " in caught.value.hint


def test_a_tensorrt_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> ModuleType:
        raise OSError("libnvinfer.so.11: cannot open shared object file")

    monkeypatch.setattr(flavours, "import_module", broken)
    with pytest.raises(HardwareMissing, match=r"does not start \(libnvinfer"):
        installed("tensorrt")


def test_the_best_size_is_the_whole_tile_in_both_directions() -> None:
    assert shapes_for(512, 64, 1, fixed=False) == Shapes(512, (32, 32), (640, 640), (640, 640))
    assert shapes_for(100, 18, 8, fixed=False) == Shapes(100, (32, 32), (136, 136), (136, 136))
    assert shapes_for(512, 64, 64, fixed=True).least == (640, 640)
    assert shapes_for(512, 64, 64, fixed=True).fixed
    with pytest.raises(WorkflowError, match="too small"):
        shapes_for(16, 64, 1, fixed=False)


def test_a_file_of_one_size_keeps_it() -> None:
    assert shapes_of_file((320, 256), 64) == Shapes(128, (320, 256), (320, 256), (320, 256))
    with pytest.raises(WorkflowError, match="leaves too little"):
        shapes_of_file((128, 128), 64)
