"""A video as a value: its properties, and a recipe for its frames that can be opened any number of times.

Nothing is decoded until a sink opens the recipe, and then frame by frame: memory does not grow with the video's length.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .geometry import Region, Size

Samples = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class ColorInfo:
    """How codes map to colors, by the names of ``ffprobe`` (color_space, color_range, color_transfer, color_primaries)."""

    matrix: str = "bt709"
    range: Literal["tv", "pc"] = "tv"
    transfer: str = "bt709"
    primaries: str = "bt709"
    guessed_fields: tuple[str, ...] = ()
    """Names of the fields that the file leaves open and the usual rule gave (BT.709 from 720 lines or 1280 columns on)."""

    @property
    def is_hdr(self) -> bool:
        """PQ (HDR10) or HLG."""
        return self.transfer in ("smpte2084", "arib-std-b67")


@dataclass(frozen=True)
class MasteringDisplay:
    """The display that an HDR video was mastered on, SMPTE ST 2086: CIE 1931 x and y; luminance in cd/m2."""

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    min_luminance: Fraction
    max_luminance: Fraction


class FrameTimesUnknown(Exception):
    """The times of frames, or a frame's place, are known only after decoding; the text is the reason."""


@dataclass(frozen=True)
class VideoInfo:
    """The properties of a video that are known before its frames are decoded."""

    size: Size
    """As displayed: rotation applied, pixels not yet made square."""
    frame_rate: Fraction
    """Average frames per second; single frames may differ."""
    time_base: Fraction
    """Seconds per unit of ``Frame.pts``."""
    frame_count: int | None
    """None when it is known only after decoding."""
    frame_count_source: Literal["header", "duration", "files", "unknown"]
    duration: Fraction | None
    """Seconds."""
    color: ColorInfo
    bit_depth: int
    """Per component of the source: 8, 10, 12 or 16. Frames may have more."""
    pixel_aspect: Fraction = Fraction(1)
    source: Path | None = None
    """The file whose audio, subtitles, chapters and tags are copied to the output; None for images."""
    sequence_files: tuple[Path, ...] = ()
    """The files of an image sequence."""
    start: Fraction = Fraction(0)
    """Seconds on the clock of ``source`` at which ``Frame.pts`` is 0. With ``end`` it limits the audio and subtitles to copy.
    0 leaves every time unchanged, even those of a source whose clock begins later (MPEG-TS)."""
    end: Fraction | None = None
    """Seconds on the clock of ``source`` at which the last frame ends; None for the end of the file."""
    audio_streams: int = 0
    subtitle_streams: int = 0
    play_count: int = 0
    """How often an animated image is shown; 0 is for ever."""
    has_alpha: bool = False
    """Frames have a fourth channel, straight alpha."""
    mastering_display: MasteringDisplay | None = None
    """HDR10: the display that the video was mastered on."""
    content_light: tuple[int, int] | None = None
    """HDR10: the brightest pixel and the brightest frame average (MaxCLL and MaxFALL of CTA-861.3), in cd/m2."""
    identity: str = ""
    """Fingerprint of the source and of every step so far: equal identities give equal frames. Resuming relies on it."""
    list_pts: Callable[[], Iterator[int]] | None = field(default=None, compare=False, repr=False)
    """Yields ``Frame.pts`` of every frame without decoding. Raises ``FrameTimesUnknown``; None where times cannot be listed."""


@dataclass(frozen=True)
class PlaneLayout:
    """The planes Y', Cb and Cr that an encoder takes, to be made of R'G'B' in full range."""

    size: Size
    """Of the luma plane: that of the frame, or one column or row more, which repeats the last one."""
    bit_depth: int
    horizontal_factor: int
    """Luma columns for each chroma sample, which is sited on the first; luma rows below, between which it is sited."""
    vertical_factor: int
    matrix: tuple[tuple[float, ...], ...]
    """3x4: from (R', G', B', 1) in 0..1 to codes before rounding."""
    is_interleaved: bool = False
    """Cb and Cr alternate in one plane, and deeper samples are in the upper bits of 16 (NV12, P010)."""

    @property
    def chroma_size(self) -> Size:
        return Size(-(-self.size.width // self.horizontal_factor), -(-self.size.height // self.vertical_factor))

    @property
    def frame_bytes(self) -> int:
        return (self.size.pixel_count + 2 * self.chroma_size.pixel_count) * (1 if self.bit_depth == 8 else 2)


@dataclass(frozen=True)
class DecodedLayout:
    """How R'G'B' in full range is made of three decoded planes, of which the last two may be smaller."""

    size: Size
    """Of the first plane."""
    bit_depth: int
    row_kernels: tuple[tuple[float, ...], ...]
    """For each luma row of a chroma row, the weights of the chroma rows -2..2 around it; one kernel where there are as many."""
    column_kernels: tuple[tuple[float, ...], ...]
    matrix: tuple[tuple[float, ...], ...]
    """3x4: from samples in the upper bits of 16, and 1, to codes before rounding."""


@dataclass(frozen=True, eq=False)
class Frame:
    """The pixels of one frame and its time.

    ``pixels`` is (H, W, 3) R'G'B' in full range, encoded by the source's transfer function: uint8, or uint16 over 0..65535.
    Where ``VideoInfo.has_alpha`` it is (H, W, 4), alpha is straight. They are lent: a consumer that keeps a frame beyond the
    next one copies it.
    """

    pixels: Samples
    pts: int
    duration: int
    """In units of ``time_base``; 0 when unknown."""
    time_base: Fraction
    is_repeat: bool = False
    """The pixels equal those of the frame before and were not computed again."""

    @property
    def seconds(self) -> Fraction:
        return self.pts * self.time_base

    @property
    def size(self) -> Size:
        height, width = self.pixels.shape[:2]
        return Size(width, height)

    def find_samples(self, region: Region | None = None) -> tuple[Samples, ...]:
        """Return views of all that the pixels of ``region``, or of the frame, are made of."""
        return (self.pixels[region.rows, region.columns] if region else self.pixels,)

    def is_same(self, other: Frame, region: Region | None = None) -> bool:
        """Whether both frames have the same samples in ``region``, and so the same pixels."""
        return all(map(np.array_equal, self.find_samples(region), other.find_samples(region)))

    def keep(self, pixels_of: Frame | None = None) -> Frame:
        """Return this frame with pixels of its own, or with those of ``pixels_of``, which equal them."""
        pixels = pixels_of.pixels if pixels_of else self.pixels.copy()
        return Frame(pixels, self.pts, self.duration, self.time_base, self.is_repeat)


class PlanarFrame(Frame):
    """A decoded frame whose ``pixels`` are made of its ``planes`` when they are first read. The planes are its own."""

    layout: DecodedLayout
    planes: tuple[Samples, ...]
    _convert: Callable[[], Samples]

    def __init__(
        self,
        layout: DecodedLayout,
        planes: tuple[Samples, ...],
        convert: Callable[[], Samples],
        pts: int,
        duration: int,
        time_base: Fraction,
    ) -> None:
        # A frame is frozen, and ``pixels`` must stay unset.
        vars(self).update(layout=layout, planes=planes, _convert=convert, pts=pts, duration=duration, time_base=time_base)

    @cached_property
    def pixels(self) -> Samples:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._convert()

    @property
    def size(self) -> Size:
        return self.layout.size

    def find_samples(self, region: Region | None = None) -> tuple[Samples, ...]:
        if region is None:
            return self.planes
        down, across = len(self.layout.row_kernels), len(self.layout.column_kernels)
        rows = slice(max(region.y // down - 2, 0), (region.bottom - 1) // down + 3)
        columns = slice(max(region.x // across - 2, 0), (region.right - 1) // across + 3)
        return (self.planes[0][region.rows, region.columns], *(plane[rows, columns] for plane in self.planes[1:]))

    def is_same(self, other: Frame, region: Region | None = None) -> bool:
        return isinstance(other, PlanarFrame) and self.layout == other.layout and super().is_same(other, region)

    def keep(self, pixels_of: Frame | None = None) -> Frame:
        return self


class DeviceImage(Protocol):
    """(H, W, 3) R'G'B' in full range, uint16 over 0..65535, in the memory of a device. Valid until the next frame is read."""

    @property
    def size(self) -> Size: ...

    def download(self) -> Samples:
        """Wait for the device and return the pixels in host memory."""
        ...

    def download_planes(self, layout: PlaneLayout) -> Callable[[], Sequence[Samples]]:
        """Start to convert and to download. The function returned waits, in any thread, and returns what stays valid."""
        ...

    def lend_planes(self, layout: PlaneLayout) -> Callable[[], Sequence[Any]]:
        """Start to convert. The function returned waits, in a thread whose device it then is, and returns planes there.

        They support DLPack, and stay valid until the last reference to them is gone. ``layout`` is interleaved.
        """
        ...


class DeviceFrame(Frame):
    """A frame in the memory of a device; ``pixels`` are downloaded when they are first read."""

    image: DeviceImage

    def __init__(self, image: DeviceImage, pts: int, duration: int, time_base: Fraction, is_repeat: bool = False) -> None:
        # A frame is frozen, and ``pixels`` must stay unset.
        vars(self).update(image=image, pts=pts, duration=duration, time_base=time_base, is_repeat=is_repeat)

    @cached_property
    def pixels(self) -> Samples:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.image.download()

    @property
    def size(self) -> Size:
        return self.image.size


class FrameNumber(int):
    """The number of a frame to begin with, and the times that an earlier run saw: a reader finds the frame by them.

    A number without times is found by counting, which a damaged packet before it would mislead.
    """

    seconds_before: Fraction
    """Of the frame before it."""
    seconds: Fraction

    @classmethod
    def at(cls, number: int, seconds_before: Fraction, seconds: Fraction) -> FrameNumber:
        """Return ``number`` with the times of the frame before it and its own."""
        found = cls(number)
        found.seconds_before, found.seconds = seconds_before, seconds
        return found


@dataclass(frozen=True, eq=False)
class VideoStream:
    """A recipe for frames: ``open()`` decodes from the beginning each time; closing the iterator stops its threads."""

    info: VideoInfo
    open: Callable[[], Iterator[Frame]]
    open_at: Callable[[int], Iterator[Frame]] | None = None
    """Opens at a frame number: earlier frames are decoded at most. None: frames before it are made and dropped."""
    open_planes_at: Callable[[int], Iterator[Frame]] | None = None
    """The same, with ``PlanarFrame`` where it can: for those who convert them elsewhere."""
    variants: Mapping[str, Callable[[], VideoStream]] = field(default_factory=dict[str, Callable[[], "VideoStream"]])
    """By identity, streams that differ in rounding alone: one of them may be what an interrupted run began with."""

    def find_variant(self, identity: object) -> VideoStream:
        """Return the variant of that identity; this stream where there is none."""
        make = self.variants.get(identity) if isinstance(identity, str) else None
        return make() if make else self

    @contextmanager
    def frames(self, first_frame: int = 0, *, planes: bool = False) -> Generator[Iterator[Frame]]:
        """Open the frames from ``first_frame`` on (0 is the first one) by the fastest way; close them after the block.

        With ``planes`` they may be ``PlanarFrame``.
        """
        open_at = (self.open_planes_at if planes else None) or self.open_at
        skipped = 0 if open_at else first_frame
        opened = open_at(first_frame) if open_at and (first_frame or open_at is not self.open_at) else self.open()
        try:
            yield islice(opened, skipped, None) if skipped else opened
        finally:
            if isinstance(opened, Generator):
                opened.close()

    def map(self, change: Callable[[Frame], Frame], identity: str, **info: Any) -> VideoStream:
        """Return the stream with ``change`` applied to every frame that is not skipped.

        ``identity`` names the change and its settings; ``info`` are fields of ``VideoInfo`` that it changes.
        """
        mapped_info = replace(self.info, identity=f"{self.info.identity} | {identity}", **info)

        def open_at(first_frame: int = 0) -> Iterator[Frame]:
            with self.frames(first_frame) as frames:
                yield from map(change, frames)

        return VideoStream(mapped_info, open_at, open_at)
