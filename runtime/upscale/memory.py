"""How much memory a tile may take on a device, which errors mean out of memory, and whether a result fits.

The result is checked before the first tile, because the system kills a process that runs out of memory.

glibc maps blocks of tens of megabytes, which every layer of a large tile allocates, from the kernel and unmaps them at once, so
each layer pays for mapping and clearing pages: on two cores 28 % of the time of SRVGG-16 on 512 px tiles (11.5 against 8.3
microseconds per pixel) and 16 % of RRDB-23 on 256 px. ``reuse_freed_memory`` keeps them. Tiles of several sizes leave holes in
the heap, which add up over a video; returning free pages once per frame keeps the process as small as on its first frame.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from ..errors import HardwareMissing, OutOfMemory, Upscale8KError
from ..hardware import get_reserved_gpu_memory, memory_budget, query_memory
from ..media import Size
from ..models import Descriptor, UpscaleModel
from .target_size import plan_scale

FreeMemory = Callable[[str, int], object]
"""Gets a torch device, and the bytes that its host should free for us."""

_OUT_OF_MEMORY_TEXTS = (
    "out of memory",
    "allocate memory",
    "failed to allocate",
    "bad allocation",
    "bad_alloc",
    "cublas_status_alloc_failed",
    "cublas_status_not_initialized",  # cuBLAS allocates its workspace when it is first used
    "cudnn_status_alloc_failed",
    "cudnn_status_internal_error",  # so does cuDNN
    "unable to find an engine to execute this computation",  # cuDNN: none of them has enough memory
    "cl_mem_object_allocation_failure",
    "cl_out_of_resources",
    "8007000e",  # DirectML: E_OUTOFMEMORY
)
"""In lower case, what libraries write into errors that have no type of their own."""


_DRIVER_TEXTS = (
    "no kernel image is available",  # the GPU is older or newer than this build of torch
    "kernel image is invalid",
    "invalid device function",
    "nvidia driver",
    "cuda driver",
    "driver initialization failed",
    "cuda unknown error",
    "system not yet initialized",
    "no cuda gpus are available",
)
"""In lower case, what torch says where a GPU is listed but cannot compute."""


_FIXED_TILE_MEMORY: list[int] = []


def fix_tile_memory(nbytes: int | None) -> None:
    """Let ``get_tile_memory`` return this on a CPU, so that tiles are those of another process; None ends it."""
    _FIXED_TILE_MEMORY[:] = [] if nbytes is None else [nbytes]


def get_tile_memory(device: torch.device) -> int:
    """Bytes that the activations of one batch of tiles may take: a fraction of the memory, up to a useful maximum.

    Raises ``HardwareMissing`` for a GPU whose driver does not work.
    """
    if device.type == "cpu" and _FIXED_TILE_MEMORY:
        return _FIXED_TILE_MEMORY[0]
    if device.type == "cuda":
        with translate_driver_errors(device):
            free, total = torch.cuda.mem_get_info(device)
        reusable = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # torch's cache of this process
        return memory_budget(max(free + reusable - get_reserved_gpu_memory(), 0), total, on_gpu=True)
    memory = query_memory()
    return memory_budget(memory.available, memory.total, on_gpu=False)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether ``error`` of torch says that memory ran out, so that a smaller tile may succeed."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and mentions_out_of_memory(error)


def mentions_out_of_memory(error: BaseException) -> bool:
    """Return whether the text of ``error``, of any library, says that memory ran out."""
    text = str(error).lower()
    return any(each in text for each in _OUT_OF_MEMORY_TEXTS)


@contextmanager
def translate_driver_errors(device: torch.device) -> Generator[None]:
    """Raise ``HardwareMissing`` where torch says that it cannot compute on ``device`` at all."""
    try:
        yield
    except RuntimeError as error:
        text = str(error).lower()
        if isinstance(error, Upscale8KError) or device.type == "cpu" or not any(each in text for each in _DRIVER_TEXTS):
            raise
        raise HardwareMissing(
            f"torch {torch.__version__} cannot compute on {device}: {str(error).splitlines()[0].rstrip('.')}.",
            "Update the driver, install a build of torch for this GPU, or run with --device cpu. See: python -m runtime probe",
            feature=device.type,
        ) from error


@contextmanager
def translate_out_of_memory(width: int, height: int, device: torch.device, what: str = "tile") -> Generator[None]:
    """Raise ``OutOfMemory`` for ``what`` of that size where torch runs out of memory, after its cache was freed.

    Raises ``HardwareMissing`` as ``translate_driver_errors`` does.
    """
    try:
        with translate_driver_errors(device):
            yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, Upscale8KError) or not is_out_of_memory(error):
            raise
        release_memory(device)
        advice = "" if device.type == "cpu" else ", or run with --device cpu"
        raise make_tile_error(width, height, str(device), advice=advice, what=what) from error


def release_memory(device: torch.device) -> None:
    """Return what torch keeps of a GPU's memory for reuse."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def make_tile_error(width: int, height: int, device: str, place: str = "", advice: str = "", what: str = "tile") -> OutOfMemory:
    """Return the error for a tile of that size, halo included, that does not fit in the memory of ``place`` on ``device``."""
    return OutOfMemory(
        f"A {what} of {width}x{height} pixels does not fit in the memory of {place}{device}.",
        f"Close other programs that use it{advice}.",
        device=device,
        tile=max(width, height),
    )


_BYTES_PER_SAMPLE = 4


def estimate_result_bytes(shape: Sequence[int], scale: int, target: str) -> int:
    """Bytes of images (B, H, W, C) at ``target`` as float32, with the image before the last pass. Raises as ``plan_scale``."""
    count, height, width, channels = shape
    plan = plan_scale(Size(width, height), scale, target)
    previous_pass_pixels = (width * height * scale ** (2 * (plan.passes - 1))) if plan.passes > 1 else 0
    return (count * plan.final_size.pixel_count + previous_pass_pixels) * channels * _BYTES_PER_SAMPLE


def check_result_fits(shape: Sequence[int], descriptor: Descriptor, target: str) -> None:
    """Raise ``OutOfMemory`` where the result of images (B, H, W, C) is larger than the free memory."""
    needed = estimate_result_bytes(shape, UpscaleModel.from_descriptor(descriptor).scale, target)
    free = _get_free_bytes()
    if needed > free:
        raise OutOfMemory(
            f"At {target} the result takes {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free.",
            "Choose a smaller target, or upscale fewer images at once." if shape[0] > 1 else "Choose a smaller target.",
            device="cpu",
            tile=0,
        )


def _get_free_bytes() -> int:
    """Free memory in bytes, plus free swap unless a container limits memory, which may not include swap."""
    host_memory = query_memory()
    return host_memory.available if host_memory.limited else host_memory.available + psutil.swap_memory().free


# From malloc.h, and the values of glibc's dynamic thresholds on 64-bit systems after a large block was freed.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_ADJUSTED_MMAP_THRESHOLD = 32 << 20
_MAX_THRESHOLD = (1 << 31) - 1


@contextmanager
def reuse_freed_memory() -> Generator[Callable[[], object]]:
    """Reuse freed blocks inside the context; afterwards return all free memory to the system.

    Yields a function that returns it at once; the pages are cleared again when they are next used.
    """
    libc = _find_glibc()
    if libc is None:
        yield skip_trim
        return
    libc.mallopt(_M_MMAP_THRESHOLD, _MAX_THRESHOLD)
    libc.mallopt(_M_TRIM_THRESHOLD, _MAX_THRESHOLD)
    try:
        yield lambda: libc.malloc_trim(0)
    finally:
        libc.mallopt(_M_MMAP_THRESHOLD, _ADJUSTED_MMAP_THRESHOLD)
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _ADJUSTED_MMAP_THRESHOLD)
        libc.malloc_trim(0)


def return_freed_memory() -> None:
    """Return all free memory of the C library to the system, where that can be asked for."""
    libc = _find_glibc()
    if libc is not None:
        libc.malloc_trim(0)


_MADV_DONTNEED = 4


def return_code(library: str) -> None:
    """Return the code of a library that has done its work, which the system reads again if it is called.

    Code is mapped from the file and never written, so nothing is lost. Elsewhere than on Linux, or without /proc, it stays.
    """
    libc = _find_glibc()
    if libc is None or not os.access("/proc/self/maps", os.R_OK):
        return
    for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
        addresses, permissions, *_, path = line.split(maxsplit=5)
        if permissions == "r-xp" and Path(path).name == library:
            start, stop = (int(address, 16) for address in addresses.split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), _MADV_DONTNEED)


def _find_glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" and platform.libc_ver()[0] == "glibc" else None


def skip_trim() -> None:
    """Return nothing to the system."""
