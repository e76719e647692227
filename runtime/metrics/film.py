"""Colour drift of a film, frame by frame, in constant memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Protocol

import numpy as np

from ..errors import WorkflowError
from ..frames.stream import Frame, FrameStream
from .choices import Mode
from .drift import Drift, DriftMeter
from .pictures import Floats, paired


class Watch(Protocol):
    """Where progress is reported to; ``advance`` may raise, which is how a run is cancelled."""

    def advance(self, steps: int = 1) -> None: ...

    def say(self, text: str) -> None: ...


def measure_film(
    reference: FrameStream, film: FrameStream, mode: Mode, watch: Watch, every_nth: int = 1
) -> tuple[Drift, Floats]:
    """The drift over every ``every_nth`` frame of both, and its mean per pixel, (h, w) at the size of the smaller one.

    Frames are compared in their order. Where one film is longer, its rest is left out, and ``watch`` is told. Both are seen as
    sRGB. Raises ``WorkflowError`` for HDR and for films without a frame, and what ``DriftMeter.add`` raises.
    """
    for stream in (reference, film):
        if stream.info.colour.hdr:
            raise WorkflowError(
                "Colour drift is measured in sRGB, and this film is HDR (PQ or HLG).",
                "Compare its SDR version, or single pictures.",
            )
    meter = DriftMeter(mode)
    total: Floats | None = None
    count = 0
    with closing(_closable(reference.open())) as wanted, closing(_closable(film.open())) as found:
        for index, (one, other) in enumerate(_together(wanted, found, watch)):
            if index % every_nth == 0:
                seen = _empty(one, other)
                meter.add(one.pixels, other.pixels, seen)
                total = seen if total is None else np.add(total, seen, out=total)
                count += 1
            watch.advance()
    if total is None:
        raise WorkflowError("One of the films has no frame.", "Look at how it was cut.")
    return meter.result(), np.divide(total, np.float32(count), out=total)


def _empty(one: Frame, other: Frame) -> Floats:
    size = paired(one.pixels, other.pixels).size
    return np.empty((size.height, size.width), np.float32)


def _together(wanted: Iterator[Frame], found: Iterator[Frame], watch: Watch) -> Iterator[tuple[Frame, Frame]]:
    count = 0
    while True:
        one, other = next(wanted, None), next(found, None)
        if one is None or other is None:
            break
        count += 1
        yield one, other
    if one is not other:
        watch.say(f"One film is longer than the other: the first {count} frames were compared.")


def _closable(frames: Iterator[Frame]) -> Generator[Frame]:
    """A generator around any iterator, so that leaving early reaches whatever works behind it."""
    try:
        yield from frames
    finally:
        close = getattr(frames, "close", None)
        if close:
            close()
