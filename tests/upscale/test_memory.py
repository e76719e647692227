"""What memory there is, and how its lack is told from other failures."""

from types import SimpleNamespace

import pytest
import torch
from upscale8k.runtime.errors import HardwareMissing
from upscale8k.runtime.hardware.capacity import SystemMemory
from upscale8k.runtime.upscale import memory
from upscale8k.runtime.upscale.backends import open_backend
from upscale8k.runtime.upscale.backends import torch as torch_backend
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


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors might be asynchronously",
        "The NVIDIA driver on your system is too old (found version 11040).",
        "Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized",
        "CUDA unknown error - this may be due to an incorrectly set up environment",
    ],
)
def test_a_card_that_cannot_compute_is_a_sentence(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it shows first: as memory is asked for, as weights are copied, as a tile runs."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(text)

    def run_tile() -> None:
        with memory.translate_out_of_memory(64, 64, cuda):
            fail()

    cuda, model = torch.device("cuda", 0), SimpleNamespace(architecture="Compact")
    monkeypatch.setattr(torch.cuda, "mem_get_info", fail)
    monkeypatch.setattr(torch_backend, "TorchBackend", fail)
    for use in (lambda: get_tile_memory(cuda), lambda: open_backend("torch", model, cuda, "fp32"), run_tile):
        with pytest.raises(HardwareMissing, match=r"^torch \S+ cannot compute on cuda:0: ") as refused:
            use()
        assert text.splitlines()[0].rstrip(".") in refused.value.what
        assert "--device cpu" in refused.value.hint
    with pytest.raises(RuntimeError, match="3 channels"), memory.translate_out_of_memory(64, 64, cuda):
        raise RuntimeError("expected 3 channels")
