"""Runs an engine on a GPU: (1, C, h, w) in and out, on the device.

Not measured on a GPU yet; its logic is tested against a fake of TensorRT's runtime.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch

from ..atomic_write import atomic_write
from ..errors import HardwareMissing, ModelDamaged, OutOfMemory
from .engine_info import EngineInfo, get_kernel_cache_path, is_intact, read_engine_info
from .target_gpu import TensorRTPackage, find_tensorrt


@dataclass
class KernelCache:
    """The kernels that TensorRT for RTX has compiled for an engine on this GPU, in a file beside the engine."""

    path: Path
    runtime_cache: Any
    warnings: list[str]
    """Extended by what the user should know."""
    _stored_sizes: set[tuple[int, ...]] = field(default_factory=set[tuple[int, ...]])

    def load(self) -> None:
        """Load the file if there is one. One of another GPU or driver, or a damaged one, is ignored with a warning."""
        if not self.path.is_file():
            return
        try:
            accepted = self.runtime_cache.deserialize(self.path.read_bytes())
        except (OSError, RuntimeError, TypeError):
            accepted = False
        if not accepted:
            self.warnings.append(f"{self.path.name} is damaged or of another GPU or driver: kernels are compiled again.")

    def store(self, size: tuple[int, ...]) -> None:
        """Write the file when the engine has run for the first time on tiles of ``size``."""
        if size in self._stored_sizes:
            return
        self._stored_sizes.add(size)
        content = bytes(self.runtime_cache.serialize())
        try:
            if not self.path.is_file() or self.path.read_bytes() != content:
                with atomic_write(self.path) as temp_file:
                    temp_file.write_bytes(content)
        except OSError as error:
            self.warnings.append(f"{self.path} cannot be written ({error.strerror}), so each run compiles its kernels anew.")


@dataclass
class EngineSession:
    """One engine, loaded on one device."""

    info: EngineInfo
    _context: Any
    _input: str
    _output: str
    _dtypes: tuple[torch.dtype, torch.dtype]
    _device: torch.device
    _stream: torch.cuda.Stream
    """Its own, because on the default stream TensorRT synchronizes the whole device at each call."""
    _kernel_cache: KernelCache | None = None

    def run(self, planes: torch.Tensor) -> torch.Tensor:
        """Upscale ``planes`` (1, C, h, w), of a size within ``info``, to (1, C, h * scale, w * scale); both on the device.

        Raises ``OutOfMemory``, and ``ModelDamaged`` for an engine that rejects a size within its info.
        """
        with torch.cuda.device(self._device), self._translate_out_of_memory(planes):
            inputs = planes.to(self._dtypes[0]).contiguous()
            if not self._context.set_input_shape(self._input, tuple(inputs.shape)):
                raise ModelDamaged(f"The engine rejects {inputs.shape[3]}x{inputs.shape[2]} pixels.", "Build it again.")
            shape = tuple(self._context.get_tensor_shape(self._output))
            result = torch.empty(shape, dtype=self._dtypes[1], device=self._device)
            self._context.set_tensor_address(self._input, inputs.data_ptr())
            self._context.set_tensor_address(self._output, result.data_ptr())
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
            if not self._context.execute_async_v3(self._stream.cuda_stream):
                raise self._make_memory_error(planes)
            # Memory of ``inputs`` and ``result`` is used again only by work of this stream, which waits for the engine.
            torch.cuda.current_stream(self._device).wait_stream(self._stream)
            if self._kernel_cache:
                self._kernel_cache.store(tuple(inputs.shape))
            return result

    @contextmanager
    def _translate_out_of_memory(self, planes: torch.Tensor) -> Generator[None]:
        """Translate torch's out-of-memory error."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise self._make_memory_error(planes) from error

    def _make_memory_error(self, planes: torch.Tensor) -> OutOfMemory:
        return OutOfMemory(
            f"The engine failed on a tile of {planes.shape[3]}x{planes.shape[2]} pixels.",
            "Close other programs that use the GPU, or build the engine for a smaller tile.",
            device=str(self._device),
            tile=max(planes.shape[2:]),
        )

    def close(self) -> None:
        self._context = self._kernel_cache = None


def open_engine_session(path: Path, device: torch.device, warnings: list[str] | None = None) -> EngineSession:
    """Load an engine by the TensorRT that built it; ``warnings`` is extended by what the user should know.

    Raises ``ModelDamaged`` for one that is damaged or that TensorRT rejects, ``HardwareMissing`` for one that was built by
    another version or for another GPU, or where TensorRT does not start.
    """
    info = read_engine_info(path)
    if info is None or not is_intact(path):
        raise ModelDamaged(
            f"The engine {path} is damaged, or its .json file does not describe it.", "Build it again.", path=path
        )
    package = find_tensorrt("tensorrt_rtx" if info.flavour == "tensorrt_rtx" else "tensorrt")
    if package.version != info.version:
        raise HardwareMissing(
            f"The engine {path} was built by {package.title} {info.version}; {package.version} is installed.",
            "Build it again.",
            feature=package.name,
        )
    _check_gpu(info, path, device)
    with torch.cuda.device(device):  # an engine is loaded on the current device
        torch.cuda.empty_cache()  # TensorRT cannot use what torch caches
        engine = _deserialize_engine(path, package)
        cache = KernelCache(get_kernel_cache_path(path), None, [] if warnings is None else warnings)
        return _make_session(engine, package, info, device, cache)


def _check_gpu(info: EngineInfo, path: Path, device: torch.device) -> None:
    major, minor = torch.cuda.get_device_capability(device)
    name = torch.cuda.get_device_name(device)
    capability = f"sm_{major}{minor}"
    if capability not in info.target.split(",") and name != info.target:
        raise HardwareMissing(
            f"The engine {path} was built for {info.target}; this GPU is {name} ({capability}).",
            "Build it again here.",
            feature="cuda",
        )


def _deserialize_engine(path: Path, package: TensorRTPackage) -> Any:
    trt = package.module
    runtime = package.create("Runtime", trt.Logger(trt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise ModelDamaged(f"{package.title} rejects the engine {path}.", "Build it again.", path=path)
    return engine


def _configure_kernels(engine: Any, package: TensorRTPackage, cache: KernelCache) -> Any:
    """Return the configuration of TensorRT for RTX, which compiles the kernels of an engine when it runs.

    By default it compiles those for a new size in the background and meanwhile runs others, so that the first frames of a video
    would have other bits than later ones, and a resumed one others than one that was never interrupted.
    """
    config = engine.create_runtime_config()
    config.dynamic_shapes_kernel_specialization_strategy = package.module.DynamicShapesKernelSpecializationStrategy.EAGER
    cache.runtime_cache = config.create_runtime_cache()
    cache.load()
    config.set_runtime_cache(cache.runtime_cache)
    return config


def _make_session(
    engine: Any, package: TensorRTPackage, info: EngineInfo, device: torch.device, cache: KernelCache
) -> EngineSession:
    trt = package.module
    names = [str(engine.get_tensor_name(index)) for index in range(engine.num_io_tensors)]
    (input_name,) = (name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT)
    (output_name,) = (name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT)
    compiles = package.name == "tensorrt_rtx"
    config = _configure_kernels(engine, package, cache) if compiles else None
    context = engine.create_execution_context(config) if config else engine.create_execution_context()
    if context is None:
        raise OutOfMemory(
            "The GPU does not have enough memory for this engine.",
            "Close other programs that use the GPU, or build the engine for a smaller tile.",
            device=str(device),
            tile=info.tile,
        )
    torch_dtypes = {trt.DataType.HALF: torch.float16, trt.DataType.FLOAT: torch.float32}
    dtypes = cast(
        "tuple[torch.dtype, torch.dtype]",
        tuple(torch_dtypes[engine.get_tensor_dtype(name)] for name in (input_name, output_name)),
    )
    return EngineSession(
        info, context, input_name, output_name, dtypes, device, torch.cuda.Stream(device), cache if compiles else None
    )
