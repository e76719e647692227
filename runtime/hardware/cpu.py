"""Detect the processor and the cores that this process may use, without py-cpuinfo, which takes over a second."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .capacity import CgroupLimits, read_cgroup_limits

CPUINFO = Path("/proc/cpuinfo")

# Instruction sets that speed up networks, and their names in /proc/cpuinfo: x86 "flags" and Arm "Features".
_INSTRUCTION_SETS = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "VNNI": ("avx512_vnni", "avx_vnni"),
    "AVX-512 BF16": ("avx512_bf16",),
    "AVX-512 FP16": ("avx512_fp16",),
    "AMX": ("amx_tile",),
    "NEON": ("asimd",),
    "SVE": ("sve",),
    "Arm BF16": ("bf16",),
    "I8MM": ("i8mm",),
}


@dataclass(frozen=True)
class Cpu:
    """The processor. ``cores`` is the smallest of the machine's cores, the process's affinity and the container's quota."""

    model: str
    machine_cores: int
    """Logical processors of the machine."""
    cores: int
    quota: float | None
    """The container's share of processor time, in cores; None means no limit."""
    sets: tuple[str, ...]
    """Relevant instruction sets: AVX2, AVX-512, VNNI, AMX, NEON, ..."""


def query_cpu(cgroup_limits: CgroupLimits | None = None, cpuinfo: Path = CPUINFO) -> Cpu:
    """Return the processor. Never raises; an unknown processor has a generic name and no instruction sets."""
    cgroup_limits = read_cgroup_limits() if cgroup_limits is None else cgroup_limits
    cores = count_usable_cores(cgroup_limits)
    model, flags = _identify_cpu(cpuinfo)
    return Cpu(model or platform.machine(), os.cpu_count() or 1, cores, cgroup_limits.cores, parse_instruction_sets(flags))


def count_usable_cores(cgroup_limits: CgroupLimits | None = None) -> int:
    """Return how many cores this process may keep busy: the least of machine, affinity and the container's quota."""
    cgroup_limits = read_cgroup_limits() if cgroup_limits is None else cgroup_limits
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return allowed if cgroup_limits.cores is None else min(allowed, max(int(cgroup_limits.cores), 1))


def parse_instruction_sets(flags: Iterable[str]) -> tuple[str, ...]:
    """Return the instruction sets for the words of ``/proc/cpuinfo``."""
    present = set(flags)
    return tuple(name for name, words in _INSTRUCTION_SETS.items() if present.intersection(words))


def has_bf16(processor: Cpu) -> bool:
    """Return whether the processor multiplies bf16 natively; conversion would be slower than fp32.

    Every processor with AMX has AVX-512 BF16 too.
    """
    return not {"AVX-512 BF16", "Arm BF16"}.isdisjoint(processor.sets)


def _identify_cpu(cpuinfo: Path) -> tuple[str, list[str]]:
    if cpuinfo.is_file():
        return _parse_cpuinfo(cpuinfo.read_text(encoding="utf-8", errors="replace"))
    if sys.platform == "darwin":
        return _query_apple()
    if sys.platform == "win32":
        return _query_windows()
    return platform.processor(), []


def _parse_cpuinfo(text: str) -> tuple[str, list[str]]:
    """Return model and flags of the first processor; Arm has features there but no model."""
    facts: dict[str, str] = {}
    for line in text.split("\n\n", 1)[0].splitlines():
        name, _, value = line.partition(":")
        facts[name.strip()] = value.strip()
    flags = facts.get("flags") or facts.get("Features") or ""
    return facts.get("model name", ""), flags.split()


def _query_apple() -> tuple[str, list[str]]:
    try:
        command = ["sysctl", "-n", "machdep.cpu.brand_string", "hw.optional.avx2_0", "hw.optional.arm.FEAT_BF16"]
        completed = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return platform.processor(), []
    is_arm = platform.machine() == "arm64"
    model, *numbers = completed.stdout.splitlines() or [""]
    flags = ["asimd"] if is_arm else ["avx2"] if "1" in numbers else []
    return model, flags + (["bf16"] if is_arm and "1" in numbers else [])


if sys.platform == "win32":

    def _query_windows() -> tuple[str, list[str]]:
        """Read the name from the registry and the features from the kernel (winnt.h: 40 is AVX2, 41 AVX-512F)."""
        import ctypes
        import winreg

        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0") as key:
            model = str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
        supports = ctypes.windll.kernel32.IsProcessorFeaturePresent
        return model, [flag for number, flag in ((40, "avx2"), (41, "avx512f")) if supports(number)]

else:

    def _query_windows() -> tuple[str, list[str]]:
        return platform.processor(), []
