"""Scores of other libraries on one pair. No library is imported before it is asked for, and nothing is downloaded: a score
that cannot be had is a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from math import isfinite
from typing import Protocol, cast

import numpy as np

from ...errors import HardwareMissing, MediaError
from ..pairing import Floats, ImagePair, MeasuredImage, Pixels, pair_images
from .score_table import Score, ScoreLibraryName, ScoreResults

_MODULES: dict[ScoreLibraryName, str] = {"pyiqa": ".pyiqa_scores", "ffmpeg": ".vmaf"}
_BATCHED_LIBRARIES: frozenset[ScoreLibraryName] = frozenset({"ffmpeg"})
"""Libraries that compute several scores in one run; to the others each score is a network of its own, and may fail alone."""


class ScoreLibrary(Protocol):
    """One library."""

    def measure(self, scores: Sequence[Score], image: Floats, reference: Floats | None) -> dict[str, float]:
        """``picture`` and ``reference`` (h, w, 3), sRGB-encoded in 0..1, of one size; None for scores that know none.

        Returns the number of each score by its key. Raises ``HardwareMissing`` for a library or weights that are not here,
        ``MediaError`` where the library gives up.
        """
        ...


class ScoreRunner:
    """The scores that are wanted, of one picture after the other. A library stays open: opening one can take ten seconds."""

    def __init__(self, scores: Sequence[Score]) -> None:
        self._scores = tuple(scores)
        self._libraries: dict[ScoreLibraryName, ScoreLibrary] = {}
        self._missing_reasons: dict[str, str] = {}

    def measure_pair(self, reference: Pixels, image: Pixels) -> ScoreResults:
        """Those of one pair. Raises what ``paired`` raises; a score that cannot be had is a sentence in the result."""
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
        """The number of each score, or why there is none."""
        skipped = {score.key: why for score in group if (why := self._explain_skip(score, image))}
        measurable = [score for score in group if score.key not in skipped]
        return {**skipped, **(self._run_library(measurable, image, reference) if measurable else {})}

    def _explain_skip(self, score: Score, image: Floats) -> str | None:
        """Why it is not even asked for."""
        if score.key in self._missing_reasons:
            return self._missing_reasons[score.key]
        height, width = image.shape[:2]
        if min(height, width) >= score.min_side:
            return None
        return f"It needs {score.min_side} pixels on the shorter side; the picture has {width}x{height} there."

    def _run_library(self, scores: Sequence[Score], image: Floats, reference: Floats | None) -> dict[str, float | str]:
        """What their library answers."""
        try:
            numbers = self._get_library(scores[0].library).measure(scores, image, reference)
        except HardwareMissing as error:
            self._missing_reasons |= {score.key: str(error) for score in scores}
            return {score.key: str(error) for score in scores}
        except MediaError as error:
            return {score.key: str(error) for score in scores}
        no_number = "The library gave no number for this picture."
        return {key: value if isfinite(value) else no_number for key, value in numbers.items()}

    def _get_library(self, name: ScoreLibraryName) -> ScoreLibrary:
        if name not in self._libraries:
            self._libraries[name] = cast(ScoreLibrary, import_module(_MODULES[name], __package__).open_library())
        return self._libraries[name]


def _group_scores(scores: Sequence[Score]) -> list[list[Score]]:
    """Those of one library that are asked for together."""
    found: dict[str, list[Score]] = {}
    for score in scores:
        found.setdefault(score.library if score.library in _BATCHED_LIBRARIES else score.key, []).append(score)
    return list(found.values())


def _read_at_common_size(pair: ImagePair) -> tuple[Floats, Floats]:
    """Picture and reference, (h, w, 3) each, where they meet."""
    strips = list(pair.iter_strips())
    return _to_rgb(np.concatenate([strip.image for strip in strips])), _to_rgb(
        np.concatenate([one.reference for one in strips])
    )


def _read_whole_image(measured_image: MeasuredImage) -> Floats:
    return _to_rgb(measured_image.read_rows(0, measured_image.size.height))


def _to_rgb(pixels: Floats) -> Floats:
    rgb_pixels = pixels if pixels.shape[2] == 3 else pixels.repeat(3, 2)
    return np.clip(rgb_pixels, 0, 1)
