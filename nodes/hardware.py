"""The machine: what is here, which settings suit it, and measuring it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ..runtime.errors import HardwareMissing, ModelError, ModelNotFound, WorkflowError
from ..runtime.hardware.settings import UpscaleSettings
from ..runtime.hardware.tile_memory import NetworkProfile
from ..runtime.models.catalog import find_entry, load_catalog
from ..runtime.models.locate import find_model
from .declare import wire_input

if TYPE_CHECKING:
    from ..runtime.hardware.calibration import Calibration, CalibrationSubject, Measurement
    from ..runtime.hardware.detect import Machine
    from ..runtime.host import Host
    from ..runtime.models.upscale_model import UpscaleModel as ModelFacts

MODEL_TOOLTIP = "The model that the settings are for; without one they suit the heaviest model that comes with the pack."
CALIBRATE_TOOLTIP = (
    "Measures once, for some seconds, how much memory and time the models that came with the pack take on this machine, and "
    "keeps the result. Without it a built-in table is used."
)
SETTINGS_TOOLTIP = (
    "From HW Probe: what it suggests is used for tile 0, batch 0, precision auto and backend auto. Values of your own go first."
)

_CALIBRATION_MODELS = {"realesr-animevideov3": (128, 192, 256), "realesrgan-x4plus": (48, 72, 96)}
"""Which models are measured, and with which tiles on a processor: some seconds in all."""
_GPU_TILE_SIDES = (128, 256, 384)


class HWProbe:
    """What this machine is, and the settings that suit it."""

    host: ClassVar[Host]
    CATEGORY = "8K/hardware"
    DESCRIPTION = (
        "Shows the GPUs, processor, memory and software of this machine, and suggests tile, batch, precision and backend for "
        "it, each with its reason. What it suggests obeys the memory that is free now. Connect it to Tiled Upscale."
    )
    SEARCH_ALIASES: ClassVar = ["hardware", "gpu info", "vram", "system info", "settings", "benchmark", "nvidia", "cpu"]
    RETURN_TYPES = ("UPSCALE_SETTINGS", "STRING")
    RETURN_NAMES = ("settings", "json")
    OUTPUT_TOOLTIPS = (
        "For the settings input of Tiled Upscale and Tiled Upscale Video.",
        "The same as JSON text: batch_size, tile_size, fp16, trtexec_workspace and more, with reasons.",
    )
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {},
            "optional": {
                "upscale_model": wire_input("UPSCALE_MODEL", MODEL_TOOLTIP),
                "calibrate": ("BOOLEAN", {"default": False, "tooltip": CALIBRATE_TOOLTIP}),
            },
        }

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> str:
        """The machine, not what is free of it: else every run would upscale anew what is connected behind this."""
        from ..runtime.hardware.detect import detect

        machine = detect()
        gpus = [(gpu.name, gpu.total, gpu.usable) for gpu in machine.gpus]
        return repr((machine.cpu, machine.memory.total, gpus, machine.driver, machine.torch_build, machine.versions))

    def run(self, upscale_model: Any = None, calibrate: bool = False) -> dict[str, Any]:
        from ..runtime.hardware.calibration import load_calibration
        from ..runtime.hardware.detect import detect
        from ..runtime.hardware.report import format_report
        from ..runtime.hardware.settings import recommend_settings
        from ..runtime.hardware.torch_devices import is_torch_loaded

        machine = detect(ask_torch=is_torch_loaded(), folders=(self.host.folder("output"),))
        if calibrate:
            with self.host.progress(len(_CALIBRATION_MODELS), "model") as progress:
                calibrate_models(machine, self.host.device(), self.host.model_folders(), progress.message, remeasure=False)
        network = None if upscale_model is None else _describe_network(upscale_model)
        settings = recommend_settings(machine, network, device=self.host.device(), calibration=load_calibration())
        return {"ui": {"text": [format_report(machine, settings)]}, "result": (settings, str(settings))}


class MergedSettings(NamedTuple):
    """What a node that upscales goes by, once its own inputs and the settings on its wire are put together."""

    tile: int
    batch: int
    precision: Any
    backend: str


def merge_settings(
    settings: object, upscale_model: object, *, tile: int, batch: int, precision: Any, backend: str
) -> MergedSettings:
    """The node's own values, and what ``settings`` suggest where they leave the choice: 0, 0, ``auto`` and ``auto``.

    The halo is never taken from settings, because each model has its own; nor tile and backend for a model that carries an
    engine, which was built for both. Raises ``WorkflowError`` for a value that is no settings.
    """
    if settings is None:
        return MergedSettings(tile, batch or 1, precision, backend)
    if not isinstance(settings, UpscaleSettings):
        raise WorkflowError(
            f"The settings are a {type(settings).__name__}.", "Connect the first output of HW Probe.", input_name="settings"
        )
    from ..runtime.trt.attach import get_engine

    has_engine = get_engine(upscale_model) is not None
    return MergedSettings(
        tile=tile if has_engine else tile or settings.tile_size,
        batch=batch or settings.batch_size,
        precision=settings.precision if precision == "auto" else precision,
        backend=settings.backend if backend == "auto" and not has_engine else backend,
    )


def find_catalog_network(name: str) -> NetworkProfile:
    """The facts of a model of the catalog, without reading its weights. Raises ``ModelNotFound`` for any other name."""
    entry = find_entry(name)
    if entry is None:
        raise ModelNotFound(f"{name!r} is not in the catalog.", f"Choose one of: {', '.join(load_catalog())}.", model=name)
    return NetworkProfile(entry.title, entry.architecture, entry.scale, entry.halo, entry.half_safe)


def _describe_network(descriptor: Any) -> NetworkProfile:
    from ..runtime.models.upscale_model import UpscaleModel

    model = UpscaleModel.from_descriptor(descriptor)
    entry = model.provenance.entry if model.provenance else None
    title = entry.title if entry else f"{model.architecture} x{model.scale}"
    return NetworkProfile(title, model.architecture, model.scale, model.halo, model.half_safe)


def calibrate_models(
    machine: Machine, device: str, folders: Sequence[Path], on_message: Callable[[str], None], *, remeasure: bool = True
) -> None:
    """Measure the models that come with the pack on every backend that opens here, and keep it in the cache folder.

    ``again=False`` leaves out what was measured before. Raises ``HardwareMissing`` for a device that is not here.
    """
    from ..runtime.hardware.calibration import load_calibration, store_calibration
    from ..runtime.models.load import load_model
    from ..runtime.models.upscale_model import UpscaleModel

    known: Calibration = {} if remeasure else load_calibration()
    found: dict[CalibrationSubject, Measurement] = {}
    for name, sides in _CALIBRATION_MODELS.items():
        try:
            model = UpscaleModel.from_descriptor(load_model(find_model(name, folders)))
        except ModelNotFound as error:
            on_message(str(error))
            continue
        for measured_subject, measurement in _measure_backends(machine, model, device, sides, known):
            found[measured_subject] = measurement
            on_message(
                f"{name} by {measured_subject.backend} in {measured_subject.precision}: "
                f"{measurement.bytes_per_pixel:,.0f} bytes per pixel, "
                f"{measurement.seconds_per_megapixel:.2f} s per million pixels."
            )
    if found and store_calibration(found) is None:
        on_message("The measurement cannot be kept: the cache folder cannot be written to. See: python -m runtime doctor")


def _measure_backends(
    machine: Machine, model: ModelFacts, device: str, sides: Sequence[int], known: Calibration
) -> Iterator[tuple[CalibrationSubject, Measurement]]:
    import numpy as np

    from ..runtime.hardware.calibration import make_subject, measure_tiles
    from ..runtime.upscale.backends import open_backend
    from ..runtime.upscale.backends.base import BACKENDS
    from ..runtime.upscale.device import resolve_device, resolve_precision
    from ..runtime.upscale.malloc import reuse_freed_memory

    torch_device = resolve_device(device)
    precision = resolve_precision("auto", model, torch_device)
    sides = sides if torch_device.type == "cpu" else _GPU_TILE_SIDES
    tiles = np.random.default_rng(8).random((1, max(sides), max(sides), 3), np.float32)
    for backend_name in (spec.name for spec in BACKENDS.values() if spec.can_calibrate):
        measured_subject = make_subject(machine, str(torch_device), model.architecture, model.scale, backend_name, precision)
        if measured_subject in known:
            continue
        try:
            backend_instance = open_backend(backend_name, model, torch_device, precision)
        except (HardwareMissing, ModelError, WorkflowError):  # not installed, not for this network, not on this device
            continue
        with closing(backend_instance) as backend, reuse_freed_memory() if torch_device.type == "cpu" else nullcontext():

            def run_tile(side: int) -> None:
                backend.run(np.ascontiguousarray(tiles[:, :side, :side]))

            yield measured_subject, measure_tiles(run_tile, _make_memory_reader(torch_device), sides)


def _make_memory_reader(torch_device: Any) -> Callable[[], int]:
    """How much memory is taken now: of a CUDA GPU by everybody (TensorRT does not go through torch), else by this process."""
    import torch

    if torch_device.type == "cuda":
        return lambda: torch.cuda.mem_get_info(torch_device)[1] - torch.cuda.mem_get_info(torch_device)[0]
    if torch_device.type == "mps":
        return torch.mps.driver_allocated_memory
    if torch_device.type == "xpu":
        return lambda: torch.xpu.memory_reserved(torch_device)
    import psutil

    process = psutil.Process()
    return lambda: process.memory_info().rss


NODES: dict[str, tuple[type, str]] = {"HWProbe": (HWProbe, "HW Probe")}
