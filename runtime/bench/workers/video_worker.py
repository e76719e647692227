"""Measure one video job in a process of its own: load, upscale, save; then print figures as JSON.

Runs by path: ``python video_worker.py ours|without|comfyui JOB.json``. Both peers run through their node classes, so the
figures are those of a workflow. ``without`` is our graph without the encoder: every frame is decoded, upscaled and
converted for it, and the last converted frame is held as the encoder would hold it.
"""

# ComfyUI's modules are imported from a path of the job, without types.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any

worker_setup: Any = importlib.import_module("worker_setup")

VideoJob = dict[str, Any]


class BusyTimer:
    """Sums up the seconds in which at least one call of a function runs."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._running = 0
        self._since = 0.0
        self._lock = Lock()

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def call_timed(*args: Any, **kwargs: Any) -> Any:
            self._enter()
            try:
                return call(*args, **kwargs)
            finally:
                self._leave()

        return call_timed

    def _enter(self) -> None:
        with self._lock:
            self._since = self._since if self._running else time.perf_counter()
            self._running += 1

    def _leave(self) -> None:
        with self._lock:
            self._running -= 1
            self.seconds += 0.0 if self._running else time.perf_counter() - self._since


def make_own_run(job: VideoJob, busy: BusyTimer, *, encode: bool) -> Callable[[], None]:
    """Return a run with the nodes of this pack."""
    nodes, weights = worker_setup.load_own_nodes(job), Path(job["weights"])
    for name in ("models.load", "upscale.image_batch", "upscale.backends.torch", "comfyui.types.video"):
        # The nodes import these when they run; ComfyUI has imported its modules by now.
        worker_setup.import_own_module(f"runtime.{name}")
    _time_backends(worker_setup.import_own_module("runtime.upscale.resolved_settings"), busy)
    converter = worker_setup.import_own_module("runtime.video.color.rgb_to_yuv").RgbToYuv

    def run() -> None:
        (video,) = nodes["VideoIn"]().run(job["video"])
        (model,) = nodes["UpscaleModel"]().run(weights.name)
        (upscaled,) = nodes["TiledUpscaleVideo"]().run(video, model, "model scale")
        if encode:
            nodes["VideoOut"]().run(upscaled, "result", **job["encoder"])
        else:
            _convert_frames(upscaled.stream, converter)

    return run


def _time_backends(settings_module: Any, busy: BusyTimer) -> None:
    original_open = settings_module.open_backend

    def open_backend(*args: Any) -> Any:
        backend = original_open(*args)
        backend.run = busy.wrap(backend.run)
        return backend

    settings_module.open_backend = open_backend


def _convert_frames(stream: Any, make_converter: Callable[..., Any]) -> None:
    convert = make_converter("yuv420p10le", stream.info.color, stream.info.size)
    held: list[Any] = []
    with stream.frames() as frames:
        for frame in frames:
            held.clear()  # released before the next conversion, as in ``runtime.video.write.segments``
            held.append(convert(frame.pixels))


def make_comfyui_run(job: VideoJob, busy: BusyTimer) -> Callable[[], None]:
    """Return a run with ComfyUI's own nodes."""
    worker_setup.set_up_comfyui(job)
    upscaling = importlib.import_module("comfy_extras.nodes_upscale_model")
    video = importlib.import_module("comfy_extras.nodes_video")
    descriptor = importlib.import_module("spandrel").ImageModelDescriptor
    descriptor.__call__ = busy.wrap(descriptor.__call__)

    class HeadlessSaveVideo(video.SaveVideo):
        hidden = SimpleNamespace(prompt=None, extra_pnginfo=None)  # set by the server

    def run() -> None:
        (loaded_video,) = video.LoadVideo.execute(job["video"]).args
        images, audio, fps, _ = video.GetVideoComponents.execute(loaded_video).args
        del loaded_video
        (model,) = upscaling.UpscaleModelLoader.execute(Path(job["weights"]).name).args
        (upscaled,) = upscaling.ImageUpscaleWithModel.execute(model, images).args
        (created_video,) = video.CreateVideo.execute(upscaled, fps, audio).args
        HeadlessSaveVideo.execute(created_video, "result", "mp4", {"codec": "h264"})

    return run


def measure_run(run: Callable[[], None], busy: BusyTimer, threads: int) -> dict[str, float]:
    """Return the seconds of the whole graph and of the model, and the peak and initial resident bytes of the process."""
    torch = importlib.import_module("torch")
    if threads:
        torch.set_num_threads(threads)
    with torch.inference_mode():
        resident_before = read_resident_bytes()
        began = time.perf_counter()
        run()
        seconds = time.perf_counter() - began
    return {"job": seconds, "model": busy.seconds, "peak": worker_setup.read_peak_resident_bytes(), "imports": resident_before}


def read_resident_bytes() -> int:
    """Return the resident bytes of this process; before the run these are Python, torch and other libraries."""
    return int(importlib.import_module("psutil").Process().memory_info().rss)


if __name__ == "__main__":
    peer_name, job_file = sys.argv[1:]
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    busy = BusyTimer()
    work = make_comfyui_run(job, busy) if peer_name == "comfyui" else make_own_run(job, busy, encode=peer_name == "ours")
    print(json.dumps(measure_run(work, busy, job["threads"])))
