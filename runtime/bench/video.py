"""``bench video``: one film through ComfyUI's own video nodes and through ours.

Both graphs make every frame four times as large (the model's scale: 1920x1080 becomes 8K) and save a film, each by its own
defaults: ComfyUI's ``SaveVideo`` writes H.264 in 8 bits, our ``VideoOut`` HEVC in 10 bits, which costs more. Every run is a
fresh process; lengths and peers take turns. Memory is the process's high-water mark with everything in it: Python, torch,
decoder, model, encoder. ``Upscale8K before its encoder`` is the same graph of ours in which nobody encodes. Ours runs once
more, on a film four times as long, in which the start and the filling up of the encoder weigh little;
ComfyUI would have to hold it whole.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.locate import Located
from .runs import comfyui_version, make_weights, run_child, width_and_height, write_job

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHILD = Path(__file__).with_name("video_child.py")
PEERS = {
    "comfyui": "ComfyUI LoadVideo to SaveVideo",
    "ours": "Upscale8K VideoIn to VideoOut",
    "without": "Upscale8K before its encoder",
}
_TURNS = (
    ("comfyui", "short"),
    ("ours", "short"),
    ("ours", "longest"),
    ("comfyui", "long"),
    ("ours", "long"),
    ("without", "long"),
)
_LONGEST = 4
"""Times as many frames as the long films have."""
_HEADINGS = ("frames/min", "peak MB", "MB per frame more", "model busy %", "start MB")
_RATE = 24

Run = dict[str, float]
"""``job`` and ``model`` in seconds, ``peak`` and ``imports`` in bytes."""


@dataclass(frozen=True)
class FilmComparison:
    """Every figure of every run, per peer and length, and what was run."""

    model: str
    size: str
    threads: int
    short: int
    """Frames."""
    long: int
    runs: Mapping[str, Mapping[str, list[Run]]]
    """By peer, then by ``short``, ``long`` or ``longest``."""
    peer_version: str
    files: Mapping[str, str]
    """What each peer wrote, in words."""
    psnr_db: float

    @property
    def longest(self) -> int:
        """Frames."""
        return _LONGEST * self.long

    def frames_per_minute(self, peer: str, length: str = "long") -> list[float]:
        """Whole graph, imports not counted."""
        return [60 * getattr(self, length) / run["job"] for run in self.runs[peer][length]]

    def peaks(self, peer: str, length: str = "long") -> list[float]:
        return [run["peak"] for run in self.runs[peer][length]]

    def growth(self, peer: str, shorter: str = "short", longer: str = "long") -> float | None:
        """Bytes that every further frame adds to the peak; None for a peer that did not run both lengths."""
        if not self.runs[peer].get(shorter):
            return None
        more = statistics.median(self.peaks(peer, longer)) - statistics.median(self.peaks(peer, shorter))
        return more / (getattr(self, longer) - getattr(self, shorter))

    def busy(self, peer: str, length: str = "long") -> list[float]:
        """Share of the time in which the model worked."""
        return [run["model"] / run["job"] for run in self.runs[peer][length]]

    @property
    def ratios(self) -> dict[str, float]:
        """Above 1 we are faster, or need less."""
        speeds = {peer: statistics.median(self.frames_per_minute(peer)) for peer in PEERS}
        peaks = {peer: statistics.median(self.peaks(peer)) for peer in PEERS}
        return {
            "frames per minute": speeds["ours"] / speeds["comfyui"],
            "peak": peaks["comfyui"] / peaks["ours"],
            "peak without encoder": peaks["comfyui"] / peaks["without"],
        }

    def as_json(self) -> str:
        facts = {"model": self.model, "size": self.size, "threads": self.threads, "comfyui": self.peer_version}
        figures = {
            peer: {
                "frames_per_minute": statistics.median(self.frames_per_minute(peer)),
                "peak": statistics.median(self.peaks(peer)),
                "peak_growth_per_frame": self.growth(peer),
                "model_busy": statistics.median(self.busy(peer)),
                "imports": statistics.median(run["imports"] for run in self.runs[peer]["long"]),
            }
            for peer in PEERS
        }
        lengths = {"frames": self.long, "frames_of_the_short_runs": self.short, "frames_of_the_longest_run": self.longest}
        longest = {
            "frames_per_minute": statistics.median(self.frames_per_minute("ours", "longest")),
            "peak": statistics.median(self.peaks("ours", "longest")),
            "peak_growth_per_frame": self.growth("ours", "long", "longest"),
            "model_busy": statistics.median(self.busy("ours", "longest")),
        }
        measured = {"median": figures, "ours_longest": longest, "ratio": self.ratios}
        found = {**measured, "files": self.files, "psnr_db": self.psnr_db, "runs": self.runs}
        return json.dumps({**facts, **lengths, **found}, indent=2)

    def as_text(self) -> str:
        count = len(self.runs["ours"]["long"])
        lines = [
            f"{self.long} frames of {self.size}, four times as large, {self.model}, {self.threads or os.cpu_count()} threads, "
            f"{platform.machine()}; {count} {'runs' if count > 1 else 'run'} each, in turn, after one of {self.short} frames, "
            "a fresh process each; medians (least to most)",
            f"{'':42}" + "".join(f"{heading:>26}" for heading in _HEADINGS),
        ]
        for peer, name in PEERS.items():
            titled = f"{name} ({self.peer_version})" if peer == "comfyui" else name
            lines.append(f"{titled:42}" + "".join(f"{cell:>26}" for cell in self._cells(peer, self.growth(peer))))
        growth = self.growth("ours", "long", "longest")
        titled = f"{PEERS['ours']}, {self.longest} frames"
        lines.append(f"{titled:42}" + "".join(f"{cell:>26}" for cell in self._cells("ours", growth, "longest")))
        ratios = self.ratios
        lines += [
            f"Ours makes {ratios['frames per minute']:.2f} times the frames per minute; ComfyUI's peak of memory is "
            f"{ratios['peak']:.2f} times ours, {ratios['peak without encoder']:.2f} times ours before the encoder.",
            *(f"{PEERS[peer]} wrote {text}." for peer, text in self.files.items()),
            f"The first frames of the two films agree to {self.psnr_db:.1f} dB PSNR, encoded as they are.",
        ]
        return "\n".join(lines)

    def _cells(self, peer: str, growth: float | None, length: str = "long") -> list[str]:
        return [
            _spread(self.frames_per_minute(peer, length), 2),
            _spread([peak / 1e6 for peak in self.peaks(peer, length)], 0),
            "" if growth is None else f"{growth / 1e6:.1f}",
            _spread([share * 100 for share in self.busy(peer, length)], 0),
            _spread([run["imports"] / 1e6 for run in self.runs[peer][length]], 0),
        ]


def _spread(values: list[float], digits: int) -> str:
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def compare_films(
    comfyui: Path,
    model: Located,
    size: str,
    *,
    frames: int,
    runs: int,
    threads: int,
    encoder: Mapping[str, Any],
    say: Callable[[str], None],
) -> FilmComparison:
    """Run both in turn: films of half as many frames once, films of ``frames`` frames ``runs`` times, ours once on four times
    as many.

    ``encoder`` is what our ``VideoOut`` is told (``codec``, ``preset``, ...). Raises ``WorkflowError`` when the folder is no
    ComfyUI or the size is none, ``Upscale8KError`` when a run fails.
    """
    width, height = width_and_height(size)
    version = comfyui_version(comfyui)
    lengths = {"short": max(1, frames // 2), "long": frames, "longest": _LONGEST * frames}
    found: dict[str, dict[str, list[Run]]] = {"comfyui": {}, "ours": {}, "without": {}}
    with tempfile.TemporaryDirectory(prefix="upscale8k-bench-") as scratch:
        folder = Path(scratch)
        weights = make_weights(folder / "weights.safetensors", model)
        for name, length in lengths.items():
            make_film(folder / f"{name}.mp4", width, height, length)
        for turn in range(runs):
            for peer, length in _TURNS:
                if turn and length != "long":
                    continue
                say(f"{PEERS[peer]}, {lengths[length]} frames")
                more = {"film": f"{length}.mp4", "encoder": dict(encoder)}
                run = run_child(CHILD, peer, PEERS[peer], write_job(folder, peer, comfyui, weights, threads, more))
                say(f"  {run['job']:.1f} s, {run['peak'] / 1e6:.0f} MB")
                found[peer].setdefault(length, []).append(run)
        films = {
            peer: max((folder / peer).rglob("*.m*"), key=lambda path: path.stat().st_mtime_ns)
            for peer in PEERS
            if peer != "without"
        }
        files = {peer: _in_words(path) for peer, path in films.items()}
        psnr = _agreement(films)
    return FilmComparison(model.name, size, threads, lengths["short"], frames, found, version, files, psnr)


def make_film(path: Path, width: int, height: int, frames: int) -> None:
    """Edges, gradients and noise that move, tagged BT.709, in nearly lossless H.264; the same on every machine."""
    import av

    out: Any  # PyAV's stubs leave parts of a container open
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=_RATE, options={"crf": "6", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = 1, 1, 1, 1
        for number in range(frames):
            made = av.VideoFrame.from_ndarray(_picture(width, height, number), format="rgb24")
            frame = made.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def _picture(width: int, height: int, number: int) -> NDArray[np.uint8]:
    import numpy as np

    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    moved = x + 3 * number
    rings, waves = np.sin((moved**2 + y**2) / 4000), np.sin(moved / 17) * np.cos(y / 23)
    noise = np.random.default_rng(number).normal(0, 0.01, (height, width, 3))
    colours = np.stack([rings, waves, x / width * 2 - 1], axis=2) * 0.45 + 0.5 + noise
    return (colours.clip(0, 1) * 255).astype(np.uint8)


def _in_words(path: Path) -> str:
    import av

    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        context = stream.codec_context
        return (
            f"{context.codec.canonical_name} {context.pix_fmt} {context.width}x{context.height}, {stream.frames} frames, "
            f"{path.stat().st_size / 1e6:.1f} MB"
        )


def _agreement(films: Mapping[str, Path]) -> float:
    """ComfyUI's film is read by BT.601, with which it was written: nothing in it says so."""
    import av
    import numpy as np

    pictures: list[NDArray[np.int16]] = []
    for peer, path in films.items():
        with av.open(str(path)) as film:
            frame = next(film.decode(video=0))
        matrix = "ITU601" if peer == "comfyui" else "ITU709"
        rgb = frame.reformat(format="rgb24", src_colorspace=matrix, dst_colorspace=matrix)
        pictures.append(rgb.to_ndarray().astype(np.int16))
    error = float(np.mean((pictures[0] - pictures[1]).astype(np.float32) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))
