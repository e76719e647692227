"""Everything that an upscaler may add and nobody asked for, measured on one pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import WorkflowError
from ..media.geometry import Size
from .artifact_measures.banding import Banding, measure_banding
from .artifact_measures.consistency import Consistency, measure_consistency
from .artifact_measures.enlargement import Enlargement
from .artifact_measures.noise import Noise, measure_noise
from .artifact_measures.ringing import Ringing, measure_ringing
from .artifact_measures.seams import Seams, measure_seams
from .artifact_measures.spectrum import Spectrum, measure_spectrum
from .metric_table import METRICS_BY_KEY
from .pairing import Pixels

VISIBLE_RINGING = 0.25
"""Share of the contrast of an edge: a cubic overshoots by 0.03, Lanczos by 0.05, a model that restores blurred edges by 0.2."""
CONSISTENT_DB = 32.0
SHARPENED_DB, SOFTENED_DB = 1.5, -3.0
VISIBLE_NOISE = 1.5
"""8-bit steps more than the reference has."""
VISIBLE_STEP, VISIBLE_SHARE = 0.75, 0.05
VISIBLE_SEAM = METRICS_BY_KEY["seams"].visible
"""8-bit steps: along a straight line the eye averages. Photographs that were never cut read up to 0.4 by chance."""
SEAM_RATIO = 1.3


@dataclass(frozen=True)
class Artifacts:
    """Lengths in pixels of the reference, heights in 8-bit steps of luma. None: this pair gives no answer."""

    size: Size
    ratio: float
    """How many times as wide as the reference the picture is."""
    halo: Ringing | None
    consistency: Consistency
    spectrum: Spectrum
    noise: Noise | None
    banding: Banding | None
    seams: Seams | None

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a person would see, worst things by name; a single sentence when there is nothing."""
        return tuple(_describe_findings(self)) or ("No halo, noise, bands or seams that could be seen.",)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        spectrum = self.spectrum
        derived = {"invented": spectrum.invented, "detail": spectrum.detail, "sharpening_db": spectrum.sharpening_db}
        return {
            **asdict(self),
            "size": str(self.size),
            "spectrum": {**asdict(spectrum), **derived},
            "sentences": list(self.sentences),
        }


def measure_artifacts(reference: Pixels, image: Pixels, tile: int = 0, halo: int = 0) -> Artifacts:
    """All measures of one pair. ``tile`` and ``halo`` are those of the upscaler in pixels of the reference; without a
    tile seams are not looked for.

    Raises ``WorkflowError`` for a tile or halo below 0, and what ``paired`` raises.
    """
    if tile < 0 or halo < 0:
        raise WorkflowError(
            f"A tile of {tile} with a halo of {halo} pixels means nothing.", "Give the tile of the upscaler, or 0 for none."
        )
    enlargement = Enlargement.from_images(reference, image)
    return Artifacts(
        enlargement.size,
        enlargement.ratio,
        measure_ringing(enlargement),
        measure_consistency(enlargement.pair),
        measure_spectrum(enlargement),
        measure_noise(enlargement),
        measure_banding(enlargement),
        measure_seams(enlargement, tile, halo) if tile else None,
    )


def _describe_findings(found: Artifacts) -> Iterator[str]:
    ringing, noise, banding, seams = found.halo, found.noise, found.banding, found.seams
    if ringing and ringing.relative >= VISIBLE_RINGING:
        yield f"Halos: edges overshoot by {ringing.height:.0f} steps, {ringing.relative:.0%} of their contrast."
    if found.consistency.psnr_db < CONSISTENT_DB:
        error, decibels = found.consistency.rmse, found.consistency.psnr_db
        yield f"Not the source: reduced again it differs by {error:.1f} steps ({decibels:.0f} dB)."
    sharpening = found.spectrum.sharpening_db
    if sharpening is not None and sharpening > SHARPENED_DB:
        yield f"Oversharpened: the finest detail of the source is raised by {sharpening:.1f} dB."
    if sharpening is not None and sharpening < SOFTENED_DB:
        yield f"Soft: the finest detail of the source is lowered by {-sharpening:.1f} dB."
    if noise and noise.picture - noise.reference > VISIBLE_NOISE:
        yield f"Noise: {noise.picture:.1f} steps where the source is flat and has {noise.reference:.1f}."
    if banding and banding.share >= VISIBLE_SHARE and banding.step >= VISIBLE_STEP:
        yield f"Banding: steps of {banding.step:.1f} in {banding.share:.0%} of the smooth area."
    if seams and seams.height >= VISIBLE_SEAM and seams.ratio >= SEAM_RATIO:
        yield f"Seams: the tiles differ by {seams.height:.1f} steps at their edges."
