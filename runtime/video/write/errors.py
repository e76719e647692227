"""Translate errors of FFmpeg and of the system while a video is written."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from av.error import FFmpegError

from ...atomic_write import explain_os_error
from ...errors import OutputError, Upscale8KError

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
