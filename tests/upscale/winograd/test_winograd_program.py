"""Several threads run one program: whoever fails or is missing stops the others, and the next program runs."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from upscale8k.runtime.upscale.winograd import winograd_program
from upscale8k.runtime.upscale.winograd.winograd_conv import WinogradConv
from upscale8k.runtime.upscale.winograd.winograd_program import NetworkResources, Program

pytestmark = [pytest.mark.usefixtures("two_threads"), pytest.mark.timeout(60)]
FEATURES = torch.linspace(-1, 1, 64 * 30 * 50).reshape(1, 64, 30, 50)


@pytest.fixture
def layers() -> list[WinogradConv]:
    torch.manual_seed(4)
    return [WinogradConv(torch.nn.Conv2d(64, 64, 3, padding=1), torch.nn.LeakyReLU(0.1)) for _ in range(3)]


def run(resources: NetworkResources, layers: list[WinogradConv]) -> torch.Tensor:
    program, features = Program(resources), FEATURES
    for layer in layers:
        features = layer(program, features)
    program.run()
    return features


@pytest.fixture
def resources() -> NetworkResources:
    return NetworkResources()


@pytest.fixture
def expected(resources: NetworkResources, layers: list[WinogradConv]) -> torch.Tensor:
    """What the same threads give before anything goes wrong."""
    return run(resources, layers)


def test_steps_that_read_what_others_wrote_wait_for_it(resources: NetworkResources, layers: list[WinogradConv]) -> None:
    assert resources.workers.size == 2
    one_by_one = FEATURES
    for layer in layers:
        program = Program(resources)
        one_by_one = layer(program, one_by_one)
        program.run()
    for _ in range(20):
        np.testing.assert_array_equal(run(resources, layers), one_by_one)


def test_a_thread_without_memory_is_an_error_and_not_a_wait(
    resources: NetworkResources, layers: list[WinogradConv], expected: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [MemoryError("no scratch")]

    def allocate(size: int, allocate: Callable[[int], int] = winograd_program._get_scratch) -> int:
        if failures:
            raise failures.pop()
        return allocate(size)

    monkeypatch.setattr(winograd_program, "_get_scratch", allocate)
    with pytest.raises(MemoryError, match="no scratch"):
        run(resources, layers)
    np.testing.assert_array_equal(run(resources, layers), expected)


def test_ctrl_c_between_two_threads_leaves_none_of_them_waiting(
    resources: NetworkResources, layers: list[WinogradConv], expected: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:

    def start_one(process: Callable[[Any], None], items: Iterable[Any]) -> None:
        assert resources.workers._pool is not None
        resources.workers._pool.submit(process, next(iter(items)))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(resources.workers, "run_each", start_one)
        with pytest.raises(KeyboardInterrupt):
            run(resources, layers)
    np.testing.assert_array_equal(run(resources, layers), expected)
