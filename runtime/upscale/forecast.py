"""What an upscale will be, before it begins: its size, what runs it, and the time that it will take, measured here.

The time is the work in pixels times the rate of this model, backend and machine. The rate is that of the last upscale that
took long enough to measure; the first time, one small tile is computed. Nothing else depends on it.
"""

import json
import math
import platform
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic_write import atomic_write
from ..errors import Upscale8KError
from ..media import Size
from ..models import Descriptor, UpscaleModel
from ..paths import get_cache_folder
from .resolved_settings import ResolvedSettings, TiledUpscaleSettings, open_resolved_backend, plan_model, resolve_settings
from .target_size import ScalePlan
from .tiles import plan_tiles

_TILE, _GPU_TILE = 64, 256
_LONG_WORK = 2e12
"""Multiplications that take a CPU tens of seconds. Computing a tile first would delay shorter work noticeably."""
_LEAST_SECONDS = 10.0
"""Shorter upscales say little about the rate, because loading the weights is part of them."""


@dataclass(frozen=True)
class Forecast:
    """An upscale of ``images`` images of one size. ``seconds`` is None where no rate is known and the work is short."""

    scale: int
    plan: ScalePlan
    resolved: ResolvedSettings
    pixels: int
    """Pixels that the model sees: all tiles with their halos, in all passes, of all images."""
    subject: str
    """Machine, model, backend and precision: the key of a measured rate."""
    is_long: bool
    """Whether the model's work and not its loading decides how long it takes, also on a busy machine."""
    seconds: float | None

    def __str__(self) -> str:
        passes = f"{self.scale}x" if self.plan.passes == 1 else f"{self.plan.passes} times {self.scale}x"
        enlarged = passes if self.plan.final_size == self.plan.model_size else f"{passes}, reduced"
        size = f"{enlarged if self.plan.passes else 'reduced'} to {self.plan.final_size}"
        return f"{size}, {self.resolved.backend} in {self.resolved.precision} on {self.resolved.device}"


def forecast_upscale(
    descriptor: Descriptor, settings: TiledUpscaleSettings, size: Size, images: int = 1, *, measures_short_work: bool = False
) -> Forecast:
    """Return what an upscale with these settings will be. Raises what ``plan_model`` and ``resolve_settings`` raise."""
    model, plan = plan_model(descriptor, size, settings.target)
    resolved = resolve_settings(model, settings, None, size)
    sizes = [size * model.scale**done for done in range(plan.passes)]
    pixels = images * sum(tile.padded.size.pixel_count for each in sizes for tile in plan_tiles(each, resolved.tiling))
    name = model.provenance.path.name if model.provenance else model.architecture
    subject = " ".join((platform.node(), str(resolved.device), name, resolved.backend, resolved.precision))
    rate = _read_rates().get(subject)
    weights = sum(parameter.numel() for parameter in descriptor.model.parameters())
    is_long = weights * pixels > _LONG_WORK
    forecast = partial(Forecast, model.scale, plan, resolved, pixels, subject, is_long)
    if rate is None and resolved.backend != "tensorrt" and (measures_short_work or is_long):
        rate = _measure_rate(model, resolved)
        _store_rate(subject, rate)
    return forecast(None if rate is None else rate * pixels)


def record_seconds(forecast: Forecast, seconds: float) -> None:
    """Remember how long the upscale of ``forecast`` took. A cache that cannot be written is ignored."""
    if seconds >= _LEAST_SECONDS and forecast.is_long:
        _store_rate(forecast.subject, seconds / forecast.pixels)


def _measure_rate(model: UpscaleModel, resolved: ResolvedSettings) -> float:
    """Return seconds per pixel of one tile, the second of two: the first one prepares memory and kernels."""
    side = min(resolved.tiling.tile, _TILE if resolved.device.type == "cpu" else _GPU_TILE)
    tile = np.random.default_rng(0).random((1, side, side, 3), np.float32)
    with open_resolved_backend(model, resolved) as (backend, _):
        backend.run(tile)
        began = time.perf_counter()
        backend.run(tile)
        return (time.perf_counter() - began) / side**2


def _get_rates_path() -> Path:
    return get_cache_folder() / "rates.json"


def _read_rates() -> dict[str, float]:
    """Return seconds per pixel by subject; empty if there is no valid file."""
    try:
        stored: dict[str, Any] = json.loads(_get_rates_path().read_text(encoding="utf-8"))
        return {name: rate for name, value in stored.items() if math.isfinite(rate := float(value)) and rate > 0}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _store_rate(subject: str, rate: float) -> None:
    with suppress(OSError, Upscale8KError), atomic_write(_get_rates_path(), durable=False) as temp:
        temp.write_text(json.dumps({**_read_rates(), subject: rate}, indent=1), encoding="utf-8")
