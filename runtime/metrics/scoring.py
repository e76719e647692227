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


class Scorer(Protocol):
    """One library."""

    def measure(self, score: Score, picture: Floats, reference: Floats | None) -> float:
        """``picture`` and ``reference`` (h, w, 3), sRGB-encoded in 0..1, of one size; None for a score that knows none.

        Raises ``HardwareMissing`` for a library or weights that are not here, ``MediaError`` where the library gives up.
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
        values: dict[str, float] = {}
        missing: dict[str, list[str]] = {}
        for with_reference in (True, False):
            scores = [score for score in self._wanted if score.with_reference == with_reference]
            if not scores:
                continue
            seen = _met(pair) if with_reference else (_whole(pair.picture), None)
            for score in scores:
                found = self._absent.get(score.key) or self._one(score, *seen)
                if isinstance(found, str):
                    missing.setdefault(found, []).append(score.title)
                else:
                    values[score.key] = found
        return Scored(values, tuple(f"Not measured: {', '.join(titles)}. {why}" for why, titles in missing.items()))

    def _one(self, score: Score, picture: Floats, reference: Floats | None) -> float | str:
        """The number, or why there is none."""
        height, width = picture.shape[:2]
        if min(height, width) < score.smallest:
            return f"It needs {score.smallest} pixels on the shorter side; the picture has {width}x{height} there."
        try:
            value = self._library(score.library).measure(score, picture, reference)
        except HardwareMissing as error:
            self._absent[score.key] = str(error)
            return str(error)
        except MediaError as error:
            return str(error)
        return value if isfinite(value) else "The library gave no number for this picture."

    def _library(self, name: Library) -> Scorer:
        if name not in self._libraries:
            self._libraries[name] = cast(Scorer, import_module(_MODULES[name], __package__).open_library())
        return self._libraries[name]


def _met(pair: Pair) -> tuple[Floats, Floats]:
    """Picture and reference, (h, w, 3) each, where they meet."""
    strips = list(pair.strips())
    return _rgb(np.concatenate([strip.picture for strip in strips])), _rgb(np.concatenate([one.reference for one in strips]))


def _whole(measured: Measured) -> Floats:
    return _rgb(measured.rows(0, measured.size.height))


def _rgb(pixels: Floats) -> Floats:
    shown = pixels if pixels.shape[2] == 3 else pixels.repeat(3, 2)
    return np.clip(shown, 0, 1)
