"""A folder of images as lists: one IMAGE, one source and one name for each file, whatever its size."""

import hashlib
import re
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Literal

import torch

from ...errors import MediaError
from ...file_types import IMAGE_SUFFIXES
from ...images import read_image_size
from ...progress import ForwardedProgress, OpenProgress, Progress, open_silent_progress
from .image import ImageSource, read_image

WhenDamaged = Literal["refuse", "skip"]
_BYTES_PER_PIXEL = 4 * 4  # RGBA in 32-bit floats
_NUMBERS = re.compile(r"([0-9]+)")


def find_folder_images(folder: Path, *, recursive: bool = False, start: int = 0, limit: int = 0) -> list[Path]:
    """Return the images of ``folder`` sorted by name, 2 before 10; ``limit`` of them (0: all) from number ``start`` on.

    Raises ``MediaError`` if there are none.
    """
    try:
        files = [path for path in (folder.rglob("*") if recursive else folder.iterdir()) if _is_image(path)]
    except OSError as error:
        raise MediaError(f"{folder} cannot be read: {error.strerror}.", "Check its permissions.", path=folder) from error
    files.sort(key=lambda path: _split_numbers(path.relative_to(folder)))
    chosen = files[start : start + limit if limit else None]
    if not chosen:
        what = f"{len(files)} images, and number {start} is behind the last" if files else "no image"
        raise MediaError(f"{folder} has {what}.", f"Supported formats: {', '.join(IMAGE_SUFFIXES)}.", path=folder)
    return chosen


def compute_folder_fingerprint(files: list[Path]) -> str:
    """Return a hash of names, lengths and dates."""
    states = [(path, path.stat()) for path in files]
    text = "\n".join(f"{path}:{state.st_size}:{state.st_mtime_ns}" for path, state in states)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def read_image_folder(
    folder: Path,
    files: list[Path],
    *,
    max_pixels: int,
    free_bytes: int,
    when_damaged: WhenDamaged = "refuse",
    open_progress: OpenProgress = open_silent_progress,
) -> tuple[list[torch.Tensor], list[ImageSource], list[str]]:
    """Read ``files`` of ``folder`` as ``read_image`` does; return images, sources, and names below the folder without suffix.

    ``when_damaged`` is about files that cannot be read: ``skip`` makes a message of the error.
    Raises ``MediaError`` if a file is damaged, if none can be read, and if all together do not fit into ``free_bytes``.
    """
    images: list[torch.Tensor] = []
    sources: list[ImageSource] = []
    names: list[str] = []
    with open_progress(len(files), "image") as progress:
        _check_memory(folder, files, max_pixels, free_bytes)
        messages = _MessagesOnly(progress)
        for path in files:
            try:
                image, source = read_image(path, max_pixels=max_pixels, open_progress=messages.open)
            except MediaError as error:
                if when_damaged == "refuse":
                    raise
                progress.message(f"Skipped: {error}")
            else:
                images.append(image)
                sources.append(source)
                names.append(path.relative_to(folder).with_suffix("").as_posix())
            progress.advance()
    if not images:
        raise MediaError(f"No image of {folder} can be read.", "The messages say why.", path=folder)
    return images, sources, names


class _MessagesOnly(ForwardedProgress):
    """Passes messages of one image on; its steps are not those of the folder."""

    def open(self, _total: int, _unit: str) -> AbstractContextManager[Progress]:
        return nullcontext(self)

    def advance(self, steps: int = 1) -> None:
        self.check_cancelled()


def _check_memory(folder: Path, files: list[Path], max_pixels: int, free_bytes: int) -> None:
    needed = 0
    for path in files:
        with suppress(MediaError):  # reading it raises the same
            size = read_image_size(path, max_pixels=max_pixels)
            needed += size.width * size.height * _BYTES_PER_PIXEL
    if needed > free_bytes:
        what = f"{len(files)} images of {folder} need {needed / 1e9:.1f} GB at once, and {free_bytes / 1e9:.1f} GB are free."
        hint = "Set limit, and start for the next ones; or run: python -m runtime upscale FOLDER, which reads one at a time."
        raise MediaError(what, hint, path=folder)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _split_numbers(path: Path) -> list[tuple[tuple[int, str], ...]]:
    """Return a sort key for which img2 is before img10."""
    return [tuple((int(part), "") if part.isdigit() else (-1, part) for part in _NUMBERS.split(name)) for name in path.parts]
