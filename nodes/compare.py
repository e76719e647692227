"""Which model: all of them side by side on one picture, and pictures side by side."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..runtime.errors import ModelNotFound, WorkflowError
from ..runtime.frames.geometry import Size
from ..runtime.host import SilentProgress
from ..runtime.metrics.scores import SCORE_WORDS, scores_in
from ..runtime.models.catalog import find_entry
from ..runtime.models.locate import known, locate
from ..runtime.upscale.backends import BACKENDS, PRECISIONS
from ..runtime.upscale.target import MODEL_SCALE, final_size
from .core import output_is_possible, shown
from .image import TARGET_TOOLTIP, TILE_TOOLTIP
from .inputs import choice, integer, text, wire

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..runtime.host import Host, Progress
    from ..runtime.report.comparison import Comparison, Contender, Rendered
    from ..runtime.upscale.batch import Settings

    Pixels = NDArray[np.float32]

EVERY_MODEL = "all"
DEFAULT_MODELS = "realesr-animevideov3, realesrgan-x4plus-anime, realesrgan-x4plus, swinir-m-x4, bsrgan-x4"
MODELS_TOOLTIP = (
    "Ids or file names with commas, or `all` for every model that is here. A known model whose weights are missing becomes a "
    "row that says how to get them."
)
CROP_TOOLTIP = (
    "Which part: centre, texture, edges, faces (needs scikit-image), all, a size such as 512x512, 512x512+X+Y, "
    "texture:256x256; several with commas. A crop of 512x512 takes a minute or two for each large model where there is no GPU."
)
LABELS_TOOLTIP = "Names for the pictures in their order, with commas; without one a picture is called after its input."
FOLDER_TOOLTIP = "Below the output folder. What an earlier run left there under the same names is replaced."
SCORES_TOOLTIP = (
    f"Numbers of other libraries beside ours: {SCORE_WORDS}, or all; with commas. They need `pip install upscale8k[scores]`; "
    "one that is not here is left out and named in the report. Nothing is downloaded."
)
SHEET_INPUTS = 8
_STEPS = 1000
"""What the bar counts for each crop of each model."""
_STEPS_MEASURED = 50
"""What it counts for measuring one result."""
_WARM_UP = 32


def names_in(written: str) -> list[str]:
    """Names with commas or line breaks between them, each once."""
    parts = written.replace("\n", ",").split(",")
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def model_names(models: str, folders: Sequence[Path]) -> list[str]:
    """The models that are meant. Raises ``WorkflowError`` for none, ``ModelNotFound`` for one that nobody knows."""
    names = names_in(models)
    if EVERY_MODEL in names:
        names = [found.name for found in known(folders)]
    if not names:
        raise WorkflowError("No model is named.", f"Name some with commas, or write {EVERY_MODEL}.")
    for name in names:
        if find_entry(name) is None:
            locate(name, folders)
    return names


def models_are_known(host: Host, models: str | None) -> bool | str:
    """What VALIDATE_INPUTS answers for a list of models: True, or which of them is no model. None comes over a wire later."""
    try:
        if models is not None:
            model_names(models, host.model_folders())
    except (WorkflowError, ModelNotFound) as error:
        return str(error)
    return True


def contender(name: str, folders: Sequence[Path]) -> Contender:
    """A model of the catalog or a file, and what to do when its weights are missing."""
    from ..runtime.report.comparison import Contender

    entry = find_entry(name)
    title, good_for, licence = (entry.title, entry.good_for, entry.licence) if entry else (name, "", "")
    try:
        locate(name, folders)
    except ModelNotFound as error:
        problem = f"Its weights are not here. {error.hint}"
        return Contender(name, title, good_for=good_for, licence=licence, problem=problem)
    return Contender(name, title, good_for=good_for, licence=licence)


class _Share:
    """A bar's part for one run: its pixels become ``_STEPS`` steps of the whole."""

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar = bar
        self._total = max(total, 1)
        self._done = 0

    def advance(self, steps: int = 1) -> None:
        before = self._done * _STEPS // self._total
        self._done += steps
        self._bar.advance(self._done * _STEPS // self._total - before)

    def say(self, text: str) -> None:
        self._bar.say(text)

    def preview(self, pixels: object, /) -> None:
        return None


class _Runner:
    """Puts crops through models with the engine of Tiled Upscale, and measures what that costs."""

    def __init__(self, host: Host, settings: Settings, bar: Progress) -> None:
        self._host = host
        self._settings = settings
        self._bar = bar

    def __call__(self, model: Contender, crops: Sequence[Pixels]) -> Iterator[Rendered]:
        import torch

        from ..runtime.bench.cost import measured
        from ..runtime.models.facts import UpscaleModel
        from ..runtime.models.load import load
        from ..runtime.report.comparison import Cost, Rendered
        from ..runtime.upscale.batch import tiling_for, upscale_batch
        from ..runtime.upscale.device import resolve

        self._bar.say(f"{model.title}: {len(crops)} crop{'s' if len(crops) > 1 else ''}")
        descriptor = load(locate(model.id, self._host.model_folders()))
        device = resolve(self._settings.device)
        facts = UpscaleModel.of(descriptor)
        tiling = tiling_for(facts, self._settings)
        exact = facts.exact_halo is not None and tiling.halo >= facts.exact_halo
        upscale_batch(torch.zeros(1, _WARM_UP, _WARM_UP, 3), descriptor, self._settings, _silent)
        for pixels in crops:
            batch = torch.from_numpy(pixels)[None]  # pyright: ignore[reportUnknownMemberType]
            with measured(device) as cost:
                result = upscale_batch(batch, descriptor, self._settings, self._part)[0].numpy()
            megapixels = result.shape[0] * result.shape[1] / 1e6
            used = 0 if exact or tiling.tile + 2 * tiling.aligned_halo >= max(pixels.shape[:2]) else tiling.tile
            yield Rendered(result, Cost(cost.seconds, megapixels, cost.peak_bytes, used, tiling.aligned_halo))

    def _part(self, total: int, unit: str) -> AbstractContextManager[_Share]:
        return nullcontext(_Share(self._bar, total))


def _silent(total: int, unit: str) -> SilentProgress:
    return SilentProgress()


class _Measuring:
    """The comparison's own watch, for the numbers of each result."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar

    def advance(self, steps: int = 1) -> None:
        self._bar.advance(steps * _STEPS_MEASURED)

    def say(self, text: str) -> None:
        self._bar.say(text)


class ComparisonReport:
    """Every model on the same crop: the sheet, the numbers, the words, and a page to send to somebody."""

    host: ClassVar[Host]
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Runs every model that is named, and bicubic and Lanczos, on the same crops of a picture, measures them, and writes "
        "model_comparison_result.jpg, difference_maps.jpg, artifact_analysis.md, report.html (one file, opens anywhere, with a "
        "slider) and report.json."
    )
    SEARCH_ALIASES: ClassVar = ["compare models", "which upscaler", "report", "a/b", "quality", "comparison", "slider"]
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("sheet", "analysis")
    OUTPUT_TOOLTIPS = ("The labelled sheet with all results.", "The analysis as Markdown.")
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": wire("IMAGE", "The picture to upscale; of a batch every picture is compared."),
                "models": text(DEFAULT_MODELS, MODELS_TOOLTIP, multiline=True),
                "crop": text("centre", CROP_TOOLTIP),
                "target": text("4x", TARGET_TOOLTIP),
                "folder": text("Upscale8K/comparison", FOLDER_TOOLTIP),
            },
            "optional": {
                "source": wire("IMAGE_SOURCE", "From Image In: the name of the picture, for the headings."),
                "tile": integer(0, 0, 4096, TILE_TOOLTIP, step=32, advanced=True),
                "precision": choice(PRECISIONS, "auto", "fp32 to compare models at their best.", advanced=True),
                "backend": choice(BACKENDS, "auto", "What runs the models; null repeats pixels, for dry runs.", advanced=True),
                "scores": text("", SCORES_TOOLTIP),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(
        cls, models: str | None, crop: str | None, target: str | None, folder: str | None, scores: str | None = ""
    ) -> bool | str:
        answers = (
            scores_are_known(scores),
            crop_is_understood(crop),
            target_is_common(target),
            output_is_possible(cls.host, folder and in_folder(folder, "report.html")),
            models_are_known(cls.host, models),
        )
        return next((answer for answer in answers if answer is not True), True)

    @classmethod
    def IS_CHANGED(cls, models: str | None, **_: Any) -> str:
        """Weights that were pulled since the last run make another report."""
        folders = cls.host.model_folders()
        found = [contender(name, folders) for name in (model_names(models, folders) if models else ())]
        return repr([(one.id, one.problem) for one in found])

    def run(
        self,
        image: Any,
        models: str,
        crop: str,
        target: str,
        folder: str,
        source: Any = None,
        tile: int = 0,
        precision: Any = "auto",
        backend: str = "auto",
        scores: str = "",
    ) -> dict[str, Any]:
        from ..runtime.report.markdown import analysis
        from ..runtime.report.sheet import sheet
        from ..runtime.upscale.batch import Settings

        forced = self.host.backend()
        by = backend if forced == "auto" else forced
        settings = Settings(target, self.host.device(), tile=tile, precision=precision, backend=by)
        comparison = self._compared(_pictures(image), models, crop, settings, _file_name(source), scores)
        files = shown(self.host, "output", self._written(comparison, folder))
        words = analysis(comparison)
        return {"ui": {"images": files[:1], "series": files, "text": [words]}, "result": (as_image(sheet(comparison)), words)}

    def _compared(
        self, pictures: Sequence[tuple[Pixels, str]], models: str, crop: str, settings: Settings, name: str, scores: str
    ) -> Comparison:
        from ..runtime.bench.machine import machine
        from ..runtime.report.baselines import BASELINES
        from ..runtime.report.compare import compare, crops_of
        from ..runtime.report.comparison import Comparison

        crops = crops_of([pixels for pixels, _ in pictures], crop)
        sizes = [final_size(size_of(pixels), 1, settings.target) for _, pixels in crops]
        folders = self.host.model_folders()
        wanted = [contender(one, folders) for one in model_names(models, folders)]
        line, facts = machine(self.host.device())
        able = sum(not one.problem for one in wanted)
        steps = len(crops) * (able * _STEPS + (able + len(BASELINES)) * _STEPS_MEASURED)
        with self.host.progress(steps, "step") as bar:
            runner, watch = _Runner(self.host, settings, bar), _Measuring(bar)
            contenders, cases = compare(crops, sizes, wanted, runner, watch, scores_in(scores))
        return Comparison(
            source=name,
            size=size_of(pictures[0][0]),
            target=settings.target,
            contenders=contenders,
            cases=cases,
            machine=line,
            date=now(),
            notes=tuple(dict.fromkeys([*_dry_run(settings.backend), *(note for _, note in pictures if note)])),
            settings={**asdict(settings), "crop": crop, "scores": scores, "machine": facts},
        )

    def _written(self, comparison: Comparison, folder: str) -> list[Path]:
        from ..runtime.report.files import write_report

        return write_report(comparison, lambda name: self.host.output_file("output", in_folder(folder, name)))


class ComparisonSheet:
    """Pictures from anywhere on one labelled sheet."""

    host: ClassVar[Host]
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Puts up to eight upscaled versions of a picture on one sheet, with labels, a magnified detail, scale bars and their "
        "numbers against the source. They may come from any node and differ in size."
    )
    SEARCH_ALIASES: ClassVar = ["compare images", "contact sheet", "grid", "side by side", "label"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("sheet",)
    OUTPUT_TOOLTIPS = ("The sheet, 8-bit RGB.",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        more = {f"image_{number}": wire("IMAGE", "Another version of it.") for number in range(2, SHEET_INPUTS + 1)}
        return {
            "required": {
                "source": wire("IMAGE", "The picture that they were made from; of a batch the first one counts."),
                "image_1": wire("IMAGE", "An upscaled version of it, of the same proportions."),
                "labels": text("", LABELS_TOOLTIP, multiline=True),
                "crop": text("all", CROP_TOOLTIP),
            },
            "optional": more,
        }

    @classmethod
    def VALIDATE_INPUTS(cls, crop: str | None) -> bool | str:
        return crop_is_understood(crop)

    def run(self, source: Any, image_1: Any, labels: str, crop: str, **images: Any) -> tuple[Any]:
        from ..runtime.report.compare import side_by_side
        from ..runtime.report.sheet import sheet

        wired = {"image_1": image_1, **{name: image for name, image in sorted(images.items()) if image is not None}}
        given = [line.strip() for line in labels.replace("\n", ",").split(",")]
        names = [given[index] if index < len(given) and given[index] else name for index, name in enumerate(wired)]
        pictures = [_pictures(image)[0][0] for image in wired.values()]
        comparison = side_by_side(_pictures(source)[0][0], list(zip(names, pictures, strict=True)), crop, now())
        return (as_image(sheet(comparison)),)


def crop_is_understood(crop: str | None) -> bool | str:
    """What VALIDATE_INPUTS answers for the text of a crop."""
    from ..runtime.report.wishes import wishes

    try:
        wishes(crop or "")
    except WorkflowError as error:
        return str(error)
    return True


def scores_are_known(scores: str | None) -> bool | str:
    """What VALIDATE_INPUTS answers for a list of scores."""
    try:
        scores_in(scores or "")
    except WorkflowError as error:
        return str(error)
    return True


def target_is_common(target: str | None) -> bool | str:
    """Models of different scales are compared at one size, so their own scale is no target here."""
    if target is None:
        return True
    if target.strip().lower() == MODEL_SCALE:
        return "Models of different scales are compared at one size. Use 4x, 2x, 8K or another target."
    try:
        final_size(Size(1, 1), 1, target)
    except WorkflowError as error:
        return str(error)
    return True


def size_of(pixels: Pixels) -> Size:
    return Size(pixels.shape[1], pixels.shape[0])


def _pictures(image: Any) -> list[tuple[Pixels, str]]:
    """Every picture of an IMAGE as RGB, with what there is to say about it."""
    from ..runtime.report.compare import colours_of

    if image.ndim != 4 or not len(image):
        shape = " x ".join(str(length) for length in image.shape)
        raise WorkflowError(f"There is no picture in {shape}.", "Connect the output of a node that gives pictures.")
    return [colours_of(one.detach().float().cpu().numpy()) for one in image]


def _dry_run(backend: str) -> list[str]:
    return (
        ["A dry run: pixels were repeated, no model was asked. The numbers of the models mean nothing."]
        if backend == "null"
        else []
    )


def _file_name(source: Any) -> str:
    return f"{source.name}{source.suffix}" if source else ""


def in_folder(folder: str, name: str) -> str:
    """A file of a folder below the output folder, as the host wants it named."""
    kept = folder.strip().rstrip("/")
    return f"{kept}/{name}" if kept else name


def as_image(picture: Any) -> Any:
    """A picture of Pillow, RGB, as an IMAGE (1, H, W, 3)."""
    import numpy as np
    import torch

    pixels = np.asarray(picture, np.float32) / np.float32(255)
    return torch.from_numpy(pixels)[None]  # pyright: ignore[reportUnknownMemberType]


def now() -> str:
    """The time here, to the minute."""
    return datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")


NODES: dict[str, tuple[type, str]] = {
    "ComparisonReport": (ComparisonReport, "Comparison Report"),
    "ComparisonSheet": (ComparisonSheet, "Comparison Sheet"),
}
