"""TRTBuild: what goes on to the upscaler, where engines lie, and what is said where nothing can be built."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from upscale8k import nodes
from upscale8k.runtime.errors import HardwareMissing, WorkflowError
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.trt import target_gpu as targets
from upscale8k.runtime.trt.engine_info import read_engine_info
from upscale8k.runtime.trt.get_or_build import get_engine

from ..told import Told

real = pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="needs: pip install tensorrt-rtx")


class Said(Told):
    def __call__(self, total: int, unit: str) -> "Said":
        return self


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def node(tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(targets, "query_nvidia", lambda: SimpleNamespace(gpus=[], driver=None, problem=None))
    host = LocalHost(models_dirs=(tmp_path / "models",), show_progress=said)
    return nodes.get_node_classes(host)["TRTBuild"]()


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model(find_model("realesr-animevideov3", ()))


@real
def test_the_model_goes_on_with_its_engine(node: Any, model: Any, tmp_path: Path) -> None:
    (built,) = node.run(model, tile=96, target="sm_89")
    engine = get_engine(built)
    assert engine.path.parent == tmp_path / "cache" / "engines"
    stamp = read_engine_info(engine.path)
    assert (stamp.precision, stamp.tile, stamp.most, stamp.target) == ("fp16", 96, (132, 132), "sm_89")  # halo 18
    assert get_engine(model) is None
    assert built.scale == 4


@real
def test_a_named_engine_lies_in_the_models_folder(node: Any, model: Any, tmp_path: Path) -> None:
    (built,) = node.run(model, tile=64, target="sm_89", engine="fast/anime", precision="fp32")
    assert get_engine(built).path == tmp_path / "models" / "fast" / "anime.trt"


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x.trt", "x\0"])
def test_an_engine_never_lies_elsewhere(name: str, node: Any, model: Any) -> None:
    with pytest.raises(WorkflowError, match="outside the models folders"):
        node.run(model, target="sm_89", engine=name)


def without_tensorrt(monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    return "TensorRT is not available"


@pytest.mark.parametrize("lacks", [without_tensorrt, pytest.param(lambda _: "no NVIDIA GPU", marks=real)])
def test_what_is_missing_is_an_error_or_torch(
    lacks: Callable[..., str], node: Any, model: Any, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = lacks(monkeypatch)
    with pytest.raises(HardwareMissing, match=what) as caught:
        node.run(model)
    assert "fallback" in caught.value.hint
    (same,) = node.run(model, fallback=True)
    assert same is model
    assert what in said.sentences[0]
    assert "torch runs the model" in said.sentences[0]
