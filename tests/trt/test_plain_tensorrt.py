"""NVIDIA's own TensorRT, version 11, made up at the edge of our code: what our builder asks of it, and in which order.

The names and their meaning are those of TensorRT 11's Python API: networks are strongly typed, ``BuilderFlag`` has no FP16.
"""

import sys
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from upscale8k.runtime.errors import ModelDamaged, OutOfMemory, UnsupportedModel, WorkflowError
from upscale8k.runtime.trt.build import PROGRESS_TOTAL, BuildRequest, build_engine
from upscale8k.runtime.trt.engine_info import make_profile_for_tile
from upscale8k.runtime.trt.target_gpu import TargetGpu, TensorRTPackage, find_tensorrt

HERE = TargetGpu((), "NVIDIA Test", "580.95")


class Made:
    """What the builder was given, and what it says."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}
        self.parses, self.complaint, self.builds, self.stopped = True, "", True, False


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.fixture
def tensorrt(made: Made, monkeypatch: pytest.MonkeyPatch) -> TensorRTPackage:
    """A module called ``tensorrt``, found as the real one would be."""

    class Logger:
        class Severity(IntEnum):
            INTERNAL_ERROR, ERROR, WARNING = range(3)

    class Profile:
        def set_shape(self, name: str, least: Any, best: Any, most: Any) -> None:
            made.given["profile"] = (name, least, best, most)

    class Config:
        progress_monitor: Any = None

        def add_optimization_profile(self, profile: Any) -> None:
            made.given["profiles"] = made.given.get("profiles", 0) + 1

        def set_memory_pool_limit(self, pool: str, size: int) -> None:
            made.given[pool] = size

    class Builder:
        def __init__(self, log: Any) -> None:
            self._log = log

        def create_network(self, flags: int) -> Any:
            made.given["flags"] = flags
            return SimpleNamespace(num_inputs=1, get_input=lambda _: SimpleNamespace(name="input", shape=(-1, 3, -1, -1)))

        def create_builder_config(self) -> Config:
            return Config()

        def create_optimization_profile(self) -> Profile:
            return Profile()

        def build_serialized_network(self, network: Any, config: Config) -> bytes | None:
            monitor = config.progress_monitor
            monitor.phase_start("Building engine", None, 2)
            for step in range(2):
                if not monitor.step_complete("Building engine", step):
                    made.stopped = True
                    return None
            monitor.phase_finish("Building engine")
            if made.complaint:
                self._log.log(Logger.Severity.ERROR, made.complaint)
            return b"engine" if made.builds else None

    class Parser:
        num_errors = 1

        def __init__(self, network: Any, log: Any) -> None: ...

        def parse(self, graph: bytes) -> bool:
            made.given["graph"] = graph
            return made.parses

        def get_error(self, index: int) -> Any:
            return SimpleNamespace(desc=lambda: made.complaint)

    module = ModuleType("tensorrt")
    names = {"Builder": Builder, "OnnxParser": Parser, "ILogger": Logger, "IProgressMonitor": type("Monitor", (), {})}
    names |= {"NetworkDefinitionCreationFlag": IntEnum("Flag", {"STRONGLY_TYPED": 1})}
    names |= {"MemoryPoolType": SimpleNamespace(WORKSPACE="workspace"), "__version__": "11.0.0"}
    for name, value in names.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    return find_tensorrt()


def order(workspace: int = 0) -> BuildRequest:
    return BuildRequest(b"graph", make_profile_for_tile(512, 18, 1, fixed=False), HERE, workspace)


def test_the_network_is_strongly_typed_and_tuned_for_the_whole_tile(tensorrt: TensorRTPackage, made: Made) -> None:
    steps: list[int] = []
    assert (tensorrt.name, tensorrt.version) == ("tensorrt", "11.0.0")
    assert build_engine(order(workspace=512), tensorrt, steps.append) == b"engine"
    assert made.given["flags"] == 1 << 1
    assert made.given["profile"] == ("input", (1, 3, 32, 32), (1, 3, 548, 548), (1, 3, 548, 548))
    assert (made.given["profiles"], made.given["workspace"], made.given["graph"]) == (1, 512 << 20, b"graph")
    assert sum(steps) == PROGRESS_TOTAL


def test_no_workspace_leaves_the_builder_all_there_is(tensorrt: TensorRTPackage, made: Made) -> None:
    build_engine(order(), tensorrt, lambda _: None)
    assert "workspace" not in made.given


def test_stopping_tells_the_builder_and_comes_back_as_it_was_raised(tensorrt: TensorRTPackage, made: Made) -> None:
    def stop(steps: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(order(), tensorrt, stop)
    assert made.stopped


@pytest.mark.parametrize(
    ("complaint", "workspace", "kind", "said"),
    [
        ("Could not find any implementation for node; insufficient workspace", 64, WorkflowError, "workspace of 64 MB"),
        ("Cuda failure 2: out of memory", 0, OutOfMemory, "ran out of memory"),
        ("Internal Error: assertion", 0, UnsupportedModel, "Internal Error: assertion"),
        ("", 0, UnsupportedModel, "no reason was given"),
    ],
)
def test_what_the_builder_complains_of_is_a_sentence(
    complaint: str, workspace: int, kind: type[Exception], said: str, tensorrt: TensorRTPackage, made: Made
) -> None:
    made.builds, made.complaint = False, complaint
    with pytest.raises(kind, match=said):
        build_engine(order(workspace), tensorrt, lambda _: None)


@pytest.mark.parametrize(
    ("complaint", "kind"),
    [("Failed to parse ONNX model", ModelDamaged), ("No importer registered for op: Foo", UnsupportedModel)],
)
def test_a_graph_that_cannot_be_read_is_damaged_or_unknown(
    complaint: str, kind: type[Exception], tensorrt: TensorRTPackage, made: Made
) -> None:
    made.parses, made.complaint = False, complaint
    with pytest.raises(kind, match=complaint):
        build_engine(order(), tensorrt, lambda _: None)
