"""One large image made by several workers: bands of rows of tiles, written into one file in any order.

Its folder is in the output folder, and is named by everything that the pixels depend on::

    Upscale8K-KEY.parts/image.npy     (H, W, C) float32; workers write rows of their bands, the driver those across cuts
    Upscale8K-KEY.parts/image.json    tiles and bands: those of the run that began
    Upscale8K-KEY.parts/000012.npz    what rows across the cuts need of band 12; it exists when its rows are on the disk

A run that was killed makes the bands that are missing. Image Out removes the folder when it has written the result.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from ..atomic_write import atomic_write, translate_os_errors
from ..errors import OutputError
from ..file_lock import exclusive_lock
from ..media import Floats
from ..models import Descriptor
from ..paths import read_version
from ..progress import OnMessage, Progress
from ..upscale import BandEdges, BandJob, TiledUpscaleSettings, Tiling, plan_bands
from ..video import SegmentFolder
from .collector import Collector, OpenPool, OpenTry, run_order
from .order import Order
from .tries import TryName, WorkFolder
from .worker import WorkerHost
from .worker_choice import parse_workers
from .writer import choose_pool, make_template

if TYPE_CHECKING:
    from ..host import Host, LocalHost

_EDGES_NAME, _IMAGE_NAME, _STATE_NAME = "edges.npz", "image.npy", "image.json"
_BANDS_PER_WORKER = 4
_CLUSTER_WORKERS = 8


def upscale_in_bands(
    host: Host,
    workers: str,
    prompt: Mapping[str, Any],
    node_id: str,
    images: torch.Tensor,
    descriptor: Descriptor,
    settings: TiledUpscaleSettings,
    on_folder: Callable[[Path], object],
) -> torch.Tensor | None:
    """Upscale ``images`` (1, H, W, C) to a tensor (1, h, w, C) that is a file; ``on_folder`` gets the folder to remove later.

    None where the image cannot be cut into bands. As a worker, make bands and return an empty tensor.
    Raises ``NodeError`` for a band that failed three times, ``OutputError`` for a full disk, ``HardwareMissing`` without the
    GPUs or Ray that were asked for.
    """
    if isinstance(host, WorkerHost):
        is_meant = bool(host.order.bands) and host.order.node_id == node_id
        return _make_bands(host, images, descriptor, settings) if is_meant else None
    choice = parse_workers(workers)
    assert choice is not None
    open_pool, processes = choose_pool(choice)
    template = make_template(cast("LocalHost", host), prompt, node_id, max(processes, 1))
    job = plan_bands(images, descriptor, settings, host.free_memory, template.tile_memory)
    bands = job.cut((processes or _CLUSTER_WORKERS) * _BANDS_PER_WORKER) if job else []
    with host.progress(images.shape[1] * images.shape[2], "px") as progress:
        if job is None or len(bands) < 2:
            progress.message(
                "This image is made by one process: it is one row of tiles, or has alpha, a cross-fade or two passes."
            )
            return None
        key = job.compute_key()
        folder = host.folder("output").absolute() / f"Upscale8K-{key[:16]}.parts"
        with translate_os_errors(folder), exclusive_lock(folder / "lock", folder.name):
            image = _SharedImage.begin(folder, job, bands)
            image.make_missing(template, key, open_pool, progress)
            result = image.join(progress)
    on_folder(folder)
    return torch.as_tensor(result)[None]


@dataclass(frozen=True)
class _SharedImage:
    """The driver's side."""

    folder: Path
    job: BandJob
    bands: Sequence[range]
    """Of source rows."""

    @classmethod
    def begin(cls, folder: Path, job: BandJob, bands: Sequence[range]) -> _SharedImage:
        """Go on with what an earlier run began in ``folder``, or begin. Raises ``OSError``."""
        try:
            state: dict[str, Any] = json.loads((folder / _STATE_NAME).read_text(encoding="utf-8"))
            bands = [range(start, stop) for start, stop in state["bands"]]
            job = replace(job, resolved=replace(job.resolved, tiling=Tiling(**state["tiling"])))
            np.load(folder / _IMAGE_NAME, mmap_mode="r")
            return cls(folder, job, bands)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        image = cls(folder, job, bands)
        for number in range(len(bands)):
            image.get_edges_path(number).unlink(missing_ok=True)
        image._allocate()
        with atomic_write(folder / _STATE_NAME) as temp:
            state = {"bands": [[rows.start, rows.stop] for rows in bands], "tiling": asdict(job.resolved.tiling)}
            temp.write_text(json.dumps(state), encoding="utf-8")
        return image

    def _allocate(self) -> None:
        path = self.folder / _IMAGE_NAME
        np.lib.format.open_memmap(path, "w+", np.float32, self.job.shape).flush()
        if hasattr(os, "posix_fallocate"):  # a full disk is known now, not in a worker
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)

    def get_edges_path(self, number: int) -> Path:
        return self.folder / f"{number:06}.npz"

    def make_missing(self, template: Order, key: str, open_pool: OpenPool, progress: Progress) -> None:
        width = self.job.pixels.shape[1]
        missing = [number for number in range(len(self.bands)) if not self.get_edges_path(number).exists()]
        done = width * sum(len(rows) for number, rows in enumerate(self.bands) if number not in missing)
        progress.update(resumed=done)
        progress.advance(done)
        if not missing:
            return
        order = replace(
            template,
            id=secrets.token_hex(8),
            version=read_version(),
            settings={"key": key, "tiling": asdict(self.job.resolved.tiling)},
            bands=tuple((number, self.bands[number].start, self.bands[number].stop) for number in missing),
        )
        segment_folder, say = SegmentFolder(self.folder.with_suffix("")), progress.message
        run_order(order, segment_folder, open_pool, lambda work: _BandCollector(work, order, width, self, say), say, progress)

    def join(self, progress: Progress) -> Floats:
        """Compute the rows across the cuts; return the whole image, whose changes are not written. Raises ``OutputError``."""
        try:
            edges = [BandEdges.load(self.get_edges_path(number)) for number in range(len(self.bands))]
        except (ValueError, KeyError) as error:
            what = f"A finished part in {self.folder.name} is damaged."
            raise OutputError(what, "Remove that folder and run it again.", path=self.folder) from error
        with _RowWriter(self.folder / _IMAGE_NAME) as rows:
            self.job.join(self.bands, edges, rows.write)
        result: Floats = np.load(self.folder / _IMAGE_NAME, mmap_mode="c")
        self.job.finish(result, progress)
        return result


class _BandCollector(Collector):
    def __init__(self, work: WorkFolder, order: Order, width: int, image: _SharedImage, on_message: OnMessage) -> None:
        super().__init__(work, len(order.bands), order.timeout, on_message)
        self._bands, self._width, self._image = order.bands, width, image

    def describe(self, item: int) -> str:
        _, start, stop = self._bands[item]
        return f"The work on rows {start} to {stop - 1}"

    def take_result(self, name: TryName, known: OpenTry) -> bool:
        path = self.work.open_try(name).folder / _EDGES_NAME
        if self.work.read_result(name) is None or not path.is_file():
            return False
        if self.is_left(name.item):  # a second result has written the same rows
            number, start, stop = self._bands[name.item]
            path.replace(self._image.get_edges_path(number))
            self.steps_by_worker[known.beat.worker] += self._width * (stop - start)
        return True


class _RowWriter:
    """Writes rows into an image file by itself: pages of a mapping could reach into the rows of another machine."""

    def __init__(self, path: Path) -> None:
        mapping = np.load(path, mmap_mode="r")
        self._offset, self._row_bytes = int(mapping.offset), int(mapping.strides[0])
        self._file = path.open("r+b")

    def __enter__(self) -> _RowWriter:
        return self

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())

    def write(self, first: int, rows: Floats) -> None:
        self._file.seek(self._offset + first * self._row_bytes)
        self._file.write(np.ascontiguousarray(rows).data)


def _make_bands(host: WorkerHost, images: torch.Tensor, descriptor: Descriptor, settings: TiledUpscaleSettings) -> torch.Tensor:
    """Make bands until none is left, of the image that the order is for: a list has others too."""
    order = host.order
    job = plan_bands(images, descriptor, settings, host.free_memory, order.tile_memory)
    if job is not None and job.compute_key() == order.settings["key"]:
        job = replace(job, resolved=replace(job.resolved, tiling=Tiling(**order.settings["tiling"])))
        with job.open_backend() as backend:

            def make(name: TryName, folder: Path) -> None:
                _, start, stop = order.bands[name.item]
                with _RowWriter(host.order_path.parent / _IMAGE_NAME) as rows:
                    edges = job.upscale(backend, range(start, stop), rows.write, host.worker_progress)
                edges.save(folder / _EDGES_NAME)

            host.make_items(len(order.bands), make)
    return torch.zeros((1, 1, 1, 3))
