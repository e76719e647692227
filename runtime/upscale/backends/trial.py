"""Backends side by side on a piece of a photograph: how long each takes, and how far it is from torch in fp32."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...images.quantize import to_floats
from ...models.facts import UpscaleModel
from ..allocator import reused_memory
from . import Backend, Precision

PHOTOGRAPH = Path(__file__).resolve().parents[3] / "workflows" / "media" / "sample.png"
"""Comes with the pack. Noise would not do: what a network makes of it says nothing about its rounding on pictures."""
_CORNER = 96, 96

_AGREES = 1e-4
_FAITHFUL = 50.0
"""Decibels. Rounding to 8 bits is 59 dB; below 50 a bright gradient would begin to show it."""
_SMALL, _LARGE = 48, 160
_SECONDS = 1.2
_TURNS = 2


@dataclass(frozen=True)
class Contender:
    """A backend in one precision."""

    backend: str
    precision: Precision

    @property
    def title(self) -> str:
        return f"{self.backend} in {self.precision}"


@dataclass(frozen=True)
class Result:
    """``part`` of the reference's time that it needed for the same tile, and its PSNR against the reference's result.

    A part of infinity: it was not true to the reference, so nobody asked how fast it is.
    """

    part: float
    decibels: float


def tried(model: UpscaleModel, contenders: Sequence[Contender]) -> dict[Contender, Result]:
    """``contenders`` in turn, the reference first; whoever fails is left out.

    Nobody but the reference is tried where the photograph was taken away.
    """
    if not PHOTOGRAPH.is_file():
        return {contenders[0]: Result(1.0, np.inf)}
    photograph = _photograph()
    with reused_memory(), ExitStack() as open_backends:
        opened = {contenders[0]: open_backends.enter_context(closing(_opened(contenders[0], model)))}
        side = _side(opened[contenders[0]], photograph)
        tile = np.ascontiguousarray(photograph[:, :side, :side])
        reference = opened[contenders[0]].run(tile)
        decibels = {contenders[0]: np.inf}
        for contender in contenders[1:]:
            try:
                backend = open_backends.enter_context(closing(_opened(contender, model)))
                result = backend.run(tile)
            except Exception:  # whatever keeps it from working here, torch works
                continue
            decibels[contender] = _psnr(result, reference)
            if _is_true(contender, result, reference):
                opened[contender] = backend
        parts = _parts(opened, tile)
    return {contender: Result(parts.get(contender, np.inf), found) for contender, found in decibels.items()}


def _opened(contender: Contender, model: UpscaleModel) -> Backend:
    from . import open_backend

    return open_backend(contender.backend, model, "cpu", contender.precision)


def _photograph() -> NDArray[np.float32]:
    from ...images.read import read  # 25 MB of libraries, which a film goes without when the answer is remembered

    left, top = _CORNER
    return to_floats(read(PHOTOGRAPH).pixels[None, top : top + _LARGE, left : left + _LARGE, :3])


def _side(backend: Backend, photograph: NDArray[np.float32]) -> int:
    """Of a tile that takes about ``_SECONDS``: a small one would favour who has little to prepare."""
    small = np.ascontiguousarray(photograph[:, :_SMALL, :_SMALL])
    backend.run(small)
    began = time.perf_counter()
    backend.run(small)
    return int(np.clip(_SMALL * (_SECONDS / (time.perf_counter() - began)) ** 0.5, _SMALL, _LARGE)) // 16 * 16


def _is_true(contender: Contender, result: NDArray[np.float32], reference: NDArray[np.float32]) -> bool:
    if contender.precision == "fp32":
        return bool(np.abs(result - reference).max() <= _AGREES)
    return _psnr(result, reference) >= _FAITHFUL


def _psnr(result: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Peak signal-to-noise ratio in dB of values in 0..1; infinite for equal ones, not a number for results that are none."""
    error = float(np.mean(np.square(result - reference, dtype=np.float64)))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def _parts(backends: dict[Contender, Backend], tile: NDArray[np.float32]) -> dict[Contender, float]:
    """The least of some turns against the reference's least: by the clock, or where all are of one library by the processor
    time of all threads, which other programs at work disturb much less.
    """
    turns: dict[Contender, list[float]] = {contender: [] for contender in backends}
    clock = time.process_time if len({contender.backend for contender in backends}) == 1 else time.perf_counter
    for _ in range(_TURNS):
        for contender, backend in backends.items():
            began = clock()
            backend.run(tile)
            turns[contender].append(clock() - began)
    reference = min(turns[next(iter(backends))])
    return {contender: min(seconds) / reference for contender, seconds in turns.items()}
