"""``bench peers``: one picture through everybody who can upscale it on this CPU; time, memory, and error where tiles meet."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import Upscale8KError, WorkflowError
from ..frames.geometry import Size
from ..models.locate import Located, dependency_weights
from .models import picture
from .runs import make_weights, width_and_height, write_job

CHILD = Path(__file__).with_name("rivals_child.py")
NAMES = {
    "ours": "Upscale8K",
    "ours_torch": "Upscale8K, torch",
    "comfyui": "ComfyUI ImageUpscaleWithModel",
    "realesrganer": "RealESRGANer, tile 256 pad 10",
    "realesrganer_untiled": "RealESRGANer, untiled",
    "ncnn": "ncnn, tile 200 pad 10",
    "onnxruntime": "onnxruntime alone, untiled",
    "openvino": "OpenVINO alone, untiled",
}
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


@dataclass(frozen=True)
class Table:
    """Everybody's rows, ours first."""

    model: str
    size: str
    threads: int
    machine: str
    rows: tuple[Row, ...]

    def as_json(self) -> str:
        facts = {"model": self.model, "size": self.size, "threads": self.threads, "machine": self.machine}
        return json.dumps({**facts, "rows": [vars(row) for row in self.rows]}, indent=2)

    def as_markdown(self) -> str:
        """Losses included: a ratio below 1 is somebody who is faster than we are."""
        mine = next(row for row in self.rows if row.seconds)
        counts = len(mine.seconds)
        lines = [
            f"{self.model}, {self.size}, {self.threads} threads, {self.machine}. Medians (least to most) of {counts} runs in "
            f"turn, a process each. Error against torch in fp32 without tiles, on 8-bit pixels; the seam zone is {ZONE} px "
            "on each side of a cut.",
            "",
            "| | seconds | against ours | peak MB | whole dB | seam zone dB |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        return "\n".join([*lines, *(_line(row, mine.median) for row in self.rows)])

    def as_svg(self) -> str:
        """Bars: seconds, short is good."""
        ran = [row for row in self.rows if row.seconds]
        longest, bars = max(row.median for row in ran), list[str]()
        for index, row in enumerate(ran):
            y, length = 10 + 28 * index, 380 * row.median / longest
            fill = "#2a7" if row.name.startswith("Upscale8K") else "#999"
            bars.append(f'<text x="245" y="{y + 15}" text-anchor="end">{row.name}</text>')
            bars.append(f'<rect x="255" y="{y}" width="{length:.1f}" height="20" fill="{fill}"/>')
            bars.append(f'<text x="{262 + length:.1f}" y="{y + 15}">{row.median:.1f} s</text>')
        height = 20 + 28 * len(ran)
        head = f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{height}" font-family="sans-serif" font-size="13">'
        return "\n".join([head, f'<rect width="720" height="{height}" fill="white"/>', *bars, "</svg>", ""])


def _line(row: Row, mine: float) -> str:
    if row.problem:
        return f"| {row.name} | did not run: {row.problem} | | | | |"
    spread = f"{row.median:.2f} ({min(row.seconds):.2f} to {max(row.seconds):.2f})"
    seam = "no cuts" if row.seam_db is None else f"{row.seam_db:.1f}"
    peak = statistics.median(row.peaks) / 1e6
    return f"| {row.name} | {spread} | {row.median / mine:.2f}x | {peak:.0f} | {row.whole_db:.1f} | {seam} |"


def compare_everybody(
    model: Located,
    size: str,
    *,
    comfyui: Path | None,
    runs: int,
    threads: int,
    machine: str,
    say: Callable[[str], None],
    who: Sequence[str] = tuple(NAMES),
) -> Table:
    """Run everybody in turn, ``runs`` times each; a peer that is not here or fails gets a row that says so.

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
        np.save(folder / "picture.npy", np.rint(picture(shown) * 255) / np.float32(255))  # RealESRGANer takes 8 bits
        more = {"picture": str(folder / "picture.npy"), "size": [shown.width, shown.height], "ncnn": _ncnn_file(model)}
        weights = make_weights(folder / "weights.safetensors", model)
        jobs = {name: write_job(folder, name, comfyui or folder, weights, threads, more) for name in (*who, "reference")}
        say("The reference: torch, fp32, untiled")
        _run("reference", jobs["reference"])
        expected: NDArray[np.uint8] = np.load(folder / "reference" / "result.npy")
        found = {name: _Counted(name, jobs[name], expected) for name in who}
        for name in who:
            found[name].problem = _missing(name, comfyui, more["ncnn"])
        for turn in range(runs):
            for name, counted in found.items():
                if counted.problem is None:
                    say(f"{NAMES[name]}, run {turn + 1} of {runs}")
                    counted.run()
        return Table(model.name, size, threads, machine, tuple(counted.row() for counted in found.values()))


class _Counted:
    def __init__(self, name: str, job: Path, expected: NDArray[np.uint8]) -> None:
        self.problem: str | None = None
        self._name, self._job, self._expected = name, job, expected
        self._figures: list[Mapping[str, Any]] = []

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
        return Row(NAMES[self._name], seconds, peaks, _psnr(wrong), _psnr(wrong[zone]) if zone.any() else None)


def seam_zone(shape: tuple[int, int], cuts: Sequence[Sequence[int]], scale: int = 4) -> NDArray[np.bool_]:
    """(H, W) of the result: within ``ZONE`` source pixels of a cut; ``cuts`` are columns and rows in source pixels."""
    zone = np.zeros(shape, np.bool_)
    for column in cuts[0]:
        zone[:, max(column - ZONE, 0) * scale : (column + ZONE) * scale] = True
    for row in cuts[1]:
        zone[max(row - ZONE, 0) * scale : (row + ZONE) * scale] = True
    return zone


def _psnr(squared: NDArray[np.float32]) -> float:
    """99 where nothing differs."""
    error = float(squared.mean(dtype=np.float64))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def _run(who: str, job: Path) -> Mapping[str, Any]:
    done = subprocess.run([sys.executable, str(CHILD), who, str(job)], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1]
        raise Upscale8KError(f"{reason.rstrip('.')}.", "Are its requirements installed here?")
    return cast("Mapping[str, Any]", json.loads(done.stdout.strip().splitlines()[-1]))


def _missing(name: str, comfyui: Path | None, ncnn: object) -> str | None:
    if name == "comfyui" and comfyui is None:
        return "no ComfyUI was given with --comfyui"
    if name == "ncnn" and not ncnn:
        return "these weights have no ncnn file"
    return None


def _ncnn_file(model: Located) -> str:
    path = dependency_weights(model.entry) if model.entry else None
    return str(path) if path else ""
