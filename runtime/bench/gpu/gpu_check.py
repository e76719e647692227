"""``bench gpu --full``: what is correct and what is fast on a GPU, in one run. A stage that fails is a row; the next one runs.

``dry`` goes the same way on the CPU with small images, to try the check itself; what needs a GPU is then left out.
"""

import statistics
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...media import Size
from ...models import Descriptor, UpscaleModel
from ...progress import open_silent_progress
from ...upscale import Precision, TiledUpscaleSettings, TorchBackend, resolve_precision, upscale_batch
from ..measure import compute_psnr, make_test_image
from ..worker_jobs import parse_size
from .check_row import CheckRow, Rows
from .gpu_check_video import check_color_codes, check_video
from .gpu_speed import measure_gpu, require_gpu

_LEAST_DB = 50
_WHOLE = 4096
"""A tile that is larger than every image of the check."""
_GRAPH_TRIALS = 8
_DRY_SIZE, _DRY_VIDEO_SIZE = Size(96, 64), Size(48, 32)


def check_gpu(models: dict[str, Descriptor], size: str, *, runs: int, dry: bool, on_row: Callable[[CheckRow], object]) -> bool:
    """Check and measure the GPU with ``models``, by catalog id; return whether all is correct. Raises ``HardwareMissing``."""
    if dry:
        return GpuCheck(models, torch.device("cpu"), _DRY_SIZE, 1).run(on_row)
    require_gpu()
    return GpuCheck(models, torch.device("cuda", torch.cuda.current_device()), parse_size(size), runs).run(on_row)


@dataclass(frozen=True)
class GpuCheck:
    """The models by catalog id, on ``device``."""

    models: dict[str, Descriptor]
    device: torch.device
    size: Size
    runs: int = 3

    @property
    def has_gpu(self) -> bool:
        return self.device.type == "cuda"

    def run(self, on_row: Callable[[CheckRow], object]) -> bool:
        """Call ``on_row`` for each result; return whether all is correct."""
        stages: Sequence[Callable[[], Rows]] = (
            self._measure_ceilings,
            self._check_tiles,
            self._check_graphs,
            self._check_little_memory,
            self._check_second_device,
            self._check_color_codes,
            self._check_videos,
            self._measure_parts,
            self._measure_speed,
        )
        is_correct = True
        for stage in stages:
            name = stage.__name__.strip("_").replace("_", " ")
            try:
                for row in stage():
                    is_correct &= row.is_correct is None or bool(row.is_correct)
                    on_row(row)
            except Exception as error:  # whatever a driver raises is a result
                is_correct = False
                on_row(CheckRow(f"{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", False))
        return is_correct

    def _measure_ceilings(self) -> Rows:
        side = 8192 if self.has_gpu else 256
        matrix = torch.randn((side, side), device=self.device, dtype=torch.float16 if self.has_gpu else torch.float32)
        yield CheckRow(f"matrix product: {2 * side**3 / self._time(lambda: matrix @ matrix) / 1e12:.1f} TFLOP/s")
        memory = torch.empty(side * side * 4, dtype=torch.uint8, device=self.device)
        host = torch.empty(memory.shape, dtype=torch.uint8, pin_memory=self.has_gpu)
        for name, target, source in (("to the device", memory, host), ("to the host", host, memory)):
            seconds = self._time(lambda target=target, source=source: target.copy_(source, non_blocking=True))
            yield CheckRow(f"copy {name}: {host.nbytes / seconds / 1e9:.1f} GB/s")

    def _check_tiles(self) -> Rows:
        """Tiled against untiled, in both precisions, and twice the same."""
        image = make_test_image(Size(min(self.size.width, 768), min(self.size.height, 512)))
        for name, descriptor in self.models.items():
            precisions: tuple[Precision, ...] = ("auto", "fp32") if self.has_gpu else ("fp32",)
            for precision in precisions:
                whole, again, tiled = (
                    self._upscale(image, descriptor, tile, precision) for tile in (_WHOLE, _WHOLE, 128 if self.has_gpu else 32)
                )
                yield CheckRow(f"{name} {precision}: two runs give the same bits", np.array_equal(whole, again))
                decibels = compute_psnr(tiled, whole, if_equal=120.0)
                yield CheckRow(f"{name} {precision}: tiled against untiled {decibels:.1f} dB", decibels >= _LEAST_DB)

    def _check_graphs(self) -> Rows:
        """CUDA graphs are recorded while another thread uses the device: neither may fail or change the other."""
        image, errors = make_test_image(Size(256, 256)), list[str]()
        descriptor = next(iter(self.models.values()))
        same, recorded = 0, 0
        with self._use_device_beside(errors):
            for index in range(_GRAPH_TRIALS if self.has_gpu else 1):
                side = 96 + 16 * index if self.has_gpu else 32
                with closing(self._open(descriptor, self.device)) as backend:
                    tiles = [backend.run(np.ascontiguousarray(image[None, :side, :side])) for _ in range(4)]
                    same += all(np.array_equal(tiles[0], tile) for tile in tiles)
                    recorded += backend.has_graph
        trials = _GRAPH_TRIALS if self.has_gpu else 1
        yield CheckRow(f"graphs beside another thread: {same} of {trials} identical, {recorded} recorded", same == trials)
        yield CheckRow(f"errors in the other thread: {len(errors)} {errors[:1]}", not errors)

    def _check_little_memory(self) -> Rows:
        """A GPU that is nearly full gives the same image in smaller tiles."""
        if not self.has_gpu:
            return
        image = make_test_image(Size(512, 512))
        descriptor = next(iter(self.models.values()))
        expected = self._upscale(image, descriptor, _WHOLE, "fp32")
        cuda: Any = torch.cuda  # these functions have no types
        total = cuda.get_device_properties(self.device).total_memory
        used = cuda.memory_allocated(self.device)
        cuda.empty_cache()
        cuda.set_per_process_memory_fraction((used + 1.2e9) / total, self.device)
        try:
            found = self._upscale(image, descriptor, _WHOLE, "fp32")
        finally:
            cuda.set_per_process_memory_fraction(1.0, self.device)
        decibels = compute_psnr(found, expected, if_equal=120.0)
        yield CheckRow(f"with 1.2 GB of memory: {decibels:.1f} dB against enough of it", decibels >= _LEAST_DB)

    def _check_second_device(self) -> Rows:
        if not self.has_gpu or torch.cuda.device_count() < 2:
            yield CheckRow("a second GPU: there is none, not tried")
            return
        image, descriptor = make_test_image(Size(256, 256)), next(iter(self.models.values()))
        tiles = [np.ascontiguousarray(image[None, top : top + 128, :128]) for top in range(0, 128, 32)]
        with (
            closing(self._open(descriptor, torch.device("cuda:1"))) as second,
            closing(self._open(descriptor, torch.device("cuda:0"))) as first,
        ):
            decibels = min(compute_psnr(second.run(tile), first.run(tile), if_equal=120.0) for tile in tiles)
        yield CheckRow(f"a second GPU against the first: {decibels:.1f} dB", decibels >= _LEAST_DB)

    def _check_color_codes(self) -> Rows:
        yield from check_color_codes(self.device)

    def _check_videos(self) -> Rows:
        """From file to file, as a user upscales a video."""
        size = self.size if self.has_gpu else _DRY_VIDEO_SIZE
        for name, descriptor in self.models.items():
            yield from check_video(name, descriptor, self.device, size, encoders=(None, "auto") if self.has_gpu else (None,))

    def _measure_parts(self) -> Rows:
        """Where the time of a frame goes."""
        pixels = torch.as_tensor(make_test_image(self.size))[None]
        for name, descriptor in self.models.items():
            with closing(self._open(descriptor, self.device)) as backend:
                batch = pixels[:, : min(self.size.height, 512), : min(self.size.width, 512)].contiguous()
                tile = batch.numpy()
                whole = self._time(lambda backend=backend, tile=tile: backend.run(tile))
                up = self._time(lambda batch=batch: batch.to(self.device))
                result = torch.as_tensor(backend.run(tile)).to(self.device)
                down = self._time(lambda result=result: result.cpu())
            shape = "x".join(map(str, tile.shape[2:0:-1]))
            parts = f"of these pageable copies take {up * 1e3:.1f} up and {down * 1e3:.1f} ms down"
            yield CheckRow(f"{name}: a tile of {shape} takes {whole * 1e3:.1f} ms; {parts}")

    def _measure_speed(self) -> Rows:
        """Frames per second of ours and of ComfyUI's node, and the share of the matrix rate."""
        if not self.has_gpu:
            return
        for name, descriptor in self.models.items():
            figures = measure_gpu(name, descriptor, str(self.size), runs=self.runs, on_message=lambda _: None)
            yield CheckRow(f"{name}: CUDA graph and direct runs are identical", figures.graphs_identical)
            yield CheckRow(f"{name}: fp16 against fp32 {figures.fp16_db:.1f} dB", figures.fp16_db >= _LEAST_DB)
            yield from (CheckRow(line.strip()) for line in figures.as_text().splitlines())

    def _upscale(
        self, image: NDArray[np.float32], descriptor: Descriptor, tile: int, precision: Precision
    ) -> NDArray[np.float32]:
        settings = TiledUpscaleSettings("model scale", str(self.device), tile=tile, precision=precision, backend="torch")
        return upscale_batch(torch.as_tensor(image)[None], descriptor, settings, open_silent_progress)[0].numpy()

    def _open(self, descriptor: Descriptor, device: torch.device) -> TorchBackend:
        model = UpscaleModel.from_descriptor(descriptor)
        return TorchBackend(model, device, resolve_precision("auto", model, device))

    @contextmanager
    def _use_device_beside(self, errors: list[str]) -> Generator[None]:
        """Allocate, compute and wait on the device in another thread."""
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                try:
                    torch.ones(1 << 20, device=self.device).sum().item()
                except RuntimeError as error:
                    errors.append(str(error).splitlines()[0])

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _time(self, work: Callable[[], object]) -> float:
        """Return the median seconds of some runs after a warm-up."""
        seconds: list[float] = []
        for _ in range(self.runs + 2):
            self._synchronize()
            began = time.perf_counter()
            work()
            self._synchronize()
            seconds.append(time.perf_counter() - began)
        return statistics.median(seconds[2:])

    def _synchronize(self) -> None:
        if self.has_gpu:
            torch.cuda.synchronize(self.device)
