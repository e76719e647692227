"""A video as a recipe: where its frames begin, and who closes what works behind them."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo, Frame, VideoInfo, VideoStream

INFO = VideoInfo(Size(2, 2), Fraction(25), Fraction(1, 25), 5, "header", None, ColorInfo(), 8, identity="five frames")


def make_stream(closed: list[int], *, can_seek: bool = True) -> VideoStream:
    """Five frames; ``closed`` gets the number of the first frame of every generator that was closed or ended."""

    def open_at(first: int = 0) -> Iterator[Frame]:
        try:
            for number in range(first, 5):
                yield Frame(np.full((2, 2, 3), number, np.uint8), number, 1, Fraction(1, 25))
        finally:
            closed.append(first)

    return VideoStream(INFO, open_at, open_at if can_seek else None)


@pytest.mark.parametrize("can_seek", [True, False])
@pytest.mark.parametrize("first", [0, 1, 4, 5])
def test_frames_begin_where_they_are_requested(first: int, can_seek: bool) -> None:
    closed: list[int] = []
    with make_stream(closed, can_seek=can_seek).frames(first) as frames:
        assert [frame.pts for frame in frames] == list(range(first, 5))
    assert closed == [first if can_seek else 0]


@pytest.mark.parametrize("can_seek", [True, False])
@pytest.mark.parametrize("mapped", [True, False])
def test_leaving_the_block_closes_all_producers(can_seek: bool, mapped: bool) -> None:
    closed: list[int] = []
    stream = make_stream(closed, can_seek=can_seek)
    if mapped:
        stream = stream.map(lambda frame: replace(frame, pts=-frame.pts), "negative")
    with pytest.raises(KeyboardInterrupt), stream.frames(2) as frames:
        assert abs(next(frames).pts) == 2
        assert closed == []
        raise KeyboardInterrupt
    assert closed == [2 if can_seek else 0]
