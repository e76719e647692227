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
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

Steps = dict[str, Callable[..., Any]]
"""``load(name) -> image``, ``model() -> model``, ``upscale(model, image) -> image``, ``save(image)``."""


def ours(job: dict[str, Any]) -> Steps:
    """The nodes of this pack, through the catalog that the command line uses."""
    path = Path(__file__).resolve().parent.parent / "bootstrap.py"
    spec = spec_from_file_location("_bootstrap", path)
    assert spec and spec.loader
    bootstrap = module_from_spec(spec)
    spec.loader.exec_module(bootstrap)
    pack = bootstrap.load_pack().__name__
    host_room = importlib.import_module(f"{pack}.runtime.host")
    weights = Path(job["weights"])
    host = host_room.LocalHost(
        input_dir=Path(job["input_dir"]), output_dir=Path(job["output_dir"]), models_dirs=(weights.parent,), device_name="cpu"
    )
    nodes = importlib.import_module(f"{pack}.nodes").catalog(host)
    for room in ("images.tensor", "models.load", "upscale.batch", "upscale.backends.torch"):
        importlib.import_module(f"{pack}.runtime.{room}")  # nodes import these when they run; the peer's has done so by now
    return {
        "load": lambda name: nodes["LoadImage"]().load_image(name)[0],
        "model": lambda: nodes["UpscaleModel"]().run(weights.name)[0],
        "upscale": lambda model, image: nodes["TiledUpscale"]().run(image, model, "model scale")[0],
        "save": lambda image: nodes["SaveImage"]().save_images(image, "result"),
    }


def comfyui(job: dict[str, Any]) -> Steps:
    """ComfyUI's own nodes, on the CPU, in its own folder structure."""
    sys.argv = ["main.py", "--cpu"]
    sys.path.insert(0, job["comfyui"])
    importlib.import_module("comfy.options").enable_args_parsing()  # before anything of it reads its options
    folder_paths = importlib.import_module("folder_paths")
    folder_paths.set_input_directory(job["input_dir"])
    folder_paths.set_output_directory(job["output_dir"])
    folder_paths.add_model_folder_path("upscale_models", str(Path(job["weights"]).parent))
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
    return {"upscale": upscaled - ready, "job": saved - began, "peak": peak_resident_bytes()}


def peak_resident_bytes() -> int:
    """The high-water mark of this process."""
    try:
        import resource
    except ImportError:  # Windows
        return int(importlib.import_module("psutil").Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    who, job_file = sys.argv[1:]
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    steps = {"ours": ours, "comfyui": comfyui}[who](job)
    print(json.dumps(measure(steps, job["picture"], job["threads"])))
