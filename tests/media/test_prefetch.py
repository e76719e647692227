"""The thread that produces items ahead of their consumer."""

import threading
from collections.abc import Iterator

import pytest
from upscale8k.runtime.media.bounded_queue import prefetch_items


def test_items_come_in_order_and_never_more_than_the_limit_wait() -> None:
    made: list[int] = []

    def produce() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    ahead = prefetch_items(produce, lambda _: 10, max_bytes=40, name="count")
    for number, item in enumerate(ahead):
        assert item == number
        assert len(made) <= number + 1 + 4 + 1  # taken, waiting, and in the making
    assert made == list(range(20))


@pytest.mark.parametrize(("when", "before"), [("at once", []), ("after two", [1, 2])])
def test_what_the_producer_raises_is_raised_where_it_is_read(when: str, before: list[int]) -> None:
    """A producer that is not a generator raises before there is anything to iterate."""

    def broken() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("broken")

    def at_once() -> Iterator[int]:
        raise ValueError("broken")

    taken: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        taken.extend(prefetch_items(at_once if when == "at once" else broken, lambda _: 1, name="break"))
    assert taken == before
    assert not [thread for thread in threading.enumerate() if thread.name == "break"]


def test_closing_the_generator_closes_the_producer() -> None:
    closed = threading.Event()

    def produce() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    ahead = prefetch_items(produce, lambda _: 1, max_bytes=4, name="endless")
    assert next(ahead) == 0
    ahead.close()
    assert closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "endless"]
