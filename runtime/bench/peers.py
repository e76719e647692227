"""``bench peers``: one image with every program that can upscale it on this CPU; time, memory, and error at tile borders."""

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import isinf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import Upscale8KError, WorkflowError
from ..hardware import get_installed_version
from ..media import Size
from ..models import FoundModel, find_dependency_weights
from ..paths import SAMPLE_IMAGE
from .measure import compute_psnr
from .worker_jobs import parse_size, read_comfyui_version, run_worker, write_job, write_weights

WORKER = Path(__file__).parent / "workers" / "peers_worker.py"
PEER_TITLES = {
    "ours": "Upscale8K",
    "ours_fp32": "Upscale8K, kept to fp32",
    "ours_torch": "Upscale8K, kept to fp32 and torch",
    "comfyui": "ComfyUI ImageUpscaleWithModel",
    "realesrganer": "RealESRGANer, tile 256 pad 10",
    "realesrganer_untiled": "RealESRGANer, untiled",
    "realesrgan_ncnn_py": "realesrgan-ncnn-py, tile 200 pad 10",
    "ncnn": "ncnn alone, fp32, tile 200 pad 10",
    "onnxruntime": "onnxruntime alone, untiled",
    "openvino": "OpenVINO alone, fp32, untiled",
    "openvino_own": "OpenVINO alone, its own precision, untiled",
}
PACKAGES = ("torch", "realesrgan", "realesrgan-ncnn-py", "ncnn", "onnxruntime", "openvino")
"""Packages whose versions are reported."""
_MODULES = {
    "realesrganer": "realesrgan",
    "realesrganer_untiled": "realesrgan",
    "realesrgan_ncnn_py": "realesrgan_ncnn_py",
    "ncnn": "ncnn",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "openvino_own": "openvino",
}
"""The module that a peer imports."""
TIME_LIMIT_SECONDS = 60.0
"""Seconds of counted runs after which a peer is not run again."""
_NCNN_PY = {"realesr-animevideov3": 2, "realesrgan-x4plus-anime": 3, "realesrgan-x4plus": 4}
"""realesrgan-ncnn-py's numbers of its own weights."""
SEAM_RADIUS = 32
"""Source pixels on each side of a cut that count as its seam."""


@dataclass(frozen=True)
class PeerRow:
    """The counted runs of one peer and its error. ``seam_db`` is None without tiles."""

    name: str
    seconds: tuple[float, ...] = ()
    peaks: tuple[float, ...] = ()
    whole_db: float = 0.0
    seam_db: float | None = None
    problem: str | None = None
    """Why the peer did not run."""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def peak(self) -> float:
        return statistics.median(self.peaks)

    @property
    def is_ours(self) -> bool:
        return self.name.startswith(PEER_TITLES["ours"])


@dataclass(frozen=True)
class PeerTable:
    """The rows of all peers for one model, ours first."""

    model: str
    size: str
    threads: int
    runs: int
    rows: tuple[PeerRow, ...]

    @property
    def measured_rows(self) -> list[PeerRow]:
        return [row for row in self.rows if row.seconds]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON. It has no infinity, so null means equal pixels, or no cuts."""
        return {**vars(self), "rows": [{**vars(row), **_replace_infinite(row)} for row in self.rows]}


def _replace_infinite(row: PeerRow) -> dict[str, float | None]:
    return {name: None if value is None or isinf(value) else value for name, value in vars(row).items() if name.endswith("_db")}


def benchmark_peers(
    model: FoundModel,
    size: str,
    *,
    comfyui: Path | None,
    runs: int,
    threads: int,
    on_message: Callable[[str], None],
    peer_names: Sequence[str] = tuple(PEER_TITLES),
) -> PeerTable:
    """Run all peers in turn, ``runs`` times each.

    A peer that is not installed or fails gets a row with the reason, and one that takes longer than ``TIME_LIMIT_SECONDS`` is
    run less often. Raises ``WorkflowError`` for an invalid ``size`` or a model with another scale than 4, ``Upscale8KError``
    if ours or the reference fails.
    """
    if model.entry and model.entry.scale != 4:
        raise WorkflowError(
            f"{model.name} is a {model.entry.scale}x model.", "Use a 4x model, because the peers are set up for 4x."
        )
    image_size = parse_size(size)
    with tempfile.TemporaryDirectory(prefix="upscale8k-peers-") as scratch:
        folder = Path(scratch)
        np.save(folder / "image.npy", load_test_image(image_size))
        extra_fields: dict[str, Any] = {
            "image": str(folder / "image.npy"),
            "size": [image_size.width, image_size.height],
            "ncnn": _find_ncnn_file(model),
            "realesrgan_ncnn_py": _NCNN_PY.get(model.entry.id, 0) if model.entry else 0,
        }
        weights = write_weights(folder / "weights.safetensors", model)
        jobs = {
            name: write_job(folder, name, comfyui or folder, weights, threads, extra_fields)
            for name in (*peer_names, "reference")
        }
        on_message("The reference: torch, fp32, untiled")
        run_worker(WORKER, "reference", jobs["reference"])
        expected: NDArray[np.uint8] = np.load(folder / "reference" / "result.npy")
        runs_by_peer = {name: _PeerRuns(name, jobs[name], expected) for name in peer_names}
        for name in peer_names:
            runs_by_peer[name].problem = _explain_missing(name, comfyui, extra_fields)
        for turn in range(runs):
            for name, peer_runs in runs_by_peer.items():
                if peer_runs.has_time_left:
                    on_message(f"{PEER_TITLES[name]}, run {turn + 1} of {runs}")
                    peer_runs.run_once()
        return PeerTable(model.name, size, threads, runs, tuple(peer_runs.make_row() for peer_runs in runs_by_peer.values()))


def load_test_image(size: Size) -> NDArray[np.float32]:
    """Return the pack's sample image, mirrored to ``size``: (H, W, 3) in 0..1 with 8 bits, as RealESRGANer needs."""
    pixels: NDArray[np.float32] = np.asarray(Image.open(SAMPLE_IMAGE).convert("RGB"), np.float32) / np.float32(255)
    padding = ((0, max(size.height - pixels.shape[0], 0)), (0, max(size.width - pixels.shape[1], 0)), (0, 0))
    return np.pad(pixels, padding, "symmetric")[: size.height, : size.width]


class _PeerRuns:
    def __init__(self, name: str, job: Path, expected: NDArray[np.uint8]) -> None:
        self.problem: str | None = None
        self._name, self._job, self._expected = name, job, expected
        self._figures: list[Mapping[str, Any]] = []

    @property
    def has_time_left(self) -> bool:
        return self.problem is None and sum(figures["seconds"] for figures in self._figures) < TIME_LIMIT_SECONDS

    def run_once(self) -> None:
        try:
            self._figures.append(run_worker(WORKER, self._name, self._job))
        except Upscale8KError as error:
            if self._name.startswith("ours"):
                raise
            self.problem = error.what

    def make_row(self) -> PeerRow:
        if self.problem or not self._figures:
            return PeerRow(PEER_TITLES[self._name], problem=self.problem or "no run was counted")
        result: NDArray[np.uint8] = np.load(self._job.with_suffix("") / "result.npy")
        seam = make_seam_mask(result.shape[:2], self._figures[-1]["cuts"])
        seconds = tuple(float(figures["seconds"]) for figures in self._figures)
        peaks = tuple(float(figures["peak"]) for figures in self._figures)
        resolved_settings = self._figures[-1]["how"]
        name = f"{PEER_TITLES[self._name]}: {resolved_settings}" if resolved_settings else PEER_TITLES[self._name]
        seam_db = compute_psnr(result[seam], self._expected[seam], 255) if seam.any() else None
        return PeerRow(name, seconds, peaks, compute_psnr(result, self._expected, 255), seam_db)


def make_seam_mask(shape: tuple[int, int], cuts: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """Return (H, W) of the result: True within ``SEAM_RADIUS`` source pixels of a cut.

    ``cuts`` are columns and rows in source pixels.
    """
    mask, scale = np.zeros(shape, np.bool_), 4
    for column in cuts[0]:
        mask[:, max(column - SEAM_RADIUS, 0) * scale : (column + SEAM_RADIUS) * scale] = True
    for row in cuts[1]:
        mask[max(row - SEAM_RADIUS, 0) * scale : (row + SEAM_RADIUS) * scale] = True
    return mask


def _explain_missing(name: str, comfyui: Path | None, job: Mapping[str, object]) -> str | None:
    if name == "comfyui" and comfyui is None:
        return "no ComfyUI folder was set with --comfyui"
    if name in ("ncnn", "realesrgan_ncnn_py") and not job[name]:
        return "these weights have no ncnn file"
    if name in _MODULES and find_spec(_MODULES[name]) is None:
        return f"{_MODULES[name].replace('_', '-')} is not installed"
    return None


def list_peer_versions(comfyui: Path | None) -> dict[str, str]:
    """Return the versions of the installed peers."""
    found = {name: version for name in PACKAGES if (version := get_installed_version(name))}
    return {"ComfyUI": read_comfyui_version(comfyui), **found} if comfyui else found


def _find_ncnn_file(model: FoundModel) -> str:
    path = find_dependency_weights(model.entry) if model.entry else None
    return str(path) if path else ""
