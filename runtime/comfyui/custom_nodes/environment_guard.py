"""Keep node packs from changing the machine while they are only looked at: no programs, no network, no files elsewhere.

Some packs run pip when they are imported. The guard stops what a pack does by mistake or habit; it is no sandbox against a pack
that is hostile.
"""

import os
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

_PROGRAM_EVENTS = frozenset(
    {"subprocess.Popen", "os.system", "os.posix_spawn", "os.spawn", "os.exec", "os.fork", "os.startfile"}
)
_NETWORK_EVENTS = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind"})
_CHANGE_EVENTS = frozenset({"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "shutil.rmtree"})
_FOLDER_VARIABLES = ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR")
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Guard:
    """The audit hook of this process, which Python cannot remove: it does nothing while ``folders`` is None."""

    def __init__(self) -> None:
        self.folders: tuple[Path, ...] | None = None
        self._is_installed = False

    def install(self) -> None:
        if not self._is_installed:
            sys.addaudithook(self._check_event)
            self._is_installed = True

    def _check_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folders is None:
            return
        if event in _PROGRAM_EVENTS:
            raise PermissionError(
                f"it wants to start a program ({arguments[0] if arguments else event}), which only `run` allows"
            )
        if event in _NETWORK_EVENTS:
            raise PermissionError("it wants to use the network, which only `run` allows")
        writes = event == "open" and bool(arguments[2] & _WRITE_FLAGS if isinstance(arguments[2], int) else False)
        if (writes or event in _CHANGE_EVENTS) and not self._is_allowed(arguments[0]):
            raise PermissionError(f"it wants to write {arguments[0]}, which only `run` allows")

    def _is_allowed(self, path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):  # a file that is open already
            return True
        real = Path(os.path.realpath(os.fsdecode(cast("str", path))))
        return real == Path(os.devnull) or any(real.is_relative_to(folder) for folder in self.folders or ())


_guard = _Guard()


@contextmanager
def guard_environment(writable: Sequence[Path] = ()) -> Generator[None]:
    """Let code of packs in the block write only into these folders and a temporary folder, which is also its HOME."""
    with tempfile.TemporaryDirectory(prefix="upscale8k-guard-", ignore_cleanup_errors=True) as folder:
        before = {name: os.environ.get(name) for name in _FOLDER_VARIABLES}
        os.environ.update(dict.fromkeys(_FOLDER_VARIABLES, folder))
        temp_folder, tempfile.tempdir = tempfile.tempdir, folder
        _guard.install()
        _guard.folders = tuple(Path(os.path.realpath(one)) for one in (*writable, folder))
        try:
            yield
        finally:
            _guard.folders = None
            tempfile.tempdir = temp_folder
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
