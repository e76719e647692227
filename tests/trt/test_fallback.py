"""With ``fallback`` torch runs the model, whatever keeps the engine from being built; mistakes in the settings stay errors."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from upscale8k.runtime.errors import HardwareMissing, ModelDamaged, OutOfMemory, OutputError, UnsupportedModel, WorkflowError
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.trt import get_or_build
from upscale8k.runtime.trt import target_gpu as targets
from upscale8k.runtime.trt.get_or_build import EngineSettings, attach_built_engine, get_engine
from upscale8k.runtime.trt.target_gpu import TensorRTPackage


class Messages(SilentProgress):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture(autouse=True)
def installed(flavour: Callable[..., TensorRTPackage], monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT for RTX alone, on a GPU that it builds for."""

    def find(name: str = "tensorrt_rtx") -> TensorRTPackage:
        if name == "tensorrt":
            raise HardwareMissing("TensorRT is not available.", feature="tensorrt")
        return flavour(name)

    monkeypatch.setattr(targets, "find_tensorrt", find)
    put_gpu(monkeypatch, (8, 9))
    monkeypatch.setattr(get_or_build, "hash_weights", lambda _: "00")
    monkeypatch.setattr(get_or_build, "make_source_from_model", lambda *_, **__: SimpleNamespace(title="small.pth"))


def put_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    card = SimpleNamespace(usable=True, name="NVIDIA Test", compute_capability=capability)
    monkeypatch.setattr(targets, "query_nvidia", lambda: SimpleNamespace(gpus=[card], driver="580.95", problem=None))


def attach(model: UpscaleModel, *, fallback: bool, target: str = "") -> tuple[Any, list[str]]:
    progress = Messages()
    settings = EngineSettings("auto", 64, False, 0, target, None)
    built = attach_built_engine(model.descriptor, settings, lambda total, unit: progress, fallback=fallback)
    return built, progress.texts


@pytest.mark.parametrize(
    "error",
    [
        UnsupportedModel("TensorRT cannot read this ONNX graph: op."),
        ModelDamaged("This is not an ONNX file."),
        OutOfMemory("TensorRT ran out of memory.", device="cuda", tile=64),
        OutputError("The engine cannot be written.", path=Path("x.trt")),
        HardwareMissing("The package onnx is missing.", feature="onnx"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_fails_while_an_engine_is_built(
    error: Exception, small: UpscaleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: Any) -> None:
        raise error

    monkeypatch.setattr(get_or_build, "get_or_build_engine", build)
    same, (text,) = attach(small, fallback=True)
    assert same is small.descriptor
    assert get_engine(same) is None
    assert text == f"{error} torch runs the model (fallback is on)."
    with pytest.raises(type(error)) as caught:
        attach(small, fallback=False)
    assert caught.value is error
    assert "turn on fallback" in error.hint  # type: ignore[attr-defined]


def test_a_gpu_that_the_installed_tensorrt_does_not_know(small: UpscaleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    put_gpu(monkeypatch, (9, 0))
    same, (text,) = attach(small, fallback=True)
    assert same is small.descriptor
    assert "does not build for sm_90" in text


def test_a_builder_that_does_not_start(small: UpscaleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pybind11 raises where the driver is missing."""

    def start(logger: Any) -> None:
        raise TypeError("pybind11::init(): factory function returned nullptr")

    module = SimpleNamespace(Builder=start)
    package = TensorRTPackage("tensorrt", "11.0", module)
    monkeypatch.setattr(get_or_build, "get_or_build_engine", lambda *_: package.create("Builder", None))
    same, (text,) = attach(small, fallback=True)
    assert same is small.descriptor
    assert "TensorRT 11.0 does not start" in text


@pytest.mark.parametrize("error", [KeyboardInterrupt(), WorkflowError("The workspace is too small.")])
def test_a_stop_and_a_wrong_setting_are_not_swallowed(
    error: BaseException, small: UpscaleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: Any) -> None:
        raise error

    monkeypatch.setattr(get_or_build, "get_or_build_engine", build)
    with pytest.raises(type(error)):
        attach(small, fallback=True)


def test_a_target_that_is_none_is_an_error(small: UpscaleModel) -> None:
    with pytest.raises(WorkflowError, match="is not a compute capability"):
        attach(small, fallback=True, target="ada")
