"""What an image is: a photograph, a drawing, or text. Eighty small decision trees over 314 shares of pixels and colors.

Photographs have soft steps and texture everywhere; drawings have flat areas with sharp edges between them and few colors; text
and screenshots have one background and narrow lines. Areas without any step are left out, so that an object on white is judged
by itself. Shares are counted in integers at three sizes. ``tests/metrics/train_image_kinds.py`` grows the trees in
``image_kind.npz``; README.md has what they were measured to do.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Floats

KINDS = ("photograph", "drawing", "text")
_SURE = 0.75
"""Below this share of the trees an image is no drawing: a photograph must never get a model for drawings."""
_SIDES = (768, 384, 192)
_STEPS = np.digitize(np.arange(256), (1, 3, 6, 12, 24, 48, 96))
"""The class of a step of 0 to 255, of 8."""
_CALM = np.digitize(np.arange(256), (2, 5, 12))
_FEWEST = 50
"""Fewer pixels say nothing."""

_Bytes = NDArray[np.uint8]


def classify_image(images: Sequence[Floats]) -> str:
    """Return which of ``KINDS`` the images (H, W, 1 to 4), floats in 0..1, are together; frames of one video, or one image.

    ``photograph`` when unsure. Alpha is shown on white.
    """
    drawing, text = np.mean([_ask_trees(compute_features(image)) for image in images], axis=0)
    if drawing > _SURE:
        return "drawing"
    return "text" if text > 1 - drawing - text else "photograph"


def compute_features(image: Floats) -> NDArray[np.float64]:
    """Return the 314 features of (H, W, 1 to 4) in 0..1, reduced to at most 768, 384 and 192 pixels a side."""
    pixels = _to_bgr(image)
    return np.concatenate([_describe(_reduce(pixels, side), side) for side in _SIDES])


@cache
def _load_trees() -> Mapping[str, NDArray[Any]]:
    with np.load(Path(__file__).with_suffix(".npz")) as stored:
        return {name: stored[name] for name in stored.files}


def _ask_trees(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean share of drawings and of text in the leaves.

    The left node stands before the right one; a leaf has itself at the right.
    """
    trees = _load_trees()
    nodes, at = trees["root"], np.zeros(0, np.uint16)
    while not np.array_equal(nodes, at):
        at = nodes
        right = trees["right"][at]
        smaller = (features[trees["feature"][at]] <= trees["threshold"][at]) & (right != at)
        nodes = np.where(smaller, right - np.uint16(1), right)
    return trees["share"][at].mean(axis=0) / 255


def _to_bgr(image: Floats) -> _Bytes:
    """Return (h, w, 3), at most 768 pixels a side."""
    color = image[:, :, 2::-1] if image.shape[2] >= 3 else image[:, :, :1].repeat(3, axis=2)
    if image.shape[2] in (2, 4):
        alpha = image[:, :, -1:]
        color = color * alpha + (1 - alpha)
    return (np.clip(np.nan_to_num(_reduce(color, _SIDES[0])), 0, 1) * 255 + 0.5).astype(np.uint8)


def _reduce(pixels: NDArray[Any], side: int) -> NDArray[Any]:
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(round(width * scale), 8), max(round(height * scale), 8))
    return cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA)


def _describe(pixels: _Bytes, side: int) -> NDArray[np.float64]:
    step = _measure_range(pixels, 3).max(2)
    window = np.ones((5, 5), np.uint8)
    calmest, strongest = (np.asarray(each(step, window), np.uint8) for each in (cv2.erode, cv2.dilate))
    inside = strongest > 1
    luma = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    laplacian = np.minimum(np.abs(np.asarray(cv2.Laplacian(luma, cv2.CV_16S), np.int64)), 255)
    found = [
        _share((_STEPS[step] * 4 + _CALM[calmest])[inside], 32),
        _share((_STEPS[strongest] * 4 + _CALM[calmest])[inside], 32),
        _measure_palette(pixels, float(inside.mean())),
        _share(_STEPS[laplacian][inside], 8),
        _share(_STEPS[laplacian][inside & (strongest < 16)], 8)[:5],
    ]
    if side != _SIDES[2]:
        edges = step > 40
        beside = _measure_range(pixels, 9).max(2)[edges]
        sharp = step[edges].astype(np.float32) / beside if edges.sum() > 30 else np.array([0.6], np.float32)
        found.append(np.histogram(sharp, [0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01])[0] / len(sharp))
    if side == _SIDES[1]:
        hue, saturation, value = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV), np.int64).transpose(2, 0, 1)
        colors = np.minimum(saturation // 43, 5) * 6 + np.minimum(value // 43, 5)
        total = max(int(inside.sum()), _FEWEST)
        found += [_share(colors[inside], 36), _share(hue[inside & (saturation > 60)] // 15, 12, total)]
    return np.concatenate(found)


def _measure_range(pixels: _Bytes, size: int) -> NDArray[Any]:
    window = np.ones((size, size), np.uint8)
    return cv2.dilate(pixels, window) - cv2.erode(pixels, window)


def _share(classes: NDArray[Any], count: int, total: int = 0) -> NDArray[np.float64]:
    return np.sqrt(np.bincount(classes, minlength=count) / (total or max(classes.size, _FEWEST)))


def _measure_palette(pixels: _Bytes, inside: float) -> NDArray[np.float64]:
    """Return the shares of pixels beside a step, of the most common of 4096 colors, and of the next 2 to 128 in the rest."""
    code = ((pixels >> 4).astype(np.int64) * np.array([256, 16, 1])).sum(2)
    counts = np.sort(np.bincount(code.ravel(), minlength=4096))[::-1]
    rest = max(int(counts[1:].sum()), _FEWEST)
    next_ones = [counts[1 : 1 + count].sum() / rest for count in (2, 8, 32, 128)]
    return np.array([inside, counts[0] / code.size, *next_ones, np.log2(np.count_nonzero(counts)) / 12])
