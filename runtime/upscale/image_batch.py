"""ComfyUI's IMAGE in, ComfyUI's IMAGE out: what the node calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import WorkflowError
from ..hardware.tile_memory import choose_cost_tolerance, default_footprint
from ..media.geometry import Size
from ..models.load import Descriptor
from ..models.upscale_model import UpscaleModel
from ..trt.attach import get_engine
from ..trt.engine_info import read_engine_info
from .autotune.select import select_backend
from .backends import Precision, open_backend
from .color_fix import ColorFix, ColorFixResult, average_results, fix_and_measure_colors
from .device import resolve_device, resolve_precision
from .malloc import reuse_freed_memory
from .memory import get_tile_memory
from .target_size import plan_scale
from .tile_loop import TileProgress, total_pixels, upscale_image
from .tile_size import AUTO_HALO, AUTO_TILE, TileBudget, choose_tiling
from .tiles import Tiling


class ImageProgress(TileProgress, Protocol):
    """A watch that can show a picture, too."""

    def preview(self, pixels: NDArray[np.float32], /) -> None:
        """Show (h, w, C) as it stands now, or do nothing."""
        ...


@dataclass
class PreviewProgress:
    """Shows the result after every step."""

    progress: ImageProgress
    result: NDArray[np.float32]

    def advance(self, steps: int = 1) -> None:
        self.progress.advance(steps)
        self.progress.preview(self.result)

    def message(self, text: str) -> None:
        self.progress.message(text)


@dataclass(frozen=True)
class TiledUpscaleSettings:
    """What the node was told. ``tile`` 0 and ``halo`` -1 leave the choice to ``budget``."""

    target: str
    device: str
    tile: int = AUTO_TILE
    halo: int = AUTO_HALO
    batch: int = 1
    precision: Precision = "auto"
    linear: bool = False
    backend: str = "auto"
    color_fix: ColorFix = "off"


def resolve_settings(model: UpscaleModel, settings: TiledUpscaleSettings) -> tuple[TiledUpscaleSettings, str | None]:
    """``settings`` with a backend and a precision in place of ``auto``, and what there is to say about that.

    Once for a picture or a film, before it is cut into tiles. May measure; raises what ``choose`` raises.
    """
    choice = select_backend(model, settings.device, settings.precision, settings.backend)
    return replace(settings, backend=choice.backend, precision=choice.precision), choice.message


def resolve_tiling(model: UpscaleModel, settings: TiledUpscaleSettings) -> Tiling:
    """What ``settings`` say, and for the rest what suits the model and fits in the memory that is free now.

    Raises what ``settled`` and ``choose_tiling`` raise.
    """
    device = resolve_device(settings.device)
    settings, _ = resolve_settings(model, settings)
    dtype = resolve_precision(settings.precision, model, device)
    footprint = default_footprint(
        model.architecture,
        model.scale,
        backend=settings.backend,
        half=dtype is torch.float16,  # bf16 keeps fp32 where a tile is largest
        on_gpu=device.type != "cpu",
    )
    cost_tolerance = choose_cost_tolerance(model.architecture, on_gpu=device.type != "cpu", bf16=dtype is torch.bfloat16)
    memory = TileBudget(get_tile_memory(device), footprint, cost_tolerance)
    tile = settings.tile
    if tile == AUTO_TILE and settings.backend in ("auto", "tensorrt"):
        tile = get_engine_tile(model)
    return choose_tiling(model, memory, tile=tile, halo=settings.halo, batch=settings.batch)


def get_engine_tile(model: UpscaleModel) -> int:
    """The tile that the engine on ``model`` was tuned for, ``AUTO`` where it carries none."""
    engine = get_engine(model.descriptor)
    stamp = read_engine_info(engine.path) if engine else None
    return stamp.tile if stamp else AUTO_TILE


def upscale_batch(
    images: torch.Tensor,
    descriptor: Descriptor,
    settings: TiledUpscaleSettings,
    open_progress: Callable[[int, str], AbstractContextManager[ImageProgress]],
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
    device = resolve_device(settings.device)
    settings, message = resolve_settings(model, settings)
    tiling = resolve_tiling(model, settings)
    out = torch.zeros((count, plan.final_size.height, plan.final_size.width, channels), dtype=torch.float32)
    with (
        reuse_freed_memory() if device.type == "cpu" else nullcontext(),
        closing(open_backend(settings.backend, model, settings.device, settings.precision)) as backend,
        open_progress(total_pixels(size, channels, plan, model.scale) * count, "px") as progress,
    ):
        if message:
            progress.message(message)
        fixes: list[ColorFixResult] = []
        for image, result in zip(images, out, strict=True):
            pixels = image.detach().float().cpu().numpy()
            preview = PreviewProgress(progress, result.numpy())
            upscale_image(pixels, model, backend, tiling, plan, out=preview.result, progress=preview, linear=settings.linear)
            if fix := fix_and_measure_colors(pixels, preview.result, settings.color_fix):
                fixes.append(fix)
        if fixes:
            progress.message(str(average_results(fixes)))
    return out
