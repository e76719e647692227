"""A film goes through a model frame by frame: a recipe in, a recipe out, one result buffer for all of it.

Work is not done twice. A frame whose pixels equal the one before is handed on again, and of any other frame only the tiles
whose surroundings changed are computed: the buffer still holds the rest. Both give the very same numbers as computing anew,
because a tile's result depends on its padded pixels alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from ..engines.stamp import read_stamp
from ..engines.wire import engine_of
from ..frames.geometry import Region
from ..frames.stream import Frame, FrameStream, Samples
from ..images.quantize import to_floats
from ..models.facts import UpscaleModel
from ..models.load import Descriptor, weights_hash
from .allocator import keep, reused_memory
from .backends import open_backend
from .batch import Settings, settled, tiling_for
from .colour_fix import corrected, fix_colours
from .device import resolve
from .image import upscale_picture, work
from .target import Route, route
from .tiles import Tiling
from .together import Together, frames_together, grouped


@dataclass
class Reuse:
    """How much of a film was not computed because it was there already."""

    frames: int = 0
    repeated_frames: int = 0
    pixels: int = 0
    computed_pixels: int = 0

    def __str__(self) -> str:
        saved = 1 - self.computed_pixels / self.pixels if self.pixels else 0.0
        return f"{self.repeated_frames} of {self.frames} frames repeated the one before; {saved:.0%} of the work was reused."


def upscale_stream(
    stream: FrameStream,
    descriptor: Descriptor,
    settings: Settings,
    say: Callable[[str], None],
    stop_if_asked: Callable[[], None] = lambda: None,
) -> FrameStream:
    """``stream`` at the size that ``settings.target`` asks for; frames are uint16, whatever came in.

    Nothing is computed until the result is opened, but what ``auto`` means may be measured. ``stop_if_asked`` is called many
    times a frame, and what it raises ends the film there. Raises what ``target.route``, ``UpscaleModel.of`` and ``settled``
    raise.
    """
    model = UpscaleModel.of(descriptor)
    steps = route(stream.info.size, model.scale, settings.target)
    settings, sentence = settled(model, settings)
    if sentence:
        say(sentence)
    tiling = tiling_for(model, settings)
    identity = f"{stream.info.identity} | {_identity(model, settings, tiling, steps)}"
    info = replace(stream.info, size=steps.final, identity=identity)

    def frames(first: int = 0) -> Iterator[Frame]:
        return _frames(stream, first, model, settings, tiling, steps, say, stop_if_asked)

    return FrameStream(info, frames, frames)


def _frames(
    stream: FrameStream,
    first: int,
    model: UpscaleModel,
    settings: Settings,
    tiling: Tiling,
    steps: Route,
    say: Callable[[str], None],
    stop_if_asked: Callable[[], None],
) -> Generator[Frame]:
    device = resolve(settings.device)
    reuse = Reuse()
    result = np.zeros((steps.final.height, steps.final.width, 3), np.uint16)
    # Tiles that stay in ``result`` must stay as the model made them: a corrected frame is a copy.
    fixed = result if settings.color_fix == "off" else np.zeros_like(result)
    previous: Samples | None = None
    # A tile of one pass that is written straight to its place can be left standing; after a reduction it cannot be found again.
    keeps_tiles = steps.passes == 1 and steps.reached == steps.final and tiling.fade == 0
    with (
        reused_memory() if device.type == "cpu" else nullcontext(keep) as give_back,
        closing(open_backend(settings.backend, model, settings.device, settings.precision)) as backend,
        closing(_closable(stream.frames(first))) as source,
    ):
        together = Together(backend)
        for group in grouped(source, frames_together(stream.info.size, tiling, steps)):
            fresh = _fresh(group, previous)
            shown = [frame.pixels for frame, new in zip(group, fresh, strict=True) if new and len(group) > 1]
            together.show([to_floats(pixels) for pixels in shown])
            for frame, new in zip(group, fresh, strict=True):
                reuse.frames += 1
                reuse.pixels += work(stream.info.size, 3, steps, model.scale)
                reuse.repeated_frames += not new
                if new:
                    changed = _Changed(previous if keeps_tiles else None, frame.pixels, reuse, say, stop_if_asked)
                    upscale_picture(
                        frame.pixels,
                        model,
                        together,
                        tiling,
                        steps,
                        out=result,
                        watch=changed,
                        linear=settings.linear,
                        unchanged=changed.unchanged,
                    )
                    if fixed is not result:
                        np.copyto(fixed, result)
                        _fix_colours(frame, fixed, settings, say if previous is None else None)
                    previous = frame.pixels.copy()
                    give_back()
                yield Frame(fixed, frame.pts, frame.duration, frame.time_base, not new)
    if reuse.computed_pixels < reuse.pixels:
        say(str(reuse))


def _fix_colours(frame: Frame, out: Samples, settings: Settings, say: Callable[[str], None] | None) -> None:
    """``say`` hears how much there was to correct, once a film: to measure it takes a third as long as to correct it."""
    source = to_floats(frame.pixels)
    if say is None:
        fix_colours(source, out, settings.color_fix)
    elif fix := corrected(source, out, settings.color_fix):
        say(f"{fix} That is the first frame.")


def _fresh(group: list[Frame], previous: Samples | None) -> list[bool]:
    """Which frames differ from the one before."""
    before = [previous, *(frame.pixels for frame in group[:-1])]
    return [pixels is None or not np.array_equal(pixels, frame.pixels) for pixels, frame in zip(before, group, strict=True)]


class _Changed:
    """Tells the loop which tiles look as they did in the frame before, and counts the others."""

    def __init__(
        self,
        previous: Samples | None,
        current: Samples,
        reuse: Reuse,
        say: Callable[[str], None],
        stop_if_asked: Callable[[], None],
    ) -> None:
        self._previous = previous
        self._current = current
        self._reuse = reuse
        self._say = say
        self._stop_if_asked = stop_if_asked

    def say(self, text: str) -> None:
        self._say(text)

    def advance(self, steps: int = 1) -> None:
        self._stop_if_asked()
        self._reuse.computed_pixels += steps

    def unchanged(self, padded: Region) -> bool:
        if self._previous is None:
            return False
        area = (padded.rows, padded.columns)
        return bool(np.array_equal(self._previous[area], self._current[area]))


def _closable(frames: Iterator[Frame]) -> Generator[Frame]:
    """A generator around any iterator, so that leaving early reaches whatever works behind it."""
    try:
        yield from frames
    finally:
        close = getattr(frames, "close", None)
        if close:
            close()


def _identity(model: UpscaleModel, settings: Settings, tiling: Tiling, steps: Route) -> str:
    """Everything that the pixels of the result depend on; ``settings`` are settled.

    Not a tile that was chosen by the memory free at that moment: to the rounding of floats it changes nothing, and a run
    that was stopped must go on where less is free.
    """
    numbers = f"{weights_hash(model.descriptor)} {settings.backend} {settings.precision} {settings.linear}"
    fix = "" if settings.color_fix == "off" else f" colour fix {settings.color_fix}"
    cut = f"tile {settings.tile or 'auto'} halo {tiling.aligned_halo} {tiling.merge}"
    return f"upscale {steps.final} {numbers} {cut}{fix}{_engine(model, settings.backend)}"


def _engine(model: UpscaleModel, backend: str) -> str:
    """What decides the pixels of a TensorRT engine: not the card or the driver, whose rounding is as any device's."""
    carried = engine_of(model.descriptor) if backend == "tensorrt" else None
    stamp = read_stamp(carried.path) if carried else None
    if stamp is None:
        return ""
    only = f" only {stamp.most[1]}x{stamp.most[0]}" if stamp.least == stamp.most else ""
    return f" engine {stamp.weights} {stamp.precision}{only}"
