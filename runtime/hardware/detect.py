"""Detect what matters of this machine for upscaling, and read the versions of packages without importing them."""

import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import HardwareMissing
from ..upscale import list_backend_packages
from .capacity import DiskSpace, SystemMemory, query_disk, query_memory, read_cgroup_limits
from .cpu import Cpu, query_cpu
from .gpu import Gpu, query_torch_devices
from .nvidia import query_nvidia

_PACKAGES = ("torch", "torchvision", "spandrel", "numpy", "av", "opencv-python-headless", "OpenImageIO", "Pillow")
_OTHER_PACKAGES = ("ncnn", "nvidia-ml-py", "comfyui-frontend-package")


def get_installed_version(name: str) -> str | None:
    """Return the version of a package; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def list_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages, those of the backends included."""
    names = dict.fromkeys(("upscale8k", *_PACKAGES, *list_backend_packages(), *_OTHER_PACKAGES))
    found = {name: version for name in names if (version := get_installed_version(name))}
    return {"python": platform.python_version(), **found}


def read_torch_build() -> str | None:
    """Return the hardware torch was built for, as ``CUDA 13.0``, ``ROCm 6.4`` or ``CPU``; None if it is unknown.

    It is read from ``version.py`` as text, because the version number is not enough: on Windows a plain 2.9.0 is for the CPU.
    """
    found = find_spec("torch")
    if found is None or not found.origin:
        return None
    try:
        text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    for word, name in (("cuda", "CUDA"), ("hip", "ROCm")):
        stated = re.search(rf"^{word}\b[^=\n]*= *['\"]([^'\"]+)['\"]", text, re.MULTILINE)
        if stated:
            return f"{name} {stated[1]}"
    return "CPU" if re.search(r"^cuda\b", text, re.MULTILINE) else None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A detected machine. ``notes`` are sentences for the user: what could not be detected, and what to do about it."""

    system: str
    cpu: Cpu
    memory: SystemMemory
    gpus: tuple[Gpu, ...] = ()
    disks: tuple[DiskSpace, ...] = ()
    driver: str | None = None
    """Version of the NVIDIA driver."""
    cuda: str | None = None
    """Newest CUDA version that the driver supports."""
    torch_build: str | None = None
    versions: dict[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()

    def find_gpu(self, device: str) -> Gpu | None:
        """Return the GPU for a torch device name; None for the CPU, which ``auto`` becomes if torch can use no GPU.

        Raises ``HardwareMissing`` for a missing GPU.
        """
        usable = [gpu for gpu in self.gpus if gpu.usable and self._can_torch_use(gpu)]
        kind, _, number = device.partition(":")
        if kind == "auto":
            return next(iter(usable), None)
        if kind == "cpu":
            return None
        kinds = ("cuda", "rocm") if kind == "cuda" else (kind,)
        # torch numbers the GPUs of CUDA_VISIBLE_DEVICES, in that order
        numbered = dict(enumerate(gpu for gpu in usable if gpu.kind in kinds))
        found = numbered.get(int(number)) if number.isdecimal() else numbered.get(0) if not number else None
        if found is None:
            raise HardwareMissing(
                f"The device {device} was requested, but torch has no such device here.",
                "List the devices with: python -m runtime probe --torch",
                feature=device,
            )
        return found

    def _can_torch_use(self, gpu: Gpu) -> bool:
        return gpu.kind != "cuda" or self.torch_build is None or self.torch_build.startswith("CUDA")

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        found = asdict(self)
        found["disks"] = [{**entry, "folder": str(entry["folder"])} for entry in found["disks"]]
        return found


def detect_machine(*, ask_torch: bool = False, folders: Sequence[Path] = ()) -> Machine:
    """Detect this machine now. Never raises.

    ``ask_torch`` imports torch to find AMD, Apple and Intel GPUs too. ``folders`` select the disks.
    """
    cgroup_limits = read_cgroup_limits()
    nvidia_driver = query_nvidia()
    gpus, notes = nvidia_driver.gpus, [nvidia_driver.problem] if nvidia_driver.problem else []
    if ask_torch:
        torch_gpus, problem = query_torch_devices()
        gpus += tuple(gpu for gpu in torch_gpus if gpu.kind != "cuda" or not nvidia_driver.gpus)
        notes += [problem] if problem else []
    build = read_torch_build()
    return Machine(
        system=f"{platform.system()} {platform.release()} ({platform.machine()})",
        cpu=query_cpu(cgroup_limits),
        memory=query_memory(cgroup_limits),
        gpus=gpus,
        disks=tuple(found for folder in folders if (found := query_disk(folder))),
        driver=nvidia_driver.driver,
        cuda=nvidia_driver.cuda,
        torch_build=build,
        versions=list_versions(),
        notes=(*notes, *_describe_cuda_problems(gpus, build)),
    )


def _describe_cuda_problems(gpus: Sequence[Gpu], build: str | None) -> list[str]:
    nvidia_gpus = [gpu for gpu in gpus if gpu.kind == "cuda"]
    notes: list[str] = []
    if nvidia_gpus and build is not None and not build.startswith("CUDA"):
        notes.append(
            f"There is an NVIDIA GPU, but the installed torch was built for {build}. Install torch for CUDA as described at "
            "pytorch.org/get-started."
        )
    if nvidia_gpus and not any(gpu.usable for gpu in nvidia_gpus):
        notes.append("CUDA_VISIBLE_DEVICES hides every NVIDIA GPU from this program. Unset it to use them.")
    return notes
