"""Animated image files, GIF, PNG (APNG) and WebP: whether a file is one, and how often it is shown. Imports nothing heavy."""

from pathlib import Path

from .formats.gif import read_repetitions, verify_blocks
from .formats.webp import read_webp_animation

_HEAD_BYTES = 1 << 20
"""An APNG says so before its pixels; only a large color profile may come first."""


def is_animation(path: Path) -> bool:
    """Return whether a GIF, PNG or WebP file has several frames; False for other files, and for one that cannot be read."""
    try:
        suffix = path.suffix.lower()
        if suffix == ".gif":
            return verify_blocks(path) > 1
        if suffix == ".webp":
            return len(read_webp_animation(path).durations) > 1
        return suffix == ".png" and _read_apng_control(path)[0] > 1
    except (OSError, ValueError):
        return False


def read_play_count(path: Path) -> int:
    """Return how often a GIF or APNG is shown, by the file's own words; 0 is for ever, also for other files."""
    try:
        with path.open("rb") as file:
            is_gif = file.read(4) == b"GIF8"
        if not is_gif:
            return _read_apng_control(path)[1]
        repetitions = read_repetitions(path)
        return 1 if repetitions is None else repetitions and repetitions + 1
    except (OSError, ValueError):
        return 0


def _read_apng_control(path: Path) -> tuple[int, int]:
    """Return the number of frames and how often they are shown (PNG specification, third edition, 11.3.5.1); zeros without."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).partition(b"IDAT")[0]
    _, control, numbers = head.partition(b"acTL")
    return (int.from_bytes(numbers[:4]), int.from_bytes(numbers[4:8])) if control else (0, 0)
