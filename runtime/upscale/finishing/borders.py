"""Black borders of a video: found, cut off before the model, and put back around its result.

What a border holds, a subtitle or a line of noise, is not lost: it is enlarged plainly, by a cubic, frame by frame.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from ...images import ResizeTaps, make_area_taps, make_cubic_taps, resample, to_floats, to_integers
from ...media import Frame, Region, Samples, Size, VideoStream

_SAMPLES = 5
_FRAMES_WITHOUT_COUNT = 24
_BLACK = 0.08
"""Of full range: 20 of 255. Noise in black stays below."""
_BLACK_SHARE = 0.98
"""Of the pixels of a line of a border; a logo or a scratch may be in it."""
_LEAST_PIXELS = 4
"""A narrower border is not worth a cut, whose edge the model would see as that of the image."""


def find_borders(stream: VideoStream) -> Region | None:
    """Return the region inside the black borders, by five frames spread over the video; None if there are no borders."""
    size, count = stream.info.size, stream.info.frame_count
    numbers = [count * (2 * index + 1) // (2 * _SAMPLES) for index in range(_SAMPLES)] if count else [0]
    rows, columns = np.zeros(size.height, bool), np.zeros(size.width, bool)
    for number in numbers:
        with stream.frames(number) as frames:
            for frame, _ in zip(frames, range(1 if count else _FRAMES_WITHOUT_COUNT), strict=False):
                is_bright = to_floats(frame.pixels[:, :, :3]).max(axis=2) > _BLACK
                rows |= is_bright.mean(axis=1) > 1 - _BLACK_SHARE
                columns |= is_bright.mean(axis=0) > (1 - _BLACK_SHARE) * rows.mean()
    if not rows.any() or not columns.any():
        return None
    top, bottom = _find_span(rows)
    left, right = _find_span(columns)
    found = Region(left, top, right - left, bottom - top)
    return None if found.size == size else found


def _find_span(is_content: np.ndarray) -> tuple[int, int]:
    where, length = np.flatnonzero(is_content), len(is_content)
    start, stop = int(where[0]), int(where[-1]) + 1
    return (start if start >= _LEAST_PIXELS else 0), (stop if length - stop >= _LEAST_PIXELS else length)


def crop_stream(stream: VideoStream, region: Region) -> VideoStream:
    """Return ``stream`` cut to ``region``."""

    def crop(frame: Frame) -> Frame:
        return replace(frame, pixels=np.ascontiguousarray(frame.pixels[region.rows, region.columns]))

    return stream.map(crop, f"crop {region}", size=region.size)


def scale_region(region: Region, source: Size, final: Size) -> Region:
    """Return where ``region`` of an image of size ``source`` is in one of size ``final``, to the nearest pixel."""
    x, y = final.width / source.width, final.height / source.height
    left, top = round(region.x * x), round(region.y * y)
    return Region(left, top, max(round(region.right * x) - left, 1), max(round(region.bottom * y) - top, 1))


def put_back_borders(inner: VideoStream, source: VideoStream, region: Region, final: Size) -> VideoStream:
    """Return ``inner``, the upscaled inside ``region`` of ``source``, with the borders around it, uint16 of size ``final``."""
    place = scale_region(region, source.info.size, final)

    def open_at(first: int = 0) -> Iterator[Frame]:
        make_border = _BorderMaker(source.info.size, region, place, final)
        out = np.zeros((final.height, final.width, 4 if source.info.has_alpha else 3), np.uint16)
        with inner.frames(first) as frames, source.frames(first) as originals:
            for frame, original in zip(frames, originals, strict=True):
                make_border(original.pixels, out)
                height, width = frame.pixels.shape[:2]
                out[place.y : place.y + height, place.x : place.x + width] = frame.pixels
                yield replace(frame, pixels=out, is_repeat=False)

    info = replace(inner.info, size=final, identity=f"{inner.info.identity} | borders {place} of {final}")
    return VideoStream(info, open_at, open_at)


class _BorderMaker:
    """Writes the four strips around the place of the inner video, those only that changed since the last frame."""

    def __init__(self, source: Size, region: Region, place: Region, final: Size) -> None:
        make_taps: Callable[[int, int], ResizeTaps] = make_cubic_taps if final.height >= source.height else make_area_taps
        across, down = make_taps(source.width, final.width), make_taps(source.height, final.height)
        spans = [
            (slice(0, place.y), slice(0, final.width)),
            (slice(place.bottom, final.height), slice(0, final.width)),
            (slice(place.y, place.bottom), slice(0, place.x)),
            (slice(place.y, place.bottom), slice(place.right, final.width)),
        ]
        self._strips = [
            (rows, columns, down.slice_results(rows.start, rows.stop), across.slice_results(columns.start, columns.stop))
            for rows, columns in spans
            if rows.start < rows.stop and columns.start < columns.stop
        ]
        self._previous: list[Samples | None] = [None] * len(self._strips)

    def __call__(self, pixels: Samples, out: Samples) -> None:
        for index, (rows, columns, down, across) in enumerate(self._strips):
            part = pixels[down.start : down.stop, across.start : across.stop]
            previous = self._previous[index]
            if previous is not None and np.array_equal(previous, part):
                continue
            self._previous[index] = part.copy()
            out[rows, columns] = to_integers(np.clip(resample(to_floats(part), across, down), 0, 1), 16)
