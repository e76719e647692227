"""The machine: what is here, which settings suit it, and measuring it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ..runtime.errors import HardwareMissing, ModelError, ModelNotFound, WorkflowError
from ..runtime.hardware.footprint import Network
from ..runtime.hardware.settings import UpscaleSettings
from ..runtime.models.catalog import catalog, find_entry
from ..runtime.models.locate import locate
from .inputs import wire

if TYPE_CHECKING:
    from ..runtime.hardware.calibration import Calibration, Measurement, Subject
    from ..runtime.hardware.machine import Machine
    from ..runtime.host import Host
    from ..runtime.models.facts import UpscaleModel as ModelFacts
    from ..runtime.upscale.backends import Precision

MODEL_TOOLTIP = "The model that the settings are for; without one they suit the heaviest model that comes with the pack."
CALIBRATE_TOOLTIP = (
    "Measures once, for some seconds, how much memory and time the models that came with the pack take on this machine, and "
    "keeps the result. Without it a built-in table is used."
)
SETTINGS_TOOLTIP = (
    "From HW Probe: what it suggests is used for tile 0, batch 0, precision auto and backend auto. Values of your own go first."
)

_MEASURED = {"realesr-animevideov3": (128, 192, 256), "realesrgan-x4plus": (48, 72, 96)}
"""Which models are measured, and with which tiles on a processor: some seconds in all."""
_GPU_SIDES = (128, 256, 384)
_NOT_MEASURED = ("auto", "null", "tensorrt")
"""Not a backend of its own, none at all, and one that would have to build an engine for minutes."""


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
                "upscale_model": wire("UPSCALE_MODEL", MODEL_TOOLTIP),
                "calibrate": ("BOOLEAN", {"default": False, "tooltip": CALIBRATE_TOOLTIP}),
            },
        }

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> str:
        """The machine, not what is free of it: else every run would upscale anew what is connected behind this."""
        from ..runtime.hardware.machine import look

        machine = look()
        cards = [(gpu.name, gpu.total, gpu.usable) for gpu in machine.gpus]
        return repr((machine.cpu, machine.memory.total, cards, machine.driver, machine.torch_build, machine.versions))

    def run(self, upscale_model: Any = None, calibrate: bool = False) -> dict[str, Any]:
        from ..runtime.hardware.calibration import recall
        from ..runtime.hardware.machine import look
        from ..runtime.hardware.settings import recommend
        from ..runtime.hardware.table import as_text
        from ..runtime.hardware.torch_devices import is_loaded

        machine = look(ask_torch=is_loaded(), folders=(self.host.folder("output"),))
        if calibrate:
            with self.host.progress(len(_MEASURED), "model") as watch:
                calibrate_here(machine, self.host.device(), self.host.model_folders(), watch.say, again=False)
        network = None if upscale_model is None else _network(upscale_model)
        settings = recommend(machine, network, device=self.host.device(), calibration=recall())
        return {"ui": {"text": [as_text(machine, settings)]}, "result": (settings, str(settings))}


class Tuned(NamedTuple):
    """What a node that upscales goes by, once its own inputs and the settings on its wire are put together."""

    tile: int
    batch: int
    precision: Any
    backend: str


def tuned(settings: object, upscale_model: object, *, tile: int, batch: int, precision: Any, backend: str) -> Tuned:
    """The node's own values, and what ``settings`` suggest where they leave the choice: 0, 0, ``auto`` and ``auto``.

    The halo is never taken from settings, because each model has its own; nor tile and backend for a model that carries an
    engine, which was built for both. Raises ``WorkflowError`` for a value that is no settings.
    """
    if settings is None:
        return Tuned(tile, batch or 1, precision, backend)
    if not isinstance(settings, UpscaleSettings):
        raise WorkflowError(
            f"The settings are a {type(settings).__name__}.", "Connect the first output of HW Probe.", input_name="settings"
        )
    from ..runtime.engines.wire import engine_of

    by_engine = engine_of(upscale_model) is not None
    return Tuned(
        tile=tile if by_engine else tile or settings.tile_size,
        batch=batch or settings.batch_size,
        precision=settings.precision if precision == "auto" else precision,
        backend=settings.backend if backend == "auto" and not by_engine else backend,
    )


def network_of(name: str) -> Network:
    """The facts of a model of the catalog, without reading its weights. Raises ``ModelNotFound`` for any other name."""
    entry = find_entry(name)
    if entry is None:
        raise ModelNotFound(f"{name!r} is not in the catalog.", f"Choose one of: {', '.join(catalog())}.", model=name)
    return Network(entry.title, entry.architecture, entry.scale, entry.halo, entry.half_safe)


def _network(descriptor: Any) -> Network:
    from ..runtime.models.facts import UpscaleModel

    model = UpscaleModel.of(descriptor)
    entry = model.provenance.entry if model.provenance else None
    title = entry.title if entry else f"{model.architecture} x{model.scale}"
    return Network(title, model.architecture, model.scale, model.halo, model.half_safe)


def calibrate_here(
    machine: Machine, device: str, folders: Sequence[Path], say: Callable[[str], None], *, again: bool = True
) -> None:
    """Measure the models that come with the pack on every backend that opens here, and keep it in the cache folder.

    ``again=False`` leaves out what was measured before. Raises ``HardwareMissing`` for a device that is not here.
    """
    from ..runtime.hardware.calibration import recall, remember
    from ..runtime.models.facts import UpscaleModel
    from ..runtime.models.load import load

    known: Calibration = {} if again else recall()
    found: dict[Subject, Measurement] = {}
    for name, sides in _MEASURED.items():
        try:
            model = UpscaleModel.of(load(locate(name, folders)))
        except ModelNotFound as error:
            say(str(error))
            continue
        for what, measurement in _measured(machine, model, device, sides, known):
            found[what] = measurement
            say(
                f"{name} by {what.backend} in {what.precision}: {measurement.bytes_per_pixel:,.0f} bytes per pixel, "
                f"{measurement.seconds_per_megapixel:.2f} s per million pixels."
            )
    if found and remember(found) is None:
        say("The measurement cannot be kept: the cache folder cannot be written to. See: python -m runtime doctor")


def _measured(
    machine: Machine, model: ModelFacts, device: str, sides: Sequence[int], known: Calibration
) -> Iterator[tuple[Subject, Measurement]]:
    import numpy as np
    import torch

    from ..runtime.hardware.calibration import measure, subject
    from ..runtime.upscale.allocator import reused_memory
    from ..runtime.upscale.backends import BACKENDS, open_backend
    from ..runtime.upscale.device import resolve, resolve_precision

    place = resolve(device)
    precision: Precision = "fp16" if resolve_precision("auto", model, place) == torch.float16 else "fp32"
    sides = sides if place.type == "cpu" else _GPU_SIDES
    tiles = np.random.default_rng(8).random((1, max(sides), max(sides), 3), np.float32)
    for backend_name in (name for name in BACKENDS if name not in _NOT_MEASURED):
        what = subject(machine, str(place), model.architecture, model.scale, backend_name, precision)
        if what in known:
            continue
        try:
            opened = open_backend(backend_name, model, str(place), precision)
        except (HardwareMissing, ModelError, WorkflowError):  # not installed, not for this network, not on this device
            continue
        with closing(opened) as backend, reused_memory() if place.type == "cpu" else nullcontext():

            def run(side: int) -> None:
                backend.run(np.ascontiguousarray(tiles[:, :side, :side]))

            yield what, measure(run, _used(place), sides)


def _used(place: Any) -> Callable[[], int]:
    """How much memory is taken now: of a CUDA GPU by everybody (TensorRT does not go through torch), else by this process."""
    import torch

    if place.type == "cuda":
        return lambda: torch.cuda.mem_get_info(place)[1] - torch.cuda.mem_get_info(place)[0]
    if place.type == "mps":
        return torch.mps.driver_allocated_memory
    if place.type == "xpu":
        return lambda: torch.xpu.memory_reserved(place)
    import psutil

    process = psutil.Process()
    return lambda: process.memory_info().rss


NODES: dict[str, tuple[type, str]] = {"HWProbe": (HWProbe, "HW Probe")}
