"""Measure the speed of models on this machine."""

from typing import Any, ClassVar

from ..runtime import bench, comfyui
from ..runtime.upscale import PRECISIONS, list_backend_choices
from .declare import FOLDER_TOOLTIP, Node, int_input, text_input
from .outputs import format_ui_files, join_folder
from .validate import (
    check,
    file_is_there,
    first_problem,
    models_are_known,
    output_is_possible,
    parse_benchmark_options,
)

MODELS_TOOLTIP = (
    "Catalog ids or file names with commas, or `all` for every model that is installed. A model of the catalog whose weights "
    "are missing runs with random weights, which are as fast."
)
EARLIER_TOOLTIP = (
    "The benchmark.json of an earlier run to compare with, in the input folder, or `Upscale8K/benchmark/benchmark.json "
    "[output]`. Empty: no comparison."
)


class Benchmark(Node):
    """Measure the speed of models on this machine."""

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

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
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


NODES: dict[str, tuple[type, str]] = {"Benchmark": (Benchmark, "Benchmark")}
