"""A film as a value: what it is, and a recipe for its frames that can be opened as often as somebody wants them.

Nothing is decoded until a sink opens the recipe, and then one frame after the other; memory does not grow with the film.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .geometry import Size

Samples = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class ColorInfo:
    """How numbers mean colours, in the words of ``ffprobe`` (color_space, color_range, color_transfer, color_primaries)."""

    matrix: str = "bt709"
    range: Literal["tv", "pc"] = "tv"
    transfer: str = "bt709"
    primaries: str = "bt709"
    guessed_fields: tuple[str, ...] = ()
    """Which of the four the file does not say: the usual rule gave them (BT.709 from 720 lines or 1280 columns on)."""

    @property
    def is_hdr(self) -> bool:
        """PQ (HDR10) or HLG."""
        return self.transfer in ("smpte2084", "arib-std-b67")


@dataclass(frozen=True)
class MasteringDisplay:
    """The screen that an HDR film was made on, SMPTE ST 2086: CIE 1931 x and y, and cd/m2."""

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    min_luminance: Fraction
    max_luminance: Fraction


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a film before a frame is decoded."""

    size: Size
    """As shown: rotation applied, pixels not yet made square."""
    frame_rate: Fraction
    """Average frames per second; single frames may lie elsewhere."""
    time_base: Fraction
    """Seconds per unit of ``Frame.pts``."""
    frame_count: int | None
    """None when only decoding could tell."""
    frame_count_source: Literal["header", "duration", "files", "unknown"]
    duration: Fraction | None
    """Seconds."""
    color: ColorInfo
    bit_depth: int
    """Per component of the source: 8, 10, 12 or 16. Frames may have more."""
    pixel_aspect: Fraction = Fraction(1)
    source: Path | None = None
    """The file whose sound, subtitles, chapters and tags go along; None for pictures."""
    sequence_files: tuple[Path, ...] = ()
    """The files of a film of numbered pictures."""
    start: Fraction = Fraction(0)
    """Where on the clock of ``source``, in seconds, the zero of ``Frame.pts`` lies. With ``end`` it is the part of sound and
    subtitles to take. 0 leaves every time as it stands, even those of a source whose clock begins later (MPEG-TS)."""
    end: Fraction | None = None
    """Where on the clock of ``source``, in seconds, the last frame ends; None for the end of the file."""
    audio_streams: int = 0
    subtitle_streams: int = 0
    mastering_display: MasteringDisplay | None = None
    """HDR10: what the file says of the screen it was made on."""
    content_light: tuple[int, int] | None = None
    """HDR10: the brightest pixel and the brightest frame's average (MaxCLL and MaxFALL of CTA-861.3), in cd/m2."""
    identity: str = ""
    """A fingerprint of the source and of every step so far: equal identities give equal frames. Resuming relies on it."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture and its time, which never part.

    ``pixels`` is (H, W, 3) R'G'B' in full range, as the source's transfer encodes it: uint8, or uint16 over 0..65535. They are
    lent: whoever keeps a frame beyond the next one copies it.
    """

    pixels: Samples
    pts: int
    duration: int
    """In units of ``time_base``; 0 when it is not known."""
    time_base: Fraction
    is_repeat: bool = False
    """The pixels are those of the frame before, and whoever made them did not make them twice."""

    @property
    def seconds(self) -> Fraction:
        return self.pts * self.time_base


@dataclass(frozen=True, eq=False)
class VideoStream:
    """A recipe: ``open()`` decodes anew each time; closing the iterator early stops whatever works behind it."""

    info: VideoInfo
    open: Callable[[], Iterator[Frame]]
    open_at: Callable[[int], Iterator[Frame]] | None = None
    """The same film from this frame number on: earlier frames are at most decoded. None: there is no short cut."""

    def frames(self, first_frame: int = 0) -> Iterator[Frame]:
        """The film from frame ``first`` on (0 is the very first one), by the shortest way there is."""
        if first_frame == 0:
            return self.open()
        return self.open_at(first_frame) if self.open_at else islice(self.open(), first_frame, None)

    def map(self, change: Callable[[Frame], Frame], identity: str, **info: Any) -> VideoStream:
        """The same film with every frame changed. ``identity`` names the change and its settings; ``info`` what it makes of it.

        ``change`` sees no frame that ``open_at`` skips.
        """
        mapped_info = replace(self.info, identity=f"{self.info.identity} | {identity}", **info)

        def open_at(first_frame: int = 0) -> Iterator[Frame]:
            for frame in self.frames(first_frame):
                yield change(frame)

        return VideoStream(mapped_info, open_at, open_at)
