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
    """A graph whose replay does again what the network did, into the same memory; and what torch was asked to do."""

    def install(net: Network) -> dict[str, Any]:
        state: dict[str, Any] = {"replays": 0, "fail": False, "empty": False, "warnings": [], "calls": [], "stream": "default"}

        class Graph:
            def replay(self) -> None:
                state["replays"] += 1
                if state["empty"] or "captured" not in state:
                    return
                given, result = state["captured"]
                result[0].copy_(given * 2)
                result[1].copy_(torch.isfinite(given).all())

        @contextmanager
        def graph(_: Graph, *, stream: object, capture_error_mode: str) -> Generator[None]:
            state["calls"].append(("graph", state["device"], stream, capture_error_mode))
            if state["fail"] == "begin":
                raise torch.OutOfMemoryError("CUDA out of memory")
            state["stream"] = stream
            yield
            if state["fail"] == "end":  # as torch: the end of a capture raises before its stream is left
                raise torch.OutOfMemoryError("CUDA out of memory")
            state["stream"] = "default"

        @contextmanager
        def device(which: torch.device) -> Generator[None]:
            state["device"] = str(which)
            yield
            state["device"] = "cuda:0"

        def network(tiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            result = net(tiles)
            state["captured"] = (tiles, result)
            return result

        monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
        monkeypatch.setattr(torch.cuda, "graph", graph)
        monkeypatch.setattr(torch.cuda, "device", device)
        monkeypatch.setattr(torch.cuda, "Stream", lambda which: f"stream of {which}")
        monkeypatch.setattr(torch.cuda, "current_stream", lambda which: state["stream"])
        monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: state.update(stream=stream))
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)

        class Runner(CudaGraphRunner):
            def _record(self, tiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
                self._network = network
                try:
                    return super()._record(tiles)
                finally:
                    self._network = net

        state["recorded"] = Runner(net, torch.device("cuda:1"), state["warnings"])
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


@pytest.mark.parametrize(("moment", "calls"), [("begin", 6), ("end", 7)])
def test_a_recording_that_fails_is_not_tried_again(cuda: Callable[..., Any], moment: str, calls: int) -> None:
    net = Network()
    state = cuda(net)
    state["fail"] = moment
    for number in range(6):
        assert torch.equal(state["recorded"](tile(number))[0], tile(2 * number))
    assert state["replays"] == 0
    assert net.calls == calls
    assert state["stream"] == "default"


def test_the_recording_is_made_on_the_device_of_the_run_and_disturbs_no_other_thread(cuda: Callable[..., Any]) -> None:
    state = cuda(Network())
    for number in range(4):
        state["recorded"](tile(number))
    assert state["calls"] == [("graph", "cuda:1", "stream of cuda:1", "thread_local")]


def test_an_empty_recording_is_said_and_never_replayed(cuda: Callable[..., Any]) -> None:
    net = Network()
    state = cuda(net)
    state["empty"] = True
    for number in range(1, 7):
        assert torch.equal(state["recorded"](tile(number))[0], tile(2 * number))
    assert state["replays"] == 1
    assert ["empty" in each for each in state["warnings"]] == [True]
