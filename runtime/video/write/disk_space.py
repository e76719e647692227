"""Check whether a video fits on the disk: an estimate before, and the size of the first segments later."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

from ...errors import OutputError
from ...media import Size
from ...progress import OnMessage
from .encoding import Encoding
from .journal import Segment

_COPIES = 2
"""The segments and the video that is joined from them are on the disk together for a while."""
RESERVE_BYTES = 32 << 20
ESTIMATE_UNCERTAINTY = 4
"""How many times smaller than its estimate an output may be: a still title against grain."""


def format_bytes(byte_count: float) -> str:
    """Return ``1.5 MB`` for 1536000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if byte_count < 1000:
            return f"{byte_count:.0f} bytes" if unit == "bytes" else f"{byte_count:.1f} {unit}"
        byte_count /= 1000
    return f"{byte_count:.1f} TB"


def estimate_video_bytes(encoding: Encoding, size: Size, frames: int, frame_rate: Fraction) -> float:
    """Return the expected bytes of the finished video stream."""
    if encoding.bitrate:
        return float(encoding.bitrate / 8 * frames / frame_rate)
    return encoding.encoder.bits_per_pixel * size.pixel_count * frames / 8


def check_video_space(
    folder: Path, encoding: Encoding, size: Size, frames: int, frame_rate: Fraction, on_message: OnMessage
) -> None:
    """Report the expected size. Raises ``OutputError`` if not even a small result would fit."""
    expected_bytes = estimate_video_bytes(encoding, size, frames, frame_rate)
    free_bytes = shutil.disk_usage(folder).free
    required_bytes = _COPIES * expected_bytes / (1 if encoding.bitrate else ESTIMATE_UNCERTAINTY)
    if required_bytes > free_bytes:
        raise make_disk_too_small_error(folder, required_bytes, free_bytes, "at least ")
    text = (
        f"The video will take about {format_bytes(expected_bytes)}, and as much again until it is joined; "
        f"{format_bytes(free_bytes)} are free."
    )
    if _COPIES * expected_bytes > free_bytes:
        text += " That may not be enough."
    on_message(text)


class VideoSpaceMonitor:
    """Called after every segment with its size."""

    def __init__(self, folder: Path, frames: int | None, finished_segments: list[Segment], on_message: OnMessage) -> None:
        self._folder, self._frames, self._on_message = folder, frames, on_message
        self._written_bytes = sum(segment.bytes for segment in finished_segments)
        self._finished_frames = sum(segment.frame_count for segment in finished_segments)
        self._measured_segments = 0
        self._has_warned = False

    def __call__(self, segment: Segment) -> None:
        """Raises ``OutputError`` if the next segment will not fit, or not even half of the estimate for the rest."""
        self._written_bytes += segment.bytes
        self._finished_frames += segment.frame_count
        self._measured_segments += 1
        free_bytes = shutil.disk_usage(self._folder).free
        next_bytes = 2 * segment.bytes + RESERVE_BYTES
        if free_bytes < next_bytes:
            raise make_disk_too_small_error(self._folder, next_bytes, free_bytes, "for the next segment ")
        if self._frames is None or self._measured_segments < 2:
            return
        # The final file needs space for the whole video, the segments for what is still missing.
        remaining_bytes = self._written_bytes / self._finished_frames * max(0, self._frames - self._finished_frames)
        required_bytes = remaining_bytes * _COPIES + self._written_bytes
        if required_bytes / 2 > free_bytes:
            raise make_disk_too_small_error(self._folder, required_bytes, free_bytes, "about ")
        if required_bytes > free_bytes and not self._has_warned:
            self._has_warned = True
            needed = f"about {format_bytes(required_bytes)} are needed and {format_bytes(free_bytes)} are free"
            self._on_message(f"The disk may become too small: {needed}.")


def check_join_space(folder: Path, segments: list[Segment]) -> None:
    """Raises ``OutputError`` if the joined video will not fit beside its segments."""
    required_bytes = sum(segment.bytes for segment in segments) + RESERVE_BYTES // 8
    free_bytes = shutil.disk_usage(folder).free
    if required_bytes > free_bytes:
        raise make_disk_too_small_error(folder, required_bytes, free_bytes, "for joining the video ")


def make_disk_too_small_error(folder: Path, required_bytes: float, free_bytes: float, qualifier: str) -> OutputError:
    return OutputError(
        f"The disk of {folder.name.removesuffix('.parts')} is too small: {qualifier}{format_bytes(required_bytes)} "
        f"are needed and {format_bytes(free_bytes)} are free.",
        "Free some space or write to another disk. Finished parts are kept: the same command continues from there.",
        path=folder,
    )
