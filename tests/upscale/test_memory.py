"""What memory there is, and how its lack is told from other failures."""

import pytest
import torch
from upscale8k.runtime.hardware.capacity import SystemMemory
from upscale8k.runtime.upscale import memory
from upscale8k.runtime.upscale.memory import get_tile_memory, is_out_of_memory, mentions_out_of_memory


def test_the_cpu_gives_a_share_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for available, given in ((4_000_000_000, 1_000_000_000), (5_000_000_000, 2_300_000_000), (64_000_000_000, 2_300_000_000)):
        monkeypatch.setattr(memory, "query_memory", lambda available=available: SystemMemory(64 * 10**9, available))
        assert get_tile_memory(cpu) == given


def test_the_same_machine_gives_the_same_unless_little_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles decide how floats are rounded, and that must not depend on what else runs."""
    given: set[int] = set()
    for available in range(4_000_000_000, 8_000_000_000, 500_000_000):
        monkeypatch.setattr(memory, "query_memory", lambda available=available: SystemMemory(8_000_000_000, available))
        given.add(get_tile_memory(torch.device("cpu")))
    assert given == {2_000_000_000}


def test_a_gpu_gives_a_larger_share(monkeypatch: pytest.MonkeyPatch) -> None:
    for free, given in ((5_000_000_000, 3_000_000_000), (140_000_000_000, 12_000_000_000)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 2 * free))
        assert get_tile_memory(torch.device("cuda", 1)) == given


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
        "GET was unable to find an engine to execute this computation",
        "FIND was unable to find an engine to execute this computation",
        "MPS backend out of memory (MPS allocated: 8.00 GB)",
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried",
        "std::bad_alloc",
        "[GPU] clEnqueueMapBuffer, error code: -4 CL_MEM_OBJECT_ALLOCATION_FAILURE",
        "Non-zero status code returned while running Conv node: 8007000E Not enough memory resources are available",
        "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 1024",
    ],
)
def test_a_lack_of_memory_is_found_in_the_texts_of_all_libraries(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))
    assert mentions_out_of_memory(Exception(text))
    assert not is_out_of_memory(ValueError(text))


def test_only_a_lack_of_memory_is_taken_for_one() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 50)
    assert is_out_of_memory(refused.value)
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert is_out_of_memory(MemoryError())
    for error in (RuntimeError("expected 3 channels"), ValueError("DefaultCPUAllocator: can't allocate memory"), OSError(12)):
        assert not is_out_of_memory(error)
