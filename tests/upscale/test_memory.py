"""What memory there is, and how its lack is told from other failures."""

import pytest
import torch
from upscale8k.runtime.hardware.capacity import SystemMemory
from upscale8k.runtime.upscale import memory
from upscale8k.runtime.upscale.memory import get_tile_memory, is_out_of_memory


def test_the_cpu_gives_a_share_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for available, given in ((4_000_000_000, 1_000_000_000), (64_000_000_000, 2_300_000_000)):
        monkeypatch.setattr(memory, "query_memory", lambda available=available: SystemMemory(8 * available, available))
        assert get_tile_memory(cpu) == given


def test_a_gpu_gives_a_larger_share(monkeypatch: pytest.MonkeyPatch) -> None:
    for free, given in ((5_000_000_000, 3_000_000_000), (140_000_000_000, 6_000_000_000)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 2 * free))
        assert get_tile_memory(torch.device("cuda", 1)) == given


def test_only_a_lack_of_memory_is_taken_for_one() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 50)
    assert is_out_of_memory(refused.value)
    for error in (torch.OutOfMemoryError(), MemoryError(), RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling")):
        assert is_out_of_memory(error)
    for error in (RuntimeError("expected 3 channels"), ValueError("DefaultCPUAllocator: can't allocate memory"), OSError(12)):
        assert not is_out_of_memory(error)
