"""A result that the memory cannot hold is refused before the first tile."""

from types import SimpleNamespace

import pytest
from upscale8k.runtime.errors import OutOfMemory
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.upscale import memory


def test_the_size_of_a_result_counts_every_image_and_the_pass_before_the_last() -> None:
    assert memory.estimate_result_bytes((1, 1080, 1920, 3), 4, "8K") == 7680 * 4320 * 3 * 4
    assert memory.estimate_result_bytes((5, 1080, 1920, 4), 4, "8K") == 5 * 7680 * 4320 * 4 * 4
    assert memory.estimate_result_bytes((1, 100, 200, 3), 2, "8x") == (1600 * 800 + 800 * 400) * 3 * 4
    assert memory.estimate_result_bytes((1, 100, 200, 3), 4, "model scale") == 800 * 400 * 3 * 4


@pytest.mark.parametrize(
    ("free", "swap", "limited"),
    [(1_200_000_000, 0, False), (400_000_000, 800_000_000, False), (1_200_000_000, 0, True), (1_200_000_000, 1 << 40, True)],
)
def test_what_is_larger_than_the_free_memory_is_refused_with_both_numbers(
    monkeypatch: pytest.MonkeyPatch, free: int, swap: int, limited: bool
) -> None:
    """The machine's swap counts as free, except in a container: its limit ends a process however much swap there is."""
    model = load_model(find_model("realesr-animevideov3", []))
    monkeypatch.setattr(memory, "query_memory", lambda: SimpleNamespace(available=free, limited=limited))
    monkeypatch.setattr(memory.psutil, "swap_memory", lambda: SimpleNamespace(free=swap))
    memory.check_result_fits((3, 1080, 1920, 3), model, "8K")
    with pytest.raises(OutOfMemory, match=r"At 8K the result takes 1\.6 GB of memory, and 1\.2 GB are free\. Choose a smaller"):
        memory.check_result_fits((4, 1080, 1920, 3), model, "8K")
