"""The engine that is wanted: the one from before where it is exactly that, a new one otherwise.

What the node calls: a model in, the same model with an engine on it out. The UPSCALE_MODEL stays spandrel's descriptor, which
every node takes: nodes that do not know engines run the weights as before.
"""

from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import HardwareMissing, ModelError, OutOfMemory, OutputError
from ..models import Descriptor, UpscaleModel, hash_graph, hash_weights
from ..paths import get_cache_folder
from ..progress import OpenProgress
from . import engine_info
from .build import PROGRESS_TOTAL, BuildRequest, build_engine
from .engine_source import EngineSource, make_source_from_model
from .target_gpu import TargetGpu, TensorRTPackage, find_builder

_ATTRIBUTE = "upscale8k_engine"


@dataclass(frozen=True)
class AttachedEngine:
    """``fallback``: torch takes over, with a warning, where the engine cannot run."""

    path: Path
    fallback: bool = False


def attach_engine(descriptor: Descriptor, engine: AttachedEngine) -> Descriptor:
    """Return a copy with the same weights and ``engine``; ``descriptor`` itself is not changed."""
    copied = copy(descriptor)
    setattr(copied, _ATTRIBUTE, engine)
    return copied


def get_engine(descriptor: object) -> AttachedEngine | None:
    """Return the engine attached to an UPSCALE_MODEL value."""
    found = getattr(descriptor, _ATTRIBUTE, None)
    return found if isinstance(found, AttachedEngine) else None


@dataclass(frozen=True)
class EngineFile:
    path: Path
    info: engine_info.EngineInfo
    is_new: bool
    """False if it was cached."""


def get_or_build_engine(
    source: EngineSource,
    target: TargetGpu,
    package: TensorRTPackage,
    workspace: int,
    path: Path | None,
    open_progress: OpenProgress,
) -> EngineFile:
    """Return the engine at ``path``, or in the cache folder if that is None; build it unless it is the wanted one already.

    Raises ``OutputError`` where it cannot be written or files of others are, and what the export and ``build_engine`` raise.
    """
    info = make_engine_info(source, target, package, workspace)
    is_cached = path is None
    path = path or get_cache_folder() / "engines" / f"{Path(source.title).stem}-{info.key[:32]}.trt"
    differences = engine_info.list_differences(path, info)
    if not differences and _has_other_graph(path, source):
        differences = ["another ONNX graph"]
    if not differences:
        return EngineFile(path, info, is_new=False)
    if not is_cached:
        engine_info.check_engine_owner(path)
    engine_info.check_engine_path(path)
    with open_progress(PROGRESS_TOTAL, "step") as progress:
        if path.exists():
            progress.message(f"Building the engine {path.name} again: {', '.join(differences)}.")
        onnx_bytes = source.make_onnx()
        request = BuildRequest(onnx_bytes, source.shape_profile, target, workspace)
        content = build_engine(request, package, progress.advance)
        engine_info.write_engine(path, content, info, engine_info.GraphStamp(hash_graph(onnx_bytes), source.exporter))
    return EngineFile(path, info, is_new=True)


def _has_other_graph(path: Path, source: EngineSource) -> bool:
    """Whether an engine was built from another graph than is exported now, which takes seconds if the exporter changed.

    An engine without a stamp is recognized: until stamps were introduced the exporter had not changed.
    """
    stamp = engine_info.read_graph_stamp(path)
    if stamp and stamp.exporter == source.exporter:
        return False
    graph = hash_graph(source.make_onnx())
    if stamp and stamp.graph != graph:
        return True
    engine_info.write_graph_stamp(path, engine_info.GraphStamp(graph, source.exporter))
    return False


def make_engine_info(
    source: EngineSource, target: TargetGpu, package: TensorRTPackage, workspace: int
) -> engine_info.EngineInfo:
    """An engine for compute capabilities runs with any driver; one for a GPU only with the driver that it was built with."""
    return engine_info.EngineInfo(
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
    """``precision`` ``auto`` is fp16 where the model is safe in it; ``path`` None is the cache folder."""

    precision: str
    tile: int
    static: bool
    workspace: int
    target: str
    path: Path | None
    device: str = "auto"
    """Of the run, whose GPU the engine is built for unless ``target`` names others."""


def attach_built_engine(
    descriptor: Descriptor, settings: EngineSettings, open_progress: OpenProgress, *, fallback: bool
) -> Descriptor:
    """Return a copy of ``descriptor`` with an engine; with ``fallback`` the model itself, and a message, if none can be built.

    Raises ``WorkflowError`` for impossible settings; without ``fallback`` also ``HardwareMissing`` without TensorRT or a
    supported GPU, and what ``get_or_build_engine`` raises.
    """
    model = UpscaleModel.from_descriptor(descriptor)
    half = settings.precision == "fp16" or (settings.precision == "auto" and model.half_safe)
    source = make_source_from_model(model, hash_weights(descriptor), settings.tile, half=half, fixed=settings.static)
    try:
        package, target = find_builder(settings.target, get_gpu_name(settings.device))
        engine_file = get_or_build_engine(source, target, package, settings.workspace, settings.path, open_progress)
    except (HardwareMissing, ModelError, OutOfMemory, OutputError) as error:
        if not fallback:
            error.hint = f"{error.hint} Or turn on fallback (--set TRTBuild.fallback=true), and torch runs the model.".strip()
            raise
        with open_progress(1, "step") as progress:
            progress.message(f"{error.what} torch runs the model (fallback is on).")
        return descriptor
    return attach_engine(descriptor, AttachedEngine(engine_file.path, fallback))


def get_gpu_name(device: str) -> str:
    """The name of the GPU that torch takes for ``device``, which may be ``auto``; empty where it has none that answers."""
    if not torch.cuda.is_available() or device.partition(":")[0] not in ("auto", "cuda"):
        return ""
    index = (None if device == "auto" else torch.device(device).index) or 0
    with suppress(RuntimeError):  # a broken driver, of which ``resolve_target_gpu`` has a sentence
        return torch.cuda.get_device_name(index) if index < torch.cuda.device_count() else ""
    return ""
