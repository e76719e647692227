"""Atomic writes: a file has its final name only when it is whole.

A file is written as ``NAME.<random number>.part`` in the same folder, flushed to the disk (fsync) and then renamed, which
replaces an existing file in one step. Any number of threads, processes and machines may write the same file at the same time:
each result is whole, and the last one stays. A file whose number we choose ourselves (``image_00001_.png``) never replaces
another: it takes the next free number. After an error the temporary file is removed and an existing file stays.
"""

import errno
import os
import re
import secrets
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OutputError, Upscale8KError

NUMBERED_NAME = re.compile(r"(.+)_(\d+)(_?(?:\.\w+)?)")
"""A name that ComfyUI's counter is part of: stem, number, ending."""
_NO_SPACE = "Free some space, or write to another disk."
_NOT_ALLOWED = ("writing there is not allowed", "Choose another folder, or change its permissions.")
_NOT_A_FOLDER = ("a part of the path is not a folder", "Choose another folder.")
_OS_ERRORS = {
    errno.ENOSPC: ("the disk is full", _NO_SPACE),
    errno.EDQUOT: ("the disk quota is used up", _NO_SPACE),
    errno.EFBIG: ("the file is larger than allowed there", "Write to another disk."),
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: ("that disk is read-only", "Choose another folder."),
    errno.EEXIST: _NOT_A_FOLDER,
    errno.ENOTDIR: _NOT_A_FOLDER,
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter one."),
}


def explain_os_error(error: Exception) -> tuple[str, str]:
    """Return why the system (or FFmpeg) refused to write, without a full stop, and the next step ("" when it is unknown)."""
    reason = " ".join(str(getattr(error, "strerror", None) or error).split()).rstrip(".")
    return _OS_ERRORS.get(getattr(error, "errno", None) or 0, (reason, ""))


@contextmanager
def atomic_write(path: Path, *, durable: bool = True) -> Generator[Path]:
    """Yield a temporary path to write to, and rename it to ``path`` after the block. Create missing folders.

    ``durable`` False is for large files that are verified when they are read: they are not flushed to the disk.

    Raises:
        OSError: the system refuses. Exceptions of the block pass unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_temp_path(path) as temp:
        yield temp
        publish_file(temp, path, durable=durable)


def write_atomically(
    path: Path,
    write: Callable[[Path], object],
    *,
    numbered: bool = False,
    exclusive: bool = False,
    temp_folder: Path | None = None,
) -> Path:
    """Call ``write`` with a temporary path, rename the result to ``path``, and return the final path.

    The folder must exist: a worker would otherwise bring back that of an order that is done with.

    ``numbered``: we chose ``path``, a ``NUMBERED_NAME``; an existing file is kept, and the next free number is taken.
    ``exclusive``: an existing file is kept, and ``OutputError`` raised.
    ``temp_folder`` holds the temporary file; it is on the same file system. Default: the folder of ``path``.
    """
    with _open_temp_path(path, temp_folder) as temp:
        write(temp)
        return publish_file(temp, path, numbered=numbered, exclusive=exclusive)


@contextmanager
def atomic_output(path: Path, hint: str) -> Generator[Path]:
    """Do the same as ``atomic_write`` for a requested file: an ``OSError`` becomes an ``OutputError`` with ``hint``."""
    with translate_os_errors(path, hint), atomic_write(path) as temp:
        yield temp


def write_outputs(writers: Mapping[str, Callable[[Path], object]], find_path: Callable[[str], Path]) -> list[Path]:
    """Write the files of a result, each atomically: the function of each name gets a temporary path. Raises ``OutputError``."""
    paths = [find_path(name) for name in writers]
    for path, write in zip(paths, writers.values(), strict=True):
        with atomic_output(path, "Choose another folder.") as temp:
            write(temp)
    return paths


@contextmanager
def translate_os_errors(path: Path, hint: str = "") -> Generator[None]:
    """Turn an ``OSError`` of the block into an ``OutputError`` that names ``path``. Default of ``hint``: by the reason."""
    try:
        yield
    except Upscale8KError:
        raise
    except OSError as error:
        reason, next_step = explain_os_error(error)
        raise OutputError(f"{path} cannot be written: {reason}.", hint or next_step, path=path) from error


def publish_file(temp: Path, path: Path, *, durable: bool = True, numbered: bool = False, exclusive: bool = False) -> Path:
    """Rename the finished file ``temp`` to ``path``, and return the final path. The flags are those of the functions above."""
    if durable:
        fsync_path(temp)
    if numbered:
        path = _rename_to_free_number(temp, path)
    elif exclusive:
        try:
            _rename_without_replacing(temp, path)
        except FileExistsError as error:
            raise OutputError(f"{path} exists already.", "Choose another name.", path=path) from error
    else:
        temp.replace(path)
    if durable:
        with suppress(OSError):  # a folder that cannot be opened, or a file system without it: the file has its name already
            fsync_path(path.parent)
    return path


def temp_path(path: Path) -> Path:
    """Return an unused name in the folder of ``path``.

    Its length is constant, because x264's rate decisions depend on the heap: equal runs then write equal bytes.
    """
    return path.with_name(f"{path.name}.{secrets.randbits(32):010}.part")


def fsync_path(path: Path) -> None:
    """Flush a file, or the entries of a folder where the system can, to the disk. Raises ``OSError``."""
    if path.is_dir() and sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def find_next_counter(folder: Path, stem: str) -> int:
    """Return one more than the highest number that follows ``stem_`` among the files of ``folder``, as ComfyUI counts."""
    highest = 0
    start = f"{stem}_"
    for path in folder.iterdir():
        if path.name.startswith(start):
            digits = re.match(r"\d+(?=[_.]|$)", path.name[len(start) :])
            highest = max(highest, int(digits.group())) if digits else highest
    return highest + 1


@contextmanager
def _open_temp_path(path: Path, folder: Path | None = None) -> Generator[Path]:
    temp = temp_path(folder / path.name if folder else path)
    try:
        yield temp
    finally:
        with suppress(OSError):
            temp.unlink(missing_ok=True)


def _rename_to_free_number(temp: Path, path: Path) -> Path:
    while True:
        try:
            _rename_without_replacing(temp, path)
        except FileExistsError:
            name = NUMBERED_NAME.fullmatch(path.name)
            if name is None:
                raise
            path = path.with_name(f"{name[1]}_{find_next_counter(path.parent, name[1]):05}{name[3]}")
        else:
            return path


def _rename_without_replacing(temp: Path, path: Path) -> None:
    """Rename, or raise ``FileExistsError``; everywhere but on Windows ``rename`` itself would replace."""
    if sys.platform == "win32":
        temp.rename(path)
        return
    try:
        os.link(temp, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: take the name with an empty file first
        path.open("xb").close()
        temp.replace(path)
