"""Fidelity: how close a restored image is to its true original, pixel by pixel and in its texture."""

from dataclasses import asdict, dataclass
from math import log10, sqrt
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import WorkflowError
from ..media import Floats, Pixels
from .artifact_measures.consistency import IDENTICAL_DB
from .drift import measure_drift
from .luma import STEPS, compute_luma
from .pairing import PairStrip, pair_images

_SSIM_SIGMA, _SSIM_RADIUS = 1.5, 5
_C1, _C2 = 0.01**2, 0.03**2
_GMSD_CONSTANT = 170 / STEPS**2
_GRAIN_SIGMA, _WINDOW_SIGMA = 1.5, 4.0
_MARGIN = 24
"""Rows beside a strip: radii of both Gaussians of the texture, 6 and 16, to an even number, as edges are reduced to half."""


@dataclass(frozen=True)
class Fidelity:
    """Against the original, at its size."""

    psnr_db: float
    """Over pixels and channels, at most 99."""
    ssim: float
    """0..1, of luma. Z. Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE Trans.
    Image Processing 13 (4), 2004, with its Gaussian window."""
    gmsd: float
    """0 is identical. W. Xue et al., "Gradient magnitude similarity deviation", IEEE Trans. Image Processing 23 (2), 2014."""
    texture: float
    """8-bit steps: mean difference of the local standard deviation of fine detail. Smoothed and invented texture both count;
    the place of each grain does not. Pixel errors punish all texture that is not exactly the original's."""
    drift: float
    """Mean CIEDE2000."""

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def measure_fidelity(original: Pixels, image: Pixels, drift: float | None = None) -> Fidelity:
    """Compare (H, W, C) with an original of the same size. Raises ``WorkflowError`` for another size.

    ``drift`` is the mean CIEDE2000 of the pair, where it is already known.
    """
    if original.shape[:2] != image.shape[:2]:
        sizes = [f"{one.shape[1]}x{one.shape[0]}" for one in (image, original)]
        raise WorkflowError(f"The result is {sizes[0]} and its original {sizes[1]}.", "Upscale by the factor of the reduction.")
    height, width = original.shape[:2]
    border = min(_SSIM_RADIUS, (min(height, width) - 1) // 2)

    def compare_strip(strip: PairStrip) -> NDArray[np.float64]:
        first, second = compute_luma(strip.reference), compute_luma(strip.image)
        change = strip.image[strip.inside] - strip.reference[strip.inside]
        error = np.square(change).mean(axis=2, dtype=np.float64).sum()
        rows = slice(max(border - strip.rows.start, 0), max(height - border - strip.rows.start, 0))
        ssim = _compute_ssim(first, second)[strip.inside][rows, border : width - border]
        halved = slice(strip.inside.start // 2, -(-strip.inside.stop // 2))
        edges = _compute_gradient_similarity(first, second)[halved].astype(np.float64)
        texture = np.abs(_compute_local_detail(first) - _compute_local_detail(second))[strip.inside]
        sums = [part.sum(dtype=np.float64) for part in (ssim, edges, np.square(edges), texture)]
        return np.array([error, *sums, ssim.size, edges.size], np.float64)

    parts = [sums for _, sums in pair_images(original, image).map_strips(compare_strip, _MARGIN)]
    error, ssim, edges, squares, texture, inner, halved = (float(total) for total in np.sum(parts, axis=0))
    return Fidelity(
        min(-10 * log10(error / (height * width)), IDENTICAL_DB) if error else IDENTICAL_DB,
        ssim / inner,
        sqrt(max(squares / halved - (edges / halved) ** 2, 0.0)),
        texture / (height * width) * STEPS,
        measure_drift(original, image).de2000.mean if drift is None else drift,
    )


def _compute_ssim(first: Floats, second: Floats) -> Floats:
    mean_1, mean_2 = _average(first), _average(second)
    variance_1, variance_2 = _average(first**2) - mean_1**2, _average(second**2) - mean_2**2
    covariance = _average(first * second) - mean_1 * mean_2
    similarity = (2 * mean_1 * mean_2 + _C1) * (2 * covariance + _C2)
    return np.asarray(similarity / ((mean_1**2 + mean_2**2 + _C1) * (variance_1 + variance_2 + _C2)), np.float32)


def _average(plane: Floats) -> Floats:
    side = 2 * _SSIM_RADIUS + 1
    return cast(Floats, cv2.GaussianBlur(plane, (side, side), _SSIM_SIGMA, borderType=cv2.BORDER_REFLECT))


def _compute_gradient_similarity(first: Floats, second: Floats) -> Floats:
    """Reduce to half and return the similarity of Prewitt gradients, whose standard deviation is the GMSD of the paper."""
    one, other = (_compute_prewitt(cast(Floats, cv2.blur(plane, (2, 2))[::2, ::2])) for plane in (first, second))
    return np.asarray((2 * one * other + _GMSD_CONSTANT) / (one**2 + other**2 + _GMSD_CONSTANT), np.float32)


def _compute_prewitt(plane: Floats) -> Floats:
    kernel = np.array([[1, 0, -1]] * 3, np.float32) / 3
    return np.hypot(cv2.filter2D(plane, cv2.CV_32F, kernel), cv2.filter2D(plane, cv2.CV_32F, kernel.T), dtype=np.float32)


def _compute_local_detail(luma: Floats) -> Floats:
    detail = luma - cv2.GaussianBlur(luma, (0, 0), _GRAIN_SIGMA)
    return np.sqrt(cast(Floats, cv2.GaussianBlur(detail**2, (0, 0), _WINDOW_SIGMA)))
