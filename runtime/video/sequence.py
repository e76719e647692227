"""Numbered pictures as a film."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path

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
_NUMBER = re.compile(r"%(?:0(\d+))?d")
_DIGITS = re.compile(r"(\d+)")
_GAPS_NAMED = 5


def find(place: Path, *, say: Callable[[str], None] = lambda _: None) -> list[Path]:
    """The pictures of a folder, or those that a pattern such as ``shots/frame_%05d.png`` stands for, in natural order.

    ``%d`` stands for any number, ``%05d`` for one of at least five digits. Numbers may begin anywhere; missing ones are told
    to ``say`` and the pictures close up. A folder must hold one series only: one kind of file, names that differ in numbers.
    Raises ``MediaError`` when there is no such folder, no picture, or more than one series.
    """
    pattern = _NUMBER.search(place.name)
    folder = place.parent if pattern else place
    if not folder.is_dir():
        kind = "a file, not a folder" if folder.exists() else "not there"
        raise MediaError(f"{folder} is {kind}.", "Give a folder of pictures, or a pattern such as frame_%05d.png.", path=folder)
    found = _matching(folder, place.name, pattern) if pattern else _only_series(folder)
    if not found:
        raise MediaError(f"There is no picture {place.name + ' ' if pattern else ''}in {folder}.", _hint_for(place), path=place)
    _say_gaps(found, say)
    return found


def number_in(pattern: Path) -> re.Match[str]:
    """The place of the number in ``frame_%05d.png``; group 1 holds its digits. Raises ``OutputError``."""
    match = _NUMBER.search(pattern.name)
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


def open_sequence(paths: Sequence[Path], frame_rate: Fraction, read_picture: ReadPicture) -> FrameStream:
    """The pictures as a film of constant frame rate; ``pts`` count frames. ``paths`` in order, as ``find`` gives them.

    The first picture is read at once: its size and depth are those of the film. A later one of another size or depth raises
    ``MediaError`` with its name when it is reached. Colour is taken as sRGB in full range, which picture files are.
    """
    if frame_rate <= 0:
        raise WorkflowError(f"The frame rate is {frame_rate}.", "Give more than 0 frames per second.", input_name="frame_rate")
    if not paths:
        raise MediaError("The film has no pictures.", "Give at least one.")
    first = read_picture(paths[0])
    size, dtype = Size(first.shape[1], first.shape[0]), first.dtype
    info = VideoInfo(
        size=size,
        frame_rate=frame_rate,
        time_base=1 / frame_rate,
        frame_count=len(paths),
        frame_count_from="files",
        duration=len(paths) / frame_rate,
        colour=PICTURE_COLOUR,
        bits=8 * dtype.itemsize,
        identity=_identity(paths),
    )

    def frame(number: int) -> Frame:
        pixels = read_picture(paths[number])
        _check(paths[number], pixels, size, dtype)
        return Frame(pixels, number, 1, 1 / frame_rate)

    def frames(start: int = 0) -> Iterator[Frame]:
        numbers = range(start, len(paths))
        with closing(prefetch(lambda: map(frame, numbers), lambda made: made.pixels.nbytes, name="read pictures")) as ahead:
            yield from ahead

    return FrameStream(info, frames, frames)


def _matching(folder: Path, name: str, number: re.Match[str]) -> list[Path]:
    digits = f"\\d{{{number[1]},}}" if number[1] else "\\d+"
    whole = re.compile(f"{re.escape(name[: number.start()])}({digits}){re.escape(name[number.end() :])}")
    numbered = [(int(match[1]), path) for path in folder.iterdir() if (match := whole.fullmatch(path.name)) and path.is_file()]
    return [path for _, path in sorted(numbered)]


def _only_series(folder: Path) -> list[Path]:
    files = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    kinds = {_DIGITS.sub("#", path.name) for path in files if not path.name.startswith(".")}
    if len(kinds) > 1:
        shown = ", ".join(sorted(kinds)[:_GAPS_NAMED])
        hint = "Give a pattern such as frame_%05d.png to choose one of them."
        raise MediaError(f"{folder} holds more than one series of pictures (# is a number): {shown}.", hint, path=folder)
    return sorted((path for path in files if not path.name.startswith(".")), key=_natural)


def _natural(path: Path) -> tuple[list[int], str]:
    """The order of the numbers in a name; the name itself where these are the same (1.png and 01.png)."""
    return [int(digits) for digits in _DIGITS.findall(path.name)], path.name


def _hint_for(place: Path) -> str:
    return f"Readable are {', '.join(SUFFIXES)}." if "%" not in place.name else "Check the number of digits and the ending."


def _say_gaps(paths: Sequence[Path], say: Callable[[str], None]) -> None:
    numbers = [numbers[-1] for path in paths if (numbers := _natural(path)[0])]
    missing = sum(after - before - 1 for before, after in pairwise(numbers))
    if missing > 0:
        gaps = [str(before + 1) for before, after in pairwise(numbers) if after > before + 1]
        named = ", ".join(gaps[:_GAPS_NAMED]) + (", ..." if missing > len(gaps[:_GAPS_NAMED]) else "")
        say(f"{paths[0].parent}: {_counted(missing)} no picture ({named}); the film closes up.")


def _counted(numbers: int) -> str:
    return f"{numbers} numbers have" if numbers != 1 else "1 number has"


def _check(path: Path, pixels: Samples, size: Size, dtype: np.dtype[np.uint8] | np.dtype[np.uint16]) -> None:
    own = Size(pixels.shape[1], pixels.shape[0])
    if own != size or pixels.dtype != dtype:
        is_, was = f"{own} with {8 * pixels.itemsize} bits", f"{size} with {8 * dtype.itemsize}"
        raise MediaError(f"{path.name} is {is_}, the pictures before it are {was}.", "Leave it out, or convert it.", path=path)


def fingerprint(place: Path) -> str:
    """What changes when the pictures of a folder or pattern do."""
    return _identity(find(place))


def _identity(paths: Sequence[Path]) -> str:
    """Names and contents' lengths and dates: reading every picture twice would cost more than it tells."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            state = path.stat()
        except OSError as error:
            raise MediaError(
                f"{path} cannot be read: {error.strerror}.", "Check the name and its folder.", path=path
            ) from error
        digest.update(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return f"{len(paths)} pictures:{digest.hexdigest()}"
