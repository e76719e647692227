"""Upscales a video frame by frame: takes and returns a ``VideoStream``, with one result buffer for all frames.

Nothing is computed twice: a frame whose pixels equal the previous ones is repeated, and of any other frame only the tiles whose
padded pixels changed are computed, because the buffer still holds the rest. The numbers are the same, since a tile's result
depends on its padded pixels alone.

Frames with alpha are upscaled as images with alpha are, on the host. There only whole frames are repeated: the colors under
transparent pixels are filled in from the whole frame.

On an NVIDIA GPU the result stays there (``on_device``): the encoder gets planes that were made there.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

from ..hardware import get_reserved_gpu_memory, reserve_gpu_memory
from ..media import Frame, Region, VideoStream
from ..models import Descriptor, UpscaleModel, hash_weights
from ..progress import ForwardedProgress, Progress
from .backends.base import AUTO, REFERENCE_BACKEND, DeviceBackend
from .device import resolve_device
from .finishing.borders import crop_stream, find_borders, put_back_borders, scale_region
from .frame_result import HostResult, choose_frame_batch, group_new_frames, prepare_groups
from .memory import FreeMemory
from .on_device.device_tile_loop import DeviceResult, estimate_result_memory
from .on_device.device_types import can_stay_on_device
from .resolved_settings import (
    ResolvedSettings,
    TiledUpscaleSettings,
    find_engine_info,
    list_auto_alternatives,
    open_resolved_backend,
    plan_model,
    resolve_settings,
    resolve_tiling,
)
from .target_size import MODEL_SCALE, ScalePlan
from .temporal.interpolate import interpolate_video
from .temporal.interpolation_network import InterpolationNetwork
from .temporal.steady import steady_video
from .temporal.steady_network import SteadyNetwork
from .tile_loop import total_pixels


@dataclass
class ReuseStats:
    """How much of a video was reused instead of computed."""

    frames: int = 0
    repeated_frames: int = 0
    pixels: int = 0
    computed_pixels: int = 0

    def __str__(self) -> str:
        saved = 1 - self.computed_pixels / self.pixels if self.pixels else 0.0
        return f"{self.repeated_frames} of {self.frames} frames repeated the one before; {saved:.0%} of the work was reused."


def upscale_video(
    stream: VideoStream,
    descriptor: Descriptor,
    settings: TiledUpscaleSettings,
    progress: Progress,
    free_memory: FreeMemory | None = None,
) -> VideoStream:
    """Return ``stream`` at the size of ``settings.target``, with frames of uint16 whatever the source has.

    Nothing is computed until the result is opened. ``progress`` gets messages and many calls of ``check_cancelled`` a frame; it
    is not advanced. Its variants are what ``auto`` was elsewhere or earlier, with which a video may have begun. Raises what
    ``plan_model`` and ``resolve_settings`` raise.
    """
    if settings.frame_rate:
        return _interpolate(stream, descriptor, settings, progress, free_memory)
    if settings.skip_borders:
        return _upscale_inside_borders(stream, descriptor, replace(settings, skip_borders=False), progress, free_memory)
    stream = _steady(stream, settings)
    model, plan = plan_model(descriptor, stream.info.size, settings.target)
    resolved = resolve_settings(model, settings, free_memory, stream.info.size)

    def describe(chosen: ResolvedSettings) -> str:
        return f"{stream.info.identity} | {_describe_identity(model, settings, chosen, plan)}"

    def make_stream(chosen: ResolvedSettings) -> VideoStream:
        def open_frames(first: int = 0) -> Iterator[Frame]:
            return _generate_frames(stream, first, model, settings, chosen, plan, progress, free_memory)

        info = replace(stream.info, size=plan.final_size, identity=describe(chosen))
        return VideoStream(info, open_frames, open_frames)

    others = list_auto_alternatives(model, settings, resolved, stream.info.size)
    return replace(make_stream(resolved), variants={describe(other): partial(make_stream, other) for other in others})


def _steady(stream: VideoStream, settings: TiledUpscaleSettings) -> VideoStream:
    network = SteadyNetwork(Path(settings.steady_network)) if settings.steady_network and settings.steady else None
    return steady_video(stream, settings.steady, network)


def _interpolate(
    stream: VideoStream,
    descriptor: Descriptor,
    settings: TiledUpscaleSettings,
    progress: Progress,
    free_memory: FreeMemory | None,
) -> VideoStream:
    network = InterpolationNetwork(Path(settings.interpolation_network), resolve_device(settings.device))
    rest = replace(settings, frame_rate="")
    if not settings.interpolate_after:  # of steady frames, because noise has no motion
        changed = interpolate_video(_steady(stream, rest), settings.frame_rate, network)
        return upscale_video(changed, descriptor, replace(rest, steady=0.0), progress, free_memory)
    upscaled = upscale_video(stream, descriptor, rest, progress, free_memory)
    variants = [interpolate_video(make(), settings.frame_rate, network) for make in upscaled.variants.values()]
    changed = interpolate_video(upscaled, settings.frame_rate, network)
    return replace(changed, variants={variant.info.identity: lambda variant=variant: variant for variant in variants})


def _upscale_inside_borders(
    stream: VideoStream,
    descriptor: Descriptor,
    settings: TiledUpscaleSettings,
    progress: Progress,
    free_memory: FreeMemory | None,
) -> VideoStream:
    region = find_borders(stream)
    if region is None:
        progress.message("No black borders were found; whole frames are upscaled.")
        return upscale_video(stream, descriptor, settings, progress, free_memory)
    size = stream.info.size
    progress.message(f"Black borders: {region.size} of {size} is upscaled by the model, what is around it plainly.")
    final = plan_model(descriptor, size, settings.target)[1].final_size
    target = settings.target if settings.target == MODEL_SCALE else str(scale_region(region, size, final).size)
    inner = upscale_video(crop_stream(stream, region), descriptor, replace(settings, target=target), progress, free_memory)
    return put_back_borders(inner, stream, region, final)


def _generate_frames(
    stream: VideoStream,
    first: int,
    model: UpscaleModel,
    settings: TiledUpscaleSettings,
    resolved: ResolvedSettings,
    plan: ScalePlan,
    progress: Progress,
    free_memory: FreeMemory | None,
) -> Generator[Frame]:
    tiling, has_alpha = resolved.tiling, stream.info.has_alpha
    channels = 4 if has_alpha else 3
    can_stay = can_stay_on_device(settings, resolved, plan) and not has_alpha
    if resolved.device.type != "cpu":
        result_bytes = estimate_result_memory(stream.info.size, plan, settings.finish) if can_stay else 0
        with reserve_gpu_memory(get_reserved_gpu_memory() + result_bytes):
            tiling = resolve_tiling(model, settings, resolved, free_memory, stream.info.size)
    reuse_stats = ReuseStats()
    previous: Frame | None = None
    # Only tiles that are written directly to the result can be reused, not those that were reduced or blended.
    is_written_once = plan.passes == 1 and plan.model_size == plan.final_size and tiling.blend_width == 0
    can_reuse_tiles = is_written_once and not has_alpha
    with (
        open_resolved_backend(model, resolved) as (backend, trim_memory),
        # What finishes a frame looks at its pixels on the host.
        stream.frames(first, planes=can_stay and not settings.finish.is_needed) as source,
    ):
        result = (
            DeviceResult(model, cast(DeviceBackend, backend), plan, resolved.device)
            if can_stay
            else HostResult(model, backend, plan, linear=settings.linear, channels=channels)
        )
        batch = 1 if has_alpha else choose_frame_batch(stream.info.size, tiling, plan)
        for group in prepare_groups(group_new_frames(source, batch), result.prepare, ahead=can_stay):
            result.run_ahead([image for _, image in group if image is not None], batch)
            for frame, image in group:
                reuse_stats.frames += 1
                reuse_stats.pixels += total_pixels(stream.info.size, channels, plan, model.scale)
                reuse_stats.repeated_frames += image is None
                if image is not None:
                    changed = ChangedTiles(progress, previous if can_reuse_tiles else None, frame, reuse_stats)
                    # A smaller tiling stays: not every frame runs out of memory again.
                    tiling = result.upscale(image, tiling, changed, changed.is_unchanged)
                    if settings.finish.is_needed:
                        # Measured once a video, because that takes a third longer.
                        fix = result.finish(frame.pixels, settings.finish, measure=previous is None and not first)
                        if fix:
                            progress.message(f"{fix} Measured on the first frame.")
                    previous = frame
                    trim_memory()
                yield result.make_frame(frame, is_repeat=image is None)
    if reuse_stats.computed_pixels < reuse_stats.pixels:
        progress.message(str(reuse_stats))


class ChangedTiles(ForwardedProgress):
    """Knows which tiles equal those of the previous frame, and counts the others."""

    def __init__(self, target: Progress, previous: Frame | None, current: Frame, reuse_stats: ReuseStats) -> None:
        super().__init__(target)
        self._previous, self._current, self._reuse_stats = previous, current, reuse_stats

    def advance(self, steps: int = 1) -> None:
        self.target.check_cancelled()
        self._reuse_stats.computed_pixels += steps

    def is_unchanged(self, padded: Region) -> bool:
        return self._previous is not None and self._previous.is_same(self._current, padded)


def _describe_identity(model: UpscaleModel, settings: TiledUpscaleSettings, resolved: ResolvedSettings, plan: ScalePlan) -> str:
    """Everything that the pixels of the result depend on. Stored by interrupted videos, so its text must not change.

    The precision is the resolved one only where ``auto`` or torch was requested and no engine is attached. A tile that was
    chosen by the memory free at that moment is left out: it changes only the rounding of floats, and an interrupted run must go
    on where less memory is free.
    """
    is_selected = settings.backend in (AUTO, REFERENCE_BACKEND) and resolved.backend != "tensorrt"
    precision = resolved.precision if is_selected else settings.precision
    numbers = f"{hash_weights(model.descriptor)} {resolved.backend} {precision} {settings.linear}"
    cut = f"tile {settings.tile or 'auto'} halo {resolved.tiling.aligned_halo} {resolved.tiling.merge}"
    return f"upscale {plan.final_size} {numbers} {cut}{settings.finish.describe()}{_describe_engine(model, resolved.backend)}"


def _describe_engine(model: UpscaleModel, backend: str) -> str:
    """What decides the pixels of a TensorRT engine. GPU and driver are left out: their rounding is that of any device."""
    info = find_engine_info(model) if backend == "tensorrt" else None
    if info is None:
        return ""
    fixed_size = f" only {info.most[1]}x{info.most[0]}" if info.least == info.most else ""
    return f" engine {info.weights} {info.precision}{fixed_size}"
