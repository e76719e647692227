"""The workers process each item once, and leaves torch as it was."""

import threading

import pytest
import torch
from upscale8k.runtime.upscale.torch_optim.patches import SingleThreadWorkers


@pytest.fixture(params=[1, 3])
def workers(request: pytest.FixtureRequest) -> SingleThreadWorkers:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    try:
        return SingleThreadWorkers()
    finally:
        torch.set_num_threads(before)


def test_each_piece_is_made_once_and_by_one_thread(workers: SingleThreadWorkers) -> None:
    made: list[tuple[int, int, bool]] = []
    with torch.inference_mode():
        workers.run_each(
            lambda piece: made.append((piece, torch.get_num_threads(), torch.is_inference_mode_enabled())), range(50)
        )
    assert sorted(piece for piece, _, _ in made) == list(range(50))
    assert all(inferred for _, _, inferred in made)
    if workers.size > 1:
        assert {threads for _, threads, _ in made} == {1}


def test_torch_keeps_its_number_of_threads() -> None:
    before = torch.get_num_threads()
    SingleThreadWorkers()
    found = [before]
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert [torch.get_num_threads(), *found] == [before] * 3


def test_an_error_comes_out_and_the_workers_go_on(workers: SingleThreadWorkers) -> None:
    def make(piece: int) -> None:
        if piece == 3:
            raise MemoryError("three")

    with pytest.raises(MemoryError, match="three"):
        workers.run_each(make, range(9))
    workers.run_each(make, [1])
