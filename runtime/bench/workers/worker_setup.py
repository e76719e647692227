"""Set up ComfyUI's nodes or ours in a worker process, and read the memory of the process.

The scripts beside it import it by path, with this folder first on ``sys.path``, and not as a part of the package: ComfyUI would
otherwise find our packages where it searches for its own.
"""

# ComfyUI's modules are imported from a path of the job, without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import importlib
import sys
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

WorkerJob = Mapping[str, Any]


def import_own_module(name: str) -> Any:
    """Import a module of this pack under its usual name, such as ``upscale8k.runtime.host``."""
    path = Path(__file__).resolve().parents[2] / "bootstrap.py"
    spec = spec_from_file_location("_bootstrap", path)
    assert spec and spec.loader
    bootstrap = module_from_spec(spec)
    spec.loader.exec_module(bootstrap)
    return importlib.import_module(f"{bootstrap.load_pack().__name__}.{name}")


def load_own_nodes(job: WorkerJob) -> Mapping[str, Callable[[], Any]]:
    """Return the node classes of this pack, as the command line does."""
    host = import_own_module("runtime.host").LocalHost(
        input_dir=Path(job["input_dir"]),
        output_dir=Path(job["output_dir"]),
        models_dirs=(Path(job["weights"]).parent,),
        device_name="cpu",
    )
    return import_own_module("nodes").get_node_classes(host)


def set_up_comfyui(job: WorkerJob) -> None:
    """Make ComfyUI's modules importable, on the CPU, with the job's folders."""
    sys.argv = ["main.py", "--cpu"]
    sys.path.insert(0, job["comfyui"])
    importlib.import_module("comfy.options").enable_args_parsing()  # before another module reads the options
    folder_paths = importlib.import_module("folder_paths")
    folder_paths.set_input_directory(job["input_dir"])
    folder_paths.set_output_directory(job["output_dir"])
    folder_paths.add_model_folder_path("upscale_models", str(Path(job["weights"]).parent))
    importlib.import_module("nodes")


def read_peak_resident_bytes() -> int:
    """Return the peak resident bytes of this process."""
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux getrusage starts with the size of the parent process
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return int(importlib.import_module("psutil").Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
