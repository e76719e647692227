"""Check whether an image sequence fits on the disk: an estimate before, and the size of the first images later."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from ...media import Size
from ...progress import OnMessage
from ..write.disk_space import ESTIMATE_UNCERTAINTY, RESERVE_BYTES, format_bytes, make_disk_too_small_error

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
