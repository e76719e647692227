"""The loop: a picture goes through a model in tiles, and comes out at the wanted size in one buffer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import OutOfMemory, UnsupportedModel
from ..frames.geometry import Region, Size
from ..images.alpha import fill_transparent
from ..images.quantize import to_floats
from ..models.facts import UpscaleModel
from .alpha import keep_within_neighbours
from .backends import Backend
from .canvas import Canvas, DirectCanvas, ReducingCanvas, Result, reduce_picture
from .merge import lay
from .target import Route
from .tiles import Tile, Tiling, batches, rows, split

Pixels = NDArray[np.float32]
Picture = Pixels | NDArray[np.uint8] | NDArray[np.uint16]
"""0..1, or the whole range of its integers; those become floats tile by tile, so that no second picture stands beside it."""


class Watch(Protocol):
    """Where the loop reports to, between batches of tiles and, where the backend can, within one."""

    def advance(self, steps: int = 1) -> None:
        """So many more pixels of ``work`` are done. May raise, which is how a run is cancelled."""
        ...

    def say(self, text: str) -> None:
        """Something that the person should know: a decision, a warning."""
        ...


def work(size: Size, channels: int, steps: Route, scale: int) -> int:
    """How many pixels go in on this route, over all passes: what ``Watch.advance`` adds up to.

    A picture that is only copied or reduced counts once.
    """
    planes = 2 if channels in (2, 4) else 1
    return planes * sum((size * scale**done).pixels for done in range(max(steps.passes, 1)))


def upscale_picture(
    pixels: Picture,
    model: UpscaleModel,
    backend: Backend,
    tiling: Tiling,
    steps: Route,
    *,
    out: Result,
    watch: Watch,
    linear: bool = False,
    unchanged: Callable[[Region], bool] = lambda _: False,
) -> None:
    """Upscale ``pixels`` (H, W, C) into ``out`` (h, w, C), whose size is that of ``steps``.

    C is one of 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. Grey stays grey. Alpha is straight coverage: the colour under
    transparent pixels is filled in from its surroundings first, so that nothing bleeds over an edge, and alpha goes through
    the model by itself where it is not constant. ``linear`` makes the final reduction in linear light.
    ``out`` is float32 in 0..1, or uint16 for a picture without alpha. A tile whose padded region is ``unchanged`` is left as
    it stands in ``out``; that is only right for one pass without a reduction or a cross-fade.
    Raises ``UnsupportedModel`` for a model that is not RGB to RGB, ``OutOfMemory`` when not even the smallest tile fits.
    """
    if model.input_channels != 3 or model.output_channels != 3:
        raise UnsupportedModel(
            f"This model takes {model.input_channels} and gives {model.output_channels} channels, not 3 and 3.",
            "Choose a model for colour pictures.",
        )
    height, width, channels = pixels.shape
    if steps.passes == 0 and steps.final != steps.reached:
        watch.say(f"The source ({width}x{height}) is larger than the target: it is reduced to {steps.final}, not upscaled.")
    job = _Job(model.scale, backend, tiling, linear, watch, unchanged)
    colours = 1 if channels in (1, 2) else 3
    if channels == colours:
        job.run(pixels, steps, out)
    else:
        _upscale_with_alpha(_floats(pixels), job, steps, out)


def _upscale_with_alpha(pixels: Pixels, job: _Job, steps: Route, out: Result) -> None:
    alpha = np.ascontiguousarray(pixels[:, :, -1:])
    job.run(fill_transparent(pixels), steps, out[:, :, :-1])
    job.run(alpha, steps, out[:, :, -1:], flat_tiles_as_they_are=True)
    keep_within_neighbours(out[:, :, -1], alpha[:, :, 0])


@dataclass
class _Job:
    scale: int
    backend: Backend
    tiling: Tiling
    linear: bool
    watch: Watch
    unchanged: Callable[[Region], bool]
    done: int = field(default=0, init=False)
    """Pixels of the tiles that are finished."""
    told: int = field(default=0, init=False)
    """Of which the watch knows, or of the one in work; a tile that ran out of memory part way is not counted twice."""

    def run(self, pixels: Picture, steps: Route, out: Result, *, flat_tiles_as_they_are: bool = False) -> None:
        """All passes over one picture of 1 or 3 channels, into ``out``."""
        linear = self.linear and not flat_tiles_as_they_are  # coverage is linear as it is
        if steps.passes == 0:
            reduce_picture(_floats(pixels), out, linear=linear)
            self.watch.advance(steps.reached.pixels)
            return
        for _ in range(steps.passes - 1):
            height, width, channels = pixels.shape
            passed: Pixels = np.zeros((height * self.scale, width * self.scale, channels), np.float32)
            self._pass(pixels, DirectCanvas(passed), flat_tiles_as_they_are)
            pixels = passed
        direct = steps.final == steps.reached and (out.dtype == np.float32 or not self.tiling.fade)
        canvas = DirectCanvas(out) if direct else ReducingCanvas(steps.reached, out, linear=linear)
        self._pass(pixels, canvas, flat_tiles_as_they_are)

    def _pass(self, pixels: Picture, canvas: Canvas, flat_as_is: bool) -> None:
        height, width = pixels.shape[:2]
        size, top = Size(width, height), 0
        tiling, ahead = self.tiling, rows(Size(width, height), self.tiling, 0)
        while top < height:
            if tiling is not self.tiling:
                tiling, ahead = self.tiling, rows(size, self.tiling, top)
            row = next(ahead)
            bottom = row[0].core.bottom
            pending = tuple(tile for tile in row if not self.unchanged(tile.padded))
            while pending:
                group = next(batches(pending, self.tiling.batch))
                try:
                    self._make(pixels, group, canvas, flat_as_is)
                except OutOfMemory:
                    smaller = self.tiling.smaller()
                    if smaller is None:
                        raise
                    self._go_on_with(smaller)
                    # What is finished stays; what is left of this row is cut smaller, later rows are planned anew.
                    pending = tuple(piece for tile in pending for piece in split(tile.core, size, self.tiling))
                    continue
                self.done += _pixels(group)
                self._tell(self.done)
                pending = pending[len(group) :]
            canvas.finish_rows((bottom - self.tiling.fade if bottom < height else height) * self.scale)
            top = bottom

    def _tell(self, done: int) -> None:
        more, self.told = max(done - self.told, 0), max(done, self.told)
        self.watch.advance(more)

    def _make(self, pixels: Picture, group: tuple[Tile, ...], canvas: Canvas, flat_as_is: bool) -> None:
        """One batch, in place. Its results are gone when the next one is made."""
        size = Size(pixels.shape[1], pixels.shape[0])
        for tile, upscaled in zip(group, self._upscaled(pixels, group, flat_as_is), strict=True):
            lay(canvas, tile, upscaled, self.tiling, size, self.scale)

    def _go_on_with(self, smaller: Tiling) -> None:
        self.watch.say(
            f"Out of memory with {self.tiling.batch} x {self.tiling.tile} px tiles; "
            f"going on with {smaller.batch} x {smaller.tile} px."
        )
        self.tiling = smaller

    def _upscaled(self, pixels: Picture, group: tuple[Tile, ...], flat_as_is: bool) -> Iterable[Pixels]:
        shown = [_floats(pixels[tile.padded.rows, tile.padded.columns]) for tile in group]
        if flat_as_is and all(tile.min() == tile.max() for tile in shown):
            return [tile.repeat(self.scale, 0).repeat(self.scale, 1) for tile in shown]
        grey = pixels.shape[2] == 1
        batch = np.stack([np.broadcast_to(tile, (*tile.shape[:2], 3)) if grey else tile for tile in shown])
        upscaled = self.backend.run(batch, lambda share: self._tell(self.done + int(share * _pixels(group))))
        for warning in self.backend.warnings:
            self.watch.say(warning)
        self.backend.warnings.clear()
        return upscaled.mean(axis=3, keepdims=True) if grey else upscaled


def _pixels(group: tuple[Tile, ...]) -> int:
    return sum(tile.core.size.pixels for tile in group)


def _floats(pixels: Picture) -> Pixels:
    return to_floats(pixels) if pixels.dtype.kind == "u" else cast("Pixels", pixels)
