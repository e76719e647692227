"""What an image is: a photograph, a drawing, or text. A linear classifier of 22 features that can be explained.

Photographs have soft steps and texture everywhere; drawings have flat areas with sharp edges between them and few colors; text
and screenshots have one background and narrow dark lines. The most common color is left out where possible, so that an object
on white is judged by itself. ``tests/metrics/image_kinds.py`` measures the classifier on public images.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Floats

KINDS = ("photograph", "drawing", "text")
FEATURES = (
    "flat",  # share of steps of at most 1 of 255 between neighbors
    "soft",  # of 2 to 7
    "mid",  # of 8 to 31
    "strong",  # of 96 and more
    "palette",  # share of the 16 most common of 32768 colors
    "noise",  # log2 of 1 + the 40th percentile of the Laplacian
    "beside",  # share of edges with flat pixels on both sides
    "saturation",  # mean of largest minus smallest channel
    "texture",  # share of 8x8 blocks with a deviation of 3 to 15
    "quiet",  # below 3
    "ink",  # share of pixels that are 40 darker than what is on both sides
    "sparse",  # mean step by its root mean square
    "floor",  # log2 of 1 + the 10th percentile of the deviations of 8x8 blocks that are not constant: sensor noise
    "constant",  # share of 8x8 blocks with a deviation below 0.5
    "colors",  # log of the number of 32768 colors by log of the number of pixels
    "sharp",  # share of the largest of five steps across an edge in their sum
    "dark",  # share of edges with a side below 60
    "edges",  # log2 of 1 + edges per thousand pixels
    "vivid",  # share of pixels with a saturation above 150 of 255
    "bright",  # with a value above 230
    "grey",  # with a saturation below 20
    "smooth",  # with a Laplacian below 0.5
)
_WEIGHTS = np.array(
    [
        [-0.82, 0.68, 0.14],
        [0.73, -0.57, -0.16],
        [1.06, -2.47, 1.41],
        [0.05, -5.85, 5.80],
        [-4.64, 0.06, 4.58],
        [0.20, 0.05, -0.24],
        [-2.02, -1.30, 3.32],
        [4.12, 1.67, -5.78],
        [1.93, -1.76, -0.17],
        [5.81, -2.88, -2.93],
        [-18.10, 9.83, 8.26],
        [7.35, -1.26, -6.09],
        [-0.29, 0.15, 0.14],
        [-3.80, 0.51, 3.30],
        [-7.95, 0.64, 7.31],
        [1.61, 14.58, -16.18],
        [0.87, 1.47, -2.33],
        [-0.09, -0.41, 0.50],
        [-1.85, 1.64, 0.20],
        [-3.45, 1.72, 1.73],
        [0.42, -1.20, 0.78],
        [-2.21, 0.51, 1.71],
    ]
)
"""(feature, kind), fitted to the images of the first set of ``tests/metrics/image_kinds.tsv``."""
_BIAS = np.array([3.15, -2.54, -0.56])
_SURE = 0.02
"""At this probability an image counts as a photograph: a drawing model must never get one."""
_LONGEST_SIDE = 1024
_FEWEST = 200
"""Fewer pixels outside of the most common color say nothing."""


def classify_image(images: Sequence[Floats]) -> str:
    """Return which of ``KINDS`` the images (H, W, 1 to 4), floats in 0..1, are together; frames of one video, or one image.

    ``photograph`` when unsure. Alpha is shown on white.
    """
    scores = np.mean([compute_features(image) for image in images], axis=0) @ _WEIGHTS + _BIAS
    odds = np.exp(scores - scores.max())
    photograph, drawing, text = odds / odds.sum()
    if photograph >= _SURE:
        return "photograph"
    return "drawing" if drawing >= text else "text"


def compute_features(image: Floats) -> NDArray[np.float64]:
    """Return ``FEATURES`` of (H, W, 1 to 4) in 0..1, reduced to at most 1024 pixels a side."""
    pixels = _to_small_rgb(image)
    common, palette, counted = _count_colors(pixels)
    luma = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    steps = _select(_measure_steps(pixels), ~common[:-1, :-1])
    inner = luma[1:-1, 1:-1]
    laplacian = np.abs(4 * inner - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:])
    deviations = _measure_blocks(luma, ~common)
    saturation = (pixels.max(2) - pixels.min(2))[~common].mean() / 255 if counted > _FEWEST else 0.0
    return np.array(
        [
            (steps <= 1).mean(),
            ((steps >= 2) & (steps < 8)).mean(),
            ((steps >= 8) & (steps < 32)).mean(),
            (steps >= 96).mean(),
            palette,
            np.log2(1 + np.quantile(_select(laplacian, ~common[1:-1, 1:-1]), 0.4)),
            _measure_flat_sides(luma),
            saturation,
            ((deviations >= 3) & (deviations < 16)).mean(),
            (deviations < 3).mean(),
            _measure_ink(luma, counted),
            steps.mean() / max(float(np.sqrt(np.square(steps.astype(np.float64)).mean())), 1e-3),
            *_measure_noise_floor(deviations),
            _count_distinct_colors(pixels),
            *_measure_edges(luma, common),
            *_measure_colors(pixels, ~common),
            (laplacian < 0.5).mean(),
        ]
    )


def _to_small_rgb(image: Floats) -> NDArray[np.int16]:
    color = image[:, :, :3] if image.shape[2] >= 3 else image[:, :, :1].repeat(3, axis=2)
    if image.shape[2] in (2, 4):
        alpha = image[:, :, -1:]
        color = color * alpha + (1 - alpha)
    height, width = color.shape[:2]
    scale = _LONGEST_SIDE / max(height, width)
    if scale < 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        color = cv2.resize(np.ascontiguousarray(color), size, interpolation=cv2.INTER_AREA)
    padding = [(0, max(16 - length, 0)) for length in color.shape[:2]]
    return np.pad((np.clip(color, 0, 1) * 255 + 0.5).astype(np.int16), (*padding, (0, 0)), mode="edge")


def _count_colors(pixels: NDArray[np.int16]) -> tuple[NDArray[np.bool_], float, int]:
    """Return where the most common color is, the share of the 16 next ones in the rest, and how many pixels the rest has."""
    code = ((pixels >> 3).astype(np.int32) * np.array([1024, 32, 1])).sum(2)
    counts = np.bincount(code.ravel(), minlength=1 << 15)
    common = code == counts.argmax()
    counts[counts.argmax()] = 0
    return common, float(np.sort(counts)[-16:].sum() / max(counts.sum(), 1)), int(counts.sum())


def _measure_steps(pixels: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the largest step of any channel to the pixel at the right or below, (h - 1, w - 1)."""
    across, down = np.abs(np.diff(pixels, axis=1)).max(2)[:-1], np.abs(np.diff(pixels, axis=0)).max(2)[:, :-1]
    return np.maximum(across, down)


def _select(values: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
    return values[mask] if mask.sum() > _FEWEST else values.ravel()


def _measure_blocks(luma: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the standard deviations of the 8x8 blocks that are mostly in ``mask``."""
    height, width = (length // 8 * 8 for length in luma.shape)

    def split(values: NDArray[Any]) -> NDArray[Any]:
        return values[:height, :width].reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2).reshape(-1, 64)

    deviations, inside = split(luma).std(axis=1), split(mask).mean(axis=1) > 0.5
    return deviations[inside] if inside.sum() > 20 else deviations


def _measure_flat_sides(luma: NDArray[np.float64]) -> float:
    steps = np.abs(np.diff(luma, axis=1))
    center = steps[:, 2:-2]
    edges = (center > 24) & (center >= steps[:, 1:-3]) & (center >= steps[:, 3:-1])
    flat = (steps[:, :-4] <= 2) & (steps[:, 4:] <= 2)
    return float(flat[edges].mean()) if edges.sum() > 20 else 0.0


def _measure_noise_floor(deviations: NDArray[np.float64]) -> tuple[float, float]:
    textured = deviations[deviations > 0.3]
    floor = float(np.log2(1 + np.quantile(textured, 0.1))) if textured.size > 10 else 0.0
    return floor, float((deviations < 0.5).mean())


def _count_distinct_colors(pixels: NDArray[np.int16]) -> float:
    code = ((pixels >> 3).astype(np.int32) * np.array([1024, 32, 1])).sum(2)
    return float(np.log2(np.count_nonzero(np.bincount(code.ravel()))) / np.log2(code.size))


def _measure_edges(luma: NDArray[np.float64], common: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return how sharp horizontal edges are, how many have a dark side, and how many there are."""
    steps = np.abs(np.diff(luma, axis=1))
    center = steps[:, 2:-2]
    edges = (center > 24) & (center >= steps[:, 1:-3]) & (center >= steps[:, 3:-1])
    many = float(np.log2(1 + 1000 * edges.mean() / max(float((~common).mean()), 0.05)))
    if edges.sum() <= 20:
        return 0.5, 0.3, many
    total = np.sum([steps[:, first : steps.shape[1] - 4 + first] for first in range(5)], axis=0)
    darker = np.minimum(luma[:, 2:-3], luma[:, 3:-2])
    return float((center[edges] / total[edges]).mean()), float((darker[edges] < 60).mean()), many


def _measure_colors(pixels: NDArray[np.int16], mask: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return the shares of vivid, bright and grey pixels, by saturation and value of HSV."""
    hsv = cv2.cvtColor(pixels.astype(np.uint8), cv2.COLOR_RGB2HSV)
    saturation, value = _select(hsv[:, :, 1], mask), _select(hsv[:, :, 2], mask)
    return float((saturation > 150).mean()), float((value > 230).mean()), float((saturation < 20).mean())


def _measure_ink(luma: NDArray[np.float64], counted: int) -> float:
    center = luma[2:-2, 2:-2]
    across = np.minimum(luma[2:-2, :-4], luma[2:-2, 4:]) - center
    down = np.minimum(luma[:-4, 2:-2], luma[4:, 2:-2]) - center
    return min(float((np.maximum(across, down) > 40).mean() / max(counted / luma.size, 0.05)), 0.3)
