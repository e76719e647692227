"""What was measured on this machine: memory and time of a model on a backend, kept in the cache folder.

A file that is damaged, foreign or of another version counts as none: then the table of ``footprint`` is used.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import platformdirs

from ..whole import whole
from .footprint import Footprint, fitted
from .machine import Machine

_VERSION = 1
_EVERY = 0.002
"""Seconds between two looks at the memory while a tile is computed."""


@dataclass(frozen=True)
class Subject:
    """What was measured. ``device`` and ``software`` are part of it, so a new driver or torch is measured anew."""

    device: str
    software: str
    architecture: str
    scale: int
    backend: str
    precision: str


@dataclass(frozen=True)
class Measurement:
    """``seconds_per_megapixel``: of input that the model sees, halo included, in the tile that was fastest by that."""

    bytes_per_pixel: float
    base: float
    seconds_per_megapixel: float

    @property
    def footprint(self) -> Footprint:
        return Footprint(self.bytes_per_pixel, self.base, measured=True)


Calibration = Mapping[Subject, Measurement]


def subject(machine: Machine, device: str, architecture: str, scale: int, backend: str, precision: str) -> Subject:
    """What a measurement on ``device`` is filed under. Raises ``HardwareMissing`` for a device that is not here."""
    gpu = machine.gpu(device)
    name = gpu.name if gpu else f"{machine.cpu.model} x {machine.cpu.cores}"
    packages = {"openvino": "openvino", "onnxruntime": "onnxruntime", "ncnn": "ncnn"}
    package = packages.get(backend, "torch")
    software = f"{package} {machine.versions.get(package, '?')}" + (f", driver {machine.driver}" if gpu else "")
    return Subject(name, software, architecture, scale, backend, precision)


def measure(run: Callable[[int], None], used: Callable[[], int], sides: Sequence[int]) -> Measurement:
    """Time and peak memory of ``run(side)`` for each side, least first; ``used`` says how much memory is taken now.

    The first tile is computed twice and timed never: it pays for making things ready. Needs two sides or more. Memory that is
    kept for the next tile does no harm, because the next tile is larger.
    """
    before = used()
    points: list[tuple[int, int]] = []
    best = math.inf
    run(min(sides))
    for side in sorted(sides):
        began = time.perf_counter()
        peak = _peak(lambda side=side: run(side), used)
        best = min(best, (time.perf_counter() - began) / (side * side))
        points.append((side * side, max(peak - before, 0)))
    line = fitted(points)
    return Measurement(line.bytes_per_pixel, line.base, best * 1e6)


def _peak(run: Callable[[], None], used: Callable[[], int]) -> int:
    """The most that ``used`` says while ``run`` works, looked at from a thread beside it."""
    seen = [used()]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_EVERY):
            seen[0] = max(seen[0], used())

    thread = threading.Thread(target=watch, name="calibration", daemon=True)
    thread.start()
    try:
        run()
    finally:
        done.set()
        thread.join()
    return max(seen[0], used())


def calibration_file() -> Path:
    """In ``UPSCALE8K_CACHE_DIR``, else in the cache folder that the platform gives to ``upscale8k``."""
    chosen = os.environ.get("UPSCALE8K_CACHE_DIR")
    folder = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("upscale8k", appauthor=False))
    return folder / "calibration.json"


def recall(file: Path | None = None) -> Calibration:
    """What was measured before; empty when there is nothing that can be read and believed."""
    try:
        kept = json.loads((file or calibration_file()).read_text(encoding="utf-8"))
        if kept["version"] != _VERSION:
            return {}
        return dict(_believed(entry) for entry in kept["measurements"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def remember(measured: Calibration, file: Path | None = None) -> Path | None:
    """Add to what is kept and return where; None where the folder cannot be written, which is no error."""
    file = file or calibration_file()
    merged = {**recall(file), **measured}
    kept = {"version": _VERSION, "measurements": [asdict(what) | asdict(entry) for what, entry in merged.items()]}
    with suppress(OSError):
        with whole(file) as part:
            part.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        return file
    return None


def _believed(entry: dict[str, Any]) -> tuple[Subject, Measurement]:
    """Raises ``ValueError`` for numbers that no measurement can give, ``KeyError`` for one that is missing."""
    what = Subject(**{each.name: entry[each.name] for each in fields(Subject)})
    hash(what)  # TypeError for a list where a word should stand
    found = Measurement(**{each.name: float(entry[each.name]) for each in fields(Measurement)})
    if not (_positive(found.bytes_per_pixel) and _positive(found.seconds_per_megapixel) and 0 <= found.base < math.inf):
        raise ValueError(f"not a measurement: {found}")
    return what, found


def _positive(number: float) -> bool:
    return 0 < number < math.inf
