"""Measure the artifacts that an upscaler may add, on one pair of images."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import WorkflowError
from ..media import Pixels, Size
from .artifact_measures.banding import Banding, measure_banding
from .artifact_measures.consistency import Consistency, measure_consistency
from .artifact_measures.enlargement import Enlargement
from .artifact_measures.noise import Noise, measure_noise
from .artifact_measures.ringing import Ringing, measure_ringing
from .artifact_measures.seams import Seams, measure_seams
from .artifact_measures.spectrum import Spectrum, measure_spectrum
from .metric_table import CONSISTENT_DB, METRICS_BY_KEY, SHARPENED_DB, SOFTENED_DB

VISIBLE_RINGING = 0.25
"""Share of the contrast of an edge. Bicubic overshoots by 0.03, Lanczos by 0.05, a model that restores blurred edges by 0.2."""
VISIBLE_NOISE = 1.5
"""8-bit steps above the noise of the reference."""
VISIBLE_STEP, VISIBLE_SHARE = 0.75, 0.05
VISIBLE_SEAM = METRICS_BY_KEY["seams"].visible
"""8-bit steps: the eye averages along a straight line. Photographs without tiles measure up to 0.4 by chance."""
SEAM_RATIO = 1.3


@dataclass(frozen=True)
class Artifacts:
    """Lengths in pixels of the reference, heights in 8-bit steps of luma. None: not measurable on this pair."""

    size: Size
    ratio: float
    """Width of the image over width of the reference."""
    halo: Ringing | None
    consistency: Consistency
    spectrum: Spectrum
    noise: Noise | None
    banding: Banding | None
    seams: Seams | None

    @property
    def sentences(self) -> tuple[str, ...]:
        """The visible artifacts, one sentence each; a single sentence if there are none."""
        return tuple(_describe_findings(self)) or ("No visible halos, noise, bands or seams.",)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        spectrum = self.spectrum
        derived = {"invented": spectrum.invented, "detail": spectrum.detail, "sharpening_db": spectrum.sharpening_db}
        return {
            **asdict(self, dict_factory=_keep_json_keys),
            "size": str(self.size),
            "spectrum": {**asdict(spectrum, dict_factory=_keep_json_keys), **derived},
            "sentences": list(self.sentences),
        }


def _keep_json_keys(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a dict with the key ``picture`` for ``image``: reports and outputs of earlier versions have it."""
    return {"picture" if name == "image" else name: value for name, value in fields}


def measure_artifacts(reference: Pixels, image: Pixels, tile: int = 0, halo: int = 0) -> Artifacts:
    """Measure all artifacts of one pair. ``tile`` and ``halo`` are those of the upscaler in pixels of the reference.

    Seams are not measured for a tile of 0.

    Raises:
        WorkflowError: ``tile`` or ``halo`` is negative, or ``pair_images`` raises it.
    """
    if tile < 0 or halo < 0:
        raise WorkflowError(
            f"tile is {tile} and halo {halo}; they cannot be negative.", "Give those of the upscaler, or 0 for no tiles."
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
        yield f"Halos: edges overshoot by {ringing.height:.0f} of 255 steps, {ringing.relative:.0%} of their contrast."
    if found.consistency.psnr_db < CONSISTENT_DB:
        error, decibels = found.consistency.rmse, found.consistency.psnr_db
        yield f"Differs from the source: after reduction by {error:.1f} of 255 steps ({decibels:.0f} dB)."
    sharpening = found.spectrum.sharpening_db
    if sharpening is not None and sharpening > SHARPENED_DB:
        yield f"Oversharpened: the finest detail of the source is amplified by {sharpening:.1f} dB."
    if sharpening is not None and sharpening < SOFTENED_DB:
        yield f"Soft: the finest detail of the source is attenuated by {-sharpening:.1f} dB."
    if noise and noise.image - noise.reference > VISIBLE_NOISE:
        yield f"Noise: {noise.image:.1f} of 255 steps in flat areas, where the source has {noise.reference:.1f}."
    if banding and banding.share >= VISIBLE_SHARE and banding.step >= VISIBLE_STEP:
        yield f"Banding: bands {banding.step:.1f} of 255 steps apart in {banding.share:.0%} of the smooth area."
    if seams and seams.height >= VISIBLE_SEAM and seams.ratio >= SEAM_RATIO:
        yield f"Seams: tiles differ by {seams.height:.1f} of 255 steps at their edges."
