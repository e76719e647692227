"""ComfyUI's IMAGE in, ComfyUI's IMAGE out: what the node calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..engines.stamp import read_stamp
from ..engines.wire import engine_of
from ..errors import WorkflowError
from ..frames.geometry import Size
from ..hardware.footprint import tabled
from ..hardware.tile import good_enough
from ..models.facts import UpscaleModel
from ..models.load import Descriptor
from .allocator import reused_memory
from .backends import Precision, open_backend
from .backends.choice import choose
from .budget import AUTO, MODEL_HALO, Memory, choose_tiling
from .colour_fix import ColourFix, Corrected, corrected, on_average
from .device import resolve, resolve_precision
from .image import Watch, upscale_picture, work
from .memory import free_memory
from .target import route
from .tiles import Tiling


class Viewer(Watch, Protocol):
    """A watch that can show a picture, too."""

    def preview(self, pixels: NDArray[np.float32], /) -> None:
        """Show (h, w, C) as it stands now, or do nothing."""
        ...


@dataclass
class _Shown:
    """Shows the result after every step."""

    watch: Viewer
    result: NDArray[np.float32]

    def advance(self, steps: int = 1) -> None:
        self.watch.advance(steps)
        self.watch.preview(self.result)

    def say(self, text: str) -> None:
        self.watch.say(text)


@dataclass(frozen=True)
class Settings:
    """What the node was told. ``tile`` 0 and ``halo`` -1 leave the choice to ``budget``."""

    target: str
    device: str
    tile: int = AUTO
    halo: int = MODEL_HALO
    batch: int = 1
    precision: Precision = "auto"
    linear: bool = False
    backend: str = "auto"
    color_fix: ColourFix = "off"


def settled(model: UpscaleModel, settings: Settings) -> tuple[Settings, str | None]:
    """``settings`` with a backend and a precision in place of ``auto``, and what there is to say about that.

    Once for a picture or a film, before it is cut into tiles. May measure; raises what ``choose`` raises.
    """
    choice = choose(model, settings.device, settings.precision, settings.backend)
    return replace(settings, backend=choice.backend, precision=choice.precision), choice.sentence


def tiling_for(model: UpscaleModel, settings: Settings) -> Tiling:
    """What ``settings`` say, and for the rest what suits the model and fits in the memory that is free now.

    Raises what ``settled`` and ``choose_tiling`` raise.
    """
    device = resolve(settings.device)
    settings, _ = settled(model, settings)
    dtype = resolve_precision(settings.precision, model, device)
    known = tabled(
        model.architecture,
        model.scale,
        backend=settings.backend,
        half=dtype is torch.float16,  # bf16 keeps fp32 where a tile is largest
        on_gpu=device.type != "cpu",
    )
    enough = good_enough(model.architecture, on_gpu=device.type != "cpu", bf16=dtype is torch.bfloat16)
    memory = Memory(free_memory(device), known, enough)
    tile = settings.tile
    if tile == AUTO and settings.backend in ("auto", "tensorrt"):
        tile = engine_tile(model)
    return choose_tiling(model, memory, tile=tile, halo=settings.halo, batch=settings.batch)


def engine_tile(model: UpscaleModel) -> int:
    """The tile that the engine on ``model`` was tuned for, ``AUTO`` where it carries none."""
    engine = engine_of(model.descriptor)
    stamp = read_stamp(engine.path) if engine else None
    return stamp.tile if stamp else AUTO


def upscale_batch(
    images: torch.Tensor,
    descriptor: Descriptor,
    settings: Settings,
    progress: Callable[[int, str], AbstractContextManager[Viewer]],
) -> torch.Tensor:
    """``images`` (B, H, W, C) in 0..1 to (B, h, w, C) float32 on the CPU, one by one into one buffer.

    C is 1 to 4 (grey, grey and alpha, RGB, RGBA). Raises ``WorkflowError`` for another C, and what ``target.route``,
    ``open_backend`` and ``upscale_picture`` raise.
    """
    model = UpscaleModel.of(descriptor)
    count, height, width, channels = images.shape
    if channels not in (1, 2, 3, 4):
        raise WorkflowError(f"The image has {channels} channels.", "Give grey, grey with alpha, RGB or RGBA: 1 to 4 channels.")
    size = Size(width, height)
    steps = route(size, model.scale, settings.target)
    device = resolve(settings.device)
    settings, sentence = settled(model, settings)
    tiling = tiling_for(model, settings)
    out = torch.zeros((count, steps.final.height, steps.final.width, channels), dtype=torch.float32)
    with (
        reused_memory() if device.type == "cpu" else nullcontext(),
        closing(open_backend(settings.backend, model, settings.device, settings.precision)) as backend,
        progress(work(size, channels, steps, model.scale) * count, "px") as watch,
    ):
        if sentence:
            watch.say(sentence)
        fixed: list[Corrected] = []
        for image, result in zip(images, out, strict=True):
            pixels = image.detach().float().cpu().numpy()
            shown = _Shown(watch, result.numpy())
            upscale_picture(pixels, model, backend, tiling, steps, out=shown.result, watch=shown, linear=settings.linear)
            if fix := corrected(pixels, shown.result, settings.color_fix):
                fixed.append(fix)
        if fixed:
            watch.say(str(on_average(fixed)))
    return out
