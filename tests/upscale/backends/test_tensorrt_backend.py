"""Running an engine, with a fake of TensorRT's runtime and its GPU; nothing here is measured on a real one."""

import ctypes
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from upscale8k.runtime.errors import HardwareMissing, ModelDamaged, OutOfMemory, WorkflowError
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.trt import engine_session as sessions
from upscale8k.runtime.trt.engine_info import EngineInfo, GraphStamp, write_engine
from upscale8k.runtime.trt.engine_session import open_engine_session
from upscale8k.runtime.trt.get_or_build import AttachedEngine, attach_engine, get_engine
from upscale8k.runtime.trt.target_gpu import TensorRTPackage
from upscale8k.runtime.upscale.autotune.select import select_backend
from upscale8k.runtime.upscale.backends import open_backend
from upscale8k.runtime.upscale.backends import tensorrt as backend
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings, resolve_settings
from upscale8k.runtime.upscale.tiles import MIN_TILE

SCALE, CPU = 4, torch.device("cpu")


def stamp(**changed: Any) -> EngineInfo:
    sizes: dict[str, Any] = {"tile": 64, "least": (32, 32), "best": (100, 100), "most": (100, 100)}
    facts: dict[str, Any] = {"weights": "00", "scale": SCALE, "multiple": 1, "precision": "fp16", "flavour": "tensorrt_rtx"}
    return EngineInfo(**{**facts, **sizes, "version": "1.2.3", "target": "sm_89", "driver": "", "workspace": 0, **changed})


class Context:
    """Repeats pixels where the addresses point to, as an engine would write there."""

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self.shape: tuple[int, ...] = ()
        self.accepts, self.succeeds = True, True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = shape
        return self.accepts

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        n, c, h, w = self.shape
        return n, c, h * SCALE, w * SCALE

    def set_tensor_address(self, name: str, address: int) -> None:
        shape = self.shape if name == "input" else self.get_tensor_shape(name)
        halves = (ctypes.c_uint16 * math.prod(shape)).from_address(address)
        self.tensors[name] = torch.frombuffer(halves, dtype=torch.float16).view(shape)

    def execute_async_v3(self, stream: int) -> bool:
        if self.succeeds:
            repeated = self.tensors["input"].repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3)
            self.tensors["output"].copy_(repeated)
        return self.succeeds


class RuntimeConfig:
    """TensorRT for RTX: compiles LAZY unless told otherwise; its cache accepts only what it has written."""

    made: ClassVar[list["RuntimeConfig"]] = []

    def __init__(self) -> None:
        self.dynamic_shapes_kernel_specialization_strategy = "lazy"
        self.cache: SimpleNamespace | None = None
        self.loaded: bytes | None = None
        self.made.append(self)

    def create_runtime_cache(self) -> SimpleNamespace:
        return SimpleNamespace(deserialize=self.load, serialize=lambda: memoryview(b"kernels"))

    def load(self, content: bytes) -> bool:
        self.loaded = content if content == b"kernels" else None
        return self.loaded is not None

    def set_runtime_cache(self, cache: SimpleNamespace) -> bool:
        self.cache = cache
        return True


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture
def gpu(context: Context, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A GPU of compute capability 8.9 and a TensorRT whose every engine is ``context``."""
    mode, kind = SimpleNamespace(INPUT="in", OUTPUT="out"), SimpleNamespace(HALF="half", FLOAT="float")
    engine = SimpleNamespace(
        num_io_tensors=2,
        get_tensor_name=lambda index: ("input", "output")[index],
        get_tensor_mode=lambda name: "in" if name == "input" else "out",
        get_tensor_dtype=lambda name: "half",
        create_execution_context=lambda config=None: context,
        create_runtime_config=RuntimeConfig,
    )
    here = SimpleNamespace(engine=engine, capability=(8, 9), version="1.2.3")
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda content: here.engine)
    logger = type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None})
    module = SimpleNamespace(Runtime=lambda log: runtime, Logger=logger, TensorIOMode=mode, DataType=kind)
    module.DynamicShapesKernelSpecializationStrategy = SimpleNamespace(LAZY="lazy", EAGER="eager")
    monkeypatch.setattr(sessions, "find_tensorrt", lambda name: TensorRTPackage(name, here.version, module))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: here.capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA Test")
    monkeypatch.setattr(torch.cuda, "device", lambda device: torch.inference_mode(False))
    stream = SimpleNamespace(cuda_stream=7, wait_stream=lambda other: None, synchronize=lambda: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream)
    return here


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    write_engine(tmp_path / "x.trt", b"engine", stamp(), GraphStamp("00", ""))
    return tmp_path / "x.trt"


@pytest.fixture
def model(weights: Callable[[str], Any], engine: Path) -> UpscaleModel:
    return UpscaleModel.from_descriptor(attach_engine(weights("realesr-animevideov3"), AttachedEngine(engine)))


@pytest.fixture
def opened(model: UpscaleModel, gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The backend, with the CPU in the place of the GPU."""
    monkeypatch.setattr(backend, "open_engine_session", lambda path, device, warnings: open_engine_session(path, CPU, warnings))
    made = backend.TensorRtBackend(model, torch.device("cuda"), "fp16")
    made._device = CPU
    return made


@pytest.mark.parametrize(("height", "width"), [(100, 100), (33, 71), (20, 100), (1, 5)])
def test_tiles_of_any_size_up_to_the_engines_go_through(height: int, width: int, opened: Any, photograph: np.ndarray) -> None:
    tiles = np.stack([photograph[:height, :width], photograph[200 : 200 + height, :width]])
    expected = tiles.astype(np.float16).astype(np.float32).repeat(SCALE, 1).repeat(SCALE, 2)
    np.testing.assert_array_equal(opened.run(tiles), expected)
    assert opened.warnings == []
    opened.close()


def test_tensorrt_for_rtx_compiles_kernels_before_the_first_tile_and_keeps_them(
    model: UpscaleModel, engine: Path, opened: Any, photograph: np.ndarray
) -> None:
    """LAZY, its default, runs other kernels until a background thread is done, so bits would depend on that thread."""
    cache, tile = engine.with_name("x.trt.cache"), photograph[None, :40, :40]
    config = RuntimeConfig.made[-1]
    assert (config.dynamic_shapes_kernel_specialization_strategy, config.loaded) == ("eager", None)
    assert config.cache
    assert not cache.exists()
    opened.run(tile)
    assert cache.read_bytes() == b"kernels"
    backend.TensorRtBackend(model, torch.device("cuda"), "fp16")
    assert RuntimeConfig.made[-1].loaded == b"kernels"


def test_a_damaged_cache_of_kernels_is_ignored_and_written_again(
    model: UpscaleModel, engine: Path, opened: Any, photograph: np.ndarray
) -> None:
    cache = engine.with_name("x.trt.cache")
    cache.write_bytes(b"kern")
    again = backend.TensorRtBackend(model, torch.device("cuda"), "fp16")
    assert again.warnings == ["x.trt.cache is damaged or of another GPU or driver: kernels are compiled again."]
    again._device = CPU
    again.run(photograph[None, :40, :40])
    assert cache.read_bytes() == b"kernels"


def test_a_cache_of_kernels_that_cannot_be_written_is_no_failure(engine: Path, opened: Any, photograph: np.ndarray) -> None:
    cache = engine.with_name("x.trt.cache")
    cache.mkdir()
    opened.run(photograph[None, :40, :40])
    opened.run(photograph[None, :40, :40])
    assert len(opened.warnings) == 1
    assert "compiles its kernels anew" in opened.warnings[0]


def test_a_new_engine_has_no_kernels_of_the_old_one(engine: Path) -> None:
    engine.with_name("x.trt.cache").write_bytes(b"kernels")
    write_engine(engine, b"other", stamp(), GraphStamp("00", ""))
    assert not engine.with_name("x.trt.cache").exists()


def test_the_real_tensorrt_for_rtx_has_what_the_fake_has() -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    assert trt.DynamicShapesKernelSpecializationStrategy.EAGER
    assert isinstance(trt.IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy, property)
    for owner, name in (
        (trt.ICudaEngine, "create_runtime_config"),
        (trt.IRuntimeConfig, "create_runtime_cache"),
        (trt.IRuntimeConfig, "set_runtime_cache"),
        (trt.IRuntimeCache, "serialize"),
        (trt.IRuntimeCache, "deserialize"),
    ):
        assert callable(getattr(owner, name))
    assert "runtime_config" in trt.ICudaEngine.create_execution_context.__doc__


def test_too_large_a_tile_says_which_one_fits(opened: Any) -> None:
    with pytest.raises(WorkflowError, match="up to 100x100 pixels") as caught:
        opened.run(np.zeros((1, 101, 50, 3), np.float32))
    assert "tile 64" in caught.value.hint


def test_what_overflows_is_computed_again_by_torch(opened: Any, context: Context, photograph: np.ndarray) -> None:
    tile = photograph[None, :40, :48]

    def overflow(stream: int) -> bool:
        context.tensors["output"].fill_(float("nan"))
        return True

    context.execute_async_v3 = overflow  # type: ignore[method-assign]
    result = opened.run(tile)
    np.testing.assert_array_equal(result, TorchBackend(opened._model, CPU, "fp32").run(tile))
    assert "computed again by torch" in opened.warnings[0]


def test_a_tile_that_fails_makes_tiles_smaller(opened: Any, context: Context) -> None:
    context.succeeds = False
    with pytest.raises(OutOfMemory) as caught:
        opened.run(np.zeros((1, 40, 50, 3), np.float32))
    assert caught.value.tile == 50


def test_a_card_without_memory_for_the_result_makes_tiles_smaller(opened: Any, context: Context) -> None:
    def full(name: str) -> tuple[int, ...]:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    context.get_tensor_shape = full  # type: ignore[method-assign]
    with pytest.raises(OutOfMemory, match="tile of 50x40") as caught:
        opened.run(np.zeros((1, 40, 50, 3), np.float32))
    assert caught.value.tile == 50


def test_a_model_without_an_engine_is_told_where_to_get_one(weights: Callable[[str], Any]) -> None:
    with pytest.raises(WorkflowError, match="with a TensorRT engine") as caught:
        open_backend("tensorrt", UpscaleModel.from_descriptor(weights("realesr-animevideov3")), CPU, "fp32")
    assert "TRT Build" in caught.value.hint


def open_auto(model: UpscaleModel) -> Any:
    resolved = resolve_settings(model, TiledUpscaleSettings("8K", "cpu"))
    assert (resolved.backend, resolved.precision) == ("tensorrt", "fp16")
    return open_backend(resolved.backend, model, resolved.device, resolved.precision)


def test_no_gpu_is_a_sentence_unless_fallback_was_asked_for(model: UpscaleModel, engine: Path, photograph: np.ndarray) -> None:
    with pytest.raises(HardwareMissing, match="not on cpu"):
        open_auto(model)
    falling = UpscaleModel.from_descriptor(attach_engine(model.descriptor, AttachedEngine(engine, fallback=True)))
    opened = open_auto(falling)
    assert "torch takes over" in opened.warnings[0]
    tile = photograph[None, :40, :48]
    np.testing.assert_array_equal(opened.run(tile), TorchBackend(model, CPU, "fp32").run(tile))
    opened.close()


@pytest.mark.parametrize("why", ["damaged", "another version", "another GPU", "refused", "no memory", "CUDA"])
def test_with_fallback_torch_takes_over_whatever_keeps_the_engine_from_loading(
    why: str, model: UpscaleModel, engine: Path, gpu: SimpleNamespace, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(device: torch.device) -> None:
        raise RuntimeError("CUDA driver version is insufficient")

    if why == "damaged":
        engine.write_bytes(b"other")
    elif why == "another version":
        gpu.version = "1.3.0"
    elif why == "another GPU":
        gpu.capability = (12, 0)
    elif why == "refused":
        gpu.engine = None
    elif why == "no memory":
        gpu.engine.create_execution_context = lambda config=None: None
    else:
        monkeypatch.setattr(torch.cuda, "get_device_capability", broken)
    monkeypatch.setattr(backend, "open_engine_session", lambda path, device, warnings: open_engine_session(path, CPU))
    monkeypatch.setattr(backend, "TorchBackend", lambda model, device, precision: TorchBackend(model, CPU, "fp32"))
    falling = UpscaleModel.from_descriptor(attach_engine(model.descriptor, AttachedEngine(engine, fallback=True)))
    with pytest.raises((HardwareMissing, ModelDamaged, OutOfMemory, RuntimeError)):
        backend.TensorRtBackend(model, torch.device("cuda"), "fp16")
    made = backend.TensorRtBackend(falling, torch.device("cuda"), "fp16")
    assert "torch takes over" in made.warnings[0]
    tile = photograph[None, :40, :48]
    np.testing.assert_array_equal(made.run(tile), TorchBackend(model, CPU, "fp32").run(tile))
    made.close()


@pytest.mark.parametrize("why", ["refuses", "no memory"])
def test_with_fallback_torch_takes_over_from_an_engine_that_does_not_run(
    why: str, opened: Any, context: Context, photograph: np.ndarray
) -> None:
    """A lack of memory only where no smaller tile would need less."""
    tile = photograph[None, :32, :32]
    if why == "refuses":
        context.accepts = False
    else:
        context.succeeds = False
    with pytest.raises((ModelDamaged, OutOfMemory)):
        opened.run(tile)
    opened._fallback = True
    if why == "no memory":
        with pytest.raises(OutOfMemory):
            opened.run(photograph[None, :40, :48])
    np.testing.assert_array_equal(opened.run(tile), TorchBackend(opened._model, CPU, "fp32").run(tile))
    assert "torch takes over" in opened.warnings[0]
    context.accepts = context.succeeds = True
    opened.run(tile)
    assert len(opened.warnings) == 1, "the engine is not tried again"


def test_auto_runs_the_engine_with_its_own_tile(model: UpscaleModel, weights: Callable[[str], Any]) -> None:
    assert select_backend(model, CPU, "auto").backend == "tensorrt"
    assert resolve_settings(model, TiledUpscaleSettings("8K", "cpu")).tiling.tile == 64
    assert resolve_settings(model, TiledUpscaleSettings("8K", "cpu", tile=MIN_TILE)).tiling.tile == MIN_TILE
    assert get_engine(weights("realesr-animevideov3")) is None  # the value that came in is as it was


@pytest.mark.parametrize("damage", [b"", b"other"])
def test_a_damaged_engine_is_never_loaded(damage: bytes, engine: Path, gpu: SimpleNamespace) -> None:
    engine.write_bytes(damage)
    with pytest.raises(ModelDamaged, match="damaged"):
        open_engine_session(engine, CPU)


def test_an_engine_of_another_version_or_gpu_is_never_loaded(engine: Path, gpu: SimpleNamespace) -> None:
    gpu.version = "1.3.0"
    with pytest.raises(HardwareMissing, match=r"built by TensorRT for RTX 1\.2\.3; 1\.3\.0 is installed"):
        open_engine_session(engine, CPU)
    gpu.version, gpu.capability = "1.2.3", (12, 0)
    with pytest.raises(HardwareMissing, match=r"built for sm_89; this GPU is NVIDIA Test \(sm_120\)"):
        open_engine_session(engine, CPU)


def test_an_engine_that_tensorrt_refuses_is_a_sentence(engine: Path, gpu: SimpleNamespace) -> None:
    gpu.engine = None
    with pytest.raises(ModelDamaged, match="TensorRT for RTX rejects"):
        open_engine_session(engine, CPU)


def test_a_gpu_without_memory_is_a_sentence(engine: Path, gpu: SimpleNamespace) -> None:
    gpu.engine.create_execution_context = lambda config=None: None
    with pytest.raises(OutOfMemory, match="not have enough memory"):
        open_engine_session(engine, CPU)
