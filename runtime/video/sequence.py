"""Numbered pictures as a film."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import MediaError, OutputError, WorkflowError
from ..frames.geometry import Size
from ..frames.stream import Colour, Frame, FrameStream, Samples, VideoInfo
from .prefetch import prefetch

ReadPicture = Callable[[Path], Samples]
"""A picture file as (H, W, 3) R'G'B' in full range, uint8 or uint16. Raises ``MediaError``."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".exr", ".jxl", ".avif", ".bmp")
PICTURE_COLOUR = Colour("gbr", "pc", "iec61966-2-1", "bt709", guessed=("transfer", "primaries"))
"""What pictures are taken as: sRGB in full range."""
_NTSC = Fraction(1000, 1001)
NUMBER = re.compile(r"%(?:0(\d+))?d(?!ay%)")
"""A number in a name, as ``%d`` or ``%05d``; not the day, which is ``%day%``. Group 1 holds its digits."""
_DIGITS = re.compile(r"(\d+)")
_GAPS_NAMED = 5

Gaps = Literal["refuse", "keep time", "close up"]
"""What becomes of numbers that have no picture: no film, the picture before stands as long, or what follows comes earlier."""


@dataclass(frozen=True)
class Numbered:
    """A picture of a series, and the frame of the film that it is."""

    path: Path
    time: int
    """In frames from the first picture on."""


@dataclass(frozen=True)
class _Found:
    """A picture and its number, among those whose ``others``, the further numbers in their names, are the same."""

    path: Path
    number: int
    others: tuple[int, ...] = ()

    def follows(self, before: _Found) -> bool:
        return self.others == before.others


@dataclass(frozen=True)
class _Hole:
    """``count`` numbers from ``first`` on that have no picture."""

    before: Path
    after: Path
    first: int
    count: int


def series(place: Path, gaps: Gaps = "refuse", *, say: Callable[[str], None] = lambda _: None) -> list[Numbered]:
    """The pictures that ``find`` finds, with the times that ``gaps`` gives them.

    ``say`` is told which numbers are missing where they are lived with. Raises ``MediaError`` as ``find`` does, and for missing
    numbers where they are refused, with the first of them.
    """
    found = _found(place)
    holes = [hole for before, after in pairwise(found) if (hole := _hole_between(before, after))]
    if holes and gaps == "refuse":
        raise _refused(holes)
    if holes:
        then = "the film closes up" if gaps == "close up" else "the pictures before them stand as long"
        say(f"{_missing(holes)}; {then}.")
    numbers = [each.number for each in found]
    rising = all(after.follows(before) and after.number > before.number for before, after in pairwise(found))
    times = [number - numbers[0] for number in numbers] if gaps == "keep time" and rising else range(len(found))
    return [Numbered(each.path, time) for each, time in zip(found, times, strict=True)]


def find(place: Path) -> list[Path]:
    """The pictures of a folder, or those that a pattern such as ``shots/frame_%05d.png`` stands for, in natural order.

    ``%d`` stands for any number, ``%05d`` for one of at least five digits. Numbers may begin anywhere. A folder must hold one
    series only: one kind of file, names that differ in numbers.
    Raises ``MediaError`` when there is no such folder, no picture, or more than one series.
    """
    return [each.path for each in _found(place)]


def _found(place: Path) -> list[_Found]:
    pattern = NUMBER.search(place.name)
    folder = place.parent if pattern else place
    if not folder.is_dir():
        kind = "a file, not a folder" if folder.exists() else "not there"
        raise MediaError(f"{folder} is {kind}.", "Give a folder of pictures, or a pattern such as frame_%05d.png.", path=folder)
    found = _matching(folder, place.name, pattern) if pattern else _only_series(folder)
    if not found:
        raise MediaError(f"There is no picture {place.name + ' ' if pattern else ''}in {folder}.", _hint_for(place), path=place)
    return found


def number_in(pattern: Path) -> re.Match[str]:
    """The place of the number in ``frame_%05d.png``; group 1 holds its digits. Raises ``OutputError``."""
    match = NUMBER.search(pattern.name)
    if match is None:
        raise OutputError(
            f"{pattern.name} names one picture, not a series of them.", "Put a number into it: frame_%05d.png.", path=pattern
        )
    return match


def usual_rate(rate: float | Fraction) -> Fraction:
    """Frames per second as a fraction: 23.976 and its like are the NTSC rates, 24000/1001. Raises ``WorkflowError``."""
    if not 0 < rate < 100_000:
        raise WorkflowError(
            f"The frame rate is {float(rate):g}.", "Give more than 0 frames per second.", input_name="frame_rate"
        )
    ntsc = round(rate) * _NTSC
    return ntsc if round(rate) >= 24 and abs(rate - ntsc) < Fraction(1, 200) else Fraction(rate).limit_denominator(1001)


def pictures_between(rate: Fraction, start: Fraction, duration: Fraction | None) -> slice:
    """The numbers of the pictures that begin from ``start`` on, up to but without ``start + duration`` (None: to the end)."""
    return slice(ceil(start * rate), None if duration is None else ceil((start + duration) * rate))


def part_of(pictures: Sequence[Numbered], rate: Fraction, start: Fraction, duration: Fraction | None) -> list[Numbered]:
    """Those that begin in this time, with times counted from its beginning."""
    window = pictures_between(rate, start, duration)
    inside = range(pictures[-1].time + 1)[window] if pictures else range(0)
    return [Numbered(each.path, each.time - window.start) for each in pictures if each.time in inside]


def open_sequence(pictures: Sequence[Numbered], frame_rate: Fraction, read_picture: ReadPicture) -> FrameStream:
    """The pictures as a film; ``pts`` count frames of ``frame_rate``. ``pictures`` in order, as ``series`` gives them.

    The first picture is read at once: its size and depth are those of the film. A later one of another size or depth raises
    ``MediaError`` with its name when it is reached. Colour is taken as sRGB in full range, which picture files are.
    """
    if frame_rate <= 0:
        raise WorkflowError(f"The frame rate is {frame_rate}.", "Give more than 0 frames per second.", input_name="frame_rate")
    if not pictures:
        raise MediaError("The film has no pictures.", "Give at least one.")
    first = read_picture(pictures[0].path)
    size, dtype = Size(first.shape[1], first.shape[0]), first.dtype
    ends = [each.time for each in pictures[1:]] + [pictures[-1].time + 1]
    info = VideoInfo(
        size=size,
        frame_rate=frame_rate,
        time_base=1 / frame_rate,
        frame_count=len(pictures),
        frame_count_from="files",
        duration=ends[-1] / frame_rate,
        colour=PICTURE_COLOUR,
        bits=8 * dtype.itemsize,
        pictures=tuple(each.path for each in pictures),
        identity=_identity(pictures),
    )

    def frame(number: int) -> Frame:
        each = pictures[number]
        pixels = read_picture(each.path)
        _check(each.path, pixels, size, dtype)
        return Frame(pixels, each.time, ends[number] - each.time, 1 / frame_rate)

    def frames(start: int = 0) -> Iterator[Frame]:
        numbers = range(start, len(pictures))
        with closing(prefetch(lambda: map(frame, numbers), lambda made: made.pixels.nbytes, name="read pictures")) as ahead:
            yield from ahead

    return FrameStream(info, frames, frames)


def _matching(folder: Path, name: str, number: re.Match[str]) -> list[_Found]:
    digits = f"\\d{{{number[1]},}}" if number[1] else "\\d+"
    whole = re.compile(f"{re.escape(name[: number.start()])}({digits}){re.escape(name[number.end() :])}")
    matches = ((path, whole.fullmatch(path.name)) for path in folder.iterdir())
    found = [_Found(path, int(match[1])) for path, match in matches if match and path.is_file()]
    return sorted(found, key=lambda each: (each.number, each.path))


def _only_series(folder: Path) -> list[_Found]:
    files = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    paths = sorted((path for path in files if not path.name.startswith(".")), key=_natural)
    kinds = {_DIGITS.sub("#", path.name) for path in paths}
    if len(kinds) > 1:
        shown = ", ".join(sorted(kinds)[:_GAPS_NAMED])
        hint = "Give a pattern such as frame_%05d.png to choose one of them."
        raise MediaError(f"{folder} holds more than one series of pictures (# is a number): {shown}.", hint, path=folder)
    return _counted_by_what_varies(paths)


def _counted_by_what_varies(paths: list[Path]) -> list[_Found]:
    """Pictures whose names differ in numbers only; the last of those that are not the same in all names counts."""
    names = [_natural(path)[0] for path in paths]
    varies = [index for index, column in enumerate(zip(*names, strict=True)) if len(set(column)) > 1]
    which = varies[-1] if varies else -1
    return [
        _Found(path, numbers[which] if numbers else 0, tuple(numbers[index] for index in varies[:-1]))
        for path, numbers in zip(paths, names, strict=True)
    ]


def _natural(path: Path) -> tuple[list[int], str]:
    """The order of the numbers in a name; the name itself where these are the same (1.png and 01.png)."""
    return [int(digits) for digits in _DIGITS.findall(path.name)], path.name


def _hint_for(place: Path) -> str:
    return f"Readable are {', '.join(SUFFIXES)}." if "%" not in place.name else "Check the number of digits and the ending."


def _hole_between(before: _Found, after: _Found) -> _Hole | None:
    count = after.number - before.number - 1
    return _Hole(before.path, after.path, before.number + 1, count) if after.follows(before) and count > 0 else None


def _refused(holes: Sequence[_Hole]) -> MediaError:
    first = holes[0]
    rest = "" if sum(hole.count for hole in holes) == 1 else f" {_missing(holes)}."
    return MediaError(
        f"{first.before.parent}: number {first.first} is missing, between {first.before.name} and {first.after.name}.{rest}",
        "Make that picture again, or choose what becomes of gaps, on the node or with --set: SequenceIn.gaps='keep time' lets "
        "the picture before stand as long, 'close up' makes the film shorter.",
        path=first.before,
    )


def _missing(holes: Sequence[_Hole]) -> str:
    missing = sum(hole.count for hole in holes)
    named = [str(hole.first) for hole in holes[:_GAPS_NAMED]]
    named += ["..."] if missing > len(named) else []
    return f"{holes[0].before.parent}: {_counted(missing)} no picture ({', '.join(named)})"


def _counted(numbers: int) -> str:
    return f"{numbers} numbers have" if numbers != 1 else "1 number has"


def _check(path: Path, pixels: Samples, size: Size, dtype: np.dtype[np.uint8] | np.dtype[np.uint16]) -> None:
    own = Size(pixels.shape[1], pixels.shape[0])
    if own != size or pixels.dtype != dtype:
        is_, was = f"{own} with {8 * pixels.itemsize} bits", f"{size} with {8 * dtype.itemsize}"
        raise MediaError(f"{path.name} is {is_}, the pictures before it are {was}.", "Leave it out, or convert it.", path=path)


def fingerprint(place: Path) -> str:
    """What changes when the pictures of a folder or pattern do."""
    return _identity([Numbered(path, number) for number, path in enumerate(find(place))])


def _identity(pictures: Sequence[Numbered]) -> str:
    """Names, times, and contents' lengths and dates: reading every picture twice would cost more than it tells."""
    digest = hashlib.sha256()
    for each in pictures:
        path = each.path
        try:
            state = path.stat()
        except OSError as error:
            raise MediaError(
                f"{path} cannot be read: {error.strerror}.", "Check the name and its folder.", path=path
            ) from error
        digest.update(f"{path.name}\0{each.time}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return f"{len(pictures)} pictures:{digest.hexdigest()}"
