"""Whether an image file is an animation that FFmpeg reads as a video: GIF and APNG. Imports nothing heavy."""

from pathlib import Path

from .formats.gif import verify_blocks

_HEAD_BYTES = 1 << 20
"""An APNG says so before its pixels; only a large color profile may come first."""


def is_animation(path: Path) -> bool:
    """Return whether a GIF or PNG file has several frames; False for other files, and for one that cannot be read."""
    try:
        if path.suffix.lower() == ".gif":
            return verify_blocks(path) > 1
        if path.suffix.lower() != ".png":
            return False
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).partition(b"IDAT")[0]
    except (OSError, ValueError):
        return False
    _, control, frames = head.partition(b"acTL")
    return bool(control) and int.from_bytes(frames[:4]) > 1
