"""Run every model on every crop, and measure each result against its crop.

The baselines, bicubic and Lanczos by Pillow, work on encoded values as image editors do.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import Cancelled, OutputError, Upscale8KError, WorkflowError
from ..media import Floats, Region, Size
from ..metrics import Degradation, Score, ScoreRunner, measure_artifacts, measure_drift, measure_fidelity
from ..progress import Progress
from .comparison import ComparedCrop, ComparedModel, MeasuredCrop, ModelComparison, UpscaleCost, UpscaledCrop
from .crops import Crop, resolve_crops

Upscaler = Callable[[ComparedModel, Sequence[Floats]], Iterator[UpscaledCrop]]
"""Gives the result of one model for each crop, in order. Every result of one crop has the same size."""

BASELINES = (
    ComparedModel("bicubic", "Bicubic", baseline=True, good_for="a baseline: no model, invents nothing"),
    ComparedModel(
        "lanczos", "Lanczos", baseline=True, good_for="a baseline: no model, sharper than bicubic, rings a little more"
    ),
)
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}


def enlarge_with_baseline(pixels: Floats, size: Size, baseline_id: str) -> Floats:
    """Resize (H, W, 3) float32 to ``size``, clipped to 0..1. ``baseline_id`` is the id of one of ``BASELINES``."""
    out = np.empty((size.height, size.width, pixels.shape[2]), np.float32)
    for channel in range(pixels.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(pixels[:, :, channel], np.float32))
        out[:, :, channel] = np.asarray(plane.resize((size.width, size.height), _FILTERS[baseline_id]))
    return np.clip(out, 0, 1, out=out)


def convert_to_rgb(image: Floats) -> tuple[Floats, str]:
    """Return (H, W, 3) of an image with 1 to 4 channels, and a note about what was dropped.

    Raises:
        WorkflowError: another number of channels, an empty image, NaN or infinity.
    """
    channels = image.shape[2]
    if channels not in (1, 2, 3, 4):
        raise WorkflowError(f"The image has {channels} channels.", "Give grey, grey with alpha, RGB or RGBA: 1 to 4 channels.")
    if image.size == 0:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise WorkflowError(f"The image is empty: {size} pixels.", "Choose a crop that holds at least one pixel.")
    if not np.isfinite(image).all():
        raise WorkflowError("The image holds NaN or infinite values.", "Check the node that made it: its result is invalid.")
    colors = image[:, :, : 1 if channels < 3 else 3]
    note = "Transparency is ignored: colors are compared." if channels in (2, 4) else ""
    return np.array(np.broadcast_to(colors, (*colors.shape[:2], 3)), np.float32), note


def cut_crops(images: Sequence[Floats], text: str) -> list[tuple[Crop, Floats]]:
    """Return the crops of each image with their pixels; for several images the names begin with their number."""
    found: list[tuple[Crop, Floats]] = []
    for number, pixels in enumerate(images, 1):
        for crop in resolve_crops(pixels, text):
            numbered_crop = replace(crop, name=f"image {number}, {crop.name}") if len(images) > 1 else crop
            found.append((numbered_crop, np.ascontiguousarray(pixels[crop.region.rows, crop.region.columns])))
    return found


def reduce_originals(
    crops: Sequence[tuple[Crop, Floats]], factor: int, degradation: Degradation
) -> tuple[list[tuple[Crop, Floats]], list[Floats]]:
    """Take crops for originals: return them reduced by ``factor``, and the originals, cut to multiples of it.

    Raises:
        WorkflowError: a crop is smaller than ``factor`` pixels.
    """
    reduced: list[tuple[Crop, Floats]] = []
    originals: list[Floats] = []
    for crop, pixels in crops:
        height, width = (length // factor * factor for length in pixels.shape[:2])
        if not height or not width:
            raise WorkflowError(f"The crop {crop.name} is too small to be reduced {factor} times.", "Choose a larger crop.")
        originals.append(np.ascontiguousarray(pixels[:height, :width]))
        reduced.append((crop, degradation.reduce(originals[-1], factor)))
    return reduced, originals


def compare_models(
    crops: Sequence[tuple[Crop, Floats]],
    sizes: Sequence[Size],
    models: Sequence[ComparedModel],
    upscale: Upscaler,
    progress: Progress,
    scores: Sequence[Score] = (),
    originals: Sequence[Floats | None] = (),
) -> tuple[tuple[ComparedModel, ...], tuple[ComparedCrop, ...]]:
    """Run the baselines and every model without a problem; ``sizes`` are those of the results, one for each crop.

    With ``originals``, one for each crop and of the size of its results, every result is also measured against its original.

    A model that fails gets its sentence as its problem and is left out of every crop; the rest goes on. Raises ``Cancelled``,
    and what is not an error of ours.
    """
    scoring = ScoreRunner(scores)
    compared_crops = tuple(
        ComparedCrop(crop, pixels, {}, original)
        for (crop, pixels), original in zip(crops, originals or [None] * len(crops), strict=True)
    )
    compared_models: list[ComparedModel] = []
    for model in (*models, *BASELINES):
        problem = model.problem or _run_model(model, compared_crops, sizes, upscale, scoring, progress)
        compared_models.append(replace(model, problem=problem))
    return tuple(compared_models), compared_crops


def _run_model(
    model: ComparedModel,
    compared_crops: Sequence[ComparedCrop],
    sizes: Sequence[Size],
    upscale: Upscaler,
    scoring: ScoreRunner,
    progress: Progress,
) -> str:
    upscale_crops = _make_baseline_upscaler(sizes) if model.baseline else upscale
    try:
        for compared_crop, upscaled_crop in zip(
            compared_crops, upscale_crops(model, [compared_crop.source for compared_crop in compared_crops]), strict=True
        ):
            result = measure_result(compared_crop.source, upscaled_crop, scoring, compared_crop.original)
            compared_crop.results[model.id] = _spill_to_disk(result)
            progress.advance()
    except Cancelled:
        raise
    except Upscale8KError as error:
        for compared_crop in compared_crops:
            compared_crop.results.pop(model.id, None)
        progress.message(f"{model.id} is left out: {error}")
        return str(error)
    return ""


def _spill_to_disk(result: MeasuredCrop) -> MeasuredCrop:
    """Move the image to a temporary file that is deleted with its last reader: eight results at 8K are 3 GB."""
    try:
        with tempfile.TemporaryFile() as file:
            np.ascontiguousarray(result.image, np.float32).tofile(file)
            mapped = np.memmap(file, np.float32, "r", shape=result.image.shape)
    except OSError as error:
        folder = Path(tempfile.gettempdir())
        raise OutputError(
            f"A temporary result cannot be written to {folder}: {error.strerror or error}.",
            "Free disk space, or set TMPDIR to a folder on another disk.",
            path=folder,
        ) from error
    return replace(result, image=mapped)


def measure_result(
    source: Floats, upscaled_crop: UpscaledCrop, scoring: ScoreRunner, original: Floats | None = None
) -> MeasuredCrop:
    """Measure one result. Raises ``WorkflowError`` if its proportions differ from those of the source."""
    return MeasuredCrop(
        upscaled_crop.image,
        upscaled_crop.cost,
        measure_drift(source, upscaled_crop.image),
        measure_drift(source, upscaled_crop.image, "low-frequency"),
        measure_artifacts(
            source, upscaled_crop.image, *((upscaled_crop.cost.tile, upscaled_crop.cost.halo) if upscaled_crop.cost else ())
        ),
        scoring.measure_pair(source if original is None else original, upscaled_crop.image),
        None if original is None else measure_fidelity(original, upscaled_crop.image),
    )


def compare_images(source: Floats, images: Sequence[tuple[str, Floats]], crop_text: str, date: str) -> ModelComparison:
    """Compare existing images: ``source`` (H, W, 3), and named (h, w, 3) of any size.

    Raises:
        WorkflowError: the proportions of an image differ from those of the source.
    """
    size = Size(source.shape[1], source.shape[0])
    scoring = ScoreRunner(())
    models = tuple(ComparedModel(f"{number}", name) for number, (name, _) in enumerate(images, 1))
    compared_crops: list[ComparedCrop] = []
    for selected_crop, pixels in cut_crops([source], crop_text):
        results = {
            model.id: measure_result(
                pixels, UpscaledCrop(_cut_matching_region(image, selected_crop.region, size, model.title), None), scoring
            )
            for model, (_, image) in zip(models, images, strict=True)
        }
        compared_crops.append(ComparedCrop(selected_crop, pixels, results))
    return ModelComparison("", size, "their own sizes", models, tuple(compared_crops), "", date)


def _cut_matching_region(image: Floats, region: Region, size: Size, name: str) -> Floats:
    """Cut from an upscaled image what corresponds to ``region`` of the source."""
    scale_x, scale_y = image.shape[1] / size.width, image.shape[0] / size.height
    if abs(scale_x - scale_y) * max(size.width, size.height) > 1.5:
        raise WorkflowError(
            f"{name} ({image.shape[1]}x{image.shape[0]}) has other proportions than the source ({size}).",
            "Connect images that were made from this source, not cropped.",
        )
    rows = slice(round(region.y * scale_y), max(round(region.bottom * scale_y), 1))
    columns = slice(round(region.x * scale_x), max(round(region.right * scale_x), 1))
    return np.ascontiguousarray(image[rows, columns])


def _make_baseline_upscaler(sizes: Sequence[Size]) -> Upscaler:
    def upscale_crops(model: ComparedModel, crops: Sequence[Floats]) -> Iterator[UpscaledCrop]:
        for pixels, size in zip(crops, sizes, strict=True):
            began = time.perf_counter()
            image = enlarge_with_baseline(pixels, size, model.id)
            yield UpscaledCrop(image, UpscaleCost(time.perf_counter() - began, size.pixel_count / 1e6, None, 0))

    return upscale_crops
