"""Runs an engine on a GPU: (1, C, h, w) in and out, on the device.

Not measured on a GPU yet; its logic is tested against a fake of TensorRT's runtime.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from ..errors import HardwareMissing, ModelDamaged, OutOfMemory
from .engine_info import EngineInfo, is_intact, read_engine_info
from .target_gpu import TensorRTPackage, find_tensorrt


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
            self._stream.synchronize()  # ``inputs`` and ``result`` must outlive the work
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
        self._context = None


def open_engine_session(path: Path, device: torch.device) -> EngineSession:
    """Load an engine by the TensorRT that built it.

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
        return _make_session(_deserialize_engine(path, package), package, info, device)


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


def _make_session(engine: Any, package: TensorRTPackage, info: EngineInfo, device: torch.device) -> EngineSession:
    trt = package.module
    names = [str(engine.get_tensor_name(index)) for index in range(engine.num_io_tensors)]
    (input_name,) = (name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT)
    (output_name,) = (name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT)
    context = engine.create_execution_context()
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
    return EngineSession(info, context, input_name, output_name, dtypes, device, torch.cuda.Stream(device))
