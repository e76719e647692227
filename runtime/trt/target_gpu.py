"""Which GPUs an engine is for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import HardwareMissing, WorkflowError
from ..hardware.nvidia import query_nvidia
from .package import TensorRTPackage

_NAME = re.compile(r"sm_?(\d{2,3})", re.IGNORECASE)


@dataclass(frozen=True)
class TargetGpu:
    """``capabilities`` as ``sm_89``, for which RTX builds. ``gpu`` and ``driver`` of this machine, for which the other does."""

    capabilities: tuple[str, ...] = ()
    gpu: str = ""
    driver: str = ""

    def __str__(self) -> str:
        return ",".join(self.capabilities) if self.capabilities else f"{self.gpu}, driver {self.driver}"


def resolve_target_gpu(requested: str, package: TensorRTPackage) -> TargetGpu:
    """The GPUs that ``asked`` names (``sm_89,sm_120``), or the one that is here where it is empty.

    Raises ``WorkflowError`` for what is no compute capability or one that this TensorRT does not build for, ``HardwareMissing``
    where no GPU is here and none was named, or where this flavour cannot build for a GPU that is not here.
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
    gpu = next((gpu for gpu in driver.gpus if gpu.usable), None)
    if gpu is None:
        hint = "For another machine, name its GPU as target, for instance sm_89 (GeForce RTX 40)."
        raise HardwareMissing(
            f"There is no NVIDIA GPU here to build an engine for. {driver.problem or ''}".strip(),
            hint if package.can_build_without_gpu else "Build it on the machine that it will run on.",
            feature="cuda",
        )
    if package.can_build_without_gpu and gpu.compute_capability:
        return TargetGpu(
            _parse_capabilities("sm_{}{}".format(*gpu.compute_capability), package), gpu.name, driver.driver or "unknown"
        )
    return TargetGpu((), gpu.name, driver.driver or "unknown")


def _parse_capabilities(requested: str, package: TensorRTPackage) -> tuple[str, ...]:
    known = package.list_capabilities()
    names: list[str] = []
    for part in re.split(r"[,\s]+", requested.strip()):
        match = _NAME.fullmatch(part)
        if match is None:
            raise WorkflowError(f"{part!r} is no compute capability.", f"Use some of: {', '.join(known)}.")
        name = f"sm_{match.group(1)}"
        if name not in known:
            raise WorkflowError(
                f"{package.title} {package.version} does not build for {name}.", f"It builds for: {', '.join(known)}."
            )
        names.append(name)
    return tuple(sorted(set(names), key=lambda name: int(name[3:])))
