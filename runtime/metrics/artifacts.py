"""Measure the artifacts that an upscaler may add, on one pair of images."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import WorkflowError
from ..hardware import count_usable_cores
from ..media import Pixels, Region, Size
from .artifact_measures.banding import Banding, measure_banding
from .artifact_measures.consistency import Consistency, measure_consistency
from .artifact_measures.enlargement import Enlargement
from .artifact_measures.local_faults import LocalFault, find_local_faults
from .artifact_measures.noise import Noise, measure_noise
from .artifact_measures.ringing import Ringing, measure_ringing
from .artifact_measures.seams import Seams, find_seams, measure_seams
from .artifact_measures.spectrum import Spectrum, measure_spectrum
from .metric_table import CONSISTENT_DB, METRICS_BY_KEY, SHARPENED_DB, SOFTENED_DB

VISIBLE_RINGING, VISIBLE_NOISE, VISIBLE_SHARE, VISIBLE_SEAM = (
    METRICS_BY_KEY[key].visible for key in ("halo", "noise", "banding", "seams")
)
_VISIBLE_OVERSHOOT = 7.0
"""8-bit steps: a lower overshoot is not visible, whatever its share of a faint edge."""
VISIBLE_STEP = 0.75
SEAM_RATIO = 1.3
_SEAM_SIDE = 64
_MAX_THREADS = 6


@dataclass(frozen=True)
class ArtifactFinding:
    """A visible artifact, and where it is worst, in pixels of the reference; None if it has no place."""

    sentence: str
    region: Region | None = None


@dataclass(frozen=True)
class Artifacts:
    """Lengths in pixels of the reference, heights in 8-bit steps of luma. None: not measurable on this pair."""

    size: Size
    ratio: float
    """Width of the image over width of the reference."""
    cells: Size
    """Of the reference, or of the image where that is smaller."""
    halo: Ringing | None
    consistency: Consistency
    spectrum: Spectrum
    noise: Noise | None
    banding: Banding | None
    seams: Seams | None
    local: tuple[LocalFault, ...] = ()
    """Faults of a part of the image."""

    @property
    def findings(self) -> tuple[ArtifactFinding, ...]:
        """The visible artifacts, each with the place where it is worst."""
        return tuple(_iterate_findings(self))

    @property
    def sentences(self) -> tuple[str, ...]:
        """The visible artifacts, one sentence each; a single sentence if there are none."""
        found = tuple(finding.sentence for finding in self.findings)
        return found or ("No visible ringing, noise, bands, seams, local grain or color cast.",)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        spectrum = self.spectrum
        derived = {"invented": spectrum.invented, "detail": spectrum.detail, "sharpening_db": spectrum.sharpening_db}
        return {
            **asdict(self, dict_factory=_keep_json_keys),
            "size": str(self.size),
            "cells": str(self.cells),
            "spectrum": {**asdict(spectrum, dict_factory=_keep_json_keys), **derived},
            "sentences": list(self.sentences),
            "findings": [asdict(finding) for finding in self.findings],
        }


def _keep_json_keys(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a dict with the key ``picture`` for ``image``: reports and outputs of earlier versions have it."""
    return {"picture" if name == "image" else name: value for name, value in fields}


def measure_artifacts(reference: Pixels, image: Pixels, tile: int = 0, halo: int = 0) -> Artifacts:
    """Measure all artifacts of one pair. ``tile`` and ``halo`` are those of the upscaler in pixels of the reference.

    Seams are searched at any position; with a tile, steps on its grid too small to be found are measured as well.

    Raises:
        WorkflowError: ``tile`` or ``halo`` is negative, or ``pair_images`` raises it.
    """
    if tile < 0 or halo < 0:
        raise WorkflowError(
            f"tile is {tile} and halo {halo}; they cannot be negative.", "Give those of the upscaler, or 0 for no tiles."
        )
    enlargement = Enlargement.from_images(reference, image)
    difference = enlargement.difference
    with ThreadPoolExecutor(min(count_usable_cores(), _MAX_THREADS)) as pool:
        ringing, spectrum = pool.submit(measure_ringing, enlargement), pool.submit(measure_spectrum, enlargement)
        noise, banding = pool.submit(measure_noise, enlargement), pool.submit(measure_banding, enlargement)
        local = pool.submit(find_local_faults, enlargement)
        on_grid = pool.submit(measure_seams, enlargement, tile, halo) if tile else None
        consistency = measure_consistency(enlargement.pair)
        seams = find_seams(difference.luma, difference.reference)
        return Artifacts(
            enlargement.size,
            enlargement.ratio,
            enlargement.cells,
            ringing.result(),
            consistency,
            spectrum.result(),
            noise.result(),
            banding.result(),
            seams or (on_grid.result() if on_grid else None),
            local.result(),
        )


def _iterate_findings(found: Artifacts) -> Iterator[ArtifactFinding]:
    ringing, noise, banding, seams = found.halo, found.noise, found.banding, found.seams
    if ringing and ringing.relative >= VISIBLE_RINGING and ringing.height >= _VISIBLE_OVERSHOOT:
        share = f"{ringing.height:.0f} of 255 steps, {ringing.relative:.0%} of their contrast"
        yield ArtifactFinding(f"Ringing: edges overshoot by {share}: halos.", ringing.worst)
    if found.consistency.psnr_db < CONSISTENT_DB:
        error, decibels = found.consistency.rmse, found.consistency.psnr_db
        sentence = f"Differs from the source: after reduction by {error:.1f} of 255 steps ({decibels:.0f} dB)."
        yield ArtifactFinding(sentence, found.consistency.worst)
    sharpening = found.spectrum.sharpening_db
    if sharpening is not None and sharpening > SHARPENED_DB:
        yield ArtifactFinding(f"Oversharpened: the finest detail of the source is amplified by {sharpening:.1f} dB.")
    if sharpening is not None and sharpening < SOFTENED_DB:
        yield ArtifactFinding(f"Soft: the finest detail of the source is attenuated by {-sharpening:.1f} dB.")
    if noise and noise.excess > VISIBLE_NOISE:
        levels = f"{noise.image:.1f} of 255 steps in flat areas, where the source has {noise.reference:.1f}"
        yield ArtifactFinding(f"Noise: {levels}.", noise.worst)
    if banding and banding.share >= VISIBLE_SHARE and banding.step >= VISIBLE_STEP:
        bands = f"bands {banding.step:.1f} of 255 steps apart in {banding.share:.0%} of the smooth area"
        yield ArtifactFinding(f"Banding: {bands}.", banding.worst)
    if seams and seams.height >= VISIBLE_SEAM and seams.ratio >= SEAM_RATIO:
        sentence = f"Seams: tiles differ by {seams.height:.1f} of 255 steps at their edges{_format_places(seams)}."
        yield ArtifactFinding(sentence, _place_seam(seams, found.cells))
    yield from (ArtifactFinding(fault.sentence, fault.region) for fault in found.local)


def _place_seam(seams: Seams, cells: Size) -> Region | None:
    """Return a region in the middle of the first seam; None if only a grid is known."""
    if not (seams.columns or seams.rows):
        return None
    x = seams.columns[0] if seams.columns else cells.width // 2
    y = seams.rows[0] if seams.rows else cells.height // 2
    side = min(_SEAM_SIDE, cells.width, cells.height)
    left, top = (min(max(at - side // 2, 0), length - side) for at, length in ((x, cells.width), (y, cells.height)))
    return Region(left, top, side, side)


def _format_places(seams: Seams) -> str:
    """Return where seams were found, at most four positions per direction."""
    parts: list[str] = []
    for axis, lines in (("x", seams.columns), ("y", seams.rows)):
        if lines:
            parts.append(f"{axis} {', '.join(map(str, lines[:4]))}{' ...' if len(lines) > 4 else ''}")
    return f", at {' and '.join(parts)} in pixels of the source" if parts else ""
