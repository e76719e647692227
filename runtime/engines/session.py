"""An engine at work on a GPU: planes in, planes out, on the device.

Not measured by us on a GPU yet; its logic is tested against a stand-in for TensorRT's runtime.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from ..errors import HardwareMissing, ModelDamaged, OutOfMemory
from .flavour import Flavour, installed
from .stamp import Stamp, is_whole, read_stamp


@dataclass
class Session:
    """One engine, made ready on one device."""

    stamp: Stamp
    _context: Any
    _input: str
    _output: str
    _dtypes: tuple[torch.dtype, torch.dtype]
    _device: torch.device
    _stream: torch.cuda.Stream
    """Of its own: on the default stream TensorRT waits for the whole device at each call."""

    def run(self, planes: torch.Tensor) -> torch.Tensor:
        """``planes`` (1, C, h, w) on the device, of a size that the stamp allows, to (1, C, h * scale, w * scale).

        Raises ``OutOfMemory``, and ``ModelDamaged`` for an engine that refuses what its stamp allows.
        """
        with torch.cuda.device(self._device), self._memory(planes):
            given = planes.to(self._dtypes[0]).contiguous()
            if not self._context.set_input_shape(self._input, tuple(given.shape)):
                raise ModelDamaged(f"The engine refuses {given.shape[3]}x{given.shape[2]} pixels.", "Build it again.")
            shape = tuple(self._context.get_tensor_shape(self._output))
            result = torch.empty(shape, dtype=self._dtypes[1], device=self._device)
            self._context.set_tensor_address(self._input, given.data_ptr())
            self._context.set_tensor_address(self._output, result.data_ptr())
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
            if not self._context.execute_async_v3(self._stream.cuda_stream):
                raise self._failed(planes)
            self._stream.synchronize()  # ``given`` and ``result`` must outlive the work
            return result

    @contextmanager
    def _memory(self, planes: torch.Tensor) -> Generator[None]:
        """torch's own lack of memory, as ours."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise self._failed(planes) from error

    def _failed(self, planes: torch.Tensor) -> OutOfMemory:
        return OutOfMemory(
            f"The engine failed on a tile of {planes.shape[3]}x{planes.shape[2]} pixels.",
            "Close other programs that use the GPU, or build it for a smaller tile.",
            device=str(self._device),
            tile=max(planes.shape[2:]),
        )

    def close(self) -> None:
        self._context = None


def open_session(path: Path, device: torch.device) -> Session:
    """Load an engine that has its stamp and all its bytes, by the TensorRT that built it.

    Raises ``ModelDamaged`` for one that is not whole or that this TensorRT refuses, ``HardwareMissing`` for one that another
    TensorRT or another version of it built.
    """
    stamp = read_stamp(path)
    if stamp is None or not is_whole(path):
        raise ModelDamaged(
            f"The engine {path} is damaged, or what stands beside it does not describe it.", "Build it again.", path=path
        )
    flavour = installed("tensorrt_rtx" if stamp.flavour == "tensorrt_rtx" else "tensorrt")
    if flavour.version != stamp.version:
        raise HardwareMissing(
            f"The engine {path} was built by {flavour.title} {stamp.version}; {flavour.version} is installed.",
            "Build it again.",
            feature=flavour.name,
        )
    _expect_this_gpu(stamp, path, device)
    with torch.cuda.device(device):  # an engine lies on the device that is current when it is read
        torch.cuda.empty_cache()  # what torch keeps for later is not free to TensorRT
        return _session(_deserialised(path, flavour), flavour, stamp, device)


def _expect_this_gpu(stamp: Stamp, path: Path, device: torch.device) -> None:
    major, minor = torch.cuda.get_device_capability(device)
    name = torch.cuda.get_device_name(device)
    here = f"sm_{major}{minor}"
    if here not in stamp.target.split(",") and name != stamp.target:
        raise HardwareMissing(
            f"The engine {path} was built for {stamp.target}; this GPU is {name} ({here}).",
            "Build it again here.",
            feature="cuda",
        )


def _deserialised(path: Path, flavour: Flavour) -> Any:
    trt = flavour.module
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise ModelDamaged(f"{flavour.title} refuses the engine {path}.", "Build it again.", path=path)
    return engine


def _session(engine: Any, flavour: Flavour, stamp: Stamp, device: torch.device) -> Session:
    trt = flavour.module
    names = [str(engine.get_tensor_name(index)) for index in range(engine.num_io_tensors)]
    (given,) = (name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT)
    (result,) = (name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT)
    context = engine.create_execution_context()
    if context is None:
        raise OutOfMemory(
            "There is not enough memory on the GPU for this engine.",
            "Close other programs that use it, or build it for a smaller tile.",
            device=str(device),
            tile=stamp.tile,
        )
    kinds = {trt.DataType.HALF: torch.float16, trt.DataType.FLOAT: torch.float32}
    dtypes = cast("tuple[torch.dtype, torch.dtype]", tuple(kinds[engine.get_tensor_dtype(name)] for name in (given, result)))
    return Session(stamp, context, given, result, dtypes, device, torch.cuda.Stream(device))
