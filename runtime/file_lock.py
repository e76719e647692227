"""Locks between processes that write the same output."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR

from filelock import FileLock, Timeout

from .errors import OutputError


class OutputLocked(OutputError):
    """Another run writes this output, or has taken its name."""


@contextmanager
def exclusive_lock(lock_path: Path, name: str) -> Generator[None]:
    """Lock the file ``lock_path``, which is created and, afterwards, removed. The system frees the lock of a killed process.

    Raises:
        OutputLocked: another run holds the lock; the message says that it writes ``name``.
        OutputError: There is a file of this name that is not ours: a lock is empty, and taking it would empty the file.
    """
    try:
        lock_path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        # A run that has just finished removed the folder, and by now yet another may have made it again.
        if _may_be_folder(lock_path.parent):
            raise _make_locked_error(lock_path, name) from error
        raise
    if _has_content(lock_path):
        raise OutputError(
            f"There is a file {lock_path.name} that is not of this program.",
            "Rename it, or choose another name for the result.",
            path=lock_path,
        )
    lock = FileLock(lock_path, timeout=0)
    try:
        lock.acquire()
    except (Timeout, FileNotFoundError, FileExistsError) as error:  # the last two: a finished run removed the folder meanwhile
        raise _make_locked_error(lock_path, name) from error
    try:
        yield
    finally:
        # Removed while it is held: filelock (3.21 and later) does not take a lock on a file that has lost its name.
        with suppress(OSError):  # Windows does not remove an open file
            lock_path.unlink(missing_ok=True)
        lock.release()


def _may_be_folder(path: Path) -> bool:
    """Return whether ``path`` is a folder or was one, by a single look: between two it may be removed and made again."""
    try:
        return S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return True


def _has_content(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except FileNotFoundError:  # removed between the two looks at it
        return False


def _make_locked_error(lock_path: Path, name: str) -> OutputLocked:
    return OutputLocked(f"Another run is writing {name} at the moment.", "Wait for it, or choose another name.", path=lock_path)
