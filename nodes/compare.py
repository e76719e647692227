"""Which model: all of them side by side on one image, and images side by side."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..runtime.errors import ModelNotFound, WorkflowError
from ..runtime.media.geometry import Size
from ..runtime.metrics.external_scores.score_table import SCORE_KEYS_TEXT, parse_scores
from ..runtime.models.catalog import find_entry
from ..runtime.models.locate import find_model, list_catalog_models
from ..runtime.progress import SilentProgress
from ..runtime.upscale.backends.base import PRECISIONS, list_backend_choices
from ..runtime.upscale.target_size import MODEL_SCALE, compute_final_size
from .builtin.image import format_ui_files, output_is_possible
from .declare import choice_input, int_input, text_input, wire_input
from .image import TARGET_TOOLTIP, TILE_TOOLTIP

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..runtime.host import Host
    from ..runtime.progress import Progress
    from ..runtime.report.comparison import ComparedModel, ModelComparison, UpscaledCrop
    from ..runtime.upscale.resolved_settings import TiledUpscaleSettings

    Pixels = NDArray[np.float32]

ALL_MODELS = "all"
DEFAULT_MODELS = "realesr-animevideov3, realesrgan-x4plus-anime, realesrgan-x4plus, swinir-m-x4, bsrgan-x4"
MODELS_TOOLTIP = (
    "Ids or file names with commas, or `all` for every model that is here. A known model whose weights are missing becomes a "
    "row that says how to get them."
)
CROP_TOOLTIP = (
    "Which part: centre, texture, edges, faces (needs scikit-image), all, a size such as 512x512, 512x512+X+Y, "
    "texture:256x256; several with commas. A crop of 512x512 takes a minute or two for each large model where there is no GPU."
)
LABELS_TOOLTIP = "Names for the images in their order, with commas; without one an image is called after its input."
FOLDER_TOOLTIP = "Below the output folder. What an earlier run left there under the same names is replaced."
SCORES_TOOLTIP = (
    f"Numbers of other libraries beside ours: {SCORE_KEYS_TEXT}, or all; with commas. They need "
    "`pip install upscale8k[scores]`; one that is not here is left out and named in the report. Nothing is downloaded."
)
SHEET_INPUTS = 8
_STEPS_PER_CROP = 1000
"""What the bar counts for each crop of each model."""
_STEPS_PER_MEASUREMENT = 50
"""What it counts for measuring one result."""
_WARM_UP_SIDE = 32


def split_names(text: str) -> list[str]:
    """Names with commas or line breaks between them, each once."""
    parts = text.replace("\n", ",").split(",")
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def resolve_model_names(models: str, folders: Sequence[Path]) -> list[str]:
    """The models that are meant. Raises ``WorkflowError`` for none, ``ModelNotFound`` for one that nobody knows."""
    names = split_names(models)
    if ALL_MODELS in names:
        names = [found.name for found in list_catalog_models(folders)]
    if not names:
        raise WorkflowError("No model is named.", f"Name some with commas, or write {ALL_MODELS}.")
    for name in names:
        if find_entry(name) is None:
            find_model(name, folders)
    return names


def models_are_known(host: Host, models: str | None) -> bool | str:
    """What VALIDATE_INPUTS answers for a list of models: True, or which of them is no model. None comes over a wire later."""
    try:
        if models is not None:
            resolve_model_names(models, host.model_folders())
    except (WorkflowError, ModelNotFound) as error:
        return str(error)
    return True


def make_compared_model(name: str, folders: Sequence[Path]) -> ComparedModel:
    """A model of the catalog or a file, and what to do when its weights are missing."""
    from ..runtime.report.comparison import ComparedModel

    entry = find_entry(name)
    title, good_for, licence = (entry.title, entry.good_for, entry.licence) if entry else (name, "", "")
    try:
        find_model(name, folders)
    except ModelNotFound as error:
        problem = f"Its weights are not here. {error.hint}"
        return ComparedModel(name, title, good_for=good_for, licence=licence, problem=problem)
    return ComparedModel(name, title, good_for=good_for, licence=licence)


class _CropProgress:
    """A bar's part for one run: its pixels become ``_STEPS`` steps of the whole."""

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar = bar
        self._total = max(total, 1)
        self._done = 0

    def advance(self, steps: int = 1) -> None:
        before = self._done * _STEPS_PER_CROP // self._total
        self._done += steps
        self._bar.advance(self._done * _STEPS_PER_CROP // self._total - before)

    def message(self, text: str) -> None:
        self._bar.message(text)

    def preview(self, pixels: object, /) -> None:
        return None


class _CropUpscaler:
    """Puts crops through models with the engine of Tiled Upscale, and measures what that costs."""

    def __init__(self, host: Host, settings: TiledUpscaleSettings, bar: Progress) -> None:
        self._host = host
        self._settings = settings
        self._bar = bar

    def __call__(self, model: ComparedModel, crops: Sequence[Pixels]) -> Iterator[UpscaledCrop]:
        import torch

        from ..runtime.bench.measure import measure_cost
        from ..runtime.models.load import load_model
        from ..runtime.models.upscale_model import UpscaleModel
        from ..runtime.report.comparison import UpscaleCost, UpscaledCrop
        from ..runtime.upscale.image_batch import upscale_batch
        from ..runtime.upscale.resolved_settings import resolve_settings

        self._bar.message(f"{model.title}: {len(crops)} crop{'s' if len(crops) > 1 else ''}")
        descriptor = load_model(find_model(model.id, self._host.model_folders()))
        upscale_model = UpscaleModel.from_descriptor(descriptor)
        resolved = resolve_settings(upscale_model, self._settings)
        tiling = resolved.tiling
        exact = upscale_model.exact_halo is not None and tiling.halo >= upscale_model.exact_halo
        upscale_batch(torch.zeros(1, _WARM_UP_SIDE, _WARM_UP_SIDE, 3), descriptor, self._settings, _no_progress, resolved)
        for pixels in crops:
            batch = torch.from_numpy(pixels)[None]  # pyright: ignore[reportUnknownMemberType]
            with measure_cost(resolved.device) as cost:
                result = upscale_batch(batch, descriptor, self._settings, self._make_crop_progress, resolved)[0].numpy()
            megapixels = result.shape[0] * result.shape[1] / 1e6
            effective_tile = 0 if exact or tiling.tile + 2 * tiling.aligned_halo >= max(pixels.shape[:2]) else tiling.tile
            yield UpscaledCrop(
                result, UpscaleCost(cost.seconds, megapixels, cost.peak_bytes, effective_tile, tiling.aligned_halo)
            )

    def _make_crop_progress(self, total: int, unit: str) -> AbstractContextManager[_CropProgress]:
        return nullcontext(_CropProgress(self._bar, total))


def _no_progress(total: int, unit: str) -> SilentProgress:
    return SilentProgress()


class _MeasurementProgress:
    """The comparison's own watch, for the numbers of each result."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar

    def advance(self, steps: int = 1) -> None:
        self._bar.advance(steps * _STEPS_PER_MEASUREMENT)

    def message(self, text: str) -> None:
        self._bar.message(text)


class ComparisonReport:
    """Every model on the same crop: the sheet, the numbers, the words, and a page to send to somebody."""

    host: ClassVar[Host]
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Runs every model that is named, and bicubic and Lanczos, on the same crops of an image, measures them, and writes "
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
                "image": wire_input("IMAGE", "The image to upscale; of a batch every image is compared."),
                "models": text_input(DEFAULT_MODELS, MODELS_TOOLTIP, multiline=True),
                "crop": text_input("centre", CROP_TOOLTIP),
                "target": text_input("4x", TARGET_TOOLTIP),
                "folder": text_input("Upscale8K/comparison", FOLDER_TOOLTIP),
            },
            "optional": {
                "source": wire_input("IMAGE_SOURCE", "From Image In: the name of the image, for the headings."),
                "tile": int_input(0, 0, 4096, TILE_TOOLTIP, step=32, advanced=True),
                "precision": choice_input(PRECISIONS, "auto", "fp32 to compare models at their best.", advanced=True),
                "backend": choice_input(
                    list_backend_choices(), "auto", "What runs the models; null repeats pixels, for dry runs.", advanced=True
                ),
                "scores": text_input("", SCORES_TOOLTIP),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(
        cls, models: str | None, crop: str | None, target: str | None, folder: str | None, scores: str | None = ""
    ) -> bool | str:
        answers = (
            scores_are_known(scores),
            crop_is_valid(crop),
            comparison_target_is_valid(target),
            output_is_possible(cls.host, folder and join_folder(folder, "report.html")),
            models_are_known(cls.host, models),
        )
        return next((answer for answer in answers if answer is not True), True)

    @classmethod
    def IS_CHANGED(cls, models: str | None, **_: Any) -> str:
        """Weights that were pulled since the last run make another report."""
        folders = cls.host.model_folders()
        found = [make_compared_model(name, folders) for name in (resolve_model_names(models, folders) if models else ())]
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
        from ..runtime.report.comparison_sheet import draw_sheet
        from ..runtime.report.markdown_report import render_markdown
        from ..runtime.upscale.resolved_settings import TiledUpscaleSettings

        host_backend = self.host.backend()
        effective_backend = backend if host_backend == "auto" else host_backend
        settings = TiledUpscaleSettings(target, self.host.device(), tile=tile, precision=precision, backend=effective_backend)
        comparison = self._run_comparison(_split_batch(image), models, crop, settings, _get_source_file_name(source), scores)
        files = format_ui_files(self.host, "output", self._write_report(comparison, folder))
        analysis_text = render_markdown(comparison)
        return {
            "ui": {"images": files[:1], "series": files, "text": [analysis_text]},
            "result": (to_image_tensor(draw_sheet(comparison)), analysis_text),
        }

    def _run_comparison(
        self,
        images: Sequence[tuple[Pixels, str]],
        models: str,
        crop: str,
        settings: TiledUpscaleSettings,
        name: str,
        scores: str,
    ) -> ModelComparison:
        from ..runtime.bench.measure import describe_machine
        from ..runtime.report.baselines import BASELINES
        from ..runtime.report.compare_models import compare_models, cut_crops
        from ..runtime.report.comparison import ModelComparison

        crops = cut_crops([pixels for pixels, _ in images], crop)
        sizes = [compute_final_size(get_size(pixels), 1, settings.target) for _, pixels in crops]
        folders = self.host.model_folders()
        models_to_compare = [make_compared_model(one, folders) for one in resolve_model_names(models, folders)]
        machine_line, machine_facts = describe_machine(self.host.device())
        runnable_count = sum(not one.problem for one in models_to_compare)
        steps = len(crops) * (runnable_count * _STEPS_PER_CROP + (runnable_count + len(BASELINES)) * _STEPS_PER_MEASUREMENT)
        with self.host.progress(steps, "step") as bar:
            upscaler, measurement_progress = _CropUpscaler(self.host, settings, bar), _MeasurementProgress(bar)
            compared_models, compared_crops = compare_models(
                crops, sizes, models_to_compare, upscaler, measurement_progress, parse_scores(scores)
            )
        return ModelComparison(
            source=name,
            size=get_size(images[0][0]),
            target=settings.target,
            models=compared_models,
            crops=compared_crops,
            machine=machine_line,
            date=format_now(),
            notes=tuple(dict.fromkeys([*_get_dry_run_notes(settings.backend), *(note for _, note in images if note)])),
            settings={**asdict(settings), "crop": crop, "scores": scores, "machine": machine_facts},
        )

    def _write_report(self, comparison: ModelComparison, folder: str) -> list[Path]:
        from ..runtime.report.report_files import write_report

        return write_report(comparison, lambda name: self.host.output_file("output", join_folder(folder, name)))


class ComparisonSheet:
    """Images from anywhere on one labelled sheet."""

    host: ClassVar[Host]
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Puts up to eight upscaled versions of an image on one sheet, with labels, a magnified detail, scale bars and their "
        "numbers against the source. They may come from any node and differ in size."
    )
    SEARCH_ALIASES: ClassVar = ["compare images", "contact sheet", "grid", "side by side", "label"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("sheet",)
    OUTPUT_TOOLTIPS = ("The sheet, 8-bit RGB.",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        more = {f"image_{number}": wire_input("IMAGE", "Another version of it.") for number in range(2, SHEET_INPUTS + 1)}
        return {
            "required": {
                "source": wire_input("IMAGE", "The image that they were made from; of a batch the first one counts."),
                "image_1": wire_input("IMAGE", "An upscaled version of it, of the same proportions."),
                "labels": text_input("", LABELS_TOOLTIP, multiline=True),
                "crop": text_input("all", CROP_TOOLTIP),
            },
            "optional": more,
        }

    @classmethod
    def VALIDATE_INPUTS(cls, crop: str | None) -> bool | str:
        return crop_is_valid(crop)

    def run(self, source: Any, image_1: Any, labels: str, crop: str, **images: Any) -> tuple[Any]:
        from ..runtime.report.compare_models import compare_images
        from ..runtime.report.comparison_sheet import draw_sheet

        connected = {"image_1": image_1, **{name: image for name, image in sorted(images.items()) if image is not None}}
        typed_labels = [line.strip() for line in labels.replace("\n", ",").split(",")]
        names = [
            typed_labels[index] if index < len(typed_labels) and typed_labels[index] else name
            for index, name in enumerate(connected)
        ]
        versions = [_split_batch(image)[0][0] for image in connected.values()]
        comparison = compare_images(_split_batch(source)[0][0], list(zip(names, versions, strict=True)), crop, format_now())
        return (to_image_tensor(draw_sheet(comparison)),)


def crop_is_valid(crop: str | None) -> bool | str:
    """What VALIDATE_INPUTS answers for the text of a crop."""
    from ..runtime.report.crop_spec import parse_crop_specs

    try:
        parse_crop_specs(crop or "")
    except WorkflowError as error:
        return str(error)
    return True


def scores_are_known(scores: str | None) -> bool | str:
    """What VALIDATE_INPUTS answers for a list of scores."""
    try:
        parse_scores(scores or "")
    except WorkflowError as error:
        return str(error)
    return True


def comparison_target_is_valid(target: str | None) -> bool | str:
    """Models of different scales are compared at one size, so their own scale is no target here."""
    if target is None:
        return True
    if target.strip().lower() == MODEL_SCALE:
        return "Models of different scales are compared at one size. Use 4x, 2x, 8K or another target."
    try:
        compute_final_size(Size(1, 1), 1, target)
    except WorkflowError as error:
        return str(error)
    return True


def get_size(pixels: Pixels) -> Size:
    return Size(pixels.shape[1], pixels.shape[0])


def _split_batch(image: Any) -> list[tuple[Pixels, str]]:
    """Every image of an IMAGE as RGB, with what there is to say about it."""
    from ..runtime.report.compare_models import convert_to_rgb

    if image.ndim != 4 or not len(image):
        shape = " x ".join(str(length) for length in image.shape)
        raise WorkflowError(f"There is no image in {shape}.", "Connect the output of a node that gives images.")
    return [convert_to_rgb(one.detach().float().cpu().numpy()) for one in image]


def _get_dry_run_notes(backend: str) -> list[str]:
    return (
        ["A dry run: pixels were repeated, no model was asked. The numbers of the models mean nothing."]
        if backend == "null"
        else []
    )


def _get_source_file_name(source: Any) -> str:
    return f"{source.name}{source.suffix}" if source else ""


def join_folder(folder: str, name: str) -> str:
    """A file of a folder below the output folder, as the host wants it named."""
    folder_path = folder.strip().rstrip("/")
    return f"{folder_path}/{name}" if folder_path else name


def to_image_tensor(image: Any) -> Any:
    """An image of Pillow, RGB, as an IMAGE (1, H, W, 3)."""
    import numpy as np
    import torch

    pixels = np.asarray(image, np.float32) / np.float32(255)
    return torch.from_numpy(pixels)[None]  # pyright: ignore[reportUnknownMemberType]


def format_now() -> str:
    """The time here, to the minute."""
    return datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")


NODES: dict[str, tuple[type, str]] = {
    "ComparisonReport": (ComparisonReport, "Comparison Report"),
    "ComparisonSheet": (ComparisonSheet, "Comparison Sheet"),
}
