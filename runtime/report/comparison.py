"""The values of a comparison: models, their result for each crop, and the cost."""

from dataclasses import dataclass, field
from typing import Any

from ..media import Floats, Size
from ..metrics import Artifacts, Drift, Fidelity, ScoreResults
from .crops import Crop


@dataclass(frozen=True)
class ComparedModel:
    """A model or a baseline."""

    id: str
    """The value of ``-m``, or the name of a baseline."""
    title: str
    baseline: bool = False
    good_for: str = ""
    licence: str = ""
    problem: str = ""
    """Why it cannot run, and the next step; empty if it can."""


@dataclass(frozen=True)
class UpscaleCost:
    """Of upscaling one crop: everything from the pixels in memory to the pixels in memory."""

    seconds: float
    megapixels: float
    """Of the result."""
    peak_bytes: int | None
    """Peak beyond the memory in use before: device memory on a GPU, resident memory otherwise. None if unknown."""
    tile: int
    """Side of a tile in source pixels; 0 where no seam can be: there were no tiles, or they equal the whole exactly."""
    halo: int = 0
    """Around each tile, in source pixels."""


@dataclass(frozen=True, eq=False)
class UpscaledCrop:
    """The result of an upscaler, (h, w, 3) in 0..1, and its cost."""

    image: Floats
    cost: UpscaleCost | None


@dataclass(frozen=True, eq=False)
class MeasuredCrop:
    """A result with all its numbers, measured against its crop."""

    image: Floats
    cost: UpscaleCost | None
    drift: Drift
    area_drift: Drift
    """Of low frequencies only: the color of areas, not of detail."""
    artifacts: Artifacts
    scores: ScoreResults = field(default_factory=ScoreResults)
    """The requested scores of external libraries."""
    fidelity: Fidelity | None = None
    """Against the true original, where there is one."""


@dataclass(frozen=True, eq=False)
class ComparedCrop:
    """One crop. ``results`` has each model that ran, by its id."""

    crop: Crop
    source: Floats
    """(H, W, 3) in 0..1."""
    results: dict[str, MeasuredCrop]
    original: Floats | None = None
    """The true original, of the size of the results, that ``source`` was reduced from."""


@dataclass(frozen=True, eq=False)
class ModelComparison:
    """The contents of the report."""

    source: str
    """Name of the image."""
    size: Size
    """Of the whole image."""
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
        """The notes of the comparison and of its crops, each once."""
        return tuple(dict.fromkeys(note for note in (*self.notes, *(case.crop.note for case in self.crops)) if note))

    @property
    def has_originals(self) -> bool:
        """Whether the results were measured against true originals."""
        return any(case.original is not None for case in self.crops)

    @property
    def missing_scores(self) -> tuple[str, ...]:
        """Which requested scores are not available, and why; each reason once."""
        results = (result for case in self.crops for result in case.results.values())
        return tuple(dict.fromkeys(line for result in results for line in result.scores.missing))

    @property
    def completed(self) -> tuple[ComparedModel, ...]:
        """The models and baselines that have a result for every crop."""
        return tuple(one for one in self.models if all(one.id in case.results for case in self.crops))

    @property
    def baselines_first(self) -> tuple[ComparedModel, ...]:
        """Those completed, baselines first."""
        return tuple(sorted(self.completed, key=lambda one: not one.baseline))

    @property
    def failed(self) -> tuple[ComparedModel, ...]:
        return tuple(one for one in self.models if one.problem)
