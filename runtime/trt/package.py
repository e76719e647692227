"""Which TensorRT is installed: NVIDIA's own for any of its GPUs, or the one for RTX, which also builds where no GPU is."""

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
    """One of the two; their modules have the same names in them."""

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
        """What RTX builds for, as ``sm_89``, the oldest first."""
        members = [str(name) for name in self.module.ComputeCapability.__members__ if str(name).startswith("SM")]
        return [f"sm_{number}" for number in sorted(int(name[2:]) for name in members)]


def find_tensorrt(name: PackageName | None = None) -> TensorRTPackage:
    """``name``, or the one that is here: RTX first, since it serves every GeForce and builds anywhere.

    Raises ``HardwareMissing`` with what to install.
    """
    reason = ""
    for candidate in (name,) if name else ("tensorrt_rtx", "tensorrt"):
        try:
            module: Any = import_module(candidate)
            return TensorRTPackage(candidate, str(module.__version__), module)
        except ModuleNotFoundError:
            continue
        except Exception as error:  # a driver or a library of CUDA that is missing shows itself in many ways
            reason = f" {_TITLES[candidate]} is installed, but does not start ({error})."
    if name:
        raise HardwareMissing(f"{_TITLES[name]} is not here.{reason}", f"Install it with: {_INSTALL[name]}", feature=name)
    raise HardwareMissing(
        f"TensorRT is not here.{reason}",
        f"Install it with: {_INSTALL['tensorrt_rtx']} (GeForce and RTX), or {_INSTALL['tensorrt']} (any GPU, H100 too).",
        feature="tensorrt",
    )
