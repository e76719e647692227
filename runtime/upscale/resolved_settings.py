"""What the settings of an upscale become for one model on this machine: decided once for an image batch or a video."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib import import_module

import torch

from ..errors import WorkflowError
from ..hardware import UpscaleSettings, choose_cost_tolerance, compute_useful_memory, default_footprint, get_reserved_gpu_memory
from ..media import Size
from ..models import Descriptor, UpscaleModel, list_stages, repeat_enlargers
from ..trt import EngineInfo, get_engine, read_engine_info
from .autotune.select import select_backend
from .backends import open_backend
from .backends.base import AUTO, Backend, Precision, ResolvedPrecision, get_backend_spec
from .color_fix import ColorFix
from .device import resolve_device, resolve_precision
from .finishing.finish_frame import Finish
from .memory import FreeMemory, get_tile_memory, reuse_freed_memory, skip_trim
from .target_size import ScalePlan, plan_scale
from .tile_size import AUTO_HALO, AUTO_TILE, TileBudget, choose_tiling
from .tiles import MIN_TILE, Tiling


@dataclass(frozen=True)
class TiledUpscaleSettings:
    """What the user requested. ``tile`` 0 and ``halo`` -1 are automatic, as is ``auto`` for device, precision and backend."""

    target: str
    device: str
    tile: int = AUTO_TILE
    halo: int = AUTO_HALO
    batch: int = 1
    precision: Precision = "auto"
    linear: bool = False
    backend: str = AUTO
    color_fix: ColorFix = "off"
    strength: float = 1.0
    grain: float = 0.0
    steady: float = 0.0
    """Of videos: the weight of still neighbour frames, 0..1."""
    steady_network: str = ""
    """Path of the network that steadies instead of the average of still areas; empty for none."""
    skip_borders: bool = False
    """Of videos: enlarge black borders plainly, and run the model on what they enclose."""
    frame_rate: str = ""
    """Of videos: frames per second of the result, such as ``60``, ``60000/1001`` or ``2x``; empty keeps the frames."""
    interpolation_network: str = ""
    """Path of the network that makes frames between frames."""
    interpolate_after: bool = False
    """Make them of the enlarged frames."""

    @property
    def finish(self) -> Finish:
        """What is done with a whole frame. Raises ``WorkflowError`` for a share outside 0..1."""
        return Finish(self.color_fix, self.strength, self.grain)


@dataclass(frozen=True)
class ResolvedSettings:
    """What runs a model, where, in which precision and tiles; nothing is left to choose."""

    device: torch.device
    backend: str
    precision: ResolvedPrecision
    tiling: Tiling


def plan_model(descriptor: Descriptor, size: Size, target: str) -> tuple[UpscaleModel, ScalePlan]:
    """Return what upscales an image of ``size``, and its passes; a chain that restores does so once, in a single pass.

    Raises what ``UpscaleModel.from_descriptor`` and ``plan_scale`` raise, and ``WorkflowError`` for a TensorRT engine that a
    chain would not use.
    """
    model = UpscaleModel.from_descriptor(descriptor)
    plan = plan_scale(size, model.scale, target)
    stages, has_engine = list_stages(descriptor), get_engine(descriptor) is not None
    if len(stages) > 1 and not has_engine and any(get_engine(stage) for stage in stages):
        raise WorkflowError(
            "A TensorRT engine of one model is not used where models run in a chain.",
            "Connect TRT Build after the whole chain, or remove it.",
        )
    if (repeated := repeat_enlargers(descriptor, plan.passes)) is not descriptor:
        if has_engine:
            raise WorkflowError(
                f"{size} to {plan.final_size} takes {plan.passes} passes of this chain, of which only the first restores; its "
                "TensorRT engine runs the whole chain.",
                "Choose a size that takes one pass, or remove TRT Build.",
            )
        model = UpscaleModel.from_descriptor(repeated)
        plan = plan_scale(size, model.scale, target)
    return model, plan


def resolve_settings(
    model: UpscaleModel, settings: TiledUpscaleSettings, free_memory: FreeMemory | None = None, size: Size | None = None
) -> ResolvedSettings:
    """Replace every ``auto`` of ``settings``. The tile is smaller where less memory is free than it takes.

    ``size`` is that of the image, where it is known: its tiles may be larger, see ``choose_tiling``.
    ``free_memory`` of the host is called before the tile is chosen on a GPU.

    Raises ``WorkflowError`` for an unknown backend or device, a precision that the model is not safe in, or a tile that is too
    small; ``HardwareMissing`` for a device that is not available.
    """
    device = _resolve_backend_device(settings.backend, settings.device)
    choice = select_backend(model, device, settings.precision, settings.backend)
    if choice.precision == "auto":
        precision = _get_own_precision(model, choice.backend)
    else:
        precision = resolve_precision(choice.precision, model, device)
    resolved = ResolvedSettings(device, choice.backend, precision, Tiling(MIN_TILE, 0))
    return replace(resolved, tiling=resolve_tiling(model, settings, resolved, free_memory, size))


def list_auto_alternatives(
    model: UpscaleModel, settings: TiledUpscaleSettings, resolved: ResolvedSettings, size: Size
) -> list[ResolvedSettings]:
    """Return what else ``auto`` in ``settings`` may have been on a CPU, in another version or elsewhere, and runs here.

    ``size`` is that of the images.
    """
    if resolved.device.type != "cpu" or resolved.backend == "tensorrt":
        return []
    candidates: list[tuple[str, ResolvedPrecision]] = [
        ("torch", "fp32"),
        ("torch", "bf16"),
        ("winograd", "fp32"),
        ("openvino", "fp32"),
    ]
    others = [
        replace(resolved, backend=backend, precision=precision)
        for backend, precision in candidates
        if settings.backend in (AUTO, backend) and settings.precision in ("auto", precision)
        if (backend, precision) != (resolved.backend, resolved.precision)
        if (precision != "bf16" or model.bfloat16_safe) and get_backend_spec(backend).is_installed()
    ]
    return [replace(other, tiling=resolve_tiling(model, settings, other, None, size)) for other in others]


_KeptBackends = dict[tuple[int, torch.device, str, ResolvedPrecision], tuple[Backend, Callable[[], object]]]
_KEPT: list[tuple[ExitStack, _KeptBackends]] = []


@contextmanager
def keep_backends_open() -> Generator[None]:
    """Inside the block a backend stays open after its use, for the next part of the same video. For one thread."""
    with ExitStack() as stack:
        _KEPT.append((stack, {}))
        stack.callback(_KEPT.pop)
        yield


@contextmanager
def open_resolved_backend(model: UpscaleModel, resolved: ResolvedSettings) -> Generator[tuple[Backend, Callable[[], object]]]:
    """The backend, and a function that returns free memory to the system; both are done with afterwards.

    Raises what ``open_backend`` raises.
    """
    if not _KEPT:
        with _open_backend(model, resolved) as opened:
            yield opened
        return
    stack, backends = _KEPT[-1]
    key = id(model), resolved.device, resolved.backend, resolved.precision
    if key not in backends:
        backends[key] = stack.enter_context(_open_backend(model, resolved))
    yield backends[key]


@contextmanager
def _open_backend(model: UpscaleModel, resolved: ResolvedSettings) -> Generator[tuple[Backend, Callable[[], object]]]:
    with (
        reuse_freed_memory() if resolved.device.type == "cpu" else nullcontext(skip_trim) as trim_memory,
        closing(open_backend(resolved.backend, model, resolved.device, resolved.precision)) as backend,
    ):
        yield backend, trim_memory


def find_engine_info(model: UpscaleModel) -> EngineInfo | None:
    """What the engine attached to ``model`` was built for; None without an engine."""
    engine = get_engine(model.descriptor)
    return read_engine_info(engine.path) if engine else None


def _resolve_backend_device(backend: str, device: str) -> torch.device:
    spec = get_backend_spec("torch" if backend == AUTO else backend)
    if spec.finds_devices and device == AUTO:
        module = import_module(f".backends.{spec.factory.rpartition('.')[0]}", __package__)
        return module.find_device()
    return resolve_device(device, spec.devices)


def _get_own_precision(model: UpscaleModel, backend: str) -> ResolvedPrecision:
    """The precision that a backend other than torch takes when none is requested."""
    info = find_engine_info(model) if backend == "tensorrt" else None
    if info is not None:
        return "fp16" if info.precision == "fp16" else "fp32"
    return get_backend_spec(backend).precisions[0]


def resolve_tiling(
    model: UpscaleModel,
    settings: TiledUpscaleSettings,
    resolved: ResolvedSettings,
    free_memory: FreeMemory | None,
    size: Size | None = None,
) -> Tiling:
    """Return the tiling for the memory that is free now: on a GPU that may have changed since ``resolved`` was made."""
    device, backend, precision = resolved.device, resolved.backend, resolved.precision
    on_gpu = device.type != "cpu"
    # In bf16 the largest layers stay fp32, so only fp16 halves the memory.
    footprint = default_footprint(model.architecture, model.scale, backend=backend, half=precision == "fp16", on_gpu=on_gpu)
    footprint = replace(footprint, bytes_per_pixel=footprint.bytes_per_pixel * model.inner_scale**2)
    block = get_backend_spec(backend).block
    cost_tolerance = choose_cost_tolerance(model.architecture, on_gpu=on_gpu, bf16=precision == "bf16", block=block)
    tile = settings.tile
    if tile == AUTO_TILE and backend == "tensorrt" and (info := find_engine_info(model)):
        tile = info.tile
    if on_gpu and free_memory:
        halo = model.halo if settings.halo == AUTO_HALO else settings.halo
        useful = compute_useful_memory(footprint, tile, halo, settings.batch)
        free_memory(str(device), useful + get_reserved_gpu_memory())
    # onnxruntime may see a GPU that torch does not, whose free memory is then unknown.
    is_visible = device.type != "cuda" or torch.cuda.is_available()
    memory = get_tile_memory(device if is_visible else torch.device("cpu"))
    budget = TileBudget(memory, footprint, cost_tolerance)
    earlier_passes = max(plan_scale(size, model.scale, settings.target).passes - 1, 0) if size else 0
    image = size * model.scale**earlier_passes if size else None
    return choose_tiling(
        model, budget, tile=tile, halo=settings.halo, batch=settings.batch, block=block, image=image, on_gpu=on_gpu
    )


def build_upscale_settings(
    requested: TiledUpscaleSettings, forced_backend: str, settings: object, upscale_model: object
) -> TiledUpscaleSettings:
    """Return the inputs of a node, with values of ``settings`` for tile 0, batch 0, precision ``auto`` and backend ``auto``.

    ``forced_backend`` other than ``auto`` is that of the whole run and takes precedence. The halo is never taken from settings,
    because each model has its own; nor tile and backend for a model that carries an engine, which was built for both. Raises
    ``WorkflowError`` for a value that is not ``UpscaleSettings``.
    """
    backend = requested.backend if forced_backend == "auto" else forced_backend
    if settings is None:
        return replace(requested, batch=requested.batch or 1, backend=backend)
    if not isinstance(settings, UpscaleSettings):
        raise WorkflowError(
            f"The settings are a {type(settings).__name__}.", "Connect the first output of HW Probe.", input_name="settings"
        )
    has_engine = get_engine(upscale_model) is not None
    return replace(
        requested,
        tile=requested.tile if has_engine else requested.tile or settings.tile_size,
        batch=requested.batch or settings.batch_size,
        precision=settings.precision if requested.precision == "auto" else requested.precision,
        backend=settings.backend if backend == "auto" and not has_engine else backend,
    )
