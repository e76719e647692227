"""From the inputs of a node that upscales to ``TiledUpscaleSettings``."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import WorkflowError
from ..hardware.settings import UpscaleSettings
from ..trt.attach import get_engine
from .color_fix import ColorFix
from .resolved_settings import TiledUpscaleSettings


class MergedSettings(NamedTuple):
    """The inputs of a node combined with the settings on its wire."""

    tile: int
    batch: int
    precision: Any
    backend: str


def merge_settings(
    settings: object, upscale_model: object, *, tile: int, batch: int, precision: Any, backend: str
) -> MergedSettings:
    """Return the inputs of a node, with values of ``settings`` for 0, 0, ``auto`` and ``auto``.

    The halo is never taken from settings, because each model has its own; nor tile and backend for a model that carries an
    engine, which was built for both. Raises ``WorkflowError`` for a value that is not ``UpscaleSettings``.
    """
    if settings is None:
        return MergedSettings(tile, batch or 1, precision, backend)
    if not isinstance(settings, UpscaleSettings):
        raise WorkflowError(
            f"The settings are a {type(settings).__name__}.", "Connect the first output of HW Probe.", input_name="settings"
        )
    has_engine = get_engine(upscale_model) is not None
    return MergedSettings(
        tile=tile if has_engine else tile or settings.tile_size,
        batch=batch or settings.batch_size,
        precision=settings.precision if precision == "auto" else precision,
        backend=settings.backend if backend == "auto" and not has_engine else backend,
    )


def build_upscale_settings(
    upscale_model: object,
    target: str,
    *,
    device: str,
    forced_backend: str,
    tile: int,
    halo: int,
    batch: int,
    precision: Any,
    linear: bool,
    backend: str,
    settings: object,
    color_fix: ColorFix,
) -> TiledUpscaleSettings:
    """Return the settings of one node; ``forced_backend`` other than ``auto`` is that of the whole run and takes precedence."""
    requested_backend = backend if forced_backend == "auto" else forced_backend
    merged = merge_settings(settings, upscale_model, tile=tile, batch=batch, precision=precision, backend=requested_backend)
    return TiledUpscaleSettings(
        target=target,
        device=device,
        tile=merged.tile,
        halo=halo,
        batch=merged.batch,
        precision=merged.precision,
        linear=linear,
        backend=merged.backend,
        color_fix=color_fix,
    )
