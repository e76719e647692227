"""Which GPUs an engine is built for, and by which TensorRT."""

import re
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from ..errors import HardwareMissing, WorkflowError
from ..hardware import query_nvidia

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


_NAME = re.compile(r"sm_?(\d{2,3})", re.IGNORECASE)


@dataclass(frozen=True)
class TargetGpu:
    """``capabilities`` such as ``sm_89``, which TensorRT for RTX builds for. ``gpu`` and ``driver`` are this machine's, which
    TensorRT builds for.
    """

    capabilities: tuple[str, ...] = ()
    gpu: str = ""
    driver: str = ""

    def __str__(self) -> str:
        return ",".join(self.capabilities) if self.capabilities else f"{self.gpu}, driver {self.driver}"


def find_builder(requested: str, gpu_name: str = "") -> tuple[TensorRTPackage, TargetGpu]:
    """The installed TensorRT that can build, and what for: TensorRT where TensorRT for RTX does not know this GPU.

    Raises ``HardwareMissing`` without TensorRT, and what ``resolve_target_gpu`` raises.
    """
    package = find_tensorrt()
    try:
        return package, resolve_target_gpu(requested, package, gpu_name)
    except HardwareMissing:
        with suppress(HardwareMissing):
            other = find_tensorrt("tensorrt")
            return other, resolve_target_gpu(requested, other, gpu_name)
        raise


def resolve_target_gpu(requested: str, package: TensorRTPackage, gpu_name: str = "") -> TargetGpu:
    """The GPUs that ``requested`` names (``sm_89,sm_120``); if it is empty, this machine's GPU ``gpu_name``, else its first.

    Raises ``WorkflowError`` for an invalid or unsupported compute capability in ``requested``, ``HardwareMissing`` where no GPU
    is present and none was named, or where ``package`` cannot build for the GPU.
    """
    if requested.strip():
        if not package.can_build_without_gpu:
            raise HardwareMissing(
                "TensorRT builds only for the GPU that it runs on.",
                "Leave target empty, or install TensorRT for RTX: pip install tensorrt-rtx",
                feature="tensorrt-rtx",
            )
        return TargetGpu(capabilities=_parse_capabilities(requested, package))
    driver = query_nvidia()
    usable = [gpu for gpu in driver.gpus if gpu.usable]
    gpu = next((gpu for gpu in usable if gpu.name == gpu_name), usable[0] if usable else None)
    if gpu is None:
        hint = "For another machine, name its GPU as target, for instance sm_89 (GeForce RTX 40)."
        raise HardwareMissing(
            f"This machine has no NVIDIA GPU to build an engine for. {driver.problem or ''}".strip(),
            hint if package.can_build_without_gpu else "Build it on the machine that it will run on.",
            feature="cuda",
        )
    if not (package.can_build_without_gpu and gpu.compute_capability):
        return TargetGpu((), gpu.name, driver.driver or "unknown")
    capability = "sm_{}{}".format(*gpu.compute_capability)
    if capability not in package.list_capabilities():
        raise HardwareMissing(
            f"{package.title} {package.version} does not build for {capability} ({gpu.name}).",
            "Install TensorRT, which builds for any GPU: pip install tensorrt onnx",
            feature="tensorrt",
        )
    return TargetGpu((capability,), gpu.name, driver.driver or "unknown")


def _parse_capabilities(requested: str, package: TensorRTPackage) -> tuple[str, ...]:
    known = package.list_capabilities()
    names: list[str] = []
    for part in re.split(r"[,\s]+", requested.strip()):
        match = _NAME.fullmatch(part)
        if match is None:
            raise WorkflowError(f"{part!r} is not a compute capability.", f"Use some of: {', '.join(known)}.")
        name = f"sm_{match.group(1)}"
        if name not in known:
            raise WorkflowError(
                f"{package.title} {package.version} does not build for {name}.", f"It builds for: {', '.join(known)}."
            )
        names.append(name)
    return tuple(sorted(set(names), key=lambda name: int(name[3:])))
