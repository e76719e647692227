"""A film as a recipe for its frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.error import FFmpegError

from ..errors import MediaError, WorkflowError
from ..frames.geometry import Size
from ..frames.stream import Frame, FrameStream
from .decode import decoded
from .deinterlace import full_pictures
from .excerpt import Excerpt, chosen, described, excerpt
from .pixels_in import Converter
from .prefetch import AHEAD_BYTES, prefetch
from .probe import Source, is_interlaced, look
from .timing import Timed, Trouble, in_time

Deinterlace = Literal["refuse", "bwdif", "keep"]


def open_video(
    path: Path,
    *,
    start: Fraction = Fraction(0),
    duration: Fraction | None = None,
    frame_cap: int | None = None,
    every_nth: int = 1,
    deinterlace: Deinterlace = "refuse",
    ahead_bytes: int = AHEAD_BYTES,
    say: Callable[[str], None] = lambda _: None,
) -> FrameStream:
    """The film in ``path``; nothing but its first picture is decoded yet.

    Frames are (H, W, 3) R'G'B' in full range as shown (turned, not yet made square): uint8 for sources of up to 8 bits, uint16
    over 0..65535 for deeper ones; alpha is dropped and said. PQ and HLG are handed on as they are: ``info.colour`` says so.
    A thread decodes ahead of whoever reads, by ``ahead_bytes`` of frames or by two frames, whichever is more.

    ``start`` and ``duration`` are seconds of the film, rounded to the nearest tick of its clock; frames from ``start`` up to,
    but not including, ``start + duration`` are read, exactly, wherever the key frames lie. ``every_nth`` keeps one frame in so
    many, at its own time; ``frame_cap`` then keeps the first so many. ``pts`` are the source's own, less ``info.start``, which
    stands on the source's clock: what is done to frames is right for packets of sound and subtitles too. With
    ``start=0`` nothing is taken off, not even the offset with which MPEG-TS begins.

    Interlaced films are refused, or with ``bwdif`` each pair of fields becomes a full picture, or with ``keep`` the lines are
    left as they are. Packets that do not decode are left out and counted; ``say`` is told when all frames were read.

    Raises ``MediaError`` as ``probe`` does, and while reading, with the frame's number and time, when the size or depth
    changes on the way or the file can be read no further. Raises ``WorkflowError`` for times and counts that ask for nothing.
    """
    source = look(path)
    what = excerpt(source, start, duration, frame_cap, every_nth)
    _refuse_behind_the_end(source, start, what)
    if deinterlace == "refuse" and is_interlaced(path):
        raise MediaError(
            f"{path.name} is interlaced: each picture is two half pictures taken one after the other.",
            "Set deinterlace to bwdif to make full pictures of them, or to keep to upscale the lines as they are.",
            path=path,
        )
    _say_what_is_lost(source, say)
    info = described(source, what)
    info = replace(info, identity=f"{info.identity} | interlaced {'bwdif' if deinterlace == 'bwdif' else 'as is'}")

    def frames(first: int = 0) -> Iterator[Frame]:
        name = f"decode {path.name}"
        ahead = prefetch(lambda: _read(source, what, deinterlace, first), _bytes, limit=ahead_bytes, name=name)
        with closing(ahead):
            for item in ahead:
                if isinstance(item, Frame):
                    yield item
                else:
                    say(item)

    return FrameStream(info, frames, frames)


def _refuse_behind_the_end(source: Source, start: Fraction, what: Excerpt) -> None:
    """A duration may be an estimate (MPEG-PS), so a frame is looked for before a start behind it is refused."""
    length = source.info.duration
    if not start or length is None or start < length:
        return
    with closing(decoded(source, what.first, Trouble())) as pictures:
        if next(chosen(_timed(source, pictures, Trouble()), what), None) is None:
            text = f"start is {float(start):g} s, but {source.path.name} lasts {float(length):g} s."
            raise WorkflowError(text, "Choose an earlier start.", path=source.path, input_name="start")


def _say_what_is_lost(source: Source, say: Callable[[str], None]) -> None:
    name = source.path.name
    if source.pixels.alpha:
        say(f"{name} has an alpha channel; films are upscaled without it.")
    if source.dynamic:
        say(
            f"{name} carries {' and '.join(source.dynamic)}: that belongs to its own pixels and is left out; what it says of "
            "the whole film is kept."
        )
    if source.turned_oddly:
        say(f"{name} asks to be turned by an angle that is no multiple of 90 degrees; it is read unturned.")


def _bytes(item: Frame | str) -> int:
    return item.pixels.nbytes if isinstance(item, Frame) else 0


def _read(source: Source, what: Excerpt, deinterlace: Deinterlace, first: int) -> Iterator[Frame | str]:
    """The chosen frames from number ``first`` on, then a sentence for everything that was lived with.

    Frames before ``first`` are decoded but not converted.
    """
    trouble, place = Trouble(), _Place(source, progressive=deinterlace == "refuse")
    convert = Converter(source.pixels, source.info.colour, source.siting)
    count = 0
    try:
        with closing(decoded(source, what.first, trouble)) as pictures:
            whole = full_pictures(pictures) if deinterlace == "bwdif" else pictures
            for timed in chosen(place.watch(_timed(source, whole, trouble), trouble), what):
                count += 1
                if count <= first:
                    continue
                pixels = source.orientation.apply(convert(timed.picture))
                yield Frame(pixels, timed.pts - what.shift, timed.duration, source.info.time_base)
    except FFmpegError as error:
        raise place.lost(error) from error
    if not count:
        what_ = f"{source.path.name} has no frame in the part asked for."
        raise MediaError(what_, "Choose an earlier start.", path=source.path)
    yield from trouble.sentences(source.path.name)


def _timed(source: Source, pictures: Iterable[av.VideoFrame], trouble: Trouble) -> Iterator[Timed]:
    info = source.info
    return in_time(pictures, info.time_base, info.frame_rate, trouble, decode_times=source.decode_times)


class _Place:
    """How far reading has come, to be named when something is wrong there."""

    def __init__(self, source: Source, *, progressive: bool) -> None:
        self._source = source
        self._progressive = progressive
        self._number = 0
        self._seconds = source.clock_zero

    def __str__(self) -> str:
        return f"frame {self._number} ({float(self._seconds - self._source.clock_zero):.3f} s)"

    def watch(self, frames: Iterable[Timed], trouble: Trouble) -> Iterator[Timed]:
        """The same frames; raises ``MediaError`` at the first that has another size or format than the film began with."""
        for frame in frames:
            self._number += 1
            self._seconds = frame.pts * self._source.info.time_base
            self._check(frame.picture)
            trouble.damaged += frame.picture.is_corrupt
            trouble.interlaced += self._progressive and frame.picture.interlaced_frame
            yield frame

    def _check(self, picture: av.VideoFrame) -> None:
        source, size = self._source, Size(picture.width, picture.height)
        if size == source.coded and picture.format.name == source.pixels.name:
            return
        was, now = f"{source.coded} {source.pixels.name}", f"{size} {picture.format.name}"
        raise MediaError(
            f"{source.path.name} changes from {was} to {now} at {self}.",
            "Cut the film there and upscale the parts on their own: start and duration take a part of it.",
            path=source.path,
        )

    def lost(self, error: FFmpegError) -> MediaError:
        reason = (error.strerror or str(error)).rstrip(".")
        what = f"{self._source.path.name} cannot be read past {self}: {reason}."
        return MediaError(what, "Check the disk it lies on, or copy it again.", path=self._source.path)
