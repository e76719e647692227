"""When a shape is recorded, and what happens when it cannot be; CUDA itself is stood in for (test_cuda.py has the real one)."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from upscale8k.runtime.upscale.torch_optim.cuda_graph import CudaGraphRunner


class Network:
    """Doubles; says how often it was really called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, tiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls += 1
        return tiles * 2, torch.isfinite(tiles).all()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Callable[[Network], dict[str, Any]]:
    """A graph whose replay does again what the network did, into the same memory."""

    def install(net: Network) -> dict[str, Any]:
        state: dict[str, Any] = {"replays": 0, "fail": False}

        class Graph:
            def replay(self) -> None:
                state["replays"] += 1
                recorded = state["recorded"]
                if recorded._given is not None:
                    recorded._result[0].copy_(recorded._given * 2)
                    recorded._result[1].copy_(torch.isfinite(recorded._given).all())

        @contextmanager
        def graph(_: Graph) -> Generator[None]:
            if state["fail"]:
                raise torch.OutOfMemoryError("CUDA out of memory")
            yield

        monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
        monkeypatch.setattr(torch.cuda, "graph", graph)
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
        state["recorded"] = CudaGraphRunner(net)
        return state

    return install


def tile(value: float, side: int = 4) -> torch.Tensor:
    return torch.full((1, 3, side, side), float(value))


def test_the_third_tile_of_a_shape_is_recorded_and_later_ones_replayed(cuda: Callable[..., Any]) -> None:
    net = Network()
    state = cuda(net)
    for number in range(1, 8):
        result, finite = state["recorded"](tile(number))
        assert torch.equal(result, tile(2 * number))
        assert finite
    assert net.calls == 3
    assert state["replays"] == 5


def test_another_shape_in_between_changes_nothing_of_it(cuda: Callable[..., Any]) -> None:
    net = Network()
    state = cuda(net)
    for _ in range(3):
        state["recorded"](tile(1))
    for number in range(5):
        assert torch.equal(state["recorded"](tile(number, side=6))[0], tile(2 * number, side=6))
        result, finite = state["recorded"](tile(float("inf") if number == 3 else number))
        assert bool(finite) == (number != 3)
        assert number == 3 or torch.equal(result, tile(2 * number))
    assert net.calls == 3 + 5


def test_a_recording_that_fails_is_not_tried_again(cuda: Callable[..., Any]) -> None:
    net = Network()
    state = cuda(net)
    state["fail"] = True
    for number in range(6):
        assert torch.equal(state["recorded"](tile(number))[0], tile(2 * number))
    assert state["replays"] == 0
    assert net.calls == 6
