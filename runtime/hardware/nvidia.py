"""Query NVIDIA GPUs by NVML, the driver's own library, which needs neither CUDA nor torch."""

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
"""Chips without NVENC in NVIDIA's Video Encode support matrix, whatever NVML reports."""


@dataclass(frozen=True)
class NvidiaDriver:
    """The driver and its GPUs as NVML reports them."""

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda: str | None = None
    """Newest CUDA version that the driver supports, as ``13.0``."""
    problem: str | None = None
    """Why GPUs could not be queried: a sentence with the next step."""


def query_nvidia() -> NvidiaDriver:
    """Return every NVIDIA GPU of the driver. Never raises: no library means no GPU, other errors are a ``problem``."""
    try:
        with _open_nvml() as nvml:
            found = [_query_gpu(nvml, index) for index in range(_query(nvml.nvmlDeviceGetCount) or 0)]
            lost_count = found.count(None)
            return NvidiaDriver(
                gpus=_mark_visible([gpu for gpu in found if gpu], os.environ.get("CUDA_VISIBLE_DEVICES")),
                driver=_decode_text(_query(nvml.nvmlSystemGetDriverVersion)),
                cuda=_format_cuda_version(_query(nvml.nvmlSystemGetCudaDriverVersion_v2)),
                problem=f"{lost_count} NVIDIA GPU does not respond to the driver. Restart the computer."
                if lost_count
                else None,
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
    """Yield the initialised module. Its names are created at run time, so it has no types."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the abandoned package "pynvml", if it hides nvidia-ml-py
            nvml: Any = import_module("pynvml")
    except ImportError:
        raise _NvmlUnavailable(
            "NVIDIA GPUs cannot be detected without the package nvidia-ml-py. Install it with pip."
        ) from None
    except Exception as error:
        raise _NvmlUnavailable(f"The package nvidia-ml-py does not import ({error}). Install it again with pip.") from error
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise _NvmlUnavailable(_explain_failure(nvml, error)) from error
    except Exception as error:  # another library of that name
        raise _NvmlUnavailable(f"NVIDIA's management library does not start ({error}). Install the driver again.") from error
    try:
        yield nvml
    finally:
        _query(nvml.nvmlShutdown)


def _explain_failure(nvml: Any, error: Exception) -> str | None:
    """Return why NVML does not start; None if there is no NVIDIA driver."""
    code: object = getattr(error, "value", None)
    if code == nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return None
    if code == nvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return "The NVIDIA driver is installed but not running. Restart the computer, or load the kernel module."
    if code == nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        return "The NVIDIA driver was updated while it ran, and its library and kernel module differ. Restart the computer."
    if code == nvml.NVML_ERROR_NO_PERMISSION:
        return "This user may not use the NVIDIA driver. Give the container or the user access to /dev/nvidia*."
    return f"The NVIDIA driver does not respond ({error}). Restart the computer, or install the driver again."


def _query(function: Callable[..., Any], *arguments: object) -> Any:
    """Return the result of one NVML call; None if this GPU or driver does not support it."""
    try:
        return function(*arguments)
    except Exception:  # NVMLError, or a ctypes error if an old driver does not have the function
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
    """Return text as ``str``; older versions of nvidia-ml-py return bytes."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else None


def _format_cuda_version(version: object) -> str | None:
    return f"{version // 1000}.{version % 1000 // 10}" if isinstance(version, int) else None


def _mark_visible(gpus: Sequence[Gpu], visible: str | None) -> tuple[Gpu, ...]:
    """Return the GPUs in the order of ``CUDA_VISIBLE_DEVICES``, hidden GPUs last."""
    if visible is None:
        return tuple(gpus)
    visible_gpus: list[Gpu] = []
    for word in visible.split(","):
        matched = _match_gpu(gpus, word.strip())
        if matched is None:  # CUDA ignores everything from the first unknown name on
            break
        if matched not in visible_gpus:
            visible_gpus.append(matched)
    return (*visible_gpus, *(replace(gpu, usable=False) for gpu in gpus if gpu not in visible_gpus))


def _match_gpu(gpus: Sequence[Gpu], word: str) -> Gpu | None:
    if word.isdecimal():
        return next((gpu for gpu in gpus if gpu.index == int(word)), None)
    return next((gpu for gpu in gpus if word and gpu.uuid and gpu.uuid.startswith(word)), None)
