"""A small comparison whose numbers are known, and names that want to be more than names."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from skimage import data
from upscale8k.runtime.errors import OutOfMemory
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.metrics import Degradation
from upscale8k.runtime.report.comparison import ComparedModel, ModelComparison, UpscaleCost, UpscaledCrop
from upscale8k.runtime.report.model_runs import compare_models, cut_crops, enlarge_with_baseline, reduce_originals

from ..told import Told

HOSTILE = "<img src=x onerror=alert(1)>|[a](javascript:b) \"'`*_</script>"


def tinted(pixels: np.ndarray) -> np.ndarray:
    """Twice as large by Lanczos, and a little redder."""
    size = Size(pixels.shape[1] * 2, pixels.shape[0] * 2)
    return np.clip(enlarge_with_baseline(pixels, size, "lanczos") + np.array([0.05, 0, 0], np.float32), 0, 1)


def upscale(model: ComparedModel, crops: Sequence[np.ndarray]) -> Iterator[UpscaledCrop]:
    """``red`` tints, ``plain`` is Lanczos and slow, ``full`` runs out of memory on its second crop."""
    for number, pixels in enumerate(crops):
        if model.id == "full" and number:
            raise OutOfMemory("It does not fit.", "Use a smaller tile.", device="cpu", tile=32)
        size = Size(pixels.shape[1] * 2, pixels.shape[0] * 2)
        image = tinted(pixels) if model.id == "red" else enlarge_with_baseline(pixels, size, "lanczos")
        seconds = {"red": 0.5, "plain": 5.0}.get(model.id, 1.0)
        yield UpscaledCrop(image, UpscaleCost(seconds, size.pixel_count / 1e6, 1_000_000, 0))


@pytest.fixture(scope="session")
def photograph() -> np.ndarray:
    """(200, 300, 3) float32 of the coffee cup that scikit-image carries."""
    return np.ascontiguousarray(data.coffee()[50:250, 100:400], np.float32) / 255


@pytest.fixture(scope="session")
def make(photograph: np.ndarray) -> Callable[..., ModelComparison]:
    def comparison(
        text: str = "centre:48x40",
        names: Sequence[str] = ("red", "plain"),
        source: str = "cup.png",
        truth: Degradation | None = None,
    ) -> ModelComparison:
        models = [ComparedModel(name, name.title(), good_for=f"whatever is {name}") for name in names]
        models.append(ComparedModel("gone", "Gone", problem="Its weights are not here. Get them with: models pull gone"))
        crops, originals = cut_crops([photograph], text), []
        if truth:
            crops, originals = reduce_originals(crops, 2, truth)
        sizes = [Size(pixels.shape[1] * 2, pixels.shape[0] * 2) for _, pixels in crops]
        compared, cases = compare_models(crops, sizes, models, upscale, Told(), originals=originals)
        return ModelComparison(source, Size(300, 200), "2x", compared, cases, "a machine", "2026-11-23")

    return comparison
