"""The nodes that report the hardware with settings for it, and measure what it does with models."""

from typing import Any, ClassVar

from ..runtime import bench, comfyui, distributed, hardware
from ..runtime.upscale import PRECISIONS, list_backend_choices
from .declare import FOLDER_TOOLTIP, Node, bool_input, int_input, text_input, wire_input
from .outputs import format_ui_files, join_folder
from .validate import check, file_is_there, first_problem, models_are_known, output_is_possible, parse_benchmark_options

MODEL_TOOLTIP = "The model to suggest settings for; without one they suit the heaviest model that comes with the pack."
CALIBRATE_TOOLTIP = (
    "Measures once, for some seconds, how much memory and time the models that come with the pack take on this machine, and "
    "stores the result. Off (default): a stored measurement or a built-in table is used."
)
WORKERS_TOOLTIP = (
    "Also shows what workers would offer, and why one would refuse: gpus, or ray:auto or ray:HOST:PORT for the nodes of a Ray "
    "cluster. Empty (default): none are asked."
)
MODELS_TOOLTIP = (
    "Catalog ids or file names with commas, or `all` for every model that is installed. A model of the catalog whose weights "
    "are missing runs with random weights, which are as fast."
)
EARLIER_TOOLTIP = (
    "The benchmark.json of an earlier run to compare with, in the input folder, or `Upscale8K/benchmark/benchmark.json "
    "[output]`. Empty: no comparison."
)


class HWProbe(Node, title="HW Probe"):
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
    INPUTS: ClassVar = {
        "required": {},
        "optional": {
            "upscale_model": wire_input("UPSCALE_MODEL", MODEL_TOOLTIP),
            "calibrate": bool_input(False, CALIBRATE_TOOLTIP),
            "workers": text_input("", WORKERS_TOOLTIP, advanced=True),
        },
    }

    @classmethod
    def VALIDATE_INPUTS(cls, workers: str | None = None) -> bool | str:
        return check(lambda: distributed.parse_workers(workers or ""))

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> str:
        """Return the machine without its free memory; otherwise every run would upscale anew what is connected."""
        machine = hardware.detect_machine()
        gpus = [(gpu.name, gpu.total, gpu.usable) for gpu in machine.gpus]
        return repr((machine.cpu, machine.memory.total, gpus, machine.driver, machine.torch_build, machine.versions))

    def run(self, upscale_model: Any = None, calibrate: bool = False, workers: str = "") -> dict[str, Any]:
        network = None if upscale_model is None else bench.describe_network(upscale_model)
        # Tiled Upscale asks for it as well, so what other models occupy now says nothing about the best tile.
        self.host.free_memory(self.host.device(), hardware.estimate_useful_memory(network))
        machine = hardware.detect_machine(ask_torch=hardware.is_torch_loaded(), folders=(self.host.folder("output"),))
        if calibrate:
            bench.calibrate_with_progress(machine, self.host.device(), self.host.model_folders(), self.host.progress)
        calibration = hardware.load_calibration()
        settings = hardware.recommend_settings(machine, network, device=self.host.device(), calibration=calibration)
        found = [sentence for sentence, _ in distributed.describe_workers(workers)] if workers else []
        report = hardware.format_report(machine, settings, calibration, found)
        return {"ui": {"text": [report]}, "result": (settings, str(settings))}


class Benchmark(Node, title="Benchmark"):
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Times every combination of model, image size, tile, precision and backend: warm-up, repeats, median and spread, "
        "model only and end to end, peak memory. Writes benchmark.json, benchmark.md and benchmark.png, and reports "
        "regressions against an earlier run."
    )
    SEARCH_ALIASES: ClassVar = ["speed", "fps", "performance", "timing", "memory", "vram", "megapixels per second"]
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("plot", "table")
    OUTPUT_TOOLTIPS = ("The bar chart.", "The table as Markdown.")
    OUTPUT_NODE = True
    INPUTS: ClassVar = {
        "required": {
            "models": text_input("realesr-animevideov3, realesrgan-x4plus-anime", MODELS_TOOLTIP, multiline=True),
            "sizes": text_input("256x256", "WIDTHxHEIGHT of the source image in pixels; several with commas."),
            "folder": text_input("Upscale8K/benchmark", FOLDER_TOOLTIP),
        },
        "optional": {
            "tiles": text_input("0", "Sides of a tile in source pixels; 0 selects automatically. Several with commas."),
            "precisions": text_input("auto", f"Of {', '.join(PRECISIONS)}; several with commas."),
            "backends": text_input("auto", f"Of {', '.join(list_backend_choices())}; several with commas."),
            "warmups": int_input(1, 0, 100, "Untimed runs of each combination."),
            "repeats": int_input(3, 1, 1000, "Timed runs of each combination."),
            "earlier": text_input("", EARLIER_TOOLTIP),
        },
    }

    @classmethod
    def VALIDATE_INPUTS(
        cls,
        models: str | None,
        sizes: str | None,
        folder: str | None,
        tiles: str | None = "0",
        precisions: str | None = "auto",
        backends: str | None = "auto",
        earlier: str | None = "",
    ) -> bool | str:
        return first_problem(
            (
                check(lambda: parse_benchmark_options(sizes or "", tiles or "", precisions or "", backends or "")),
                file_is_there(cls.host, earlier.strip()) if earlier and earlier.strip() else True,
                output_is_possible(cls.host, folder and join_folder(folder, "benchmark.json")),
                models_are_known(cls.host, models),
            )
        )

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> float:
        """Every run measures anew."""
        return float("nan")

    def run(
        self,
        models: str,
        sizes: str,
        folder: str,
        tiles: str = "0",
        precisions: str = "auto",
        backends: str = "auto",
        warmups: int = 1,
        repeats: int = 3,
        earlier: str = "",
    ) -> dict[str, Any]:
        host = self.host
        results = bench.benchmark_models(
            models,
            parse_benchmark_options(sizes, tiles, precisions, backends),
            host.model_folders(),
            host.device(),
            warmups=warmups,
            repeats=repeats,
            earlier=host.find_input(earlier.strip()) if earlier.strip() else None,
            open_progress=host.progress,
        )
        paths = bench.write_benchmark(results, lambda name: host.output_file("output", join_folder(folder, name)))
        files = format_ui_files(host, "output", paths)
        return {
            "ui": {"images": files[-1:], "series": files, "text": [bench.format_table(results)]},
            "result": (comfyui.to_image_tensor(bench.plot_benchmark(results)), bench.format_table(results)),
        }
