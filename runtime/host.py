"""The questions that have different answers inside ComfyUI and on a command line.

``LocalHost`` answers them with folders and a ``Progress`` given by the command line; ``nodes/comfy_host.py`` answers
them with ComfyUI's own functions. Everything else in the engine is the same in both homes.

All paths that a workflow names stay inside the folder they are meant for: they are resolved with symbolic links
followed, and anything that ends up outside is refused.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, ClassVar, Literal, Protocol

from .atomic_write import find_next_counter
from .errors import MediaError, OutputError

Folder = Literal["input", "output", "temp"]
FOLDERS: tuple[Folder, ...] = ("input", "output", "temp")

WEIGHT_SUFFIXES = (".safetensors", ".sft", ".pth", ".pt", ".ckpt", ".bin")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".exr", ".jxl", ".bmp", ".gif")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".wmv", ".flv")
WRITABLE_VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm")
WRITABLE_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".exr", ".jxl")


MAX_PIXELS = 1_000_000_000
"""The largest picture that is decoded where nobody says otherwise: 12 GB of float RGB."""


class Progress(Protocol):
    """How far one piece of work has come, in steps of its own unit."""

    def advance(self, steps: int = 1) -> None:
        """Count ``steps`` as done. Inside ComfyUI this raises its interrupt when the person asked to stop."""
        ...

    def message(self, text: str) -> None:
        """Show a sentence beside the bar: a warning, or what was decided."""
        ...

    def update(self, **numbers: int) -> None:
        """Numbers to show beside the bar from now on, such as ``bytes`` written or ``reused`` frames."""
        ...

    def preview(self, pixels: Any) -> None:
        """Show (H, W, C) of what is made as it stands now, or do nothing. It may be asked often: few of them are shown."""
        ...


class Host(Protocol):
    """Both homes answer these; nodes ask nothing else of the world."""

    def input_files(self, suffixes: tuple[str, ...]) -> list[str]:
        """Names of the files directly in the input folder with one of these suffixes, sorted."""
        ...

    def find_input(self, name: str) -> Path:
        """The file that a workflow names, as ``name.png``, ``sub/name.png`` or ``name.png [output]``.

        Raises ``MediaError`` when it does not exist or would lie outside its folder.
        """
        ...

    def find_sequence(self, name: str) -> Path:
        """The folder of pictures that a workflow names, or the pattern of their names in one: ``shots/frame_%05d.png``.

        Raises ``MediaError`` when the folder does not exist or would lie outside its root.
        """
        ...

    def folder(self, folder: Folder) -> Path:
        """The root of one of the three folders."""
        ...

    def check_output(self, folder: Folder, name: str) -> None:
        """Raise the ``OutputError`` that a result of this name or prefix would end in, and make nothing.

        Asked before the work begins, so that nobody waits an hour for a result that has no place to go.
        """
        ...

    def output_path(self, folder: Folder, prefix: str, suffix: str, *, width: int = 0, height: int = 0) -> Path:
        """A path that does not exist yet: ``prefix`` with its tokens replaced, a counter, and ``suffix``.

        Raises ``OutputError`` when it would lie outside the folder or the folder cannot be made.
        """
        ...

    def output_file(self, folder: Folder, name: str) -> Path:
        """The path of exactly ``name`` in the folder, whether it exists or not.

        Raises ``OutputError`` when it would lie outside the folder or the folder cannot be made.
        """
        ...

    def model_folders(self) -> tuple[Path, ...]:
        """Where weights may lie, first match wins."""
        ...

    def register_model(self, model: Any) -> Any:
        """Make a loaded model fit for other nodes of this home, and return it."""
        ...

    def device(self) -> str:
        """The torch device to work on: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ..."""
        ...

    def get_max_input_pixels(self, node_limit: int = MAX_PIXELS) -> int:
        """The largest picture, in pixels, that is decoded: what was said for the whole run, else the node's ``own`` limit."""
        ...

    def backend(self) -> str:
        """The backend that was forced for the whole run, or ``auto``."""
        ...

    def check_cancelled(self) -> None:
        """Raise this home's interrupt when the person asked to stop. On a command line Ctrl-C comes by itself."""
        ...

    def progress(self, total: int, unit: str) -> AbstractContextManager[Progress]:
        """A progress display for ``total`` steps called ``unit`` (``tile``, ``frame``, ``MB``)."""
        ...


_FOLDER_ANNOTATION = re.compile(r"\s*\[(input|output|temp)\]$")


def split_annotation(name: str) -> tuple[str, Folder]:
    """``"x.png [output]"`` -> ``("x.png", "output")``; without a bracket it is a file of the input folder."""
    match = _FOLDER_ANNOTATION.search(name)
    if match is None:
        return name, "input"
    folders: dict[str, Folder] = {folder: folder for folder in FOLDERS}
    return name[: match.start()], folders[match.group(1)]


def resolve_inside(root: Path, name: str) -> Path | None:
    """``root/name`` with links followed, or None when that would lie outside ``root`` or can be no path at all."""
    try:
        root = root.resolve()
        path = (root / name).resolve()
    except (OSError, ValueError, RuntimeError):  # too long, NUL or half a surrogate pair, links in a circle
        return None
    return path if "\0" not in name and path.is_relative_to(root) else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be entered
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def is_sequence_pattern(name: str) -> bool:
    """Whether a name stands for numbered pictures: ``frame_%05d.png``."""
    return re.search(r"%(?:0\d+)?d(?!ay%)", PurePath(name).name) is not None


def _check_folder_usable(folder: Path, option: str) -> None:
    """Raise ``OutputError`` when files could not be made in ``folder``, or the folder itself could not."""
    existing = next(candidate for candidate in (folder, *folder.parents) if os.path.lexists(candidate))
    if not existing.is_dir():
        reason = f"{existing} is a file" if existing == folder else f"{existing} is a file, and no folder can be made in it"
    elif not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        reason = f"{existing} may not be read and written"
    else:
        return
    raise OutputError(
        f"The folder {folder} cannot be used: {reason}.", f"Make it writable, or choose another with {option}.", path=folder
    )


def expand_tokens(prefix: str, *, width: int = 0, height: int = 0, now: time.struct_time | None = None) -> str:
    """Replace ComfyUI's server-side tokens: ``%width% %height% %year% %month% %day% %hour% %minute% %second%``."""
    now = now or time.localtime()
    tokens = {
        "width": str(width),
        "height": str(height),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    return re.sub(r"%(\w+)%", lambda match: tokens.get(match.group(1), match.group(0)), prefix)


def _add_default_name(prefix: str) -> str:
    """ComfyUI takes ``video/`` to mean an empty name whose counter never grows, and overwrites; this gives the file a name."""
    return f"{prefix}Upscale8K" if not prefix or prefix.endswith(("/", "\\")) else prefix


class SilentProgress:
    """Counts nothing and shows nothing; the default of a host without a display."""

    def __enter__(self) -> SilentProgress:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def advance(self, steps: int = 1) -> None:
        return None

    def message(self, text: str) -> None:
        return None

    def update(self, **numbers: int) -> None:
        return None

    def preview(self, pixels: Any) -> None:
        return None


def _open_silent_progress(total: int, unit: str) -> AbstractContextManager[Progress]:
    return SilentProgress()


@dataclass
class LocalHost:
    """The answers of a command line: three folders, the models folders, a device and a display.

    A file that is not in ``input_dir`` is looked for in the ``shipped_inputs``: the media beside a workflow file.
    ``close`` deletes the temporary folder, if any node asked for it.
    """

    input_option: ClassVar[str] = "--input-dir"
    """How the person who started this home names another input folder; messages say it."""
    output_option: ClassVar[str] = "--output-dir"

    input_dir: Path = field(default_factory=lambda: Path("input"))
    output_dir: Path = field(default_factory=lambda: Path("output"))
    shipped_inputs: tuple[Path, ...] = ()
    models_dirs: tuple[Path, ...] = ()
    device_name: str = "auto"
    backend_name: str = "auto"
    max_pixels: int | None = None
    show_progress: Callable[[int, str], AbstractContextManager[Progress]] = _open_silent_progress
    _temp: tempfile.TemporaryDirectory[str] | None = None

    def folder(self, folder: Folder) -> Path:
        if folder == "input":
            return self.input_dir
        if folder == "output":
            return self.output_dir
        if self._temp is None:
            self._temp = tempfile.TemporaryDirectory(prefix="upscale8k-")
        return Path(self._temp.name)

    def close(self) -> None:
        if self._temp is not None:
            self._temp.cleanup()
            self._temp = None

    def input_files(self, suffixes: tuple[str, ...]) -> list[str]:
        folders = (self.input_dir, *self.shipped_inputs)
        return sorted({name for folder in folders for name in list_files(folder, suffixes)})

    def find_input(self, name: str) -> Path:
        return self._find_path(*split_annotation(name), _is_file)

    def find_sequence(self, name: str) -> Path:
        plain_name, folder = split_annotation(name)
        path = PurePath(plain_name)
        if is_sequence_pattern(plain_name):
            return self._find_path(str(path.parent), folder, _is_folder) / path.name
        return self._find_path(plain_name, folder, _is_folder)

    def _find_path(self, name: str, folder: Folder, exists: Callable[[Path], bool]) -> Path:
        root = self.folder(folder).absolute()
        path = resolve_inside(root, name)
        if path is None:
            raise MediaError(
                f"{name!r} lies outside the {folder} folder {root}.",
                f"A workflow may only name files inside the {folder} folder: copy the file there, or pass {self.input_option}.",
                path=root,
            )
        if not exists(path) and folder == "input":
            path = next(
                (candidate for root in self.shipped_inputs if (candidate := resolve_inside(root, name)) and exists(candidate)),
                path,
            )
        if not exists(path):
            missing = "" if root.is_dir() else ", which does not exist"
            raise MediaError(
                f"{name!r} is not in the {folder} folder {root}{missing}.",
                f"Copy the file there, or name its folder with {self.input_option}.",
                path=path,
            )
        return path

    def check_output(self, folder: Folder, name: str) -> None:
        _check_folder_usable(
            self._resolve_output_path(folder, _add_default_name(expand_tokens(name))).parent, self.output_option
        )

    def output_path(self, folder: Folder, prefix: str, suffix: str, *, width: int = 0, height: int = 0) -> Path:
        path = self.output_file(folder, _add_default_name(expand_tokens(prefix, width=width, height=height)))
        return path.with_name(f"{path.name}_{find_next_counter(path.parent, path.name):05}_{suffix}")

    def output_file(self, folder: Folder, name: str) -> Path:
        path = self._resolve_output_path(folder, name)
        _check_folder_usable(path.parent, self.output_option)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"The folder {path.parent} cannot be made: {error.strerror}.",
                f"Choose another with {self.output_option}.",
                path=path.parent,
            ) from error
        return path

    def _resolve_output_path(self, folder: Folder, name: str) -> Path:
        root = self.folder(folder).absolute()
        path = resolve_inside(root, name)
        if path is None or path == root.resolve():
            raise OutputError(
                f"The file name {name!r} leads outside the {folder} folder {root}.",
                "Use a plain name, or sub/name for a folder inside it.",
                path=root,
            )
        return path

    def model_folders(self) -> tuple[Path, ...]:
        return self.models_dirs

    def register_model(self, model: Any) -> Any:
        return model

    def device(self) -> str:
        return self.device_name

    def backend(self) -> str:
        return self.backend_name

    def get_max_input_pixels(self, node_limit: int = MAX_PIXELS) -> int:
        return self.max_pixels or node_limit

    def check_cancelled(self) -> None:
        return None

    def progress(self, total: int, unit: str) -> AbstractContextManager[Progress]:
        return self.show_progress(total, unit)


def list_files(folder: Path, suffixes: Iterable[str]) -> list[str]:
    """Names of the files directly in ``folder`` that end in one of ``suffixes`` (lower case), sorted."""
    allowed = tuple(suffixes)
    try:
        return sorted(path.name for path in folder.iterdir() if path.name.lower().endswith(allowed) and path.is_file())
    except OSError:  # not there or not readable: a workflow that names a file of it gets told so
        return []
