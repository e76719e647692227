"""The two houses, opened inside a measured process: ComfyUI's nodes and ours, and what a process can say of its memory.

Imported by the scripts beside it, which run by path with this folder as the first place to import from; never as a part of the
package, because then ComfyUI would find our rooms where it looks for its own.
"""

# ComfyUI's modules are found on a path that is given at run time, and carry no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

WorkerJob = Mapping[str, Any]


def import_own_module(name: str) -> Any:
    """A module of this pack, under the name that it has at home."""
    path = Path(__file__).resolve().parents[2] / "bootstrap.py"
    spec = spec_from_file_location("_bootstrap", path)
    assert spec and spec.loader
    bootstrap = module_from_spec(spec)
    spec.loader.exec_module(bootstrap)
    return importlib.import_module(f"{bootstrap.load_pack().__name__}.{name}")


def load_own_nodes(job: WorkerJob) -> Mapping[str, Callable[[], Any]]:
    """The nodes of this pack, through the catalog that the command line uses."""
    host = import_own_module("runtime.host").LocalHost(
        input_dir=Path(job["input_dir"]),
        output_dir=Path(job["output_dir"]),
        models_dirs=(Path(job["weights"]).parent,),
        device_name="cpu",
    )
    return import_own_module("nodes").get_node_classes(host)


def set_up_comfyui(job: WorkerJob) -> None:
    """Make ComfyUI's modules importable, on the CPU, in the job's folders."""
    sys.argv = ["main.py", "--cpu"]
    sys.path.insert(0, job["comfyui"])
    importlib.import_module("comfy.options").enable_args_parsing()  # before anything of it reads its options
    folder_paths = importlib.import_module("folder_paths")
    folder_paths.set_input_directory(job["input_dir"])
    folder_paths.set_output_directory(job["output_dir"])
    folder_paths.add_model_folder_path("upscale_models", str(Path(job["weights"]).parent))
    importlib.import_module("nodes")


def read_peak_resident_bytes() -> int:
    """The high-water mark of this process."""
    status = Path("/proc/self/status")
    if status.is_file():  # what getrusage says on Linux begins at the size of the process that started this one
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return int(importlib.import_module("psutil").Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
