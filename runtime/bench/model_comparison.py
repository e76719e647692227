"""Run models on the crops of a comparison with the engine of Tiled Upscale, and measure what that costs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

import torch

from .. import report
from ..errors import ModelNotFound, WorkflowError
from ..media import Floats, Size
from ..metrics import Degradation, parse_scores
from ..models import UpscaleModel, find_entry, find_model, load_model, resolve_model_names
from ..progress import OpenProgress, Progress, ScaledProgress, open_silent_progress
from ..upscale import TiledUpscaleSettings, compute_final_size, resolve_settings, upscale_batch
from .measure import describe_machine, format_now, measure_cost

_STEPS_PER_CROP = 1000
"""Progress steps for each crop of each model."""
_STEPS_PER_MEASUREMENT = 50
"""Progress steps for measuring one result."""
_WARM_UP_SIDE = 32
_DRY_RUN_NOTE = "A dry run: pixels were repeated, no model was run. The numbers of the models mean nothing."


def make_compared_model(name: str, folders: Sequence[Path]) -> report.ComparedModel:
    """Describe a model of the catalog or a file; missing weights become its ``problem``."""
    entry = find_entry(name)
    title, good_for, licence = (entry.title, entry.good_for, entry.licence) if entry else (name, "", "")
    problem = ""
    try:
        find_model(name, folders)
    except ModelNotFound as error:
        # A report is read where the command may have another name: upscale8k after pip install.
        problem = f"Its weights are not here. {error.hint.replace('python -m runtime ', '')}"
    return report.ComparedModel(name, title, good_for=good_for, licence=licence, problem=problem)


def list_compared_models(models: str, folders: Sequence[Path]) -> list[report.ComparedModel]:
    """Describe every model of a list. Raises what ``resolve_model_names`` raises."""
    return [make_compared_model(name, folders) for name in resolve_model_names(models, folders)]


def split_batch(image: torch.Tensor) -> list[tuple[Floats, str]]:
    """Return every image of an IMAGE (B, H, W, C) as RGB (H, W, 3), and a note about what was dropped.

    Raises ``WorkflowError`` for an empty batch.
    """
    if image.ndim != 4 or not len(image):
        shape = " x ".join(str(length) for length in image.shape)
        raise WorkflowError(f"There is no image in {shape}.", "Connect the output of a node that gives images.")
    return [report.convert_to_rgb(one.detach().float().cpu().numpy()) for one in image]


def run_comparison(
    image: torch.Tensor,
    source_name: str,
    models: str,
    crop: str,
    scores: str,
    settings: TiledUpscaleSettings,
    folders: Sequence[Path],
    open_progress: OpenProgress,
    truth: Degradation | None = None,
    free_memory: Callable[[str, int], object] | None = None,
) -> report.ModelComparison:
    """Upscale the crops of every image with every model and with the baselines, and measure the results.

    With ``truth`` the crops are originals: they are reduced by the factor that is the target, damaged, restored by every model
    and measured against themselves. ``free_memory`` of the host is called before each model. Raises ``WorkflowError`` for an
    image, a crop or a target that cannot be compared.
    """
    images = split_batch(image)
    crops, originals = report.cut_crops([pixels for pixels, _ in images], crop), list[Floats]()
    if truth is not None:
        crops, originals = report.reduce_originals(crops, _parse_factor(settings.target), truth)
    sizes = [compute_final_size(_get_size(pixels), 1, settings.target) for _, pixels in crops]
    requested_models = list_compared_models(models, folders)
    machine_line, machine_facts = describe_machine(settings.device)
    runnable_count = sum(not one.problem for one in requested_models)
    steps = len(crops) * (runnable_count * _STEPS_PER_CROP + (runnable_count + len(report.BASELINES)) * _STEPS_PER_MEASUREMENT)
    with open_progress(steps, "step") as progress:
        compared_models, compared_crops = report.compare_models(
            crops,
            sizes,
            requested_models,
            _CropUpscaler(settings, folders, progress, free_memory),
            ScaledProgress(progress, 1, _STEPS_PER_MEASUREMENT),
            parse_scores(scores),
            originals,
        )
    notes = [_DRY_RUN_NOTE if settings.backend == "null" else "", *(note for _, note in images)]
    if truth is not None:
        notes.append(f"Each crop is an original: models got it reduced by area in linear light{truth.describe()}.")
    return report.ModelComparison(
        source=source_name,
        size=_get_size(images[0][0]),
        target=settings.target,
        models=compared_models,
        crops=compared_crops,
        machine=machine_line,
        date=format_now(),
        notes=tuple(dict.fromkeys(note for note in notes if note)),
        settings={**asdict(settings), "crop": crop, "scores": scores, "machine": machine_facts},
    )


def _parse_factor(target: str) -> int:
    factor = target.strip().lower().removesuffix("x")
    if factor not in {"2", "3", "4", "8"}:
        raise WorkflowError(
            f"{target} is not a factor, and an original is reduced by the factor that is the target.", "Use 2x, 3x, 4x or 8x."
        )
    return int(factor)


def _get_size(pixels: Floats) -> Size:
    return Size(pixels.shape[1], pixels.shape[0])


class _CropUpscaler:
    """Runs one model on all crops and measures time and memory of each."""

    def __init__(
        self,
        settings: TiledUpscaleSettings,
        folders: Sequence[Path],
        progress: Progress,
        free_memory: Callable[[str, int], object] | None,
    ) -> None:
        self._settings, self._free_memory = settings, free_memory
        self._folders = folders
        self._progress = progress

    def __call__(self, model: report.ComparedModel, crops: Sequence[Floats]) -> Iterator[report.UpscaledCrop]:
        self._progress.message(f"{model.title}: {len(crops)} crop{'s' if len(crops) > 1 else ''}")
        descriptor = load_model(find_model(model.id, self._folders))
        upscale_model = UpscaleModel.from_descriptor(descriptor)
        resolved = resolve_settings(upscale_model, self._settings, self._free_memory)
        tiling = resolved.tiling
        exact = upscale_model.exact_halo is not None and tiling.halo >= upscale_model.exact_halo
        upscale_batch(
            torch.zeros(1, _WARM_UP_SIDE, _WARM_UP_SIDE, 3), descriptor, self._settings, open_silent_progress, resolved
        )
        for pixels in crops:
            batch = torch.from_numpy(pixels)[None]  # pyright: ignore[reportUnknownMemberType]
            with measure_cost(resolved.device) as cost:
                result = upscale_batch(batch, descriptor, self._settings, self._open_crop_progress, resolved)[0].numpy()
            megapixels = result.shape[0] * result.shape[1] / 1e6
            effective_tile = 0 if exact or tiling.tile + 2 * tiling.aligned_halo >= max(pixels.shape[:2]) else tiling.tile
            yield report.UpscaledCrop(
                result, report.UpscaleCost(cost.seconds, megapixels, cost.peak_bytes, effective_tile, tiling.aligned_halo)
            )

    def _open_crop_progress(self, total: int, unit: str) -> AbstractContextManager[Progress]:
        return nullcontext(ScaledProgress(self._progress, total, _STEPS_PER_CROP))


def compare_given_images(
    source: torch.Tensor, images: Sequence[torch.Tensor], names: Sequence[str], labels: str, crop: str
) -> report.ModelComparison:
    """Compare the first image of each batch with the first of ``source``; ``labels`` (with commas) replace ``names``."""
    typed_labels = [line.strip() for line in labels.replace("\n", ",").split(",")]
    titles = [
        typed_labels[index] if index < len(typed_labels) and typed_labels[index] else name for index, name in enumerate(names)
    ]
    versions = [split_batch(image)[0][0] for image in images]
    return report.compare_images(split_batch(source)[0][0], list(zip(titles, versions, strict=True)), crop, format_now())
