"""Cut one image into bands, make one, and join them.

A row of a reduced result that lies across the cut of two bands needs rows of both. Each band keeps those few, narrowed to the
final width, and ``join`` computes the row from them. So no tile is made twice, and every value is that of ``upscale_image``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...media import Floats, Size
from ...models import Descriptor, UpscaleModel, hash_weights
from ...progress import Progress
from ..backends.base import Backend
from ..finishing.finish_frame import finish_frame
from ..lanczos import compute_lanczos_taps, sum_weighted_rows
from ..memory import FreeMemory, fix_tile_memory
from ..output_buffer import BandBuffer, encode_rows
from ..resolved_settings import ResolvedSettings, TiledUpscaleSettings, open_resolved_backend, plan_model, resolve_settings
from ..target_size import ScalePlan
from ..tile_loop import TileLoop
from ..tiles import iterate_tile_rows

WriteRows = Callable[[int, Floats], object]
"""Gets the number of the first and the pixels of finished rows of the result."""


@dataclass(frozen=True)
class BandEdges:
    """What a band keeps for the rows across its ends: narrowed rows (h, W, C) at its top, and from row ``tail_top`` on."""

    head: Floats
    tail: Floats
    tail_top: int

    def save(self, path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, head=self.head, tail=self.tail, tail_top=self.tail_top)

    @classmethod
    def load(cls, path: Path) -> BandEdges:
        """Read what ``save`` wrote. Raises ``OSError``, or ``ValueError`` for another file."""
        with np.load(path) as file:
            return cls(file["head"], file["tail"], int(file["tail_top"]))


@dataclass(frozen=True)
class BandJob:
    """One image (H, W, C) and how it is upscaled, in one pass, to ``shape``."""

    pixels: Floats
    model: UpscaleModel
    settings: TiledUpscaleSettings
    resolved: ResolvedSettings
    plan: ScalePlan

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.plan.final_size.height, self.plan.final_size.width, self.pixels.shape[2])

    def compute_key(self) -> str:
        """Return a hash of everything that the pixels depend on; a tile chosen by free memory changes only their rounding."""
        resolved = self.resolved
        digest = hashlib.sha256(np.ascontiguousarray(self.pixels).data)
        facts = (self.pixels.shape, hash_weights(self.model.descriptor), resolved.backend, resolved.precision)
        cut = (self.settings.tile, resolved.tiling.aligned_halo, self.settings.linear, self.plan)
        digest.update(repr((*facts, resolved.device.type, *cut)).encode())
        return digest.hexdigest()

    def cut(self, count: int) -> list[range]:
        """Cut the source rows between rows of tiles into ``count`` bands or more, where there are as many rows of tiles."""
        height, width = self.pixels.shape[:2]
        tops = [row[0].core.y for row in iterate_tile_rows(Size(width, height), self.resolved.tiling, 0)]
        starts = tops[:: max(1, len(tops) // max(count, 1))]
        return [range(start, stop) for start, stop in zip(starts, [*starts[1:], height], strict=True)]

    @contextmanager
    def open_backend(self) -> Generator[Backend]:
        """Raises what ``backends.open_backend`` raises."""
        with open_resolved_backend(self.model, self.resolved) as (backend, _):
            yield backend

    def upscale(self, backend: Backend, rows: range, write: WriteRows, progress: Progress) -> BandEdges:
        """Upscale a band of ``cut``. Raises what ``upscale_image`` raises."""
        scale, linear = self.model.scale, self.settings.linear
        final_rows = range(rows.start * scale, rows.stop * scale)
        buffer = BandBuffer(self.plan, self.pixels.shape[2], final_rows, write, linear=linear)
        tile_loop = TileLoop(scale, backend, self.resolved.tiling, linear, progress, lambda _: False)
        tile_loop.run_band(self.pixels, rows, buffer)
        return BandEdges(buffer.head, buffer.tail, buffer.tail_top)

    def join(self, bands: Sequence[range], edges: Sequence[BandEdges], write: WriteRows) -> None:
        """Compute the rows of the result across the cuts of all ``bands``."""
        if self.plan.final_size == self.plan.model_size:
            return
        taps = compute_lanczos_taps(self.plan.model_size.height, self.plan.final_size.height)
        for rows, above, below in zip(bands[1:], edges[:-1], edges[1:], strict=True):
            cut = rows.start * self.model.scale
            narrowed = np.concatenate([above.tail, below.head])
            for number, row_taps in enumerate(taps):
                if row_taps.start < cut < row_taps.stop:
                    row: Floats = np.empty((1, *narrowed.shape[1:]), np.float32)
                    sum_weighted_rows(narrowed, above.tail_top, row_taps, row[0])
                    encode_rows(row, linear=self.settings.linear)
                    write(number, row)

    def finish(self, result: Floats, progress: Progress) -> None:
        """Fix colors, blend and add grain in ``result``, where the settings ask for it."""
        if fix := finish_frame(self.pixels, result, self.settings.finish, measure=True):
            progress.message(str(fix))


def plan_bands(
    images: torch.Tensor,
    descriptor: Descriptor,
    settings: TiledUpscaleSettings,
    free_memory: FreeMemory | None,
    tile_memory: int | None,
) -> BandJob | None:
    """Return the job for ``images`` (1, H, W, C), with tiles that take at most ``tile_memory`` bytes on a CPU.

    None where rows of tiles cannot be made alone: several images or passes, alpha, or a cross-fade.
    Raises what ``plan_model`` and ``resolve_settings`` raise.
    """
    count, height, width, channels = images.shape
    size = Size(width, height)
    model, plan = plan_model(descriptor, size, settings.target)
    if count != 1 or plan.passes != 1 or channels not in (1, 3):
        return None
    fix_tile_memory(tile_memory)
    try:
        resolved = resolve_settings(model, settings, free_memory, size)
    finally:
        fix_tile_memory(None)
    pixels = images[0].detach().float().cpu().numpy()
    return None if resolved.tiling.blend_width else BandJob(pixels, model, settings, resolved, plan)
