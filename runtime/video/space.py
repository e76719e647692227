"""Whether a film fits on the disk: an estimate before, what the first segments say later."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from ..errors import OutputError
from ..frames.geometry import Size
from .encoders import Encoding
from .journal import Segment

_COPIES = 2
"""The segments, and the film that is joined from them, lie on the disk together for a while."""
_RESERVE = 32 << 20
_PICTURES_THAT_TELL = 3
_UNSURE = 4
"""How far content can lie below the estimate for a quality setting: a still title against grain."""
_SHARE: Mapping[str, float] = {
    ".png": 0.4,
    ".tif": 0.4,
    ".tiff": 0.4,
    ".webp": 0.3,
    ".jxl": 0.3,
    ".jpg": 0.1,
    ".jpeg": 0.1,
    ".avif": 0.03,
    ".exr": 0.6,
}
"""Of the bytes of its samples, what a picture file of 8 bits (EXR: of half floats) takes: an enlarged photo, as this project
writes them."""
_DEEP_SHARE = 0.8
"""The same with more bits, the lower ones of which are noise."""


class Say(Protocol):
    def __call__(self, text: str, /) -> None: ...


def size_text(count: float) -> str:
    """1536000 -> ``1.5 MB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def estimated_bytes(encoding: Encoding, size: Size, frames: int, frame_rate: Fraction) -> float:
    """Of the finished film's picture track."""
    if encoding.bitrate:
        return float(encoding.bitrate / 8 * frames / frame_rate)
    return encoding.encoder.bits_per_pixel * size.pixels * frames / 8


def check_before(folder: Path, encoding: Encoding, size: Size, frames: int, frame_rate: Fraction, say: Say) -> None:
    """Say what the film will take. Raises ``OutputError`` when it cannot fit even if it turns out small."""
    expected = estimated_bytes(encoding, size, frames, frame_rate)
    free = shutil.disk_usage(folder).free
    least = _COPIES * expected / (1 if encoding.bitrate else _UNSURE)
    if least > free:
        raise _too_small(folder, least, free, "at least ")
    text = (
        f"The film will take roughly {size_text(expected)}, and as much again until it is joined; {size_text(free)} are free."
    )
    if _COPIES * expected > free:
        text += " That may not be enough."
    say(text)


class SpaceWatch:
    """Called after every segment with what it took."""

    def __init__(self, folder: Path, frames: int | None, done: list[Segment], say: Say) -> None:
        self._folder, self._frames, self._say = folder, frames, say
        self._bytes = sum(segment.bytes for segment in done)
        self._done = sum(segment.frames for segment in done)
        self._measured = 0
        self._warned = False

    def __call__(self, segment: Segment) -> None:
        """Raises ``OutputError`` when the rest will not fit, going by half of what the film took so far, or not even the next
        segment will."""
        self._bytes += segment.bytes
        self._done += segment.frames
        self._measured += 1
        free = shutil.disk_usage(self._folder).free
        if free < 2 * segment.bytes + _RESERVE:
            raise _too_small(self._folder, 2 * segment.bytes + _RESERVE, free, "for the next part ")
        if self._frames is None or self._measured < 2:
            return
        # The final file needs room for all of the film, the segments for what is still missing.
        rest = self._bytes / self._done * max(0, self._frames - self._done)
        needed = rest * _COPIES + self._bytes
        if needed / 2 > free:
            raise _too_small(self._folder, needed, free, "about ")
        if needed > free and not self._warned:
            self._warned = True
            self._say(f"The disk may become too small: about {size_text(needed)} are needed and {size_text(free)} are free.")


def check_pictures_before(folder: Path, suffix: str, size: Size, bits: int, frames: int, say: Say) -> None:
    """Say what numbered pictures will take. Raises ``OutputError`` when they cannot fit even if they turn out small."""
    share = _DEEP_SHARE if bits > (16 if suffix == ".exr" else 8) else _SHARE.get(suffix, _DEEP_SHARE)
    expected = share * size.pixels * 3 * bits / 8 * frames
    free = shutil.disk_usage(folder).free
    if expected / _UNSURE > free:
        raise _too_small(folder, expected / _UNSURE, free, "at least ")
    _say_what_it_takes("The pictures will take roughly", expected, expected, free, say)


def _say_what_it_takes(how: str, whole: float, needed: float, free: int, say: Say) -> None:
    text = f"{how} {size_text(whole)}; {size_text(free)} are free."
    say(text + (" That may not be enough." if needed > free else ""))


class PictureSpace:
    """Called after every picture of a series with what it took; ``missing`` are still to be made, None: nobody knows."""

    def __init__(self, folder: Path, missing: int | None, say: Say) -> None:
        self._folder, self._missing, self._say = folder, missing, say
        self._bytes = self._done = 0
        self._said = False

    def __call__(self, length: int) -> None:
        """Raises ``OutputError`` when the next ones will not fit, or, going by half of what they took so far, the rest."""
        self._bytes += length
        self._done += 1
        free = shutil.disk_usage(self._folder).free
        if free < 2 * length + _RESERVE:
            raise _too_small(self._folder, 2 * length + _RESERVE, free, "for the next pictures ")
        if self._missing is None or self._done < _PICTURES_THAT_TELL:
            return
        needed = self._bytes / self._done * max(0, self._missing - self._done)
        if needed / 2 > free:
            raise _too_small(self._folder, needed, free, "about ")
        if not self._said:
            self._said = True
            whole = self._bytes / self._done * self._missing
            _say_what_it_takes("Going by the first pictures, all will take roughly", whole, needed, free, self._say)


def check_join(folder: Path, segments: list[Segment]) -> None:
    """Raises ``OutputError`` when the joined film will not fit beside its segments."""
    needed = sum(segment.bytes for segment in segments) + _RESERVE // 8
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise _too_small(folder, needed, free, "for joining the film ")


def _too_small(folder: Path, needed: float, free: float, how: str) -> OutputError:
    return OutputError(
        f"The disk of {folder.name.removesuffix('.parts')} is too small: {how}{size_text(needed)} are needed and "
        f"{size_text(free)} are free.",
        "Free some space or write to another disk. What is finished is kept: the same command goes on from there.",
        path=folder,
    )
