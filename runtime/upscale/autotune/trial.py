"""Compares backends on a crop of a photograph: how long each takes, and how far it is from torch in fp32."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...images import to_floats
from ...models import UpscaleModel
from ...paths import SAMPLE_IMAGE
from ..backends import open_backend
from ..backends.base import Backend, ResolvedPrecision
from ..memory import reuse_freed_memory

_CROP_ORIGIN = 96, 96

_MAX_ABS_ERROR_FP32 = 1e-4
_MIN_PSNR_HALF = 50.0
"""Decibels. Rounding to 8 bits is 59 dB; below 50 a bright gradient would begin to show it."""
_MIN_SIDE, _MAX_SIDE = 48, 160
_TARGET_SECONDS = 1.2
_REPEATS = 2


@dataclass(frozen=True)
class Candidate:
    """A backend in one precision."""

    backend: str
    precision: ResolvedPrecision

    @property
    def title(self) -> str:
        return f"{self.backend} in {self.precision}"


@dataclass(frozen=True)
class TrialResult:
    """The time for a tile as a fraction of the reference's, and the PSNR against the reference's result.

    A relative time of infinity: too inaccurate, so its time was not measured.
    """

    relative_time: float
    decibels: float


def run_trials(model: UpscaleModel, candidates: Sequence[Candidate]) -> dict[Candidate, TrialResult]:
    """``contenders`` in turn, the reference first; whoever fails is left out.

    Only the reference is tried where the sample image was deleted. Noise would not replace it: what a network makes of
    noise says nothing about its rounding on images.
    """
    if not SAMPLE_IMAGE.is_file():
        return {candidates[0]: TrialResult(1.0, np.inf)}
    photograph = _read_photograph()
    with reuse_freed_memory(), ExitStack() as open_backends:
        backends = {candidates[0]: open_backends.enter_context(closing(_open_candidate(candidates[0], model)))}
        side = _choose_tile_side(backends[candidates[0]], photograph)
        tile = np.ascontiguousarray(photograph[:, :side, :side])
        reference = backends[candidates[0]].run(tile)
        decibels = {candidates[0]: np.inf}
        for candidate in candidates[1:]:
            try:
                backend = open_backends.enter_context(closing(_open_candidate(candidate, model)))
                result = backend.run(tile)
            except Exception:  # whatever the reason, torch works
                continue
            decibels[candidate] = _compute_psnr(result, reference)
            if _is_accurate(candidate, result, reference):
                backends[candidate] = backend
        relative_times = _measure_relative_times(backends, tile)
    return {candidate: TrialResult(relative_times.get(candidate, np.inf), found) for candidate, found in decibels.items()}


def _open_candidate(candidate: Candidate, model: UpscaleModel) -> Backend:
    return open_backend(candidate.backend, model, torch.device("cpu"), candidate.precision)


def _read_photograph() -> NDArray[np.float32]:
    from ...images import read_image_file  # 25 MB of libraries, not needed when the answer is stored

    left, top = _CROP_ORIGIN
    return to_floats(read_image_file(SAMPLE_IMAGE).pixels[None, top : top + _MAX_SIDE, left : left + _MAX_SIDE, :3])


def _choose_tile_side(backend: Backend, photograph: NDArray[np.float32]) -> int:
    """The side of a tile that takes about ``_TARGET_SECONDS``: a small one would favour backends with little overhead."""
    small = np.ascontiguousarray(photograph[:, :_MIN_SIDE, :_MIN_SIDE])
    backend.run(small)
    started = time.perf_counter()
    backend.run(small)
    return int(np.clip(_MIN_SIDE * (_TARGET_SECONDS / (time.perf_counter() - started)) ** 0.5, _MIN_SIDE, _MAX_SIDE)) // 16 * 16


def _is_accurate(candidate: Candidate, result: NDArray[np.float32], reference: NDArray[np.float32]) -> bool:
    if candidate.precision == "fp32":
        return bool(np.abs(result - reference).max() <= _MAX_ABS_ERROR_FP32)
    return _compute_psnr(result, reference) >= _MIN_PSNR_HALF


def _compute_psnr(result: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Peak signal-to-noise ratio in dB of values in 0..1; infinite for equal ones, NaN for results with NaN."""
    error = float(np.mean(np.square(result - reference, dtype=np.float64)))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def _measure_relative_times(backends: dict[Candidate, Backend], tile: NDArray[np.float32]) -> dict[Candidate, float]:
    """The shortest of some runs relative to the reference's shortest: in wall time, or where all are of one library in
    processor time of all threads, which other programs disturb much less.
    """
    seconds_by_candidate: dict[Candidate, list[float]] = {candidate: [] for candidate in backends}
    clock = time.process_time if len({candidate.backend for candidate in backends}) == 1 else time.perf_counter
    for _ in range(_REPEATS):
        for candidate, backend in backends.items():
            started = clock()
            backend.run(tile)
            seconds_by_candidate[candidate].append(clock() - started)
    reference = min(seconds_by_candidate[next(iter(backends))])
    return {candidate: min(seconds) / reference for candidate, seconds in seconds_by_candidate.items()}
