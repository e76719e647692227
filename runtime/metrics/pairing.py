"""Validate images for measurement, and read two of them at a common size."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, get_args

import numpy as np

from ..errors import WorkflowError
from ..hardware import count_usable_cores
from ..images import ResizeTaps, make_area_taps, make_cubic_taps, make_filter_taps, reduce_in_linear_light, resample, to_floats
from ..media import Floats, Pixels, Size, has_alpha

CommonSize = Literal["smaller", "reference", "output"]
"""At which of the two sizes a pair is compared."""

Reduction = Literal["area", "encoded area", "bicubic", "lanczos"]
"""How the larger image of a pair is reduced: by area in linear light, or as other programs do, on encoded values."""

_SAMPLED_STRIPS, _SAMPLED_ROWS, _BETTER = 8, 16, 0.5
"""Where reductions are tried, and which part of the squared error of "area" another must not exceed to be taken: kernels that
overlap leave 0.55 of white noise."""

_STRIP_PIXELS, _MAX_THREADS = 1 << 18, 8
"""Source pixels of a strip: CIEDE2000 needs a few dozen arrays of that size, 1 MB each, and that in every thread."""

Result = TypeVar("Result")

_NAMES = ("reference", "upscaled image")
_BACKDROP = np.float32(0.5)


@dataclass(frozen=True, eq=False)
class MeasuredImage:
    """An image whose colors can be read row by row as float32."""

    pixels: Pixels
    name: str
    """Its name in error messages."""
    is_over_grey: bool = False
    """Composite it over mid grey; otherwise alpha is ignored."""

    @property
    def size(self) -> Size:
        return Size(self.pixels.shape[1], self.pixels.shape[0])

    def read_rows(self, top: int, bottom: int) -> Floats:
        """Return (bottom - top, W, 1 or 3), sRGB-encoded. Raises ``WorkflowError`` for NaN and infinity."""
        strip = np.ascontiguousarray(to_floats(self.pixels[top:bottom]), dtype=np.float32)
        if not np.isfinite(strip).all():
            raise WorkflowError(
                f"The {self.name} holds NaN or infinite values.", "Check the node that made it: its result is invalid."
            )
        if not has_alpha(strip):
            return strip
        color, alpha = strip[:, :, :-1], strip[:, :, -1:]
        return np.ascontiguousarray(_BACKDROP + (color - _BACKDROP) * alpha if self.is_over_grey else color)


@dataclass(frozen=True, eq=False)
class PairStrip:
    """The same rows of both images at their common size, sRGB-encoded, with a margin above and below."""

    rows: slice
    """Rows at the common size, without the margin."""
    inside: slice
    """The position of ``rows`` in the two arrays."""
    reference: Floats
    image: Floats
    """(margin + rows + margin, w, 1 or 3); there is no margin outside of the image."""


@dataclass(frozen=True, eq=False)
class ImagePair:
    """A reference, an image of the same scene, and the size at which they are compared."""

    reference: MeasuredImage
    image: MeasuredImage
    size: Size
    reduction: Reduction = "area"

    def read_reference_rows(self, top: int, bottom: int) -> Floats:
        """Return (bottom - top, size.width, 1 or 3) of the reference at the common size."""
        return _ResizedSide.create(self.reference, self.size, self.reduction).read_rows(top, bottom)

    def fit_reduction(self) -> ImagePair:
        """Return the pair with the reduction that the reference was most likely made by.

        An original that was reduced by a bicubic differs from its own reduction by area along every edge, as a halo does.
        """
        if self.reference.size == self.image.size:
            return self
        errors = {one: replace(self, reduction=one)._sample_error() for one in get_args(Reduction)}
        best = min(errors, key=lambda one: errors[one])
        return replace(self, reduction=best) if errors[best] < _BETTER * errors["area"] else self

    def _sample_error(self) -> float:
        """Return the mean squared difference in strips spread over the height."""
        sides = [_ResizedSide.create(each, self.size, self.reduction) for each in (self.reference, self.image)]
        rows = min(_SAMPLED_ROWS, self.size.height)
        tops = np.unique(np.linspace(0, self.size.height - rows, _SAMPLED_STRIPS).astype(int))
        parts = [[side.read_rows(int(top), int(top) + rows) for side in sides] for top in tops]
        return float(np.mean([np.mean(np.square(one - other)) for one, other in parts]))

    def iter_strips(self, margin: int = 0) -> Iterator[PairStrip]:
        """Yield strips from top to bottom; the larger is reduced, or the smaller enlarged by a cubic."""
        return map(self._make_reader(margin), self._split_rows(margin))

    def map_strips(self, compute: Callable[[PairStrip], Result], margin: int = 0) -> Iterator[tuple[slice, Result]]:
        """Yield the rows of each strip and what ``compute`` returns for it, from top to bottom, computed on all cores."""
        read_strip, cores = self._make_reader(margin), min(count_usable_cores(), _MAX_THREADS)
        waiting: deque[tuple[slice, Future[Result]]] = deque()

        def compute_rows(rows: slice) -> Result:
            return compute(read_strip(rows))

        with ThreadPoolExecutor(cores) as pool:
            for rows in self._split_rows(margin):
                waiting.append((rows, pool.submit(compute_rows, rows)))
                if len(waiting) > cores:
                    done, future = waiting.popleft()
                    yield done, future.result()
            for done, future in waiting:
                yield done, future.result()

    def _split_rows(self, margin: int) -> Iterator[slice]:
        size = self.size
        largest = max(self.reference.size.pixel_count, self.image.size.pixel_count, size.pixel_count)
        height = max(_STRIP_PIXELS * size.height // largest // 2 * 2, 2 * margin, 1)
        return (slice(top, min(top + height, size.height)) for top in range(0, size.height, height))

    def _make_reader(self, margin: int) -> Callable[[slice], PairStrip]:
        sides = [_ResizedSide.create(each, self.size, self.reduction) for each in (self.reference, self.image)]

        def read_strip(rows: slice) -> PairStrip:
            first, last = max(rows.start - margin, 0), min(rows.stop + margin, self.size.height)
            reference, image = (side.read_rows(first, last) for side in sides)
            return PairStrip(rows, slice(rows.start - first, rows.stop - first), reference, image)

        return read_strip


@dataclass(frozen=True, eq=False)
class _ResizedSide:
    image: MeasuredImage
    size: Size
    taps: tuple[ResizeTaps, ResizeTaps] | None
    reduction: Reduction | None = None
    """None: it is enlarged."""

    @classmethod
    def create(cls, image: MeasuredImage, size: Size, reduction: Reduction) -> _ResizedSide:
        own = image.size
        if own == size:
            return cls(image, size, None)
        lengths = ((own.width, size.width), (own.height, size.height))
        if own.pixel_count < size.pixel_count:
            return cls(image, size, (make_cubic_taps(*lengths[0]), make_cubic_taps(*lengths[1])))
        if reduction in ("bicubic", "lanczos"):
            across, down = (make_filter_taps(*length, reduction) for length in lengths)
        else:
            across, down = (make_area_taps(*length) for length in lengths)
        return cls(image, size, (across, down), reduction)

    def read_rows(self, top: int, bottom: int) -> Floats:
        if self.taps is None:
            return self.image.read_rows(top, bottom)
        across, down = self.taps[0], self.taps[1].slice_results(top, bottom)
        resize = reduce_in_linear_light if self.reduction == "area" else resample
        rows = resize(self.image.read_rows(down.start, down.stop), across, down)
        return rows if self.reduction in (None, "area") else np.clip(rows, 0, 1)


def validate_image(pixels: Pixels, name: str) -> MeasuredImage:
    """Raise ``WorkflowError`` for another number of axes or channels, or an empty image."""
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        shape = " x ".join(str(length) for length in pixels.shape)
        raise WorkflowError(f"The {name} is not an image: it is {shape}.", "Give grey or RGB, with or without alpha.")
    if pixels.size == 0:
        raise WorkflowError(
            f"The {name} is empty: {pixels.shape[1]}x{pixels.shape[0]} pixels.", "Choose a crop that holds at least one pixel."
        )
    return MeasuredImage(pixels, name)


def pair_images(reference: Pixels, image: Pixels, common_size: CommonSize = "smaller") -> ImagePair:
    """Pair two images of the same scene, of equal size or of equal aspect ratio; either may be the larger.

    If both have alpha, both are composited over mid grey. If only one has, colors are compared and alpha is ignored.

    Raises:
        WorkflowError: one is not an image, or the aspect ratios differ by more than rounding.
    """
    first, second = validate_image(reference, _NAMES[0]), validate_image(image, _NAMES[1])
    a, b = first.size, second.size
    is_nested = (a.width - b.width) * (a.height - b.height) >= 0
    if not is_nested or _measure_aspect_mismatch(a, b) > 1:
        raise WorkflowError(
            f"The {_NAMES[0]} is {a} and the {_NAMES[1]} is {b}: their proportions differ.",
            "Compare an image with its own enlargement; crop both alike.",
        )
    both_have_alpha = has_alpha(reference) and has_alpha(image)
    smaller = min(a, b, key=lambda size: size.pixel_count)
    size = {"smaller": smaller, "reference": a, "output": b}[common_size]
    return ImagePair(
        MeasuredImage(reference, _NAMES[0], both_have_alpha), MeasuredImage(image, _NAMES[1], both_have_alpha), size
    )


def _measure_aspect_mismatch(a: Size, b: Size) -> float:
    """Return by how many pixels the larger misses the aspect ratio of the smaller, in its shorter direction."""
    small, large = sorted((a, b), key=lambda size: size.pixel_count)
    return min(
        abs(large.height - small.height * large.width / small.width),
        abs(large.width - small.width * large.height / small.height),
    )
