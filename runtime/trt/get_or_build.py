"""The engine that is wanted: the one from before where it is exactly that, a new one otherwise.

What the node calls: a model in, the same model with an engine on it out.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import HardwareMissing
from ..models.load import Descriptor, hash_weights
from ..models.upscale_model import UpscaleModel
from ..paths import get_cache_folder
from .attach import AttachedEngine, attach_engine
from .build import PROGRESS_TOTAL, BuildRequest, build_engine
from .engine_info import EngineInfo, check_engine_path, list_differences, write_engine
from .engine_source import EngineSource, make_source_from_model
from .package import TensorRTPackage, find_tensorrt
from .target_gpu import TargetGpu, resolve_target_gpu


class EngineProgress(Protocol):
    """Where progress goes."""

    def advance(self, steps: int = 1) -> None: ...
    def message(self, text: str) -> None: ...


@dataclass(frozen=True)
class EngineFile:
    path: Path
    info: EngineInfo
    is_new: bool
    """False: it was there."""


def get_or_build_engine(
    source: EngineSource,
    target: TargetGpu,
    package: TensorRTPackage,
    workspace: int,
    path: Path | None,
    open_progress: Callable[[int, str], AbstractContextManager[EngineProgress]],
) -> EngineFile:
    """The engine at ``path``, or in the cache folder. Raises what the export, ``build`` and ``expect_place`` raise."""
    info = make_engine_info(source, target, package, workspace)
    path = path or get_cache_folder() / "engines" / f"{Path(source.title).stem}-{info.key[:32]}.trt"
    differences = list_differences(path, info)
    if not differences:
        return EngineFile(path, info, is_new=False)
    check_engine_path(path)
    with open_progress(PROGRESS_TOTAL, "step") as progress:
        if path.exists():
            progress.message(f"The engine {path.name} is built anew: {', '.join(differences)}.")
        content = build_engine(
            BuildRequest(source.make_onnx(), source.shape_profile, target, workspace), package, progress.advance
        )
        write_engine(path, content, info)
    return EngineFile(path, info, is_new=True)


def make_engine_info(source: EngineSource, target: TargetGpu, package: TensorRTPackage, workspace: int) -> EngineInfo:
    """An engine for named capabilities runs with any driver that RTX supports; one for a GPU belongs to its driver, too."""
    return EngineInfo(
        weights=source.weights_sha256,
        scale=source.scale,
        multiple=source.multiple,
        precision=source.precision,
        flavour=package.name,
        version=package.version,
        target=",".join(target.capabilities) or target.gpu,
        driver="" if target.capabilities else target.driver,
        workspace=workspace,
        tile=source.shape_profile.tile,
        least=source.shape_profile.min,
        best=source.shape_profile.opt,
        most=source.shape_profile.max,
    )


@dataclass(frozen=True)
class EngineSettings:
    """``precision`` ``auto`` is fp16 where the model is safe in it; ``path`` None is a place in the cache folder."""

    precision: str
    tile: int
    static: bool
    workspace: int
    target: str
    path: Path | None


def attach_built_engine(
    descriptor: Descriptor,
    settings: EngineSettings,
    open_progress: Callable[[int, str], AbstractContextManager[EngineProgress]],
    *,
    fallback: bool,
) -> Descriptor:
    """Another value with the same weights and an engine. Without TensorRT or a GPU: the model as it came, where ``fallback``
    asks for that, and ``HardwareMissing`` otherwise. Raises what ``from_model`` and ``obtain`` raise.
    """
    model = UpscaleModel.from_descriptor(descriptor)
    half = settings.precision == "fp16" or (settings.precision == "auto" and model.half_safe)
    source = make_source_from_model(model, hash_weights(descriptor), settings.tile, half=half, fixed=settings.static)
    try:
        package = find_tensorrt()
        target = resolve_target_gpu(settings.target, package)
    except HardwareMissing as missing:
        if not fallback:
            hint = f"{missing.hint} Or switch fallback on, and torch runs the model."
            raise HardwareMissing(missing.what, hint, feature=missing.feature) from missing
        with open_progress(1, "step") as progress:
            progress.message(f"{missing.what} torch runs the model, as fallback asks.")
        return descriptor
    engine_file = get_or_build_engine(source, target, package, settings.workspace, settings.path, open_progress)
    return attach_engine(descriptor, AttachedEngine(engine_file.path, fallback))
