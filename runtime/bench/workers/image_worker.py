"""Measure one image job in a process of its own: load, upscale, save; then print figures as JSON.

Runs by path: ``python image_worker.py ours|comfyui JOB.json``. Both peers run through their node classes, so the figures are
those of a workflow.
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
from typing import Any

worker_setup: Any = importlib.import_module("worker_setup")

PeerSteps = dict[str, Callable[..., Any]]
"""``load(name) -> image``, ``model() -> model``, ``upscale(model, image) -> image``, ``save(image)``."""


def make_own_steps(job: dict[str, Any]) -> PeerSteps:
    """Return the steps with the nodes of this pack."""
    nodes, weights = worker_setup.load_own_nodes(job), Path(job["weights"])
    for module_name in ("comfyui.types.image", "models.load", "upscale.image_batch", "upscale.backends.torch"):
        # The nodes import these when they run; ComfyUI has imported its modules by now.
        worker_setup.import_own_module(f"runtime.{module_name}")
    return {
        "load": lambda name: nodes["LoadImage"]().load_image(name)[0],
        "model": lambda: nodes["UpscaleModel"]().run(weights.name)[0],
        "upscale": lambda model, image: nodes["TiledUpscale"]().run(image, model, "model scale")[0],
        "save": lambda image: nodes["SaveImage"]().save_images(image, "result"),
    }


def make_comfyui_steps(job: dict[str, Any]) -> PeerSteps:
    """Return the steps with ComfyUI's own nodes."""
    worker_setup.set_up_comfyui(job)
    nodes = importlib.import_module("nodes")
    upscaling = importlib.import_module("comfy_extras.nodes_upscale_model")
    return {
        "load": lambda name: nodes.LoadImage().load_image(name)[0],
        "model": lambda: upscaling.UpscaleModelLoader.execute(Path(job["weights"]).name).args[0],
        "upscale": lambda model, image: upscaling.ImageUpscaleWithModel.execute(model, image).args[0],
        "save": lambda image: nodes.SaveImage().save_images(image, "result"),
    }


def measure_steps(steps: PeerSteps, image_name: str, threads: int) -> dict[str, float]:
    """Return the seconds of the upscaling node and of all four nodes, and the peak resident bytes of the process."""
    torch = importlib.import_module("torch")
    if threads:
        torch.set_num_threads(threads)
    with torch.inference_mode():
        start_time = time.perf_counter()
        image, model = steps["load"](image_name), steps["model"]()
        ready_time = time.perf_counter()
        result = steps["upscale"](model, image)
        upscaled_time = time.perf_counter()
        steps["save"](result)
        saved_time = time.perf_counter()
    return {
        "upscale": upscaled_time - ready_time,
        "job": saved_time - start_time,
        "peak": worker_setup.read_peak_resident_bytes(),
    }


if __name__ == "__main__":
    peer_name, job_file = sys.argv[1:]
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    steps = {"ours": make_own_steps, "comfyui": make_comfyui_steps}[peer_name](job)
    print(json.dumps(measure_steps(steps, job["image"], job["threads"])))
