"""Compute scores of external libraries on pairs of images. A library is imported when first needed, nothing is downloaded, and
a score that is not available is explained in the result."""

from collections.abc import Sequence
from importlib import import_module
from math import isfinite
from typing import Protocol, cast

import numpy as np

from ...errors import HardwareMissing, MediaError
from ...media import Floats, Pixels
from ..pairing import ImagePair, MeasuredImage, pair_images
from .score_table import Score, ScoreLibraryName, ScoreResults

_MODULES: dict[ScoreLibraryName, str] = {"pyiqa": ".pyiqa_scores", "ffmpeg": ".vmaf", "stlpips": ".stlpips_scores"}
_BATCHED_LIBRARIES: frozenset[ScoreLibraryName] = frozenset({"ffmpeg"})
"""Libraries that compute several scores in one run; for the others each score is a network of its own and can fail alone."""


class ScoreLibrary(Protocol):
    """An external library."""

    def measure(self, scores: Sequence[Score], image: Floats, reference: Floats | None) -> dict[str, float]:
        """Compute scores of ``image`` and ``reference``, (h, w, 3) of one size, sRGB-encoded in 0..1.

        ``reference`` is None for scores without a reference. Returns the value of each score by its key.

        Raises:
            HardwareMissing: the library or its weights are missing.
            MediaError: the library fails.
        """
        ...


class ScoreRunner:
    """Compute the same scores of several images. Libraries stay open, because opening one can take ten seconds."""

    def __init__(self, scores: Sequence[Score]) -> None:
        self._scores = tuple(scores)
        self._libraries: dict[ScoreLibraryName, ScoreLibrary] = {}
        self._missing_reasons: dict[str, str] = {}

    def measure_pair(self, reference: Pixels, image: Pixels) -> ScoreResults:
        """Compute the scores of a pair; those not available are explained in the result. Raises as ``pair_images``."""
        pair = pair_images(reference, image)
        found: dict[str, float | str] = {}
        for with_reference in (True, False):
            scores = [score for score in self._scores if score.with_reference == with_reference]
            if scores:
                score_inputs = _read_at_common_size(pair) if with_reference else (_read_whole_image(pair.image), None)
                for group in _group_scores(scores):
                    found |= self._measure_group(group, *score_inputs)
        missing: dict[str, list[str]] = {}
        for score in self._scores:
            if isinstance(why := found[score.key], str):
                missing.setdefault(why, []).append(score.title)
        return ScoreResults(
            {key: value for key, value in found.items() if not isinstance(value, str)},
            tuple(f"Not measured: {', '.join(titles)}. {why}" for why, titles in missing.items()),
        )

    def _measure_group(self, group: Sequence[Score], image: Floats, reference: Floats | None) -> dict[str, float | str]:
        """Return the value of each score, or why there is none."""
        skipped = {score.key: why for score in group if (why := self._explain_skip(score, image))}
        measurable = [score for score in group if score.key not in skipped]
        return {**skipped, **(self._run_library(measurable, image, reference) if measurable else {})}

    def _explain_skip(self, score: Score, image: Floats) -> str | None:
        """Return why the score cannot be computed, or None."""
        if score.key in self._missing_reasons:
            return self._missing_reasons[score.key]
        height, width = image.shape[:2]
        if min(height, width) >= score.min_side:
            return None
        return f"It needs {score.min_side} pixels on the shorter side; the image is compared at {width}x{height}."

    def _run_library(self, scores: Sequence[Score], image: Floats, reference: Floats | None) -> dict[str, float | str]:
        """Return what the library of ``scores`` computes, or why it cannot."""
        try:
            numbers = self._get_library(scores[0].library).measure(scores, image, reference)
        except HardwareMissing as error:
            self._missing_reasons |= {score.key: str(error) for score in scores}
            return {score.key: str(error) for score in scores}
        except MediaError as error:
            return {score.key: str(error) for score in scores}
        no_number = "The library returned no number for this image."
        return {key: value if isfinite(value) else no_number for key, value in numbers.items()}

    def _get_library(self, name: ScoreLibraryName) -> ScoreLibrary:
        if name not in self._libraries:
            self._libraries[name] = cast(ScoreLibrary, import_module(_MODULES[name], __package__).open_library())
        return self._libraries[name]


def _group_scores(scores: Sequence[Score]) -> list[list[Score]]:
    """Group the scores that are computed together."""
    found: dict[str, list[Score]] = {}
    for score in scores:
        found.setdefault(score.library if score.library in _BATCHED_LIBRARIES else score.key, []).append(score)
    return list(found.values())


def _read_at_common_size(pair: ImagePair) -> tuple[Floats, Floats]:
    """Return image and reference, (h, w, 3) each, at their common size."""
    strips = list(pair.iter_strips())
    image, reference = [strip.image for strip in strips], [strip.reference for strip in strips]
    return _to_rgb(np.concatenate(image)), _to_rgb(np.concatenate(reference))


def _read_whole_image(measured_image: MeasuredImage) -> Floats:
    return _to_rgb(measured_image.read_rows(0, measured_image.size.height))


def _to_rgb(pixels: Floats) -> Floats:
    rgb_pixels = pixels if pixels.shape[2] == 3 else pixels.repeat(3, 2)
    return np.clip(rgb_pixels, 0, 1)
