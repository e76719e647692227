"""How fast the models are on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..runtime.errors import WorkflowError
from ..runtime.upscale.backends import BACKENDS, PRECISIONS
from .compare import FOLDER_TOOLTIP, as_image, in_folder, model_names, models_are_known, names_in, now
from .core import file_is_there, output_is_possible, shown
from .inputs import integer, text

if TYPE_CHECKING:
    from ..runtime.bench.models import Results
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
        "Times every combination of model, picture size, tile, precision and backend: warm-up, repeats, median and spread, "
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
                "models": text("realesr-animevideov3, realesrgan-x4plus-anime", MODELS_TOOLTIP, multiline=True),
                "sizes": text("256x256", "WIDTHxHEIGHT of the picture that goes in; several with commas."),
                "folder": text("Upscale8K/benchmark", FOLDER_TOOLTIP),
            },
            "optional": {
                "tiles": text("0", "Sides of a tile in source pixels; 0 chooses. Several with commas."),
                "precisions": text("auto", f"Of {', '.join(PRECISIONS)}; several with commas."),
                "backends": text("auto", f"Of {', '.join(BACKENDS)}; several with commas."),
                "warmups": integer(1, 0, 100, "Runs of each combination that do not count."),
                "repeats": integer(3, 1, 1000, "Runs of each combination that count."),
                "earlier": text("", EARLIER_TOOLTIP),
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
            _wanted(sizes or "", tiles or "", precisions or "", backends or "")
        except WorkflowError as error:
            return str(error)
        answers = (
            file_is_there(cls.host, earlier.strip()) if earlier and earlier.strip() else True,
            output_is_possible(cls.host, folder and in_folder(folder, "benchmark.json")),
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
        from ..runtime.bench.machine import machine
        from ..runtime.bench.models import Results, cases, run
        from ..runtime.bench.plot import plot
        from ..runtime.bench.table import table

        before = self.host.find_input(earlier.strip()) if earlier.strip() else None
        folders = self.host.model_folders()
        wanted = cases(model_names(models, folders), *_wanted(sizes, tiles, precisions, backends))
        line, facts = machine(self.host.device())
        device = self.host.device()
        rows = run(wanted, folders, device, warmups=warmups, repeats=repeats, progress=self.host.progress)
        results = Results.of(rows, warmups, line, facts, now(), before)
        files = shown(self.host, "output", self._written(results, folder))
        return {
            "ui": {"images": files[-1:], "series": files, "text": [table(results)]},
            "result": (as_image(plot(results)), table(results)),
        }

    def _written(self, results: Results, folder: str) -> list[Path]:
        from ..runtime.bench.results import write_results

        return write_results(results, lambda name: self.host.output_file("output", in_folder(folder, name)))


def _wanted(sizes: str, tiles: str, precisions: str, backends: str) -> tuple[list[str], list[int], list[str], list[str]]:
    """The four lists of a benchmark. Raises ``WorkflowError`` for a word that none of them has."""
    numbers = names_in(tiles)
    if not all(number.isdecimal() for number in numbers):
        raise WorkflowError(f"{tiles!r} are no tiles.", "Write whole numbers with commas; 0 chooses.")
    for words, known_words, what in ((precisions, PRECISIONS, "precision"), (backends, BACKENDS, "backend")):
        for word in names_in(words):
            if word not in known_words:
                raise WorkflowError(f"There is no {what} called {word!r}.", f"Use some of: {', '.join(known_words)}.")
    return names_in(sizes), [int(number) for number in numbers], names_in(precisions), names_in(backends)


NODES: dict[str, tuple[type, str]] = {"Benchmark": (Benchmark, "Benchmark")}
