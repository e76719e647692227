"""The node that reports the hardware and suggests settings for it."""

from typing import Any, ClassVar

from ..runtime import bench, hardware
from .declare import Node, bool_input, wire_input

MODEL_TOOLTIP = "The model to suggest settings for; without one they suit the heaviest model that comes with the pack."
CALIBRATE_TOOLTIP = (
    "Measures once, for some seconds, how much memory and time the models that come with the pack take on this machine, and "
    "stores the result. Off (default): a stored measurement or a built-in table is used."
)


class HWProbe(Node):
    """Report the hardware and suggest settings for it."""

    CATEGORY = "8K/hardware"
    DESCRIPTION = (
        "Shows the GPUs, CPU, memory and software of this machine, and suggests tile, batch, precision and backend, each with "
        "its reason. The suggestions fit the memory that is free now. Connect it to Tiled Upscale."
    )
    SEARCH_ALIASES: ClassVar = ["hardware", "gpu info", "vram", "system info", "settings", "benchmark", "nvidia", "cpu"]
    RETURN_TYPES = ("UPSCALE_SETTINGS", "STRING")
    RETURN_NAMES = ("settings", "json")
    OUTPUT_TOOLTIPS = (
        "For the settings input of Tiled Upscale and Tiled Upscale Video.",
        "The same as JSON text: batch_size, tile_size, fp16, trtexec_workspace and more, with reasons.",
    )
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {},
            "optional": {
                "upscale_model": wire_input("UPSCALE_MODEL", MODEL_TOOLTIP),
                "calibrate": bool_input(False, CALIBRATE_TOOLTIP),
            },
        }

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> str:
        """Return the machine without its free memory; otherwise every run would upscale anew what is connected."""
        machine = hardware.detect_machine()
        gpus = [(gpu.name, gpu.total, gpu.usable) for gpu in machine.gpus]
        return repr((machine.cpu, machine.memory.total, gpus, machine.driver, machine.torch_build, machine.versions))

    def run(self, upscale_model: Any = None, calibrate: bool = False) -> dict[str, Any]:
        machine = hardware.detect_machine(ask_torch=hardware.is_torch_loaded(), folders=(self.host.folder("output"),))
        if calibrate:
            bench.calibrate_with_progress(machine, self.host.device(), self.host.model_folders(), self.host.progress)
        network = None if upscale_model is None else bench.describe_network(upscale_model)
        calibration = hardware.load_calibration()
        settings = hardware.recommend_settings(machine, network, device=self.host.device(), calibration=calibration)
        return {"ui": {"text": [hardware.format_report(machine, settings, calibration)]}, "result": (settings, str(settings))}


NODES: dict[str, tuple[type, str]] = {"HWProbe": (HWProbe, "HW Probe")}
