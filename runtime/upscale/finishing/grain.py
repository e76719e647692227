"""Grain like that of an image: the spectrum of its noise is measured in flat blocks, and noise of the same spectrum is made.

Blocks of 32 x 32 pixels are transformed with a Hann window, and their power is averaged in 16 rings of frequency. In each ring
the twentieth of all blocks counts that has the least power of brightness: structure adds power, so what is left is noise. White
noise, measured in the same way, calibrates that choice; filtered to the measured spectrum it is the grain.
"""

from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from ...media import Floats

_BLOCK = 32
_RINGS = _BLOCK // 2
"""Ring k holds the frequencies around k / 32 per pixel; what is slower than the first is brightness, not grain."""
_SLOW_RINGS, _FITTED_RINGS = 5, slice(5, 12)
"""Grain is soft noise, whose spectrum falls as a Gaussian: what slow rings have beyond the one of faster rings is structure."""
_FLAT_SHARE, _MIN_FLAT_BLOCKS = 0.05, 4
_MAX_BLOCKS = 2048
_DARKEST, _BRIGHTEST = 0.02, 0.98
"""A block of a mean beyond these is clipped, and holds less noise than the image has."""


def make_grain(pixels: Floats) -> Floats:
    """Return noise (H, W, C) around 0 with the noise spectrum of ``pixels`` (H, W, C) in 0..1; C is 1 or 3.

    The noise follows from the pixels alone: a repeated frame has the same, wherever a run begins. It is 0 for an image that is
    smaller than one block.
    """
    if min(pixels.shape[:2]) < _BLOCK:
        return np.zeros_like(pixels)
    means = _cut_blocks(pixels).mean(axis=(1, 2, 3))
    usable = (means >= _DARKEST) & (means <= _BRIGHTEST)
    measured = _measure_rings(pixels, usable if usable.any() else ~usable)
    seed = crc32(np.ascontiguousarray(pixels).tobytes())
    white = np.random.default_rng(seed).standard_normal(pixels.shape, np.float32)
    unit = _measure_rings(white, np.ones(len(means), bool))
    # Axes of color in which the noise is uncorrelated, with a spectrum for each.
    _, axes = np.linalg.eigh(measured.sum(axis=0))
    powers, units = (np.einsum("ji,rjk,ki->ir", axes, each, axes) for each in (measured, unit))
    powers = powers.clip(0) / units
    for power in powers:
        power[:_SLOW_RINGS] = np.minimum(power[:_SLOW_RINGS], _fit_slow_rings(power))
    grain = np.stack([_filter(white[:, :, index], power) for index, power in enumerate(powers)], axis=2)
    return np.asarray(grain @ axes.T.astype(np.float32), np.float32)


def _fit_slow_rings(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the powers of the slow rings on the Gaussian through the fitted ones, which does not fall towards the slow."""
    squares = np.arange(1.0, _RINGS + 1) ** 2
    logs = np.log(np.maximum(power[_FITTED_RINGS], 1e-30))
    slope = min(float(np.polyfit(squares[_FITTED_RINGS], logs, 1)[0]), 0.0)
    return np.exp(np.mean(logs - slope * squares[_FITTED_RINGS]) + slope * squares[:_SLOW_RINGS])


def _measure_rings(pixels: Floats, usable: np.ndarray) -> np.ndarray:
    """Return the covariance of the colors (rings, C, C) in the flattest of the ``usable`` blocks of each ring, float64."""
    blocks = _cut_blocks(pixels)[usable].astype(np.float64)
    blocks -= blocks.mean(axis=(1, 2), keepdims=True)
    window = np.hanning(_BLOCK + 1)[:-1]
    spectra = np.fft.fft2(blocks * (window[:, None] * window)[None, :, :, None], axes=(1, 2))
    rings, chosen = _find_rings(), max(round(len(blocks) * _FLAT_SHARE), _MIN_FLAT_BLOCKS)
    result: list[np.ndarray] = []
    for ring in range(1, _RINGS + 1):
        values = spectra[:, rings == ring]
        flattest = np.argsort((np.abs(values.sum(axis=2)) ** 2).sum(axis=1), kind="stable")[:chosen]
        picked = values[flattest]
        result.append(np.einsum("nfi,nfj->ij", picked, picked.conj()).real / picked[:, :, 0].size)
    return np.stack(result)


def _find_rings() -> np.ndarray:
    """Return the number of the ring of each frequency of a block; the corners belong to the last."""
    frequencies = np.fft.fftfreq(_BLOCK) * _BLOCK
    return np.minimum(np.rint(np.hypot(frequencies[:, None], frequencies)), _RINGS).astype(int)


def _cut_blocks(pixels: Floats) -> Floats:
    """Return at most ``_MAX_BLOCKS`` whole blocks, evenly spread, as (count, 32, 32, C)."""
    height, width, colors = pixels.shape
    rows, columns = height // _BLOCK, width // _BLOCK
    grid = pixels[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK, colors).swapaxes(1, 2)
    count = rows * columns
    chosen = min(count, _MAX_BLOCKS)
    places = [divmod(index * count // chosen, columns) for index in range(chosen)]
    return np.stack([grid[place] for place in places])


def _filter(white: Floats, powers: np.ndarray) -> Floats:
    """Give white noise (H, W) the ``powers`` of the rings, with a kernel of one block."""
    amplitudes = np.concatenate([[0.0], np.sqrt(powers)])[_find_rings()]
    kernel = np.fft.fftshift(np.fft.ifft2(amplitudes).real)[1:, 1:]
    return np.asarray(cv2.filter2D(white, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32)
