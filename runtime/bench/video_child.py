"""One measured film in a process of its own: load, upscale, save; then print figures as JSON.

Run by path, never imported: ``python video_child.py ours|without|comfyui JOB.json``. Both peers are driven through their node
classes, so what is measured is what a workflow would do. ``without`` is our graph up to the encoder: every frame is decoded,
upscaled and packed for it, and the last packed picture is held as the encoder would, but nobody encodes it.
"""

# ComfyUI's modules are found on a path that is given at run time, and carry no types.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any

peers: Any = importlib.import_module("peers")

Job = dict[str, Any]


class Busy:
    """Seconds during which at least one call of a function was running."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._running = 0
        self._since = 0.0
        self._lock = Lock()

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            self._enter()
            try:
                return call(*args, **named)
            finally:
                self._leave()

        return timed

    def _enter(self) -> None:
        with self._lock:
            self._since = self._since if self._running else time.perf_counter()
            self._running += 1

    def _leave(self) -> None:
        with self._lock:
            self._running -= 1
            self.seconds += 0.0 if self._running else time.perf_counter() - self._since


def ours(job: Job, busy: Busy, *, encode: bool) -> Callable[[], None]:
    """The nodes of this pack."""
    nodes, weights = peers.our_nodes(job), Path(job["weights"])
    for name in ("models.load", "upscale.batch", "upscale.backends.torch", "video.value"):
        peers.our_room(f"runtime.{name}")  # nodes import these when they run; the peer's has done so by now
    _time_backends(peers.our_room("runtime.upscale.film"), busy)
    packer = peers.our_room("runtime.video.pixels_out").Packer

    def run() -> None:
        (film,) = nodes["VideoIn"]().run(job["film"])
        (model,) = nodes["UpscaleModel"]().run(weights.name)
        (upscaled,) = nodes["TiledUpscaleVideo"]().run(film, model, "model scale")
        if encode:
            nodes["VideoOut"]().run(upscaled, "result", **job["encoder"])
        else:
            _pack(upscaled.stream, packer)

    return run


def _time_backends(film: Any, busy: Busy) -> None:
    opened = film.open_backend

    def open_backend(*args: Any) -> Any:
        backend = opened(*args)
        backend.run = busy.around(backend.run)
        return backend

    film.open_backend = open_backend


def _pack(stream: Any, packer: Callable[..., Any]) -> None:
    pack = packer("yuv420p10le", stream.info.colour, stream.info.size)
    held: list[Any] = []
    for frame in stream.open():
        held.clear()  # gone when the next is packed, as in ``runtime.video.segments``
        held.append(pack(frame.pixels))


def comfyui(job: Job, busy: Busy) -> Callable[[], None]:
    """ComfyUI's own nodes."""
    peers.open_comfyui(job)
    upscaling = importlib.import_module("comfy_extras.nodes_upscale_model")
    video = importlib.import_module("comfy_extras.nodes_video")
    descriptor = importlib.import_module("spandrel").ImageModelDescriptor
    descriptor.__call__ = busy.around(descriptor.__call__)

    class SaveVideo(video.SaveVideo):
        hidden = SimpleNamespace(prompt=None, extra_pnginfo=None)  # what the server fills in

    def run() -> None:
        (film,) = video.LoadVideo.execute(job["film"]).args
        images, audio, fps, _ = video.GetVideoComponents.execute(film).args
        del film
        (model,) = upscaling.UpscaleModelLoader.execute(Path(job["weights"]).name).args
        (upscaled,) = upscaling.ImageUpscaleWithModel.execute(model, images).args
        (made,) = video.CreateVideo.execute(upscaled, fps, audio).args
        SaveVideo.execute(made, "result", "mp4", {"codec": "h264"})

    return run


def measure(run: Callable[[], None], busy: Busy, threads: int) -> dict[str, float]:
    """Seconds of the whole graph, those in which the model worked, and the peak resident memory of the process in bytes."""
    torch = importlib.import_module("torch")
    if threads:
        torch.set_num_threads(threads)
    with torch.inference_mode():
        ready = resident_bytes()
        began = time.perf_counter()
        run()
        took = time.perf_counter() - began
    return {"job": took, "model": busy.seconds, "peak": peers.peak_resident_bytes(), "imports": ready}


def resident_bytes() -> int:
    """What this process holds now; before the work begins that is Python, torch and the other libraries."""
    return int(importlib.import_module("psutil").Process().memory_info().rss)


if __name__ == "__main__":
    who, job_file = sys.argv[1:]
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    busy = Busy()
    work = comfyui(job, busy) if who == "comfyui" else ours(job, busy, encode=who == "ours")
    print(json.dumps(measure(work, busy, job["threads"])))
