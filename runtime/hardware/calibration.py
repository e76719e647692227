"""Measured memory and time of models on this machine's backends, stored in the cache folder.

A file that is damaged or of another version is ignored; the table in ``tile_memory`` is then used.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..atomic_write import atomic_write
from ..paths import get_autotune_file, get_cache_folder
from ..upscale import BACKENDS, REFERENCE_BACKEND
from .capacity import PeakSampler
from .detect import Machine
from .tile_memory import Footprint, fit_footprint

_VERSION = 1
_INTERVAL_SECONDS = 0.002
"""Seconds between two memory samples while a tile is computed."""
_MAX_ROUNDS, _CALM_ROUNDS, _CALM = 24, 3, 0.98
"""Times have settled when none of the least ones fell below ``_CALM`` of itself in ``_CALM_ROUNDS`` rounds."""
_MAX_ERROR = 1e-4
"""Of pixels in 0..1: far below a step of 8 bits, so that ``auto`` may choose freely."""
_CLEARLY_FASTER = 0.97


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
    """``seconds_per_megapixel`` counts the model's input pixels, halo included: processor time on a CPU, else wall time."""

    bytes_per_pixel: float
    base: float
    seconds_per_megapixel: float
    max_error: float | None = None
    """The largest difference from torch's pixels in 0..1; None where an older version measured."""
    date: str = ""
    """Of the measurement, as YYYY-MM-DD."""

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


def measure_footprint(run: Callable[[int], object], read_used_memory: Callable[[], int], sides: Sequence[int]) -> Footprint:
    """Measure the peak memory of ``run(side)`` for two or more sides, smallest first.

    ``read_used_memory`` returns the bytes in use. The first tile runs once more as a warm-up. Memory that is not released
    before the next tile does not matter, because the next tile is larger.
    """
    before = read_used_memory()
    points: list[tuple[int, int]] = []
    run(min(sides))
    for side in sorted(sides):
        with PeakSampler(read_used_memory, _INTERVAL_SECONDS) as sampler:
            run(side)
        points.append((side * side, max(sampler.highest - before, 0)))
    return fit_footprint(points)


def measure_in_turn(runs: Mapping[str, Callable[[], object]], clock: Callable[[], float]) -> Mapping[str, float] | None:
    """Return the least seconds by ``clock`` of each of ``runs``, which take turns until these times settle.

    None if they do not settle: then something else disturbs the measurement.
    """
    best = dict.fromkeys(runs, math.inf)
    calm_rounds = 0
    for _ in range(_MAX_ROUNDS):
        calm_rounds += 1
        for name, run in runs.items():
            began = clock()
            run()
            seconds = clock() - began
            calm_rounds = 0 if seconds < best[name] * _CALM else calm_rounds
            best[name] = min(best[name], seconds)
        if calm_rounds == _CALM_ROUNDS:
            return best
    return None


def find_measurements(
    calibration: Calibration, machine: Machine, device: str, architecture: str, scale: int, precision: str
) -> dict[str, Measurement]:
    """Return what was measured of such networks on ``device`` of this machine with the installed versions, by backend."""
    return {
        subject.backend: entry
        for subject, entry in calibration.items()
        if subject == make_subject(machine, device, architecture, scale, subject.backend, precision)
    }


def choose_backend(measured: Mapping[str, Measurement]) -> str | None:
    """Return the fastest backend whose pixels are torch's to 1e-4; torch unless it is clearly slower; None without two."""
    exact = {name: one for name, one in measured.items() if one.max_error is not None and one.max_error <= _MAX_ERROR}
    if len(exact) < 2 or REFERENCE_BACKEND not in exact:
        return None
    fastest = min(exact, key=lambda name: exact[name].seconds_per_megapixel)
    limit = exact[REFERENCE_BACKEND].seconds_per_megapixel * _CLEARLY_FASTER
    return fastest if exact[fastest].seconds_per_megapixel <= limit else REFERENCE_BACKEND


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


def forget_calibration() -> list[Path]:
    """Delete every stored measurement, also what older versions measured for ``auto``; return the files that were there."""
    files = [path for path in (get_calibration_path(), get_autotune_file()) if path.exists()]
    for path in files:
        path.unlink()
    return files


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
    rate, base, seconds = (float(entry[name]) for name in ("bytes_per_pixel", "base", "seconds_per_megapixel"))
    max_error = entry.get("max_error")
    found = Measurement(rate, base, seconds, None if max_error is None else float(max_error), str(entry.get("date", "")))
    if not (_is_positive(found.bytes_per_pixel) and _is_positive(found.seconds_per_megapixel) and 0 <= found.base < math.inf):
        raise ValueError(f"not a measurement: {found}")
    return subject, found


def _is_positive(number: float) -> bool:
    return 0 < number < math.inf
