"""What was measured on this machine: memory and time of a model on a backend, kept in the cache folder.

A file that is damaged, foreign or of another version counts as none: then the table of ``footprint`` is used.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..atomic_write import atomic_write
from ..paths import get_cache_folder
from .detect import Machine
from .tile_memory import Footprint, fit_footprint

_VERSION = 1
_INTERVAL_SECONDS = 0.002
"""Seconds between two looks at the memory while a tile is computed."""


@dataclass(frozen=True)
class CalibrationSubject:
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
        return Footprint(self.bytes_per_pixel, self.base, is_measured=True)


Calibration = Mapping[CalibrationSubject, Measurement]


def make_subject(
    machine: Machine, device: str, architecture: str, scale: int, backend: str, precision: str
) -> CalibrationSubject:
    """What a measurement on ``device`` is filed under. Raises ``HardwareMissing`` for a device that is not here."""
    gpu = machine.find_gpu(device)
    name = gpu.name if gpu else f"{machine.cpu.model} x {machine.cpu.cores}"
    packages = {"openvino": "openvino", "onnxruntime": "onnxruntime", "ncnn": "ncnn"}
    package = packages.get(backend, "torch")
    software = f"{package} {machine.versions.get(package, '?')}" + (f", driver {machine.driver}" if gpu else "")
    return CalibrationSubject(name, software, architecture, scale, backend, precision)


def measure_tiles(run: Callable[[int], None], read_used_memory: Callable[[], int], sides: Sequence[int]) -> Measurement:
    """Time and peak memory of ``run(side)`` for each side, least first; ``used`` says how much memory is taken now.

    The first tile is computed twice and timed never: it pays for making things ready. Needs two sides or more. Memory that is
    kept for the next tile does no harm, because the next tile is larger.
    """
    before = read_used_memory()
    points: list[tuple[int, int]] = []
    best = math.inf
    run(min(sides))
    for side in sorted(sides):
        began = time.perf_counter()
        peak = _measure_peak(lambda side=side: run(side), read_used_memory)
        best = min(best, (time.perf_counter() - began) / (side * side))
        points.append((side * side, max(peak - before, 0)))
    footprint = fit_footprint(points)
    return Measurement(footprint.bytes_per_pixel, footprint.base, best * 1e6)


def _measure_peak(run: Callable[[], None], read_used_memory: Callable[[], int]) -> int:
    """The most that ``used`` says while ``run`` works, looked at from a thread beside it."""
    highest = [read_used_memory()]
    done = threading.Event()

    def sample_memory() -> None:
        while not done.wait(_INTERVAL_SECONDS):
            highest[0] = max(highest[0], read_used_memory())

    thread = threading.Thread(target=sample_memory, name="calibration", daemon=True)
    thread.start()
    try:
        run()
    finally:
        done.set()
        thread.join()
    return max(highest[0], read_used_memory())


def get_calibration_path() -> Path:
    return get_cache_folder() / "calibration.json"


def load_calibration(file: Path | None = None) -> Calibration:
    """What was measured before; empty when there is nothing that can be read and believed."""
    try:
        stored = json.loads((file or get_calibration_path()).read_text(encoding="utf-8"))
        if stored["version"] != _VERSION:
            return {}
        return dict(_parse_measurement(entry) for entry in stored["measurements"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def store_calibration(measured: Calibration, file: Path | None = None) -> Path | None:
    """Add to what is kept and return where; None where the folder cannot be written, which is no error."""
    file = file or get_calibration_path()
    merged = {**load_calibration(file), **measured}
    stored = {"version": _VERSION, "measurements": [asdict(what) | asdict(entry) for what, entry in merged.items()]}
    with suppress(OSError):
        with atomic_write(file) as temp_file:
            temp_file.write_text(json.dumps(stored, indent=1), encoding="utf-8")
        return file
    return None


def _parse_measurement(entry: dict[str, Any]) -> tuple[CalibrationSubject, Measurement]:
    """Raises ``ValueError`` for numbers that no measurement can give, ``KeyError`` for one that is missing."""
    what = CalibrationSubject(**{each.name: entry[each.name] for each in fields(CalibrationSubject)})
    hash(what)  # TypeError for a list where a word should stand
    found = Measurement(**{each.name: float(entry[each.name]) for each in fields(Measurement)})
    if not (_is_positive(found.bytes_per_pixel) and _is_positive(found.seconds_per_megapixel) and 0 <= found.base < math.inf):
        raise ValueError(f"not a measurement: {found}")
    return what, found


def _is_positive(number: float) -> bool:
    return 0 < number < math.inf
