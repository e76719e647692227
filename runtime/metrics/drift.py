"""Colour drift: by how much a picture's colours differ from those of its reference, as a person sees it.

The pictures meet at the size of the smaller one, the reference as a rule: the larger is reduced by area in linear light. Mode
``full`` compares every pixel there, so detail that was sharpened or smoothed away counts too. Mode ``low-frequency`` compares
what is left after a Gaussian of ``LOW_FREQUENCY_SIGMA`` pixels on both, in linear light: only the colour of areas.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..frames.geometry import Size
from .choices import Mode
from .delta_e import cie76, ciede2000
from .distribution import Counter, Distribution
from .lab import lab_from_linear, lab_from_srgb, srgb_decoded
from .pictures import Floats, Pixels, Strip, paired

LOW_FREQUENCY_SIGMA = 8.0
"""Pixels of the reference."""

IMPERCEPTIBLE, NOTICEABLE, JUST_NOTICEABLE = 1.0, 2.0, 2.3
"""Limits of the verdict. 2.3 is the just noticeable CIE76 difference of M. Mahy, L. Van Eycken, A. Oosterlinck, "Evaluation of
uniform color spaces developed after the adoption of CIELAB and CIELUV", Color Research and Application 19 (2), 1994."""

_REACH = 4
"""A Gaussian is cut off at so many sigma."""


@dataclass(frozen=True)
class Bias:
    """The mean of picture minus reference: a positive ``lightness`` is lighter, ``a`` redder, ``b`` yellower."""

    lightness: float
    a: float
    b: float


@dataclass(frozen=True)
class Drift:
    """Colour drift over all pixels of one pair, a batch or a film."""

    mode: Mode
    size: Size
    """Where the pictures met."""
    frames: int
    de2000: Distribution
    de76: Distribution
    bias: Bias
    over_1: float
    over_2_3: float
    """Shares of the pixels with a CIEDE2000 of at least 1.0 and 2.3."""

    @property
    def verdict(self) -> str:
        """The mean in words."""
        return verdict(self.de2000.mean)

    @property
    def sentence(self) -> str:
        """What a person wants to know, in one line."""
        kind = "Low-frequency colour drift" if self.mode == "low-frequency" else "Colour drift"
        return (
            f"{kind}: mean \u0394E2000 {self.de2000.mean:.2f}, p95 {self.de2000.p95:.2f}, maximum {self.de2000.maximum:.2f}; "
            f"{self.over_2_3:.1%} of the pixels at or above 2.3. {self.verdict}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "size": str(self.size), "verdict": self.verdict}


class DriftMeter:
    """Takes pairs of pictures, one after the other, in constant memory."""

    def __init__(self, mode: Mode = "full") -> None:
        self._mode: Mode = mode
        self._size = Size(1, 1)
        self._frames = 0
        self._de2000, self._de76 = Counter(), Counter()
        self._bias: NDArray[np.float64] = np.zeros(3)

    def add(self, reference: Pixels, picture: Pixels, out: Floats | None = None) -> None:
        """One more pair. ``out`` (h, w) of the smaller size takes their CIEDE2000. Raises what ``paired`` raises."""
        pair = paired(reference, picture)
        self._size = pair.size
        self._frames += 1
        for strip in pair.strips(margin(self._mode)):
            self._count(strip, out)

    def _count(self, strip: Strip, out: Floats | None) -> None:
        first, second = labs(strip, self._mode)
        seen = ciede2000(first, second).numpy()
        self._de2000.add(seen)
        self._de76.add(cie76(first, second).numpy())
        self._bias += (second - first).double().sum(dim=(1, 2)).numpy()
        if out is not None:
            out[strip.rows] = seen

    def result(self) -> Drift:
        """What was measured so far; zeros when nothing was."""
        lightness, a, b = (self._bias / max(self._de2000.count, 1)).tolist()
        return Drift(
            self._mode,
            self._size,
            self._frames,
            self._de2000.distribution(),
            self._de76.distribution(),
            Bias(lightness, a, b),
            self._de2000.share_above(IMPERCEPTIBLE),
            self._de2000.share_above(JUST_NOTICEABLE),
        )


def measure_drift(reference: Pixels, picture: Pixels, mode: Mode = "full") -> Drift:
    """The drift of ``picture`` from ``reference``. Raises what ``paired`` raises."""
    meter = DriftMeter(mode)
    meter.add(reference, picture)
    return meter.result()


def verdict(mean: float) -> str:
    """A mean CIEDE2000 in words."""
    if mean < IMPERCEPTIBLE:
        return "Imperceptible: below 1.0."
    if mean < NOTICEABLE:
        return "Barely noticeable: between 1.0 and 2.0."
    if mean < JUST_NOTICEABLE:
        return "Noticeable: between 2.0 and 2.3."
    return "Clearly noticeable: above the just noticeable difference of 2.3."


def headline(mean: float) -> str:
    """A mean CIEDE2000 in a few words, for the top of a heat map."""
    return f"CIEDE2000, mean {mean:.2f}: {verdict(mean).split(':')[0].lower()}"


def margin(mode: Mode) -> int:
    """How many rows around a strip a mode looks at."""
    return 0 if mode == "full" else int(np.ceil(_REACH * LOW_FREQUENCY_SIGMA))


def labs(strip: Strip, mode: Mode) -> Any:
    """L*a*b* (3, h, w) of the rows of a strip: of the reference and of the picture."""
    sides = (strip.reference, strip.picture)
    if mode == "low-frequency":
        return tuple(lab_from_linear(_areas(side)[strip.inside]) for side in sides)
    return tuple(lab_from_srgb(side[strip.inside]) for side in sides)


def _areas(encoded: Floats) -> torch.Tensor:
    light = srgb_decoded(torch.as_tensor(encoded).clamp(0, 1)).numpy()
    return torch.as_tensor(low_passed(light, LOW_FREQUENCY_SIGMA))


def low_passed(pixels: Floats, sigma: float) -> Floats:
    """(h, w, C) through a Gaussian of ``sigma`` pixels that is cut off at four sigma and mirrored at the borders."""
    side = 2 * int(np.ceil(_REACH * sigma)) + 1
    return cast(Floats, cv2.GaussianBlur(pixels, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101)).reshape(pixels.shape)
