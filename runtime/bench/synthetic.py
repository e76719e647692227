"""Synthetic test images, the same on every machine, and the PSNR between two images."""

from math import inf, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Size

Pixels = NDArray[np.float32]


def make_test_pattern(size: Size, frame: int = 0, *, noise: float = 0.05, seed: int = 8) -> NDArray[np.float64]:
    """Return (H, W, 3) in 0..1 with edges, gradients and noise. Each ``frame`` of a video moves the pattern by 3 pixels."""
    y, x = np.mgrid[0 : size.height, 0 : size.width].astype(np.float32)
    moved_x = x + 3 * frame
    rings = np.sin((moved_x**2 + y**2) / 4000)
    waves = np.sin(moved_x / 17) * np.cos(y / 23)
    colors = np.stack([rings, waves, x / size.width * 2 - 1], axis=2) * 0.45 + 0.5
    return np.clip(colors + np.random.default_rng(seed).normal(0, noise, colors.shape), 0, 1)


def make_test_image(size: Size) -> Pixels:
    """Return the test pattern as float32."""
    return make_test_pattern(size).astype(np.float32)


def compute_psnr(first: NDArray[Any], second: NDArray[Any], peak: float = 1.0, *, if_equal: float = inf) -> float:
    """Return the PSNR of two arrays in dB, relative to ``peak``; ``if_equal`` if they are equal."""
    mean_square = float(np.mean(np.square(np.subtract(first, second, dtype=np.float32)), dtype=np.float64))
    return 10 * log10(peak**2 / mean_square) if mean_square > 0 else if_equal
