"""One measured job in a process of its own: load a picture and a model, upscale, save; then print figures as JSON.

Run by path, never imported: ``python child.py ours|comfyui JOB.json``. Both peers are driven through their node classes, so
what is measured is what a workflow would do.
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
from typing import Any

peers: Any = importlib.import_module("peers")

Steps = dict[str, Callable[..., Any]]
"""``load(name) -> image``, ``model() -> model``, ``upscale(model, image) -> image``, ``save(image)``."""


def ours(job: dict[str, Any]) -> Steps:
    """The nodes of this pack."""
    nodes, weights = peers.our_nodes(job), Path(job["weights"])
    for room in ("images.tensor", "models.load", "upscale.batch", "upscale.backends.torch"):
        peers.our_room(f"runtime.{room}")  # nodes import these when they run; the peer's has done so by now
    return {
        "load": lambda name: nodes["LoadImage"]().load_image(name)[0],
        "model": lambda: nodes["UpscaleModel"]().run(weights.name)[0],
        "upscale": lambda model, image: nodes["TiledUpscale"]().run(image, model, "model scale")[0],
        "save": lambda image: nodes["SaveImage"]().save_images(image, "result"),
    }


def comfyui(job: dict[str, Any]) -> Steps:
    """ComfyUI's own nodes."""
    peers.open_comfyui(job)
    nodes = importlib.import_module("nodes")
    upscaling = importlib.import_module("comfy_extras.nodes_upscale_model")
    return {
        "load": lambda name: nodes.LoadImage().load_image(name)[0],
        "model": lambda: upscaling.UpscaleModelLoader.execute(Path(job["weights"]).name).args[0],
        "upscale": lambda model, image: upscaling.ImageUpscaleWithModel.execute(model, image).args[0],
        "save": lambda image: nodes.SaveImage().save_images(image, "result"),
    }


def measure(steps: Steps, picture: str, threads: int) -> dict[str, float]:
    """Seconds of the upscaling node and of the four nodes together, and the peak resident memory of the process."""
    torch = importlib.import_module("torch")
    if threads:
        torch.set_num_threads(threads)
    with torch.inference_mode():
        began = time.perf_counter()
        image, model = steps["load"](picture), steps["model"]()
        ready = time.perf_counter()
        result = steps["upscale"](model, image)
        upscaled = time.perf_counter()
        steps["save"](result)
        saved = time.perf_counter()
    return {"upscale": upscaled - ready, "job": saved - began, "peak": peers.peak_resident_bytes()}


if __name__ == "__main__":
    who, job_file = sys.argv[1:]
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    steps = {"ours": ours, "comfyui": comfyui}[who](job)
    print(json.dumps(measure(steps, job["picture"], job["threads"])))
