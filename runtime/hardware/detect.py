"""Everything about this machine that decides how films and pictures are upscaled on it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import HardwareMissing
from . import cgroup
from .capacity import DiskSpace, SystemMemory, query_disk, query_memory
from .cpu import Cpu, query_cpu
from .gpu import Gpu
from .nvidia import query_nvidia
from .software import list_versions, read_torch_build
from .torch_devices import query_torch_devices


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What ``look`` found. ``notes`` are sentences for a person: what could not be asked, and what to do about it."""

    system: str
    cpu: Cpu
    memory: SystemMemory
    gpus: tuple[Gpu, ...] = ()
    disks: tuple[DiskSpace, ...] = ()
    driver: str | None = None
    """Of NVIDIA's GPUs."""
    cuda: str | None = None
    """The newest CUDA that this driver can run."""
    torch_build: str | None = None
    versions: dict[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()

    def find_gpu(self, device: str) -> Gpu | None:
        """The GPU that a device name means to torch; None for the CPU, which ``auto`` is where torch can use no GPU.

        Raises ``HardwareMissing`` for a GPU that is not here.
        """
        usable = [gpu for gpu in self.gpus if gpu.usable and self._can_torch_use(gpu)]
        kind, _, number = device.partition(":")
        if kind == "auto":
            return next(iter(usable), None)
        if kind == "cpu":
            return None
        kinds = ("cuda", "rocm") if kind == "cuda" else (kind,)
        # torch numbers what CUDA_VISIBLE_DEVICES leaves, in that order
        numbered = dict(enumerate(gpu for gpu in usable if gpu.kind in kinds))
        found = numbered.get(int(number)) if number.isdecimal() else numbered.get(0) if not number else None
        if found is None:
            raise HardwareMissing(
                f"The device {device} was asked for, but there is none here that torch could use.",
                "See what there is with: python -m runtime probe --torch",
                feature=device,
            )
        return found

    def _can_torch_use(self, gpu: Gpu) -> bool:
        return gpu.kind != "cuda" or self.torch_build is None or self.torch_build.startswith("CUDA")

    def as_json(self) -> dict[str, Any]:
        """Plain values, for a program."""
        found = asdict(self)
        found["disks"] = [{**entry, "folder": str(entry["folder"])} for entry in found["disks"]]
        return found


def detect(*, ask_torch: bool = False, folders: Sequence[Path] = ()) -> Machine:
    """Look at this machine now. Never raises.

    ``ask_torch`` also finds AMD's, Apple's and Intel's GPUs, importing torch; ``folders`` are those whose disks matter.
    """
    cgroup_limits = cgroup.read_cgroup_limits()
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
            f"There is an NVIDIA GPU, but the torch that is installed was built for {build}: install one for CUDA, as "
            "pytorch.org/get-started says."
        )
    if nvidia_gpus and not any(gpu.usable for gpu in nvidia_gpus):
        notes.append("CUDA_VISIBLE_DEVICES hides every NVIDIA GPU from programs started here; unset it to use them.")
    return notes
