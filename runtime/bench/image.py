"""``bench image``: one picture through ComfyUI's own upscaling node and through ours."""

from __future__ import annotations

import json
import platform
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..hardware.cpu import count_usable_cores
from ..models.locate import FoundModel
from .worker_jobs import parse_size, read_comfyui_version, run_worker, write_job, write_weights

WORKER = Path(__file__).parent / "workers" / "image_worker.py"
PEER_TITLES = {"comfyui": "ComfyUI ImageUpscaleWithModel", "ours": "Upscale8K TiledUpscale"}
FIGURES = {"upscale": "upscale s", "job": "whole job s", "peak": "peak MB"}


@dataclass(frozen=True)
class ImageBenchmark:
    """Every figure of every counted run, per peer, and what was run."""

    model: str
    size: str
    threads: int
    runs: dict[str, list[dict[str, float]]]
    peer_version: str
    psnr_db: float

    def compute_median(self, peer: str, figure: str) -> float:
        return statistics.median(run[figure] for run in self.runs[peer])

    def compute_ratio(self, figure: str) -> float:
        """The peer's median over ours: above 1 we need less."""
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
            f"{count} runs each after a warm-up, in turn, a fresh process each; medians (least to most)",
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
    """Run both in turn, ``runs`` times each after one warm-up; every run a fresh process with the same picture and weights.

    Raises ``WorkflowError`` when the folder is no ComfyUI or the size is none, ``Upscale8KError`` when a run fails.
    """
    width, height = parse_size(size)
    peer_version = read_comfyui_version(comfyui)
    with tempfile.TemporaryDirectory(prefix="upscale8k-bench-") as scratch:
        folder = Path(scratch)
        _write_test_image(folder / "picture.png", width, height)
        weights = write_weights(folder / "weights.safetensors", model)
        figures_by_peer: dict[str, list[dict[str, float]]] = {peer: [] for peer in PEER_TITLES}
        for turn in range(runs + 1):
            for peer, name in PEER_TITLES.items():
                on_message(f"{name}, {f'run {turn} of {runs}' if turn else 'warm-up'}")
                job = write_job(folder, peer, comfyui, weights, threads, {"picture": "picture.png"})
                figures = run_worker(WORKER, peer, name, job)
                on_message(f"  {figures['upscale']:.1f} s, {figures['peak'] / 1e6:.0f} MB")
                if turn:
                    figures_by_peer[peer].append(figures)
        return ImageBenchmark(model.name, size, threads, figures_by_peer, peer_version, _compute_psnr(folder))


def _write_test_image(path: Path, width: int, height: int) -> None:
    """A picture with edges, gradients and noise in it, the same on every machine."""
    import numpy as np
    from PIL import Image

    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    rings = np.sin((x**2 + y**2) / 4000)
    waves = np.sin(x / 17) * np.cos(y / 23)
    noise = np.random.default_rng(8).normal(0, 0.05, (height, width, 3))
    colors = np.stack([rings, waves, x / width * 2 - 1], axis=2) * 0.45 + 0.5 + noise
    Image.fromarray((colors.clip(0, 1) * 255).astype(np.uint8)).save(path)


def _compute_psnr(folder: Path) -> float:
    import numpy as np
    from PIL import Image

    # 8K pictures of our own making; Pillow's guard is for pictures from elsewhere.
    images = [np.asarray(Image.open(sorted((folder / peer).glob("*.png"))[0])).astype(np.int16) for peer in PEER_TITLES]
    error = float(np.mean((images[0] - images[1]).astype(np.float32) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))
