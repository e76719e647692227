"""The values of a comparison: who takes part, what each made of each crop, and what that cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media.geometry import Size
from ..metrics.artifacts import Artifacts
from ..metrics.drift import Drift
from ..metrics.external_scores.score_table import ScoreResults
from .crops import Crop

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ComparedModel:
    """A model or a base line."""

    id: str
    """What ``-m`` takes; for a base line its name."""
    title: str
    baseline: bool = False
    good_for: str = ""
    licence: str = ""
    problem: str = ""
    """Why it cannot take part, with the next step; empty when it can."""


@dataclass(frozen=True)
class UpscaleCost:
    """Of upscaling one crop: everything from the pixels in memory to the pixels in memory."""

    seconds: float
    megapixels: float
    """Of the result."""
    peak_bytes: int | None
    """What it took at its highest beyond what was held before: device memory on a GPU, resident memory otherwise. None where
    that cannot be told."""
    tile: int
    """Side of a tile in source pixels; 0 where no seam can be: there were no tiles, or they equal the whole exactly."""
    halo: int = 0
    """Around each tile, in source pixels."""


@dataclass(frozen=True, eq=False)
class UpscaledCrop:
    """What an upscaler gives: (h, w, 3) in 0..1 and the cost of it."""

    image: Floats
    cost: UpscaleCost | None


@dataclass(frozen=True, eq=False)
class MeasuredCrop:
    """One picture with all its numbers, against the crop that it was made from."""

    image: Floats
    cost: UpscaleCost | None
    drift: Drift
    area_drift: Drift
    """Of low frequencies only: the colour of areas, not of detail."""
    artifacts: Artifacts
    scores: ScoreResults = field(default_factory=ScoreResults)
    """Those of other libraries that were asked for."""


@dataclass(frozen=True, eq=False)
class ComparedCrop:
    """One crop. ``results`` has each contender that could run, by its id."""

    crop: Crop
    source: Floats
    """(H, W, 3) in 0..1."""
    results: dict[str, MeasuredCrop]


@dataclass(frozen=True, eq=False)
class ModelComparison:
    """Everything that the report shows."""

    source: str
    """Name of the picture."""
    size: Size
    """Of the whole picture."""
    target: str
    models: tuple[ComparedModel, ...]
    crops: tuple[ComparedCrop, ...]
    machine: str
    """In one line."""
    date: str
    notes: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def remarks(self) -> tuple[str, ...]:
        """All that should be known before the numbers are read, each once."""
        return tuple(dict.fromkeys(note for note in (*self.notes, *(case.crop.note for case in self.crops)) if note))

    @property
    def missing_scores(self) -> tuple[str, ...]:
        """Which scores that were asked for could not be had, and why; each reason once."""
        results = (result for case in self.crops for result in case.results.values())
        return tuple(dict.fromkeys(line for result in results for line in result.scores.missing))

    @property
    def completed(self) -> tuple[ComparedModel, ...]:
        """Those that have a result for every crop."""
        return tuple(one for one in self.models if all(one.id in case.results for case in self.crops))

    @property
    def baselines_first(self) -> tuple[ComparedModel, ...]:
        """In the order in which pictures are looked at: from the plainest on."""
        return tuple(sorted(self.completed, key=lambda one: not one.baseline))

    @property
    def failed(self) -> tuple[ComparedModel, ...]:
        return tuple(one for one in self.models if one.problem)
