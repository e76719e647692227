"""Color drift: the perceived difference between the colors of an image and those of its reference.

They are compared at the size of the smaller one, usually the reference; the larger is reduced by area in linear light. Mode
``full`` compares every pixel, so sharpened or smoothed detail counts too. Mode ``low-frequency`` first applies a Gaussian of
``LOW_FREQUENCY_SIGMA`` pixels to both in linear light, so only the color of areas counts.
"""

from dataclasses import asdict, dataclass
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..media import Floats, Pixels, Size
from .choices import DriftMode
from .delta_e import cie76, ciede2000, decode_srgb, lab_from_linear, lab_from_srgb
from .distribution import Distribution, DistributionCounter
from .pairing import PairStrip, pair_images

LOW_FREQUENCY_SIGMA = 8.0
"""Pixels of the reference."""

IMPERCEPTIBLE, NOTICEABLE, JUST_NOTICEABLE = 1.0, 2.0, 2.3
"""Limits of the verdict. 2.3 is the just noticeable CIE76 difference of M. Mahy, L. Van Eycken, A. Oosterlinck, "Evaluation of
uniform color spaces developed after the adoption of CIELAB and CIELUV", Color Research and Application 19 (2), 1994."""

_PIECE_PIXELS = 1 << 16
"""Compared at once in a thread: CIEDE2000 needs a few dozen arrays of that size."""

_CUTOFF_SIGMAS = 4
"""Radius of a Gaussian filter in sigma."""


@dataclass(frozen=True)
class Bias:
    """Mean of image minus reference: positive ``lightness`` is lighter, ``a`` redder, ``b`` yellower."""

    lightness: float
    a: float
    b: float


@dataclass(frozen=True)
class Drift:
    """Color drift over all pixels of a pair, a batch or a video."""

    mode: DriftMode
    size: Size
    """The size at which they were compared."""
    frames: int
    de2000: Distribution
    de76: Distribution
    bias: Bias
    over_1: float
    over_2_3: float
    """Shares of the pixels with a CIEDE2000 of at least 1.0 and 2.3."""

    @property
    def verdict(self) -> str:
        """The mean as a sentence."""
        return describe_drift(self.de2000.mean)

    @property
    def sentence(self) -> str:
        """The result in one line."""
        kind = "Low-frequency color drift" if self.mode == "low-frequency" else "Color drift"
        return (
            f"{kind}: mean \u0394E2000 {self.de2000.mean:.2f}, p95 {self.de2000.p95:.2f}, maximum {self.de2000.maximum:.2f}; "
            f"{self.over_2_3:.1%} of the pixels at or above 2.3. {self.verdict}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "size": str(self.size), "verdict": self.verdict}


class DriftMeter:
    """Accumulate the drift of pairs of images in constant memory."""

    def __init__(self, mode: DriftMode = "full") -> None:
        self._mode: DriftMode = mode
        self._size = Size(1, 1)
        self._frames = 0
        self._de2000, self._de76 = DistributionCounter(), DistributionCounter()
        self._bias: NDArray[np.float64] = np.zeros(3)

    def add(self, reference: Pixels, image: Pixels, delta_e_out: Floats | None = None) -> None:
        """Add a pair. ``delta_e_out``, (h, w) of the smaller size, receives CIEDE2000. Raises as ``pair_images``."""
        pair = pair_images(reference, image)
        self._size = pair.size
        self._frames += 1
        for rows, (delta_e, distance, bias) in pair.map_strips(self._compare_strip, get_margin(self._mode)):
            self._de2000.add(delta_e)
            self._de76.add(distance)
            self._bias += bias
            if delta_e_out is not None:
                delta_e_out[rows] = delta_e

    def _compare_strip(self, strip: PairStrip) -> tuple[Floats, Floats, NDArray[np.float64]]:
        """Return CIEDE2000 and CIE76 of each pixel, and the sums of the differences of L*, a* and b*."""
        sides, to_lab = [strip.reference[strip.inside], strip.image[strip.inside]], lab_from_srgb
        if self._mode == "low-frequency":
            sides = [_low_pass_linear(side)[strip.inside] for side in (strip.reference, strip.image)]
            to_lab = _lab_from_light
        shape = sides[0].shape[:2]
        delta_e, distance, bias = np.empty(shape, np.float32), np.empty(shape, np.float32), np.zeros(3)
        height = max(_PIECE_PIXELS // shape[1], 1)
        for rows in (slice(top, top + height) for top in range(0, shape[0], height)):
            first, second = (to_lab(side[rows]) for side in sides)
            bias += (second - first).double().sum(dim=(1, 2)).numpy()
            delta_e[rows], distance[rows] = ciede2000(first, second).numpy(), cie76(first, second).numpy()
        return delta_e, distance, bias

    def compute_result(self) -> Drift:
        """Return the drift of all pairs so far; zeros if there are none."""
        lightness, a, b = (self._bias / max(self._de2000.count, 1)).tolist()
        return Drift(
            self._mode,
            self._size,
            self._frames,
            self._de2000.compute_distribution(),
            self._de76.compute_distribution(),
            Bias(lightness, a, b),
            self._de2000.compute_share_above(IMPERCEPTIBLE),
            self._de2000.compute_share_above(JUST_NOTICEABLE),
        )


def measure_drift(reference: Pixels, image: Pixels, mode: DriftMode = "full") -> Drift:
    """Measure the drift of ``image`` from ``reference``. Raises as ``pair_images``."""
    meter = DriftMeter(mode)
    meter.add(reference, image)
    return meter.compute_result()


def describe_drift(mean: float) -> str:
    """Describe a mean CIEDE2000 in a sentence."""
    if mean < IMPERCEPTIBLE:
        return "Imperceptible: below 1.0."
    if mean < NOTICEABLE:
        return "Barely noticeable: between 1.0 and 2.0."
    if mean < JUST_NOTICEABLE:
        return "Noticeable: between 2.0 and 2.3."
    return "Clearly noticeable: above the just noticeable difference of 2.3."


def format_headline(mean: float) -> str:
    """Return the title of a heat map with this mean CIEDE2000."""
    return f"CIEDE2000, mean {mean:.2f}: {describe_drift(mean).split(':')[0].lower()}"


def get_margin(mode: DriftMode) -> int:
    """Return how many rows around a strip the mode needs."""
    return 0 if mode == "full" else int(np.ceil(_CUTOFF_SIGMAS * LOW_FREQUENCY_SIGMA))


def _low_pass_linear(encoded: Floats) -> Floats:
    return low_pass(decode_srgb(torch.as_tensor(encoded).clamp(0, 1)).numpy(), LOW_FREQUENCY_SIGMA)


def _lab_from_light(linear: Floats) -> torch.Tensor:
    return lab_from_linear(torch.as_tensor(linear))


def low_pass(pixels: Floats, sigma: float) -> Floats:
    """Filter (h, w, C) by a Gaussian of ``sigma`` pixels with a radius of four sigma, mirrored at the borders."""
    side = 2 * int(np.ceil(_CUTOFF_SIGMAS * sigma)) + 1
    return cast(Floats, cv2.GaussianBlur(pixels, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101)).reshape(pixels.shape)
