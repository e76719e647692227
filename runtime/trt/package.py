"""Which TensorRT is installed: NVIDIA's TensorRT for all of its GPUs, or TensorRT for RTX, which also builds without a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from ..errors import HardwareMissing

PackageName = Literal["tensorrt", "tensorrt_rtx"]
_TITLES: dict[PackageName, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT for RTX"}
_INSTALL: dict[PackageName, str] = {"tensorrt": "pip install tensorrt onnx", "tensorrt_rtx": "pip install tensorrt-rtx onnx"}


@dataclass(frozen=True)
class TensorRTPackage:
    """One of the two packages; their modules have the same API."""

    name: PackageName
    version: str
    module: Any

    @property
    def title(self) -> str:
        return _TITLES[self.name]

    @property
    def can_build_without_gpu(self) -> bool:
        return self.name == "tensorrt_rtx"

    def list_capabilities(self) -> list[str]:
        """The compute capabilities that TensorRT for RTX builds for, such as ``sm_89``, in ascending order."""
        members = [str(name) for name in self.module.ComputeCapability.__members__ if str(name).startswith("SM")]
        return [f"sm_{number}" for number in sorted(int(name[2:]) for name in members)]

    def create(self, kind: Literal["Builder", "Runtime"], logger: Any) -> Any:
        """Create the module's builder or runtime. Raises ``HardwareMissing`` where CUDA or its driver does not start."""
        try:
            return getattr(self.module, kind)(logger)
        except (TypeError, RuntimeError) as error:  # pybind11 raises TypeError for a null pointer
            raise HardwareMissing(
                f"{self.title} {self.version} does not start on this machine: {error}.",
                "Check the NVIDIA driver with: python -m runtime probe",
                feature="cuda",
            ) from error


def find_tensorrt(name: PackageName | None = None) -> TensorRTPackage:
    """Import ``name``, or the installed one; of both TensorRT for RTX, which needs no GPU to build.

    Raises ``HardwareMissing`` with what to install.
    """
    reason = ""
    for candidate in (name,) if name else ("tensorrt_rtx", "tensorrt"):
        try:
            module: Any = import_module(candidate)
            return TensorRTPackage(candidate, str(module.__version__), module)
        except ModuleNotFoundError:
            continue
        except Exception as error:  # a missing driver or CUDA library raises various exceptions
            reason = f" {_TITLES[candidate]} is installed, but does not start ({error})."
    if name:
        raise HardwareMissing(f"{_TITLES[name]} is not available.{reason}", f"Install it with: {_INSTALL[name]}", feature=name)
    raise HardwareMissing(
        f"TensorRT is not available.{reason}",
        f"Install it with: {_INSTALL['tensorrt_rtx']} (GeForce and RTX), or {_INSTALL['tensorrt']} (any GPU, H100 too).",
        feature="tensorrt",
    )
