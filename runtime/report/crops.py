"""Select the crops to compare: by position, by size, or by content."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import cv2
import numpy as np

from ..errors import HardwareMissing, WorkflowError
from ..media import Floats, Region, Size
from .crop_spec import CropSpec, parse_crop_specs

SEARCH_SIDE = 1024
"""Images are reduced to this longest side before content is searched: enough to find a face."""


@dataclass(frozen=True)
class Crop:
    """A part of an image. ``note`` is a sentence about how it differs from the request, or empty."""

    name: str
    region: Region
    note: str = ""


def resolve_crops(pixels: Floats, text: str) -> tuple[Crop, ...]:
    """Return the crops of (H, W, C) in 0..1 that ``text`` selects, each region once.

    A crop larger than the image is reduced to it, and its note says so.

    Raises:
        WorkflowError: ``text`` is invalid, or a position is outside the image.
        HardwareMissing: faces are requested and scikit-image is not installed.
    """
    size = Size(pixels.shape[1], pixels.shape[0])
    found: dict[Region, Crop] = {}
    for spec in parse_crop_specs(text):
        crop = _resolve_crop(pixels, size, spec)
        found.setdefault(crop.region, crop)
    return tuple(found.values())


def _resolve_crop(pixels: Floats, size: Size, spec: CropSpec) -> Crop:
    if spec.kind == "all":
        return Crop("whole image", Region(0, 0, size.width, size.height))
    width, height = min(spec.size.width, size.width), min(spec.size.height, size.height)
    note = "" if (width, height) == (spec.size.width, spec.size.height) else _describe_small_image(size, spec.size)
    if spec.kind == "place":
        return _resolve_positioned_crop(size, spec, note)
    x, y, missing_note = _locate_content(pixels, Size(width, height), spec.kind)
    return Crop(f"{spec.kind} {width}x{height}", Region(x, y, width, height), " ".join(filter(None, (note, missing_note))))


def _resolve_positioned_crop(size: Size, spec: CropSpec, note: str) -> Crop:
    if spec.x >= size.width or spec.y >= size.height:
        raise WorkflowError(f"The crop at {spec.x},{spec.y} is outside of the image ({size}).", "Begin inside the image.")
    width, height = min(spec.size.width, size.width - spec.x), min(spec.size.height, size.height - spec.y)
    cut_note = "" if (width, height) == (spec.size.width, spec.size.height) else f"It was cut at the image's border ({size})."
    region = Region(spec.x, spec.y, width, height)
    return Crop(f"{width}x{height} at {spec.x},{spec.y}", region, note or cut_note)


def _describe_small_image(size: Size, requested: Size) -> str:
    return f"The image ({size}) is smaller than the requested crop of {requested}."


def _locate_content(pixels: Floats, size: Size, kind: str) -> tuple[int, int, str]:
    """Return left and top of the crop, and a note if the content was not found."""
    height, width = pixels.shape[:2]
    centre = (width - size.width) // 2, (height - size.height) // 2
    if kind == "centre":
        return *centre, ""
    if kind == "faces":
        face = _find_largest_face(pixels)
        if face is None:
            return *centre, "No face was found; this is the centre."
        return *_center_on_face(face, size, width, height), ""
    return *find_busiest_window(pixels, size, kind), ""


def _center_on_face(face: tuple[int, int], size: Size, width: int, height: int) -> tuple[int, int]:
    left, top = face[0] - size.width // 2, face[1] - size.height // 2
    return min(max(left, 0), width - size.width), min(max(top, 0), height - size.height)


def find_busiest_window(pixels: Floats, size: Size, kind: str) -> tuple[int, int]:
    """Return left and top of the window of ``size`` with the most texture or the most edges.

    By the structure tensor of luma, averaged over 5 pixels (J. Shi, C. Tomasi, "Good Features to Track", CVPR 1994): two large
    eigenvalues mean detail in every direction, which is texture; a single one means an edge.
    """
    small, ratio = _reduce_to_luma(pixels)
    eigen = cast(Floats, cv2.cornerEigenValsAndVecs(small, 5, 3))[:, :, :2]
    least, most = (np.sqrt(np.maximum(eigen[:, :, order], 0)) for order in (0, 1))
    least, most = np.minimum(least, most), np.maximum(least, most)
    sums = cv2.integral(least if kind == "texture" else most - least, sdepth=cv2.CV_64F)
    window_height, window_width = (
        max(min(round(side * ratio), limit), 1) for side, limit in zip((size.height, size.width), small.shape, strict=True)
    )
    windows = (
        sums[window_height:, window_width:]
        - sums[:-window_height, window_width:]
        - sums[window_height:, :-window_width]
        + sums[:-window_height, :-window_width]
    )
    top, left = np.unravel_index(int(windows.argmax()), windows.shape)
    return (min(int(left / ratio), pixels.shape[1] - size.width), min(int(top / ratio), pixels.shape[0] - size.height))


def _reduce_to_luma(pixels: Floats) -> tuple[Floats, float]:
    """Return the luma of the image, its longest side at most ``SEARCH_SIDE``, and the factor of the reduction."""
    height, width = pixels.shape[:2]
    ratio = min(SEARCH_SIDE / max(height, width), 1.0)
    small = pixels
    if ratio < 1:
        reduced_size = (max(round(width * ratio), 1), max(round(height * ratio), 1))
        small = cast(Floats, cv2.resize(pixels, reduced_size, interpolation=cv2.INTER_AREA)).reshape(
            reduced_size[1], reduced_size[0], -1
        )
    channels = small[:, :, : 1 if small.shape[2] < 3 else 3]
    return np.ascontiguousarray(channels.mean(axis=2), np.float32), ratio


def _find_largest_face(pixels: Floats) -> tuple[int, int] | None:
    """Return the center of the largest upright face that the cascade of scikit-image finds."""
    try:
        data: Any = import_module("skimage.data")
        feature: Any = import_module("skimage.feature")
    except ModuleNotFoundError as error:
        raise HardwareMissing(
            "Finding faces needs scikit-image.",
            "Install it with: pip install scikit-image (the extra `metrics`).",
            feature="scikit-image",
        ) from error
    small, ratio = _reduce_to_luma(pixels)
    shortest = min(small.shape)
    if shortest < 48:
        return None
    cascade = feature.Cascade(str(data.lbp_frontal_face_cascade_filename()))
    found = list(_detect_faces(cascade, small, shortest))
    if not found:
        return None
    side, x, y = max(found)
    return round((x + side / 2) / ratio), round((y + side / 2) / ratio)


def _detect_faces(cascade: Any, luma: Floats, max_side: int) -> Iterator[tuple[int, int, int]]:
    boxes = cascade.detect_multi_scale(
        img=luma, scale_factor=1.2, step_ratio=1, min_size=(32, 32), max_size=(max_side, max_side)
    )
    for box in boxes:
        yield int(box["width"]), int(box["c"]), int(box["r"])
