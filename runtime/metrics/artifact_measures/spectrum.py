"""Detail by frequency: of the reference, of the image, and beyond what an image of the reference's size can hold."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log10, sqrt

import numpy as np
from numpy.typing import NDArray

from ...media import Floats
from ..luma import STEPS
from .enlargement import Enlargement

Power = NDArray[np.float64]

_BLOCK = 128
"""Cells per side of a block of the spectrum."""

_LOWEST_FREQUENCY, _DETAIL_FREQUENCY = 1 / 8, 1 / 4


@dataclass(frozen=True)
class FrequencyBand:
    """RMS of luma, in 8-bit steps, at frequencies from ``low`` to ``high``: multiples of the reference's Nyquist frequency,
    horizontal or vertical, whichever is higher.

    ``reference`` is None above 1: no image of that size can hold such detail.
    """

    low: float
    high: float
    reference: float | None
    image: float


@dataclass(frozen=True)
class Spectrum:
    """Octaves up to the Nyquist frequency of the image."""

    bands: tuple[FrequencyBand, ...]

    @property
    def invented(self) -> float:
        """RMS of the detail above the reference's Nyquist frequency, 8-bit steps: sharp edges and invented texture."""
        return sqrt(sum(band.image**2 for band in self.bands if band.reference is None))

    @property
    def detail(self) -> float:
        """RMS of all detail from 1/4 of the reference's Nyquist frequency on: waves of 8 pixels and less."""
        return sqrt(sum(band.image**2 for band in self.bands if band.low >= _DETAIL_FREQUENCY))

    @property
    def sharpening_db(self) -> float | None:
        """Gain of the octave below the reference's Nyquist frequency: positive if sharpened. None without detail."""
        band = next((band for band in self.bands if band.high == 1), None)
        if band is None or not band.reference or not band.image:
            return None
        return 20 * log10(band.image / band.reference)


def measure_spectrum(enlargement: Enlargement) -> Spectrum:
    """Average the periodograms of Hann-windowed blocks that overlap by half.

    P. D. Welch, "The use of fast Fourier transform for the estimation of power spectra", IEEE Trans. Audio and
    Electroacoustics 15 (2), 1967. By Parseval's theorem a wave of amplitude A adds A / sqrt(2) to its band.
    """
    cells, size = enlargement.cells, enlargement.size
    block = min(_BLOCK, cells.width, cells.height)
    image_block = min(round(block * enlargement.ratio), size.width, size.height)
    reference = _compute_power(enlargement.read_reference_luma, cells.width, cells.height, block)
    image = _compute_power(enlargement.read_image_luma, size.width, size.height, image_block)
    bands: list[FrequencyBand] = []
    low = _LOWEST_FREQUENCY
    while low < enlargement.ratio:
        high = min(2 * low, enlargement.ratio)
        reference_rms = _compute_rms(reference, low, high, block) if high <= 1 else None
        bands.append(FrequencyBand(low, high, reference_rms, _compute_rms(image, low, high, block)))
        low = high
    return Spectrum(tuple(bands))


def _compute_power(rows: Callable[[int, int], Floats], width: int, height: int, block: int) -> Power:
    """Return the mean square of luma per ring of frequency: entry k holds the waves of k periods per block."""
    window = np.outer(*[_make_hann_window(block)] * 2)
    energy = float(np.square(window, dtype=np.float64).sum())
    total: Power = np.zeros((block, block // 2 + 1))
    lefts, tops = _find_block_starts(width, block), _find_block_starts(height, block)
    for top in tops:
        strip = rows(top, top + block)
        for left in lefts:
            total += _compute_periodogram(strip[:, left : left + block], window)
    total /= len(lefts) * len(tops) * block**2 * energy
    total[:, 1 : (block + 1) // 2] *= 2  # the half plane that a real transform omits
    down = np.minimum(np.arange(block), block - np.arange(block))
    ring = np.maximum(down[:, None], np.arange(block // 2 + 1))
    return np.bincount(ring.ravel(), total.ravel(), minlength=block // 2 + 1).astype(np.float64)


def _make_hann_window(length: int) -> Floats:
    """Return one period of the window, (length,) float32; the window of one sample is 1."""
    if length == 1:
        return np.ones(1, np.float32)
    return (0.5 - 0.5 * np.cos(2 * np.pi / length * np.arange(length))).astype(np.float32)


def _compute_periodogram(piece: Floats, window: Floats) -> Power:
    """Return |F|^2 of one block, (block, block // 2 + 1) float64.

    NumPy's transform runs in the calling thread. With torch's, four processes that measured at the same time on two
    cores waited for one another's worker threads without end.
    """
    level = np.float32((piece * window).sum(dtype=np.float64) / window.sum(dtype=np.float64))
    spectrum = np.fft.rfft2((piece - level) * window)
    return np.square(np.abs(spectrum), dtype=np.float64)


def _find_block_starts(length: int, block: int) -> list[int]:
    """Return where blocks begin: half a block apart, the last one at the end."""
    starts = list(range(0, length - block + 1, max(block // 2, 1)))
    return [*starts, length - block] if starts[-1] != length - block else starts


def _compute_rms(power: Power, low: float, high: float, block: int) -> float:
    """Return the RMS of the rings above ``low`` up to ``high``, in 8-bit steps; Nyquist is at block / 2 periods."""
    rings = np.arange(len(power)) / (block / 2)
    return sqrt(float(power[(rings > low) & (rings <= high)].sum())) * STEPS
