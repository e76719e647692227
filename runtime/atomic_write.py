"""Files that have their name when they are whole.

A file is written as ``NAME.<number>.part`` beside the place it is meant for, reaches the disk (fsync) and is then renamed,
which replaces at once what stood there. The number is drawn anew each time, so any number of threads, processes and machines
may write the same file at the same time: each result is whole, and the last one stays. Whatever goes wrong, the part is
removed and what stood there before stays.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OutputError, Upscale8KError


@contextmanager
def atomic_write(path: Path, *, durable: bool = True) -> Generator[Path]:
    """Give the body a name to write to; what it wrote is called ``path`` when the body is done. Missing folders are made.

    ``synced`` False is for large files that are checked when they are read: they need not survive a power cut, and are not
    waited for. Raises ``OSError`` when the disk refuses, and whatever the body raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = temp_path(path)
    try:
        yield temp
        if durable:
            fsync_path(temp)
        temp.replace(path)
    finally:
        with suppress(OSError):
            temp.unlink(missing_ok=True)
    if durable:
        with suppress(OSError):  # a folder that may not be read, or a disk that knows no such thing: the file has its name
            fsync_path(path.parent)


@contextmanager
def atomic_output(path: Path, hint: str) -> Generator[Path]:
    """``whole``, for a file that a person asked for: an ``OSError`` becomes an ``OutputError`` with this hint."""
    try:
        with atomic_write(path) as temp:
            yield temp
    except Upscale8KError:
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.", hint, path=path) from error


def temp_path(path: Path) -> Path:
    """A name in the folder of ``path`` that nobody else uses."""
    return path.with_name(f"{path.name}.{secrets.randbits(32)}.part")


def fsync_path(path: Path) -> None:
    """Have a file or a folder reach the disk; a folder's entries too where the system can do that. Raises ``OSError``."""
    if path.is_dir() and sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
