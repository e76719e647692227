"""``bench image``: one image upscaled by ComfyUI's own node and by ours."""

import json
import platform
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..hardware import count_usable_cores
from ..images import save_with_pillow
from ..models import FoundModel
from .measure import compute_psnr, make_test_pattern
from .worker_jobs import parse_size, read_comfyui_version, run_worker, write_job, write_weights

WORKER = Path(__file__).parent / "workers" / "image_worker.py"
PEER_TITLES = {"comfyui": "ComfyUI ImageUpscaleWithModel", "ours": "Upscale8K TiledUpscale"}
WorkerFigures = Mapping[str, float]
FIGURES = {"upscale": "upscale s", "job": "whole job s", "peak": "peak MB"}


@dataclass(frozen=True)
class ImageBenchmark:
    """The figures of every counted run by peer, and the settings."""

    model: str
    size: str
    threads: int
    runs: Mapping[str, Sequence[WorkerFigures]]
    peer_version: str
    psnr_db: float

    def compute_median(self, peer: str, figure: str) -> float:
        return statistics.median(run[figure] for run in self.runs[peer])

    def compute_ratio(self, figure: str) -> float:
        """Return the peer's median divided by ours; above 1 we need less."""
        return self.compute_median("comfyui", figure) / self.compute_median("ours", figure)

    def as_json(self) -> str:
        figures = {peer: {figure: self.compute_median(peer, figure) for figure in FIGURES} for peer in PEER_TITLES}
        facts = {"model": self.model, "size": self.size, "threads": self.threads, "comfyui": self.peer_version}
        ratios = {figure: self.compute_ratio(figure) for figure in FIGURES}
        return json.dumps({**facts, "median": figures, "ratio": ratios, "runs": self.runs, "psnr_db": self.psnr_db}, indent=2)

    def as_text(self) -> str:
        count = len(self.runs["ours"])
        lines = [
            f"{self.size}, {self.model}, {self.threads or count_usable_cores()} threads, {platform.machine()}; "
            f"{count} runs each after a warm-up, in turn, a new process each; medians (minimum to maximum)",
            f"{'':40}" + "".join(f"{heading:>26}" for heading in FIGURES.values()),
        ]
        for peer, name in PEER_TITLES.items():
            title = f"{name} ({self.peer_version})" if peer == "comfyui" else name
            lines.append(f"{title:40}" + "".join(f"{self._format_cell(peer, figure):>26}" for figure in FIGURES))
        lines.append(f"{'ComfyUI / ours':40}" + "".join(f"{f'{self.compute_ratio(figure):.2f}x':>26}" for figure in FIGURES))
        lines.append(f"The two results agree to {self.psnr_db:.1f} dB PSNR.")
        return "\n".join(lines)

    def _format_cell(self, peer: str, figure: str) -> str:
        unit = 1e6 if figure == "peak" else 1
        values = [run[figure] / unit for run in self.runs[peer]]
        digits = 0 if figure == "peak" else 1
        return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def benchmark_image(
    comfyui: Path, model: FoundModel, size: str, *, runs: int, threads: int, on_message: Callable[[str], None]
) -> ImageBenchmark:
    """Run both in turn, ``runs`` times each after one warm-up. Every run is a new process with the same image and weights.

    Raises ``WorkflowError`` for a folder that is not ComfyUI or an invalid size, ``Upscale8KError`` if a run fails.
    """
    image_size = parse_size(size)
    peer_version = read_comfyui_version(comfyui)
    with tempfile.TemporaryDirectory(prefix="upscale8k-bench-") as scratch:
        folder = Path(scratch)
        pixels = (make_test_pattern(image_size) * 255).astype(np.uint8)
        save_with_pillow(Image.fromarray(pixels), folder / "image.png", "PNG")
        weights = write_weights(folder / "weights.safetensors", model)
        figures_by_peer: dict[str, list[WorkerFigures]] = {peer: [] for peer in PEER_TITLES}
        for turn in range(runs + 1):
            for peer, name in PEER_TITLES.items():
                on_message(f"{name}, {f'run {turn} of {runs}' if turn else 'warm-up'}")
                job = write_job(folder, peer, comfyui, weights, threads, {"image": "image.png"})
                figures = run_worker(WORKER, peer, job, name)
                on_message(f"  {figures['upscale']:.1f} s, {figures['peak'] / 1e6:.0f} MB")
                if turn:
                    figures_by_peer[peer].append(figures)
        return ImageBenchmark(model.name, size, threads, figures_by_peer, peer_version, _compute_psnr(folder))


def _compute_psnr(folder: Path) -> float:
    ours, theirs = (np.asarray(Image.open(next((folder / peer).glob("*.png")))) for peer in PEER_TITLES)
    return compute_psnr(ours, theirs, 255, if_equal=99.0)
