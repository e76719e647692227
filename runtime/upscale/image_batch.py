"""ComfyUI's IMAGE in, ComfyUI's IMAGE out: what the node calls."""

from __future__ import annotations

import torch

from ..errors import WorkflowError
from ..media.geometry import Size
from ..models.load import Descriptor
from ..models.upscale_model import UpscaleModel
from ..progress import OpenProgress, PreviewProgress
from .color_fix import ColorFixResult, average_results, fix_and_measure_colors
from .resolved_settings import ResolvedSettings, TiledUpscaleSettings, open_resolved_backend, resolve_settings
from .target_size import plan_scale
from .tile_loop import total_pixels, upscale_image


def upscale_batch(
    images: torch.Tensor,
    descriptor: Descriptor,
    settings: TiledUpscaleSettings,
    open_progress: OpenProgress,
    resolved: ResolvedSettings | None = None,
) -> torch.Tensor:
    """``images`` (B, H, W, C) in 0..1 to (B, h, w, C) float32 on the CPU, one by one into one buffer.

    C is 1 to 4 (grey, grey and alpha, RGB, RGBA). Raises ``WorkflowError`` for another C, and what ``target.route``,
    ``open_backend`` and ``upscale_picture`` raise.
    """
    model = UpscaleModel.from_descriptor(descriptor)
    count, height, width, channels = images.shape
    if channels not in (1, 2, 3, 4):
        raise WorkflowError(f"The image has {channels} channels.", "Give grey, grey with alpha, RGB or RGBA: 1 to 4 channels.")
    size = Size(width, height)
    plan = plan_scale(size, model.scale, settings.target)
    resolved = resolved or resolve_settings(model, settings)
    out = torch.zeros((count, plan.final_size.height, plan.final_size.width, channels), dtype=torch.float32)
    with (
        open_resolved_backend(model, resolved) as (backend, _),
        open_progress(total_pixels(size, channels, plan, model.scale) * count, "px") as progress,
    ):
        if resolved.message:
            progress.message(resolved.message)
        fixes: list[ColorFixResult] = []
        for image, result in zip(images, out, strict=True):
            pixels = image.detach().float().cpu().numpy()
            preview = PreviewProgress(progress, result.numpy())
            upscale_image(
                pixels, model, backend, resolved.tiling, plan, out=preview.result, progress=preview, linear=settings.linear
            )
            if fix := fix_and_measure_colors(pixels, preview.result, settings.color_fix):
                fixes.append(fix)
        if fixes:
            progress.message(str(average_results(fixes)))
    return out
