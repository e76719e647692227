"""Whether a film fits on the disk: an estimate before, what the first segments say later."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from ...errors import OutputError
from ...media.geometry import Size
from .encoding import Encoding
from .journal import Segment

_COPIES = 2
"""The segments, and the film that is joined from them, lie on the disk together for a while."""
_RESERVE_BYTES = 32 << 20
_MIN_MEASURED_IMAGES = 3
_ESTIMATE_UNCERTAINTY = 4
"""How far content can lie below the estimate for a quality setting: a still title against grain."""
_COMPRESSED_SHARES: Mapping[str, float] = {
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
_DEEP_COMPRESSED_SHARE = 0.8
"""The same with more bits, the lower ones of which are noise."""


class OnMessage(Protocol):
    def __call__(self, text: str, /) -> None: ...


def format_bytes(byte_count: float) -> str:
    """1536000 -> ``1.5 MB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if byte_count < 1000:
            return f"{byte_count:.0f} bytes" if unit == "bytes" else f"{byte_count:.1f} {unit}"
        byte_count /= 1000
    return f"{byte_count:.1f} TB"


def estimate_video_bytes(encoding: Encoding, size: Size, frames: int, frame_rate: Fraction) -> float:
    """Of the finished film's picture track."""
    if encoding.bitrate:
        return float(encoding.bitrate / 8 * frames / frame_rate)
    return encoding.encoder.bits_per_pixel * size.pixel_count * frames / 8


def check_video_space(
    folder: Path, encoding: Encoding, size: Size, frames: int, frame_rate: Fraction, on_message: OnMessage
) -> None:
    """Say what the film will take. Raises ``OutputError`` when it cannot fit even if it turns out small."""
    expected_bytes = estimate_video_bytes(encoding, size, frames, frame_rate)
    free_bytes = shutil.disk_usage(folder).free
    required_bytes = _COPIES * expected_bytes / (1 if encoding.bitrate else _ESTIMATE_UNCERTAINTY)
    if required_bytes > free_bytes:
        raise _make_disk_too_small_error(folder, required_bytes, free_bytes, "at least ")
    text = (
        f"The video will take roughly {format_bytes(expected_bytes)}, and as much again until it is joined; "
        f"{format_bytes(free_bytes)} are free."
    )
    if _COPIES * expected_bytes > free_bytes:
        text += " That may not be enough."
    on_message(text)


class VideoSpaceMonitor:
    """Called after every segment with what it took."""

    def __init__(self, folder: Path, frames: int | None, finished_segments: list[Segment], on_message: OnMessage) -> None:
        self._folder, self._frames, self._on_message = folder, frames, on_message
        self._written_bytes = sum(segment.bytes for segment in finished_segments)
        self._finished_frames = sum(segment.frame_count for segment in finished_segments)
        self._measured_segments = 0
        self._has_warned = False

    def __call__(self, segment: Segment) -> None:
        """Raises ``OutputError`` when the rest will not fit, going by half of what the film took so far, or not even the next
        segment will."""
        self._written_bytes += segment.bytes
        self._finished_frames += segment.frame_count
        self._measured_segments += 1
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < 2 * segment.bytes + _RESERVE_BYTES:
            raise _make_disk_too_small_error(self._folder, 2 * segment.bytes + _RESERVE_BYTES, free_bytes, "for the next part ")
        if self._frames is None or self._measured_segments < 2:
            return
        # The final file needs room for all of the film, the segments for what is still missing.
        remaining_bytes = self._written_bytes / self._finished_frames * max(0, self._frames - self._finished_frames)
        required_bytes = remaining_bytes * _COPIES + self._written_bytes
        if required_bytes / 2 > free_bytes:
            raise _make_disk_too_small_error(self._folder, required_bytes, free_bytes, "about ")
        if required_bytes > free_bytes and not self._has_warned:
            self._has_warned = True
            self._on_message(
                f"The disk may become too small: about {format_bytes(required_bytes)} are needed and "
                f"{format_bytes(free_bytes)} are free."
            )


def check_sequence_space(folder: Path, suffix: str, size: Size, bits: int, frames: int, on_message: OnMessage) -> None:
    """Say what numbered pictures will take. Raises ``OutputError`` when they cannot fit even if they turn out small."""
    compressed_share = (
        _DEEP_COMPRESSED_SHARE
        if bits > (16 if suffix == ".exr" else 8)
        else _COMPRESSED_SHARES.get(suffix, _DEEP_COMPRESSED_SHARE)
    )
    expected_bytes = compressed_share * size.pixel_count * 3 * bits / 8 * frames
    free_bytes = shutil.disk_usage(folder).free
    if expected_bytes / _ESTIMATE_UNCERTAINTY > free_bytes:
        raise _make_disk_too_small_error(folder, expected_bytes / _ESTIMATE_UNCERTAINTY, free_bytes, "at least ")
    _report_required_space("The pictures will take roughly", expected_bytes, expected_bytes, free_bytes, on_message)


def _report_required_space(
    subject: str, total_bytes: float, required_bytes: float, free_bytes: int, on_message: OnMessage
) -> None:
    text = f"{subject} {format_bytes(total_bytes)}; {format_bytes(free_bytes)} are free."
    on_message(text + (" That may not be enough." if required_bytes > free_bytes else ""))


class SequenceSpaceMonitor:
    """Called after every picture of a series with what it took; ``missing`` are still to be made, None: nobody knows."""

    def __init__(self, folder: Path, missing_images: int | None, on_message: OnMessage) -> None:
        self._folder, self._missing_images, self._on_message = folder, missing_images, on_message
        self._written_bytes = self._finished_images = 0
        self._has_reported = False

    def __call__(self, image_bytes: int) -> None:
        """Raises ``OutputError`` when the next ones will not fit, or, going by half of what they took so far, the rest."""
        self._written_bytes += image_bytes
        self._finished_images += 1
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < 2 * image_bytes + _RESERVE_BYTES:
            raise _make_disk_too_small_error(
                self._folder, 2 * image_bytes + _RESERVE_BYTES, free_bytes, "for the next pictures "
            )
        if self._missing_images is None or self._finished_images < _MIN_MEASURED_IMAGES:
            return
        required_bytes = self._written_bytes / self._finished_images * max(0, self._missing_images - self._finished_images)
        if required_bytes / 2 > free_bytes:
            raise _make_disk_too_small_error(self._folder, required_bytes, free_bytes, "about ")
        if not self._has_reported:
            self._has_reported = True
            total_bytes = self._written_bytes / self._finished_images * self._missing_images
            _report_required_space(
                "Going by the first pictures, all will take roughly", total_bytes, required_bytes, free_bytes, self._on_message
            )


def check_join_space(folder: Path, segments: list[Segment]) -> None:
    """Raises ``OutputError`` when the joined film will not fit beside its segments."""
    required_bytes = sum(segment.bytes for segment in segments) + _RESERVE_BYTES // 8
    free_bytes = shutil.disk_usage(folder).free
    if required_bytes > free_bytes:
        raise _make_disk_too_small_error(folder, required_bytes, free_bytes, "for joining the film ")


def _make_disk_too_small_error(folder: Path, required_bytes: float, free_bytes: float, qualifier: str) -> OutputError:
    return OutputError(
        f"The disk of {folder.name.removesuffix('.parts')} is too small: {qualifier}{format_bytes(required_bytes)} "
        f"are needed and {format_bytes(free_bytes)} are free.",
        "Free some space or write to another disk. What is finished is kept: the same command goes on from there.",
        path=folder,
    )
