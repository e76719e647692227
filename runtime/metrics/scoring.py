"""Scores of other libraries on one pair. No library is imported before it is asked for, and nothing is downloaded: a score
that cannot be had is a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from math import isfinite
from typing import Protocol, cast

import numpy as np

from ..errors import HardwareMissing, MediaError
from .pictures import Floats, Measured, Pair, Pixels, paired
from .scores import Library, Score, Scored

_MODULES: dict[Library, str] = {"pyiqa": ".pyiqa_scores", "ffmpeg": ".vmaf"}
_AT_ONCE: frozenset[Library] = frozenset({"ffmpeg"})
"""Libraries that compute several scores in one run; to the others each score is a network of its own, and may fail alone."""


class Scorer(Protocol):
    """One library."""

    def measure(self, scores: Sequence[Score], picture: Floats, reference: Floats | None) -> dict[str, float]:
        """``picture`` and ``reference`` (h, w, 3), sRGB-encoded in 0..1, of one size; None for scores that know none.

        Returns the number of each score by its key. Raises ``HardwareMissing`` for a library or weights that are not here,
        ``MediaError`` where the library gives up.
        """
        ...


class Scoring:
    """The scores that are wanted, of one picture after the other. A library stays open: opening one can take ten seconds."""

    def __init__(self, wanted: Sequence[Score]) -> None:
        self._wanted = tuple(wanted)
        self._libraries: dict[Library, Scorer] = {}
        self._absent: dict[str, str] = {}

    def of(self, reference: Pixels, picture: Pixels) -> Scored:
        """Those of one pair. Raises what ``paired`` raises; a score that cannot be had is a sentence in the result."""
        pair = paired(reference, picture)
        found: dict[str, float | str] = {}
        for with_reference in (True, False):
            scores = [score for score in self._wanted if score.with_reference == with_reference]
            if scores:
                seen = _met(pair) if with_reference else (_whole(pair.picture), None)
                for group in _groups(scores):
                    found |= self._measured(group, *seen)
        missing: dict[str, list[str]] = {}
        for score in self._wanted:
            if isinstance(why := found[score.key], str):
                missing.setdefault(why, []).append(score.title)
        return Scored(
            {key: value for key, value in found.items() if not isinstance(value, str)},
            tuple(f"Not measured: {', '.join(titles)}. {why}" for why, titles in missing.items()),
        )

    def _measured(self, group: Sequence[Score], picture: Floats, reference: Floats | None) -> dict[str, float | str]:
        """The number of each score, or why there is none."""
        hindered = {score.key: why for score in group if (why := self._hindrance(score, picture))}
        able = [score for score in group if score.key not in hindered]
        return {**hindered, **(self._asked(able, picture, reference) if able else {})}

    def _hindrance(self, score: Score, picture: Floats) -> str | None:
        """Why it is not even asked for."""
        if score.key in self._absent:
            return self._absent[score.key]
        height, width = picture.shape[:2]
        if min(height, width) >= score.smallest:
            return None
        return f"It needs {score.smallest} pixels on the shorter side; the picture has {width}x{height} there."

    def _asked(self, scores: Sequence[Score], picture: Floats, reference: Floats | None) -> dict[str, float | str]:
        """What their library answers."""
        try:
            numbers = self._library(scores[0].library).measure(scores, picture, reference)
        except HardwareMissing as error:
            self._absent |= {score.key: str(error) for score in scores}
            return {score.key: str(error) for score in scores}
        except MediaError as error:
            return {score.key: str(error) for score in scores}
        nothing = "The library gave no number for this picture."
        return {key: value if isfinite(value) else nothing for key, value in numbers.items()}

    def _library(self, name: Library) -> Scorer:
        if name not in self._libraries:
            self._libraries[name] = cast(Scorer, import_module(_MODULES[name], __package__).open_library())
        return self._libraries[name]


def _groups(scores: Sequence[Score]) -> list[list[Score]]:
    """Those of one library that are asked for together."""
    found: dict[str, list[Score]] = {}
    for score in scores:
        found.setdefault(score.library if score.library in _AT_ONCE else score.key, []).append(score)
    return list(found.values())


def _met(pair: Pair) -> tuple[Floats, Floats]:
    """Picture and reference, (h, w, 3) each, where they meet."""
    strips = list(pair.strips())
    return _rgb(np.concatenate([strip.picture for strip in strips])), _rgb(np.concatenate([one.reference for one in strips]))


def _whole(measured: Measured) -> Floats:
    return _rgb(measured.rows(0, measured.size.height))


def _rgb(pixels: Floats) -> Floats:
    shown = pixels if pixels.shape[2] == 3 else pixels.repeat(3, 2)
    return np.clip(shown, 0, 1)
