"""How fast the models are on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..runtime.errors import WorkflowError
from ..runtime.upscale.backends.base import PRECISIONS, list_backend_choices
from .builtin.image import file_is_there, format_ui_files, output_is_possible
from .compare import (
    FOLDER_TOOLTIP,
    format_now,
    join_folder,
    models_are_known,
    resolve_model_names,
    split_names,
    to_image_tensor,
)
from .declare import int_input, text_input

if TYPE_CHECKING:
    from ..runtime.bench.benchmark_results import BenchmarkResults
    from ..runtime.host import Host

MODELS_TOOLTIP = (
    "Ids or file names with commas, or `all` for every model that is here. A known model whose weights are missing runs with "
    "generated ones: they are as fast."
)
EARLIER_TOOLTIP = "The benchmark.json of an earlier run, in the input folder, or `Upscale8K/benchmark/benchmark.json [output]`."


class Benchmark:
    """How fast the models are on this machine."""

    host: ClassVar[Host]
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Times every combination of model, image size, tile, precision and backend: warm-up, repeats, median and spread, "
        "model only and end to end, peak memory. Writes benchmark.json, benchmark.md and benchmark.png, and tells what became "
        "slower since an earlier one."
    )
    SEARCH_ALIASES: ClassVar = ["speed", "fps", "performance", "timing", "memory", "vram", "megapixels per second"]
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("plot", "table")
    OUTPUT_TOOLTIPS = ("The bars.", "The table as Markdown.")
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "models": text_input("realesr-animevideov3, realesrgan-x4plus-anime", MODELS_TOOLTIP, multiline=True),
                "sizes": text_input("256x256", "WIDTHxHEIGHT of the image that goes in; several with commas."),
                "folder": text_input("Upscale8K/benchmark", FOLDER_TOOLTIP),
            },
            "optional": {
                "tiles": text_input("0", "Sides of a tile in source pixels; 0 chooses. Several with commas."),
                "precisions": text_input("auto", f"Of {', '.join(PRECISIONS)}; several with commas."),
                "backends": text_input("auto", f"Of {', '.join(list_backend_choices())}; several with commas."),
                "warmups": int_input(1, 0, 100, "Runs of each combination that do not count."),
                "repeats": int_input(3, 1, 1000, "Runs of each combination that count."),
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
        try:
            _parse_options(sizes or "", tiles or "", precisions or "", backends or "")
        except WorkflowError as error:
            return str(error)
        answers = (
            file_is_there(cls.host, earlier.strip()) if earlier and earlier.strip() else True,
            output_is_possible(cls.host, folder and join_folder(folder, "benchmark.json")),
            models_are_known(cls.host, models),
        )
        return next((answer for answer in answers if answer is not True), True)

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> float:
        """A measurement is never the one before."""
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
        from ..runtime.bench.benchmark_plot import plot_benchmark
        from ..runtime.bench.benchmark_results import BenchmarkResults
        from ..runtime.bench.benchmark_table import format_table
        from ..runtime.bench.measure import describe_machine
        from ..runtime.bench.model_speed import make_cases, run_benchmark

        earlier_path = self.host.find_input(earlier.strip()) if earlier.strip() else None
        folders = self.host.model_folders()
        benchmark_cases = make_cases(resolve_model_names(models, folders), *_parse_options(sizes, tiles, precisions, backends))
        machine_line, machine_facts = describe_machine(self.host.device())
        device = self.host.device()
        rows = run_benchmark(
            benchmark_cases, folders, device, warmups=warmups, repeats=repeats, open_progress=self.host.progress
        )
        results = BenchmarkResults.from_rows(rows, warmups, machine_line, machine_facts, format_now(), earlier_path)
        files = format_ui_files(self.host, "output", self._write_results(results, folder))
        return {
            "ui": {"images": files[-1:], "series": files, "text": [format_table(results)]},
            "result": (to_image_tensor(plot_benchmark(results)), format_table(results)),
        }

    def _write_results(self, results: BenchmarkResults, folder: str) -> list[Path]:
        from ..runtime.bench.benchmark_files import write_benchmark

        return write_benchmark(results, lambda name: self.host.output_file("output", join_folder(folder, name)))


def _parse_options(sizes: str, tiles: str, precisions: str, backends: str) -> tuple[list[str], list[int], list[str], list[str]]:
    """The four lists of a benchmark. Raises ``WorkflowError`` for a word that none of them has."""
    numbers = split_names(tiles)
    if not all(number.isdecimal() for number in numbers):
        raise WorkflowError(f"{tiles!r} are no tiles.", "Write whole numbers with commas; 0 chooses.")
    for words, allowed, option_name in ((precisions, PRECISIONS, "precision"), (backends, list_backend_choices(), "backend")):
        for word in split_names(words):
            if word not in allowed:
                raise WorkflowError(f"There is no {option_name} called {word!r}.", f"Use some of: {', '.join(allowed)}.")
    return split_names(sizes), [int(number) for number in numbers], split_names(precisions), split_names(backends)


NODES: dict[str, tuple[type, str]] = {"Benchmark": (Benchmark, "Benchmark")}
