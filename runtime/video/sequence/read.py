"""Read an image sequence as a video."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Literal, cast

import numpy as np

from ...errors import MediaError, OutputError, WorkflowError
from ...file_types import SEQUENCE_NUMBER, SEQUENCE_SUFFIXES
from ...media import ColorInfo, Frame, Samples, Size, VideoInfo, VideoStream, prefetch_items
from ...progress import OnMessage

ReadImage = Callable[[Path], Samples]
"""Reads an image file as (H, W, 3) R'G'B' in full range, uint8 or uint16, or (H, W, 4) with alpha. Raises ``MediaError``."""

IMAGE_COLOR = ColorInfo("gbr", "pc", "iec61966-2-1", "bt709", guessed_fields=("transfer", "primaries"))
"""The color that images are assumed to have: sRGB in full range."""
_DIGITS = re.compile(r"(\d+)")
_MAX_LISTED = 5
_FRAME_RATE_HINT = "Set it to more than 0 frames per second."

Gaps = Literal["refuse", "keep time", "close up"]
"""For numbers without an image: raise an error, extend the image before them, or move the following images forward."""


@dataclass(frozen=True)
class SequenceFrame:
    """An image of a sequence, and the frame of the video that it is."""

    path: Path
    frame_index: int
    """Number of the frame, counted from the first image."""


@dataclass(frozen=True)
class _NumberedFile:
    """An image and its number, among those with the same ``other_numbers`` in their names."""

    path: Path
    number: int
    other_numbers: tuple[int, ...] = ()

    def is_continuation_of(self, before: _NumberedFile) -> bool:
        return self.other_numbers == before.other_numbers


@dataclass(frozen=True)
class _Gap:
    """``count`` numbers from ``first`` on without an image."""

    before: Path
    after: Path
    first: int
    count: int


def list_sequence_frames(
    location: Path, gaps: Gaps = "refuse", *, on_message: OnMessage = lambda _: None
) -> list[SequenceFrame]:
    """Return the images of a folder or pattern as frames, with missing numbers handled by ``gaps``.

    ``on_message`` gets the missing numbers that are accepted. Raises ``MediaError`` as ``find_images`` does, and for missing
    numbers that are refused.
    """
    files = _find_numbered_files(location)
    missing = [hole for before, after in pairwise(files) if (hole := _find_gap(before, after))]
    if missing and gaps == "refuse":
        raise _make_gap_error(missing)
    if missing:
        consequence = "the video is shorter" if gaps == "close up" else "the images before them last longer"
        on_message(f"{_describe_gaps(missing)}; {consequence}.")
    numbers = [each.number for each in files]
    is_rising = all(after.is_continuation_of(before) and after.number > before.number for before, after in pairwise(files))
    times = [number - numbers[0] for number in numbers] if gaps == "keep time" and is_rising else range(len(files))
    return [SequenceFrame(each.path, time) for each, time in zip(files, times, strict=True)]


def find_images(location: Path) -> list[Path]:
    """Return the images of a folder, or of a pattern such as ``shots/frame_%05d.png``, in natural order.

    ``%d`` matches any number, ``%05d`` one of at least five digits. Numbers may begin anywhere. A folder must contain one
    sequence only: one file type, names that differ in numbers.
    Raises ``MediaError`` without such a folder, without an image, and for more than one sequence.
    """
    return [each.path for each in _find_numbered_files(location)]


def _find_numbered_files(location: Path) -> list[_NumberedFile]:
    pattern = SEQUENCE_NUMBER.search(location.name)
    folder = location.parent if pattern else location
    if not folder.is_dir():
        kind = "a file, not a folder" if folder.exists() else "not there"
        raise MediaError(f"{folder} is {kind}.", "Give a folder of images, or a pattern such as frame_%05d.png.", path=folder)
    found = _find_matching(folder, location.name, pattern) if pattern else _find_only_sequence(folder)
    if not found:
        what = f"There is no image {location.name + ' ' if pattern else ''}in {folder}."
        raise MediaError(what, _format_not_found_hint(location), path=location)
    return found


def match_number(pattern: Path) -> re.Match[str]:
    """Return the match of the number in ``frame_%05d.png``; group 1 is its digits. Raises ``OutputError``."""
    match = SEQUENCE_NUMBER.search(pattern.name)
    if match is None:
        what = f"{pattern.name} names one image, not a sequence."
        raise OutputError(what, "Add a number to it: frame_%05d.png.", path=pattern)
    return match


def slice_time_range(rate: Fraction, start: Fraction, duration: Fraction | None) -> slice:
    """Return the indices of the images that begin from ``start`` up to but without ``start + duration`` (None: the end)."""
    return slice(ceil(start * rate), None if duration is None else ceil((start + duration) * rate))


def select_time_range(
    images: Sequence[SequenceFrame], rate: Fraction, start: Fraction, duration: Fraction | None
) -> list[SequenceFrame]:
    """Return the images that begin in this time range, with times counted from its start."""
    window = slice_time_range(rate, start, duration)
    indices = range(images[-1].frame_index + 1)[window] if images else range(0)
    return [SequenceFrame(each.path, each.frame_index - window.start) for each in images if each.frame_index in indices]


def open_sequence(images: Sequence[SequenceFrame], frame_rate: Fraction, read_image: ReadImage) -> VideoStream:
    """Return the images, in the order of ``list_sequence_frames``, as a video; ``pts`` count frames of ``frame_rate``.

    The first image is read at once: its size and depth are those of the video, which has alpha if it has. A later one of
    another size or depth, or with the only alpha, raises ``MediaError`` when it is reached; one without alpha is opaque. The
    color is assumed to be sRGB in full range.
    """
    if frame_rate <= 0:
        raise WorkflowError(f"The frame rate is {frame_rate}.", _FRAME_RATE_HINT, input_name="frame_rate")
    if not images:
        raise MediaError("The sequence has no images.", "Give at least one.")
    first = read_image(images[0].path)
    size, dtype, has_alpha = Size(first.shape[1], first.shape[0]), first.dtype, first.shape[2] == 4
    ends = [each.frame_index for each in images[1:]] + [images[-1].frame_index + 1]
    info = VideoInfo(
        size=size,
        frame_rate=frame_rate,
        time_base=1 / frame_rate,
        frame_count=len(images),
        frame_count_source="files",
        duration=ends[-1] / frame_rate,
        color=IMAGE_COLOR,
        bit_depth=8 * dtype.itemsize,
        sequence_files=tuple(each.path for each in images),
        has_alpha=has_alpha,
        identity=_compute_identity(images) + (" | alpha" if has_alpha else ""),
        list_pts=lambda: (each.frame_index for each in images),
    )

    def read_frame(number: int) -> Frame:
        each = images[number]
        pixels = read_image(each.path)
        _check_same_format(each.path, pixels, size, dtype)
        pixels = _match_alpha(each.path, pixels, has_alpha=has_alpha)
        return Frame(pixels, each.frame_index, ends[number] - each.frame_index, 1 / frame_rate)

    def iterate_frames(start: int = 0) -> Iterator[Frame]:
        numbers = range(start, len(images))
        yield from prefetch_items(lambda: map(read_frame, numbers), lambda made: made.pixels.nbytes, name="read images")

    return VideoStream(info, iterate_frames, iterate_frames)


def _find_matching(folder: Path, name: str, number: re.Match[str]) -> list[_NumberedFile]:
    digits = f"\\d{{{number[1]},}}" if number[1] else "\\d+"
    name_pattern = re.compile(f"{re.escape(name[: number.start()])}({digits}){re.escape(name[number.end() :])}")
    matches = ((path, name_pattern.fullmatch(path.name)) for path in folder.iterdir())
    found = [_NumberedFile(path, int(match[1])) for path, match in matches if match and path.is_file()]
    return sorted(found, key=lambda each: (each.number, each.path))


def _find_only_sequence(folder: Path) -> list[_NumberedFile]:
    files = [path for path in folder.iterdir() if path.suffix.lower() in SEQUENCE_SUFFIXES and path.is_file()]
    paths = sorted((path for path in files if not path.name.startswith(".")), key=_get_natural_key)
    kinds = {_DIGITS.sub("#", path.name) for path in paths}
    if len(kinds) > 1:
        shown = ", ".join(sorted(kinds)[:_MAX_LISTED])
        hint = "Give a pattern such as frame_%05d.png to choose one of them."
        raise MediaError(f"{folder} contains more than one image sequence (# is a number): {shown}.", hint, path=folder)
    return _number_by_varying_part(paths)


def _number_by_varying_part(paths: list[Path]) -> list[_NumberedFile]:
    """Return files whose names differ in numbers only; the last number that is not the same in all names counts."""
    names = [_get_natural_key(path)[0] for path in paths]
    varying = [index for index, column in enumerate(zip(*names, strict=True)) if len(set(column)) > 1]
    counter_index = varying[-1] if varying else -1
    return [
        _NumberedFile(path, numbers[counter_index] if numbers else 0, tuple(numbers[index] for index in varying[:-1]))
        for path, numbers in zip(paths, names, strict=True)
    ]


def _get_natural_key(path: Path) -> tuple[list[int], str]:
    """Return a sort key: the numbers in a name, then the name itself (1.png and 01.png)."""
    return [int(digits) for digits in _DIGITS.findall(path.name)], path.name


def _format_not_found_hint(location: Path) -> str:
    if "%" in location.name:
        return "Check the number of digits and the suffix."
    return f"Supported are {', '.join(SEQUENCE_SUFFIXES)}."


def _find_gap(before: _NumberedFile, after: _NumberedFile) -> _Gap | None:
    count = after.number - before.number - 1
    return _Gap(before.path, after.path, before.number + 1, count) if after.is_continuation_of(before) and count > 0 else None


def _make_gap_error(missing: Sequence[_Gap]) -> MediaError:
    first = missing[0]
    rest = "" if sum(hole.count for hole in missing) == 1 else f" {_describe_gaps(missing)}."
    return MediaError(
        f"{first.before.parent}: number {first.first} is missing, between {first.before.name} and {first.after.name}.{rest}",
        "Restore that image, or choose how to handle gaps, on the node or with --set: SequenceIn.gaps='keep time' extends the "
        "image before them, 'close up' makes the video shorter.",
        path=first.before,
    )


def _describe_gaps(gaps: Sequence[_Gap]) -> str:
    total = sum(hole.count for hole in gaps)
    listed = [str(hole.first) for hole in gaps[:_MAX_LISTED]]
    listed += ["..."] if total > len(listed) else []
    return f"{gaps[0].before.parent}: {_format_count(total)} no image ({', '.join(listed)})"


def _format_count(numbers: int) -> str:
    return f"{numbers} numbers have" if numbers != 1 else "1 number has"


def _check_same_format(path: Path, pixels: Samples, size: Size, dtype: np.dtype[np.uint8] | np.dtype[np.uint16]) -> None:
    own = Size(pixels.shape[1], pixels.shape[0])
    if own != size or pixels.dtype != dtype:
        found, expected = f"{own} with {8 * pixels.itemsize} bits", f"{size} with {8 * dtype.itemsize}"
        what = f"{path.name} is {found}, the images before it are {expected}."
        raise MediaError(what, "Remove it, or convert it.", path=path)


def _match_alpha(path: Path, pixels: Samples, *, has_alpha: bool) -> Samples:
    """Return ``pixels`` with alpha, or without. Raises ``MediaError`` if they are transparent and may not be."""
    opaque = np.iinfo(pixels.dtype).max
    if has_alpha and pixels.shape[2] == 3:
        return cast("Samples", np.dstack((pixels, np.full(pixels.shape[:2], opaque, pixels.dtype))))
    if not has_alpha and pixels.shape[2] == 4:
        if (pixels[:, :, 3] != opaque).any():
            raise MediaError(f"{path.name} has transparent pixels, and the first image has no alpha.", "Add alpha to that one.")
        return pixels[:, :, :3]
    return pixels


def compute_sequence_fingerprint(location: Path) -> str:
    """Return a fingerprint of the images of a folder or pattern."""
    return _compute_identity([SequenceFrame(path, number) for number, path in enumerate(find_images(location))])


def _compute_identity(images: Sequence[SequenceFrame]) -> str:
    """Return a hash of names, times, file lengths and dates: hashing the content would mean reading every image twice."""
    digest = hashlib.sha256()
    for each in images:
        path = each.path
        try:
            state = path.stat()
        except OSError as error:
            what = f"{path} cannot be read: {error.strerror}."
            raise MediaError(what, "Check the name and its folder.", path=path) from error
        digest.update(f"{path.name}\0{each.frame_index}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return f"{len(images)} pictures:{digest.hexdigest()}"
