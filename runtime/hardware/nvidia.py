"""NVIDIA GPUs, asked through NVML: the driver's own library, which needs neither CUDA nor torch."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from .gpu import Gpu

_WITHOUT_ENCODER = re.compile(r"\b(A100|A800|A30|H20|H100|H200|H800|GH200|B100|B200|B300|GB200|GB300|GT 1030|MX\d{3})\b")
"""Chips that NVIDIA's Video Encode support matrix lists with no NVENC, whatever NVML says of them."""


@dataclass(frozen=True)
class NvidiaDriver:
    """What NVML says."""

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda: str | None = None
    """The newest CUDA that the driver can run, as ``13.0``."""
    problem: str | None = None
    """Why nothing can be asked although something may be there: a sentence with the next step."""


def query_nvidia() -> NvidiaDriver:
    """Every NVIDIA GPU that the driver knows. Never raises: no library means no GPU, anything else is a ``problem``."""
    try:
        with _open_nvml() as nvml:
            found = [_query_gpu(nvml, index) for index in range(_query(nvml.nvmlDeviceGetCount) or 0)]
            lost_count = found.count(None)
            return NvidiaDriver(
                gpus=_mark_visible([gpu for gpu in found if gpu], os.environ.get("CUDA_VISIBLE_DEVICES")),
                driver=_decode_text(_query(nvml.nvmlSystemGetDriverVersion)),
                cuda=_format_cuda_version(_query(nvml.nvmlSystemGetCudaDriverVersion_v2)),
                problem=f"{lost_count} NVIDIA GPU does not answer the driver; restart the computer." if lost_count else None,
            )
    except _NvmlUnavailable as unavailable:
        return NvidiaDriver(problem=unavailable.problem)


class _NvmlUnavailable(Exception):
    """NVML cannot be used."""

    def __init__(self, problem: str | None) -> None:
        super().__init__(problem)
        self.problem = problem


@contextmanager
def _open_nvml() -> Generator[Any]:
    """The module, initialised. Its names are made at run time, so it carries no types."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the abandoned package "pynvml" in front of nvidia-ml-py says so on import
            nvml: Any = import_module("pynvml")
    except ImportError:
        raise _NvmlUnavailable(
            "NVIDIA GPUs are not looked for without the package nvidia-ml-py; install it with pip."
        ) from None
    except Exception as error:
        raise _NvmlUnavailable(f"The package nvidia-ml-py does not import ({error}); install it again with pip.") from error
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise _NvmlUnavailable(_explain_failure(nvml, error)) from error
    except Exception as error:  # a library of that name that is none
        raise _NvmlUnavailable(f"NVIDIA's management library does not start ({error}); install the driver again.") from error
    try:
        yield nvml
    finally:
        _query(nvml.nvmlShutdown)


def _explain_failure(nvml: Any, error: Exception) -> str | None:
    """The sentence for an NVML that does not start; None where there is simply no NVIDIA driver."""
    code: object = getattr(error, "value", None)
    if code == nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return None
    if code == nvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return "The NVIDIA driver is installed but not running; restart the computer, or load the kernel module."
    if code == nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        return "The NVIDIA driver was updated while it ran, and its two halves do not match; restart the computer."
    if code == nvml.NVML_ERROR_NO_PERMISSION:
        return "This user may not ask the NVIDIA driver; give the container or the user access to /dev/nvidia*."
    return f"The NVIDIA driver does not answer ({error}); restart the computer, or install the driver again."


def _query(function: Callable[..., Any], *arguments: object) -> Any:
    """The answer to one question, None where this GPU or driver has none: cards differ in what they tell."""
    try:
        return function(*arguments)
    except Exception:  # NVMLError, and ctypes' own where an old driver lacks the function
        return None


def _query_gpu(nvml: Any, index: int) -> Gpu | None:
    handle = _query(nvml.nvmlDeviceGetHandleByIndex, index)
    if handle is None:
        return None
    name = _decode_text(_query(nvml.nvmlDeviceGetName, handle)) or "NVIDIA GPU"
    memory = _query(nvml.nvmlDeviceGetMemoryInfo, handle)
    power = _query(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    return Gpu(
        kind="cuda",
        index=index,
        name=name,
        total=int(memory.total) if memory else None,
        free=int(memory.free) if memory else None,
        compute_capability=_query(nvml.nvmlDeviceGetCudaComputeCapability, handle),
        uuid=_decode_text(_query(nvml.nvmlDeviceGetUUID, handle)),
        encoder=_has_encoder(nvml, handle, name),
        decoder=_query(nvml.nvmlDeviceGetDecoderUtilization, handle) is not None,
        power_limit=power / 1000 if power else None,  # milliwatts
        clock=_query(nvml.nvmlDeviceGetMaxClockInfo, handle, nvml.NVML_CLOCK_SM),
        memory_clock=_query(nvml.nvmlDeviceGetMaxClockInfo, handle, nvml.NVML_CLOCK_MEM),
    )


def _has_encoder(nvml: Any, handle: object, name: str) -> bool:
    if _WITHOUT_ENCODER.search(name):
        return False
    return _query(nvml.nvmlDeviceGetEncoderCapacity, handle, nvml.NVML_ENCODER_QUERY_H264) is not None


def _decode_text(value: object) -> str | None:
    """Older versions of nvidia-ml-py answer in bytes."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else None


def _format_cuda_version(version: object) -> str | None:
    return f"{version // 1000}.{version % 1000 // 10}" if isinstance(version, int) else None


def _mark_visible(gpus: Sequence[Gpu], visible: str | None) -> tuple[Gpu, ...]:
    """The GPUs in the order in which programs count them, those that ``CUDA_VISIBLE_DEVICES`` hides at the end."""
    if visible is None:
        return tuple(gpus)
    visible_gpus: list[Gpu] = []
    for word in visible.split(","):
        matched = _match_gpu(gpus, word.strip())
        if matched is None:  # CUDA stops reading at the first name that it does not know
            break
        if matched not in visible_gpus:
            visible_gpus.append(matched)
    return (*visible_gpus, *(replace(gpu, usable=False) for gpu in gpus if gpu not in visible_gpus))


def _match_gpu(gpus: Sequence[Gpu], word: str) -> Gpu | None:
    if word.isdecimal():
        return next((gpu for gpu in gpus if gpu.index == int(word)), None)
    return next((gpu for gpu in gpus if word and gpu.uuid and gpu.uuid.startswith(word)), None)
