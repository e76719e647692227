"""``bench video``: one video upscaled by ComfyUI's own video nodes and by ours.

Both graphs enlarge every frame by the model's scale of 4 (1920x1080 becomes 8K) and save a video with their own defaults:
ComfyUI's ``SaveVideo`` writes H.264 in 8 bits, our ``VideoOut`` HEVC in 10 bits, which takes more time. Every run is a new
process; lengths and peers take turns. Memory is the peak of the whole process: Python, torch, decoder, model, encoder.
``Upscale8K before its encoder`` is our graph without encoding. Ours also runs on a video four times as long, in which startup
and the filling of the encoder weigh little; ComfyUI would need to hold that video in memory.
"""

import json
import platform
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..hardware import count_usable_cores
from ..media import Size
from ..models import FoundModel
from .measure import compute_psnr, make_test_pattern
from .worker_jobs import parse_size, read_comfyui_version, run_worker, write_job, write_weights

WORKER = Path(__file__).parent / "workers" / "video_worker.py"
PEER_TITLES = {
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
"""Length of the longest video as a multiple of the long one."""
_HEADINGS = ("frames/min", "peak MB", "MB per frame more", "model busy %", "start MB")
_RATE = 24

WorkerFigures = Mapping[str, float]
"""``job`` and ``model`` in seconds, ``peak`` and ``imports`` in bytes."""


@dataclass(frozen=True)
class VideoBenchmark:
    """The figures of every run by peer and length, and the settings."""

    model: str
    size: str
    threads: int
    short: int
    """Frames."""
    long: int
    runs: Mapping[str, Mapping[str, list[WorkerFigures]]]
    """By peer, then by ``short``, ``long`` or ``longest``."""
    peer_version: str
    files: Mapping[str, str]
    """A description of each peer's output file."""
    psnr_db: float

    @property
    def longest(self) -> int:
        """Frames."""
        return _LONGEST * self.long

    def list_frames_per_minute(self, peer: str, length: str = "long") -> list[float]:
        """Return the speed of the whole graph without imports."""
        return [60 * getattr(self, length) / run["job"] for run in self.runs[peer][length]]

    def list_peaks(self, peer: str, length: str = "long") -> list[float]:
        return [run["peak"] for run in self.runs[peer][length]]

    def compute_growth(self, peer: str, shorter: str = "short", longer: str = "long") -> float | None:
        """Return the bytes that each further frame adds to the peak; None if the peer did not run both lengths."""
        if not self.runs[peer].get(shorter):
            return None
        growth = statistics.median(self.list_peaks(peer, longer)) - statistics.median(self.list_peaks(peer, shorter))
        return growth / (getattr(self, longer) - getattr(self, shorter))

    def list_busy_shares(self, peer: str, length: str = "long") -> list[float]:
        """Return the shares of the time in which the model ran."""
        return [run["model"] / run["job"] for run in self.runs[peer][length]]

    @property
    def ratios(self) -> dict[str, float]:
        """Ratios above 1 mean that ours is faster or needs less memory."""
        speeds = {peer: statistics.median(self.list_frames_per_minute(peer)) for peer in PEER_TITLES}
        peaks = {peer: statistics.median(self.list_peaks(peer)) for peer in PEER_TITLES}
        return {
            "frames per minute": speeds["ours"] / speeds["comfyui"],
            "peak": peaks["comfyui"] / peaks["ours"],
            "peak without encoder": peaks["comfyui"] / peaks["without"],
        }

    def as_json(self) -> str:
        facts = {"model": self.model, "size": self.size, "threads": self.threads, "comfyui": self.peer_version}
        imports = {peer: statistics.median(run["imports"] for run in self.runs[peer]["long"]) for peer in PEER_TITLES}
        figures = {peer: {**self._compute_medians(peer), "imports": imports[peer]} for peer in PEER_TITLES}
        lengths = {"frames": self.long, "frames_of_the_short_runs": self.short, "frames_of_the_longest_run": self.longest}
        longest = self._compute_medians("ours", "long", "longest")
        measured = {"median": figures, "ours_longest": longest, "ratio": self.ratios}
        found = {**measured, "files": self.files, "psnr_db": self.psnr_db, "runs": self.runs}
        return json.dumps({**facts, **lengths, **found}, indent=2)

    def _compute_medians(self, peer: str, shorter: str = "short", length: str = "long") -> dict[str, float | None]:
        return {
            "frames_per_minute": statistics.median(self.list_frames_per_minute(peer, length)),
            "peak": statistics.median(self.list_peaks(peer, length)),
            "peak_growth_per_frame": self.compute_growth(peer, shorter, length),
            "model_busy": statistics.median(self.list_busy_shares(peer, length)),
        }

    def as_text(self) -> str:
        count = len(self.runs["ours"]["long"])
        lines = [
            f"{self.long} frames of {self.size}, four times as large, {self.model}, "
            f"{self.threads or count_usable_cores()} threads, "
            f"{platform.machine()}; {count} {'runs' if count > 1 else 'run'} each, in turn, after one of {self.short} frames, "
            "a new process each; medians (minimum to maximum)",
            f"{'':42}" + "".join(f"{heading:>26}" for heading in _HEADINGS),
        ]
        for peer, name in PEER_TITLES.items():
            title = f"{name} ({self.peer_version})" if peer == "comfyui" else name
            lines.append(f"{title:42}" + "".join(f"{cell:>26}" for cell in self._format_cells(peer, self.compute_growth(peer))))
        growth = self.compute_growth("ours", "long", "longest")
        title = f"{PEER_TITLES['ours']}, {self.longest} frames"
        lines.append(f"{title:42}" + "".join(f"{cell:>26}" for cell in self._format_cells("ours", growth, "longest")))
        ratios = self.ratios
        lines += [
            f"Ours makes {ratios['frames per minute']:.2f} times the frames per minute; ComfyUI's peak memory is "
            f"{ratios['peak']:.2f} times ours, and {ratios['peak without encoder']:.2f} times ours before the encoder.",
            *(f"{PEER_TITLES[peer]} wrote {text}." for peer, text in self.files.items()),
            f"The first frames of the two encoded videos agree to {self.psnr_db:.1f} dB PSNR.",
        ]
        return "\n".join(lines)

    def _format_cells(self, peer: str, growth: float | None, length: str = "long") -> list[str]:
        return [
            _format_spread(self.list_frames_per_minute(peer, length), 2),
            _format_spread([peak / 1e6 for peak in self.list_peaks(peer, length)], 0),
            "" if growth is None else f"{growth / 1e6:.1f}",
            _format_spread([share * 100 for share in self.list_busy_shares(peer, length)], 0),
            _format_spread([run["imports"] / 1e6 for run in self.runs[peer][length]], 0),
        ]


def _format_spread(values: list[float], digits: int) -> str:
    median = f"{statistics.median(values):.{digits}f}"
    return median if len(values) == 1 else f"{median} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def benchmark_video(
    comfyui: Path,
    model: FoundModel,
    size: str,
    *,
    frames: int,
    runs: int,
    threads: int,
    encoder: Mapping[str, Any],
    on_message: Callable[[str], None],
) -> VideoBenchmark:
    """Run both in turn: once on ``frames // 2`` frames, ``runs`` times on ``frames``, and ours once on ``4 * frames``.

    ``encoder`` holds inputs of our ``VideoOut`` (``codec``, ``preset``, ...). Raises ``WorkflowError`` for a folder that is
    not ComfyUI or an invalid size, ``Upscale8KError`` if a run fails.
    """
    frame_size = parse_size(size)
    peer_version = read_comfyui_version(comfyui)
    lengths = {"short": max(1, frames // 2), "long": frames, "longest": _LONGEST * frames}
    figures_by_peer: dict[str, dict[str, list[WorkerFigures]]] = {"comfyui": {}, "ours": {}, "without": {}}
    with tempfile.TemporaryDirectory(prefix="upscale8k-bench-") as scratch:
        folder = Path(scratch)
        weights = write_weights(folder / "weights.safetensors", model)
        for name, length in lengths.items():
            write_test_video(folder / f"{name}.mp4", frame_size, length)
        for turn in range(runs):
            for peer, length in _TURNS:
                if turn and length != "long":
                    continue
                on_message(f"{PEER_TITLES[peer]}, {lengths[length]} frames")
                extra_fields = {"video": f"{length}.mp4", "encoder": dict(encoder)}
                job = write_job(folder, peer, comfyui, weights, threads, extra_fields)
                run = run_worker(WORKER, peer, job, PEER_TITLES[peer])
                on_message(f"  {run['job']:.1f} s, {run['peak'] / 1e6:.0f} MB")
                figures_by_peer[peer].setdefault(length, []).append(run)
        videos = {
            peer: max((folder / peer).rglob("*.m*"), key=lambda path: path.stat().st_mtime_ns)
            for peer in PEER_TITLES
            if peer != "without"
        }
        files = {peer: _describe_file(path) for peer, path in videos.items()}
        psnr = _compute_psnr(videos)
    return VideoBenchmark(model.name, size, threads, lengths["short"], frames, figures_by_peer, peer_version, files, psnr)


def write_test_video(path: Path, size: Size, frames: int) -> None:
    """Write a moving test pattern, tagged BT.709, in nearly lossless H.264; the same on every machine."""
    import av

    out: Any  # PyAV's stubs leave parts of a container open
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=_RATE, options={"crf": "6", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = 1, 1, 1, 1
        for number in range(frames):
            pixels = (make_test_pattern(size, number, noise=0.01, seed=number) * 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def _describe_file(path: Path) -> str:
    import av

    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        context = stream.codec_context
        return (
            f"{context.codec.canonical_name} {context.pix_fmt} {context.width}x{context.height}, {stream.frames} frames, "
            f"{path.stat().st_size / 1e6:.1f} MB"
        )


def _compute_psnr(videos: Mapping[str, Path]) -> float:
    """Compare the first frames. ComfyUI's video has no tags and is decoded by BT.601, with which it was encoded."""
    import av

    images: list[NDArray[Any]] = []
    for peer, path in videos.items():
        with av.open(str(path)) as video:
            frame = next(video.decode(video=0))
        matrix = "ITU601" if peer == "comfyui" else "ITU709"
        rgb = frame.reformat(format="rgb24", src_colorspace=matrix, dst_colorspace=matrix)
        images.append(rgb.to_ndarray())
    return compute_psnr(images[0], images[1], 255, if_equal=99.0)
