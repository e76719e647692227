"""FFmpeg's and the system's errors while writing, as one sentence each."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from av.error import FFmpegError

from ...errors import OutputError, Upscale8KError

_RESUME_HINT = "Everything finished so far is kept: run the same command again to go on."
_REASONS = {
    errno.ENOSPC: ("The disk is full", f"Free some space. {_RESUME_HINT}"),
    errno.EDQUOT: ("The disk quota is used up", f"Free some space. {_RESUME_HINT}"),
    errno.EFBIG: ("The file is larger than allowed there", f"Write to another disk. {_RESUME_HINT}"),
    errno.EACCES: ("Writing there is not allowed", "Choose another folder, or change its permissions."),
    errno.EPERM: ("Writing there is not allowed", "Choose another folder, or change its permissions."),
    errno.EROFS: ("That disk is read-only", "Choose another folder."),
    errno.EEXIST: ("A part of the path is not a folder", "Choose another folder."),
    errno.ENOTDIR: ("A part of the path is not a folder", "Choose another folder."),
    errno.ENAMETOOLONG: ("The name is too long", "Choose a shorter one."),
}


@contextmanager
def translate_write_errors(path: Path) -> Generator[None]:
    """Raise ``OutputError`` for what the system or FFmpeg says about ``path``."""
    try:
        yield
    except Upscale8KError:
        raise
    except (FFmpegError, OSError) as error:
        reason, hint = _REASONS.get(error.errno or 0, (f"It cannot be written ({error})", _RESUME_HINT))
        name = path.name.removesuffix(".parts")
        raise OutputError(f"{name}: {reason[0].lower()}{reason[1:]}.", hint, path=path) from error
