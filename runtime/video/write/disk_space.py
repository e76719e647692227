"""Check whether a video or an image sequence fits on the disk: an estimate before, and the size of its first parts later."""

import errno
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError

from ...atomic_write import explain_os_error
from ...errors import OutputError, Upscale8KError
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


_MIN_MEASURED_IMAGES = 3
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
"""File size of an upscaled photo relative to its samples, in 8 bits (EXR: half floats), as this project writes it."""
_DEEP_COMPRESSED_SHARE = 0.8
"""The same with more bits, the lower ones of which are noise."""


def check_sequence_space(folder: Path, suffix: str, size: Size, bits: int, frames: int, on_message: OnMessage) -> None:
    """Report the expected size. Raises ``OutputError`` if even a quarter of it would not fit."""
    is_deep = bits > (16 if suffix == ".exr" else 8)
    share = _DEEP_COMPRESSED_SHARE if is_deep else _COMPRESSED_SHARES.get(suffix, _DEEP_COMPRESSED_SHARE)
    expected_bytes = share * size.pixel_count * 3 * bits / 8 * frames
    free_bytes = shutil.disk_usage(folder).free
    if expected_bytes / ESTIMATE_UNCERTAINTY > free_bytes:
        raise make_disk_too_small_error(folder, expected_bytes / ESTIMATE_UNCERTAINTY, free_bytes, "at least ")
    _report_required_space("The images will take about", expected_bytes, expected_bytes, free_bytes, on_message)


def _report_required_space(
    subject: str, total_bytes: float, required_bytes: float, free_bytes: int, on_message: OnMessage
) -> None:
    text = f"{subject} {format_bytes(total_bytes)}; {format_bytes(free_bytes)} are free."
    on_message(text + (" That may not be enough." if required_bytes > free_bytes else ""))


class SequenceSpaceMonitor:
    """Called after every image with its bytes. ``missing_images`` are still to be written; None if unknown."""

    def __init__(self, folder: Path, missing_images: int | None, on_message: OnMessage) -> None:
        self._folder, self._missing_images, self._on_message = folder, missing_images, on_message
        self._written_bytes = self._finished_images = 0
        self._has_reported = False

    def __call__(self, image_bytes: int) -> None:
        """Raises ``OutputError`` if the next images will not fit, or not even half of the estimate for the rest."""
        self._written_bytes += image_bytes
        self._finished_images += 1
        free_bytes = shutil.disk_usage(self._folder).free
        next_bytes = 2 * image_bytes + RESERVE_BYTES
        if free_bytes < next_bytes:
            raise make_disk_too_small_error(self._folder, next_bytes, free_bytes, "for the next images ")
        if self._missing_images is None or self._finished_images < _MIN_MEASURED_IMAGES:
            return
        mean_bytes = self._written_bytes / self._finished_images
        required_bytes = mean_bytes * max(0, self._missing_images - self._finished_images)
        if required_bytes / 2 > free_bytes:
            raise make_disk_too_small_error(self._folder, required_bytes, free_bytes, "about ")
        if not self._has_reported:
            self._has_reported = True
            subject = "Estimated from the first images, all will take about"
            _report_required_space(subject, mean_bytes * self._missing_images, required_bytes, free_bytes, self._on_message)


_RESUME_HINT = "Everything finished so far is kept: run the same command again to continue."
_RESUMABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def translate_write_errors(path: Path) -> Generator[None]:
    """Raise errors of the system and FFmpeg as ``OutputError`` about ``path``."""
    try:
        yield
    except Upscale8KError:
        raise
    except (FFmpegError, OSError) as error:
        reason, hint = explain_os_error(error)
        name = path.name.removesuffix(".parts")
        what = f"{name}: {reason}." if hint else f"{name}: it cannot be written ({reason})."
        if not hint or error.errno in _RESUMABLE:
            hint = f"{hint} {_RESUME_HINT}".strip()
        raise OutputError(what, hint, path=path) from error
