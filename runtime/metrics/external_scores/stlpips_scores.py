"""ST-LPIPS by the package of its authors, stlpips-pytorch: the learned distance whose package holds all of its weights."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch

from ...errors import HardwareMissing, MediaError
from ...media import Floats
from .score_table import Score


class _StLpipsLibrary:
    def __init__(self, metric: Any) -> None:
        self._metric = metric

    def measure(self, scores: Sequence[Score], image: Floats, reference: Floats | None) -> dict[str, float]:
        images = [torch.as_tensor(pixels).permute(2, 0, 1)[None] for pixels in (reference, image) if pixels is not None]
        try:
            with torch.inference_mode():
                distance = float(self._metric(*images, normalize=True))
        except (RuntimeError, ValueError) as error:
            raise MediaError(f"stlpips-pytorch could not compute it: {error}.") from error
        return {score.key: distance for score in scores}


def open_library() -> _StLpipsLibrary:
    """Load the metric with the features of AlexNet. Raises ``HardwareMissing`` if the package or what it imports is missing."""
    try:
        stlpips: Any = import_module("stlpips_pytorch.stlpips")
    except ImportError as error:
        raise HardwareMissing(
            f"The package {(error.name or 'stlpips_pytorch').split('.')[0]} is not installed.",
            "Install it with: pip install stlpips-pytorch torchsummary ipython (65 MB, weights included)",
            feature="stlpips-pytorch",
        ) from error
    return _StLpipsLibrary(stlpips.LPIPS(net="alex", variant="shift_tolerant", verbose=False))
