"""Upscales ComfyUI's IMAGE: what the node calls."""

import torch

from ..errors import WorkflowError
from ..media import Size
from ..models import Descriptor
from ..progress import OpenProgress, PreviewProgress
from .color_fix import ColorFixResult, average_results
from .finishing.finish_frame import finish_frame
from .memory import FreeMemory
from .resolved_settings import ResolvedSettings, TiledUpscaleSettings, open_resolved_backend, plan_model, resolve_settings
from .tile_loop import total_pixels, upscale_image


def upscale_batch(
    images: torch.Tensor,
    descriptor: Descriptor,
    settings: TiledUpscaleSettings,
    open_progress: OpenProgress,
    resolved: ResolvedSettings | None = None,
    free_memory: FreeMemory | None = None,
) -> torch.Tensor:
    """Upscale ``images`` (B, H, W, C) in 0..1 to (B, h, w, C) float32 on the CPU, one by one into one buffer.

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
    with (
        open_resolved_backend(model, resolved) as (backend, _),
        open_progress(total_pixels(size, channels, plan, model.scale) * count, "px") as progress,
    ):
        fixes: list[ColorFixResult] = []
        for image, result in zip(images, out, strict=True):
            pixels = image.detach().float().cpu().numpy()
            upscaled = result.numpy()
            preview = PreviewProgress(progress, upscaled)
            upscale_image(pixels, model, backend, resolved.tiling, plan, out=upscaled, progress=preview, linear=settings.linear)
            if fix := finish_frame(pixels, upscaled, finish, measure=True):
                fixes.append(fix)
        if fixes:
            progress.message(str(average_results(fixes)))
    return out
