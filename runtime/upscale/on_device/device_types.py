"""Which results can stay in the memory of a device."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from ..backends.base import get_backend_spec
from ..resolved_settings import ResolvedSettings, TiledUpscaleSettings
from ..target_size import ScalePlan

DEVICE_TYPES = {"cuda"}
"""Where a result can stay: rounding as on the host takes float64, which Apple's and many Intel GPUs lack."""


@contextmanager
def keep_results_on(*device_types: str) -> Generator[None]:
    """Let results stay on these types of devices and no other: the CPU, to try without a GPU what is done on one."""
    before = set(DEVICE_TYPES)
    try:
        DEVICE_TYPES.clear()
        DEVICE_TYPES.update(device_types)
        yield
    finally:
        DEVICE_TYPES.clear()
        DEVICE_TYPES.update(before)


def can_stay_on_device(settings: TiledUpscaleSettings, resolved: ResolvedSettings, plan: ScalePlan) -> bool:
    """Whether backend and device can hold the result there, with the values of the host."""
    is_reduced = plan.final_size != plan.model_size or resolved.tiling.blend_width > 0
    # The powers of linear light differ between devices in the last bit.
    is_exact = plan.passes > 0 and not (is_reduced and settings.linear)
    return is_exact and get_backend_spec(resolved.backend).has_device_tensors and resolved.device.type in DEVICE_TYPES
