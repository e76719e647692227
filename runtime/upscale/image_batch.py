"""Upscales ComfyUI's IMAGE: what the node calls."""

from typing import cast

import torch

from ..errors import WorkflowError
from ..hardware import get_reserved_gpu_memory, reserve_gpu_memory
from ..media import Size
from ..models import Descriptor
from ..progress import OpenProgress, PreviewProgress
from .backends.base import DeviceBackend
from .color_fix import ColorFixResult, average_results
from .finishing.finish_frame import finish_frame
from .memory import FreeMemory, get_tile_memory
from .on_device.device_tile_loop import DeviceResult
from .on_device.device_types import can_stay_on_device
from .resolved_settings import (
    ResolvedSettings,
    TiledUpscaleSettings,
    open_resolved_backend,
    plan_model,
    resolve_settings,
    resolve_tiling,
)
from .tile_loop import total_pixels, upscale_image

_RESULT_SHARE = 4
"""What part of the memory for tiles a result may take on the device."""


def upscale_batch(
    images: torch.Tensor,
    descriptor: Descriptor,
    settings: TiledUpscaleSettings,
    open_progress: OpenProgress,
    resolved: ResolvedSettings | None = None,
    free_memory: FreeMemory | None = None,
) -> torch.Tensor:
    """Upscale ``images`` (B, H, W, C) in 0..1 to (B, h, w, C) float32 on the CPU, one by one.

    On an NVIDIA GPU RGB results are made there and come down once, unless they are too large.

    C is 1 to 4 (grey, grey and alpha, RGB, RGBA). ``resolved`` is what ``resolve_settings`` returned for this model and these
    settings, for callers with several batches; otherwise it is called, with ``free_memory``. Raises ``WorkflowError`` for
    another C, and what ``plan_model``, ``resolve_settings``, ``open_backend`` and ``upscale_image`` raise.
    """
    count, height, width, channels = images.shape
    if channels not in (1, 2, 3, 4):
        raise WorkflowError(
            f"The image has {channels} channels.", "Connect an image with 1 to 4 channels: grey, grey with alpha, RGB or RGBA."
        )
    size = Size(width, height)
    model, plan = plan_model(descriptor, size, settings.target)
    finish = settings.finish
    resolved = resolved or resolve_settings(model, settings, free_memory, size)
    out = torch.zeros((count, plan.final_size.height, plan.final_size.width, channels), dtype=torch.float32)
    tiling, can_stay = resolved.tiling, channels == 3 and can_stay_on_device(settings, resolved, plan)
    if can_stay:
        # A result that leaves little to the tiles is written to host memory tile by tile.
        result_bytes = 4 * channels * plan.final_size.pixel_count
        can_stay = result_bytes <= get_tile_memory(resolved.device) // _RESULT_SHARE
        with reserve_gpu_memory(get_reserved_gpu_memory() + result_bytes):
            tiling = resolve_tiling(model, settings, resolved, free_memory, size) if can_stay else tiling
    with (
        open_resolved_backend(model, resolved) as (backend, _),
        open_progress(total_pixels(size, channels, plan, model.scale) * count, "px") as progress,
    ):
        on_device = None
        if can_stay:
            on_device = DeviceResult(model, cast("DeviceBackend", backend), plan, resolved.device, torch.float32)
        fixes: list[ColorFixResult] = []
        for image, result in zip(images, out, strict=True):
            pixels = image.detach().float().cpu().numpy()
            upscaled = result.numpy()
            if on_device:
                tiling = on_device.upscale(on_device.prepare_pixels(pixels), tiling, progress, lambda _: False)
                on_device.download(upscaled)
                progress.preview(upscaled)
            else:
                preview = PreviewProgress(progress, upscaled)
                upscale_image(pixels, model, backend, tiling, plan, out=upscaled, progress=preview, linear=settings.linear)
            if fix := finish_frame(pixels, upscaled, finish, measure=True):
                fixes.append(fix)
        if fixes:
            progress.message(str(average_results(fixes)))
    return out
