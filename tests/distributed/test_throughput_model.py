"""The time that the guide predicts for ``--workers``, beside a simulation of workers that pull the items of a real order."""

from heapq import heapreplace
from itertools import pairwise

import pytest
from upscale8k.runtime.distributed.driver import cut_items
from upscale8k.runtime.video import Gap

RATE = 25
"""Frames in a segment of one second."""
START, SPEED = 4.0, 3.0
"""Seconds until a worker begins, and the frames that it makes in a second."""


def simulate(frames: int, starts: list[float], speed: float) -> tuple[float, int]:
    """Return the seconds until the last item is made, and the frames of the largest item."""
    items = cut_items([Gap(0, 0, None, None)], frames, RATE, len(starts), list(range(frames)))
    sizes = [after.first - before.first for before, after in pairwise(items)] + [frames - items[-1].first]
    free_at, end = sorted(starts), 0.0
    for size in sizes:
        end = max(end, free_at[0] + size / speed)
        heapreplace(free_at, free_at[0] + size / speed)
    return end, max(sizes)


@pytest.mark.parametrize("workers", [2, 3, 8, 50])
@pytest.mark.parametrize("frames", [1_500, 7_333, 172_800])
def test_the_prediction_of_the_guide_is_at_most_an_item_too_long(frames: int, workers: int) -> None:
    seconds, item = simulate(frames, [START] * workers, SPEED)
    predicted = START + frames / (SPEED * workers) + item / SPEED
    assert predicted - item / SPEED <= seconds <= predicted
    assert item <= max(RATE, min(60 * RATE, frames / workers / 8))


@pytest.mark.parametrize("frames", [1, 100, 1_500, 172_800])
def test_a_run_that_makes_items_itself_is_never_slower_than_alone(frames: int) -> None:
    alone, _ = simulate(frames, [0.0], SPEED)
    assert alone == pytest.approx(frames / SPEED)
    for workers in (2, 4):
        seconds, item = simulate(frames, [0.0, *[START] * (workers - 1)], SPEED)
        assert seconds <= min(alone, START + frames / (SPEED * workers) + item / SPEED) + 1e-6
