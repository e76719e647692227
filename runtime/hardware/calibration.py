"""Measured memory and time of models on this machine's backends, stored in the cache folder.

A file that is damaged or of another version is ignored; the table in ``tile_memory`` is then used.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..atomic_write import atomic_write
from ..paths import get_cache_folder
from ..upscale import BACKENDS, REFERENCE_BACKEND
from .capacity import PeakSampler
from .detect import Machine
from .tile_memory import Footprint, fit_footprint

_VERSION = 1
_INTERVAL_SECONDS = 0.002
"""Seconds between two memory samples while a tile is computed."""


@dataclass(frozen=True)
class CalibrationSubject:
    """What was measured. It includes ``device`` and ``software``, so a new driver or torch needs a new measurement."""

    device: str
    software: str
    architecture: str
    scale: int
    backend: str
    precision: str


@dataclass(frozen=True)
class Measurement:
    """``seconds_per_megapixel`` counts the model's input pixels, halo included, for the fastest tile size."""

    bytes_per_pixel: float
    base: float
    seconds_per_megapixel: float

    @property
    def footprint(self) -> Footprint:
        return Footprint(self.bytes_per_pixel, self.base, is_measured=True)


Calibration = Mapping[CalibrationSubject, Measurement]


def make_subject(
    machine: Machine, device: str, architecture: str, scale: int, backend: str, precision: str
) -> CalibrationSubject:
    """Return the key for a measurement on ``device``. Raises ``HardwareMissing`` for an unknown device."""
    gpu = machine.find_gpu(device)
    name = gpu.name if gpu else f"{machine.cpu.model} x {machine.cpu.cores}"
    package = BACKENDS.get(backend, BACKENDS[REFERENCE_BACKEND]).packages[0]
    software = f"{package} {machine.versions.get(package, '?')}" + (f", driver {machine.driver}" if gpu else "")
    return CalibrationSubject(name, software, architecture, scale, backend, precision)


def measure_tiles(run: Callable[[int], None], read_used_memory: Callable[[], int], sides: Sequence[int]) -> Measurement:
    """Measure time and peak memory of ``run(side)`` for two or more sides, smallest first.

    ``read_used_memory`` returns the bytes in use. The first tile runs once more as a warm-up. Memory that is not released
    before the next tile does not matter, because the next tile is larger.
    """
    before = read_used_memory()
    points: list[tuple[int, int]] = []
    best = math.inf
    run(min(sides))
    for side in sorted(sides):
        began = time.perf_counter()
        with PeakSampler(read_used_memory, _INTERVAL_SECONDS) as sampler:
            run(side)
        best = min(best, (time.perf_counter() - began) / (side * side))
        points.append((side * side, max(sampler.highest - before, 0)))
    footprint = fit_footprint(points)
    return Measurement(footprint.bytes_per_pixel, footprint.base, best * 1e6)


def get_calibration_path() -> Path:
    """Return the path of the file with the measurements, in the cache folder."""
    return get_cache_folder() / "calibration.json"


def load_calibration(file: Path | None = None) -> Calibration:
    """Return earlier measurements; empty if there is no valid file."""
    try:
        stored = json.loads((file or get_calibration_path()).read_text(encoding="utf-8"))
        if stored["version"] != _VERSION:
            return {}
        return dict(_parse_measurement(entry) for entry in stored["measurements"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def store_calibration(measured: Calibration, file: Path | None = None) -> Path | None:
    """Add measurements to the file and return its path; None if the folder cannot be written, which is not an error."""
    file = file or get_calibration_path()
    merged = {**load_calibration(file), **measured}
    stored = {"version": _VERSION, "measurements": [asdict(subject) | asdict(entry) for subject, entry in merged.items()]}
    with suppress(OSError):
        with atomic_write(file) as temp_file:
            temp_file.write_text(json.dumps(stored, indent=1), encoding="utf-8")
        return file
    return None


def _parse_measurement(entry: dict[str, Any]) -> tuple[CalibrationSubject, Measurement]:
    """Parse one entry. Raises ``ValueError`` for an impossible number, ``KeyError`` for a missing one."""
    subject = CalibrationSubject(**{each.name: entry[each.name] for each in fields(CalibrationSubject)})
    hash(subject)  # TypeError for a list instead of a string
    found = Measurement(**{each.name: float(entry[each.name]) for each in fields(Measurement)})
    if not (_is_positive(found.bytes_per_pixel) and _is_positive(found.seconds_per_megapixel) and 0 <= found.base < math.inf):
        raise ValueError(f"not a measurement: {found}")
    return subject, found


def _is_positive(number: float) -> bool:
    return 0 < number < math.inf
