"""What is wrong with an image or a video, as numbers: of a few frames, and of runs of frames for what shows only in motion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, cast

import cv2
import numpy as np

from ..errors import MediaError
from ..file_types import VIDEO_SUFFIXES
from ..images import read_image_file, to_floats
from ..media import Floats, Region, Size
from ..metrics import classify_image
from ..models import ImageKind
from ..upscale import find_borders
from ..video import is_interlaced, open_video

_LUMA = np.array([[0.2126, 0.7152, 0.0722]], np.float32) * 255
_BLOCK = 32
_FLATTEST_PERCENTILE = 10
_RESOLUTION_MULTIPLE = 24
"""Sides that every factor divides."""
_HIDING_NOISE = 2.0
_LOST_SHARE = 0.27
"""Of enlarged photographs at most 0.23, of others at least 0.36 (eight wallpapers, by factors of 2 and 3)."""
_LARGEST_SIDE = 1280
_RUNS, _RUN_FRAMES, _CYCLE = 3, 15, 5
_COMB_STEPS2 = 36.0
"""Square of 8-bit steps by which a line must stick out of both of its neighbours."""
_COMB_RATIO, _COMB_SHARE = 1.15, 0.004
"""Of progressive frames of four photographs in motion the ratio is 0.2 to 0.8, of combed ones 1.4 and more."""
Scan = Literal["progressive", "interlaced", "telecine"]


@dataclass(frozen=True)
class Footage:
    """What was found. Noise is in 8-bit steps."""

    size: Size
    kind: ImageKind
    noise: float
    """Standard deviation of luma in flat areas."""
    blockiness: float
    """8-bit steps by which the edges of 8x8 blocks jump more than other places."""
    resolution: float
    """Share of the width and height that the detail needs: 0.5 for an image that was enlarged twofold."""
    frames: int | None = None
    """None for an image, or where it is not known; ``is_video`` tells."""
    is_video: bool = False
    scan: Scan = "progressive"
    inside: Region | None = None
    """What black borders enclose; None without borders."""
    is_hdr: bool = False
    bit_depth: int = 8


def examine_file(path: Path, max_pixels: int) -> tuple[Footage, Floats]:
    """Return the measures of an image or a video, and an image of it, (H, W, C) float32 in 0..1. Raises ``MediaError``."""
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        pixels = read_image_file(path, max_pixels=max_pixels).pixels
        return examine_image(pixels), pixels
    footage = examine_video(path)
    stream = open_video(path, deinterlace="keep" if footage.scan == "progressive" else "bwdif", on_message=lambda _: None)
    with stream.frames((footage.frames or 2) // 2) as frames:
        pixels = to_floats(next(frames).pixels)
    return footage, pixels[footage.inside.rows, footage.inside.columns] if footage.inside else pixels


def examine_image(pixels: Floats) -> Footage:
    """Measure an image (H, W, C), float32 in 0..1; C is 1 to 4."""
    height, width, channels = pixels.shape
    colors = np.repeat(pixels[:, :, :1], 3, axis=2) if channels < 3 else np.ascontiguousarray(pixels[:, :, :3])
    luma = cut_center(make_luma(colors))
    noise = measure_noise(luma)
    kind = cast("ImageKind", classify_image([colors]))
    return Footage(Size(width, height), kind, noise, measure_blockiness(luma), measure_resolution(luma, noise))


def examine_video(path: Path) -> Footage:
    """Measure the frames in the middle of three runs spread over a video. Raises ``MediaError`` as ``open_video`` does."""
    stream = open_video(path, deinterlace="keep", on_message=lambda _: None)
    count, inside = stream.info.frame_count, find_borders(stream)
    runs: list[list[Floats]] = []
    for number in range(_RUNS) if count and count > _RUNS * _RUN_FRAMES else range(1):
        with stream.frames((count or 0) * number // _RUNS) as frames:
            pixels = [to_floats(frame.pixels) for frame in islice(frames, _RUN_FRAMES)]
            runs.append([one[inside.rows, inside.columns] for one in pixels] if inside else pixels)
    runs = [run for run in runs if run]
    if not runs:
        raise MediaError(f"{path.name} has no frames.", "Check the file.", path=path)
    combed = [find_combed([make_luma(frame) for frame in run]) for run in runs]
    parts = [examine_image(_pick_clean(run, answers)) for run, answers in zip(runs, combed, strict=True)]
    kinds = [part.kind for part in parts]
    return replace(
        parts[0],
        size=stream.info.size,
        kind=max(kinds, key=kinds.count),
        noise=float(np.median([part.noise for part in parts])),
        blockiness=float(np.median([part.blockiness for part in parts])),
        resolution=float(np.median([part.resolution for part in parts])),
        frames=count,
        is_video=True,
        scan=judge_scan(combed, is_marked=is_interlaced(path)),
        inside=inside,
        is_hdr=stream.info.color.is_hdr,
        bit_depth=stream.info.bit_depth,
    )


def _pick_clean(run: Sequence[Floats], combed: Sequence[bool | None]) -> Floats:
    """Return a frame that is not combed, in the middle of the run where there is one; else one field of that in the middle."""
    clean = [frame for frame, answer in zip(run, combed, strict=True) if not answer]
    return clean[len(clean) // 2] if clean else run[len(run) // 2][::2]


def make_luma(pixels: Floats) -> Floats:
    """Return luma (H, W) of (H, W, 3) in 0..1, in 8-bit steps."""
    return np.asarray(cv2.transform(pixels, _LUMA), np.float32).reshape(pixels.shape[:2])


def cut_center(luma: Floats) -> Floats:
    """Return at most 1280 x 1280 pixels around the center, on the grid of 8x8 blocks."""
    top, left = (max(length - _LARGEST_SIDE, 0) // 16 * 8 for length in luma.shape)
    return luma[top : top + _LARGEST_SIDE, left : left + _LARGEST_SIDE]


def measure_noise(luma: Floats) -> float:
    """Return the standard deviation of noise in 8-bit steps, in the flattest tenth of the blocks.

    J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64 (2), 1996; clipped blocks are
    left out.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = np.abs(cv2.filter2D(luma, cv2.CV_32F, kernel))
    rows, columns = (max(length // _BLOCK, 1) for length in luma.shape)

    def average(values: Floats) -> Floats:
        return np.asarray(cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)

    means, sigmas = average(luma), average(response) * np.sqrt(np.pi / 2) / 6
    usable = sigmas[(means > 8) & (means < 247)]
    return float(np.percentile(usable if usable.size else sigmas, _FLATTEST_PERCENTILE))


def measure_blockiness(luma: Floats) -> float:
    """Return by how many 8-bit steps more the edges of 8x8 blocks jump than all other places, of the axis where it is more.

    A jump is what a difference of two neighbours exceeds those beside it. An enlarged image has a period too, but jumps at more
    than one place in eight.
    """
    return max(_measure_jumps(luma), _measure_jumps(luma.T))


def _measure_jumps(luma: Floats) -> float:
    steps = np.abs(np.diff(luma, axis=1))
    profile = np.clip(steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2, -8, 8).mean(axis=0)
    *_, second, first = sorted(float(profile[phase::8].mean()) for phase in range(8))
    return first - second


def measure_resolution(luma: Floats, noise: float) -> float:
    """Return the share of its sides that the detail of an image needs: 1, or a half, a third or a quarter after an enlargement.

    Reducing an enlarged image by that factor loses almost nothing, and by twice the factor much: in an image with detail of its
    own the first is more than a quarter of the second. Noise is detail; where it is visible the answer is 1.
    """
    height, width = (length // _RESOLUTION_MULTIPLE * _RESOLUTION_MULTIPLE for length in luma.shape)
    if noise >= _HIDING_NOISE or not height or not width:
        return 1.0
    luma = luma[:height, :width]
    losses = {factor: max(_measure_loss(luma, factor) - 3 * noise, 0.0) for factor in (2, 3, 4, 6, 8)}
    return next((1 / one for one in (4, 3, 2) if losses[one] < _LOST_SHARE * losses[2 * one] and losses[2 * one] > 4), 1.0)


def _measure_loss(luma: Floats, factor: int) -> float:
    small = cv2.resize(luma, (luma.shape[1] // factor, luma.shape[0] // factor), interpolation=cv2.INTER_AREA)
    restored = cv2.resize(small, luma.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return float(np.percentile(np.abs(luma - restored), 99.8))


def find_combed(run: Sequence[Floats]) -> list[bool | None]:
    """Return for each frame of a run whether its lines are of two times; None where nothing moved since the frame before."""
    answers: list[bool | None] = []
    for index, luma in enumerate(run):
        before = run[index - 1] if index else run[min(1, len(run) - 1)]
        if np.abs(luma - before).mean() < 0.2:
            answers.append(None)
            continue
        near, far = _count_combs(luma, 1), _count_combs(luma, 2)
        answers.append(near > _COMB_SHARE and near > _COMB_RATIO * far)
    return answers


def _count_combs(luma: Floats, distance: int) -> float:
    """Return the share of pixels that stick out of those ``distance`` lines above and below: fields mixed, or fine detail."""
    middle = luma[distance:-distance]
    return float(((middle - luma[: -2 * distance]) * (middle - luma[2 * distance :]) > _COMB_STEPS2).mean())


def judge_scan(runs: Sequence[Sequence[bool | None]], *, is_marked: bool) -> Scan:
    """Return how the frames were scanned, by which of them are combed: of a movie in 30 frames, two of five in a row.

    Where too little moves, ``is_marked`` decides: whether the file says that it is interlaced.
    """
    known = [answer for run in runs for answer in run if answer is not None]
    if len(known) < _CYCLE:
        return "interlaced" if is_marked else "progressive"
    share = sum(known) / len(known)
    if share < 0.2:
        return "progressive"
    return "telecine" if all(_has_cycle(run) for run in runs) else "interlaced" if share > 0.5 or is_marked else "progressive"


def _has_cycle(run: Sequence[bool | None]) -> bool:
    """Whether two frames in a row of every five are combed, with one exception."""
    return any(
        sum(answer is not None and answer != ((index - phase) % _CYCLE < 2) for index, answer in enumerate(run)) <= 1
        for phase in range(_CYCLE)
    )
