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

from .errors import MediaError, OutputError

Folder = Literal["input", "output", "temp"]
FOLDERS: tuple[Folder, ...] = ("input", "output", "temp")

WEIGHT_SUFFIXES = (".safetensors", ".sft", ".pth", ".pt", ".ckpt", ".bin")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".exr", ".jxl", ".bmp", ".gif")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".wmv", ".flv")
WRITABLE_FILMS = (".mp4", ".mkv", ".mov", ".webm")
WRITABLE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".exr", ".jxl")


MAX_PIXELS = 1_000_000_000
"""The largest picture that is decoded where nobody says otherwise: 12 GB of float RGB."""


class Progress(Protocol):
    """How far one piece of work has come, in steps of its own unit."""

    def advance(self, steps: int = 1) -> None:
        """Count ``steps`` as done. Inside ComfyUI this raises its interrupt when the person asked to stop."""
        ...

    def say(self, text: str) -> None:
        """Show a sentence beside the bar: a warning, or what was decided."""
        ...

    def tell(self, **numbers: int) -> None:
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

    def find_series(self, name: str) -> Path:
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

    def share_model(self, model: Any) -> Any:
        """Make a loaded model fit for other nodes of this home, and return it."""
        ...

    def device(self) -> str:
        """The torch device to work on: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ..."""
        ...

    def input_pixels(self, own: int = MAX_PIXELS) -> int:
        """The largest picture, in pixels, that is decoded: what was said for the whole run, else the node's ``own`` limit."""
        ...

    def backend(self) -> str:
        """The backend that was forced for the whole run, or ``auto``."""
        ...

    def stop_if_asked(self) -> None:
        """Raise this home's interrupt when the person asked to stop. On a command line Ctrl-C comes by itself."""
        ...

    def progress(self, total: int, unit: str) -> AbstractContextManager[Progress]:
        """A progress display for ``total`` steps called ``unit`` (``tile``, ``frame``, ``MB``)."""
        ...


_ANNOTATION = re.compile(r"\s*\[(input|output|temp)\]$")


def split_annotation(name: str) -> tuple[str, Folder]:
    """``"x.png [output]"`` -> ``("x.png", "output")``; without a bracket it is a file of the input folder."""
    match = _ANNOTATION.search(name)
    if match is None:
        return name, "input"
    folders: dict[str, Folder] = {folder: folder for folder in FOLDERS}
    return name[: match.start()], folders[match.group(1)]


def contained(root: Path, name: str) -> Path | None:
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


def is_series(name: str) -> bool:
    """Whether a name stands for numbered pictures: ``frame_%05d.png``."""
    return re.search(r"%(?:0\d+)?d(?!ay%)", PurePath(name).name) is not None


def _expect_usable(folder: Path, option: str) -> None:
    """Raise ``OutputError`` when files could not be made in ``folder``, or the folder itself could not."""
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not there.is_dir():
        reason = f"{there} is a file" if there == folder else f"{there} is a file, and no folder can be made in it"
    elif not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        reason = f"{there} may not be read and written"
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


def _named(prefix: str) -> str:
    """ComfyUI takes ``video/`` to mean an empty name whose counter never grows, and overwrites; this gives the file a name."""
    return f"{prefix}Upscale8K" if not prefix or prefix.endswith(("/", "\\")) else prefix


def next_counter(folder: Path, stem: str) -> int:
    """One more than the highest number that follows ``stem_`` among the files of ``folder``, as ComfyUI counts."""
    highest = 0
    start = f"{stem}_"
    for path in folder.iterdir():
        if path.name.startswith(start):
            digits = re.match(r"\d+(?=[_.]|$)", path.name[len(start) :])
            highest = max(highest, int(digits.group())) if digits else highest
    return highest + 1


class SilentProgress:
    """Counts nothing and shows nothing; the default of a host without a display."""

    def __enter__(self) -> SilentProgress:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def advance(self, steps: int = 1) -> None:
        return None

    def say(self, text: str) -> None:
        return None

    def tell(self, **numbers: int) -> None:
        return None

    def preview(self, pixels: Any) -> None:
        return None


def _silent(total: int, unit: str) -> AbstractContextManager[Progress]:
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
    show_progress: Callable[[int, str], AbstractContextManager[Progress]] = _silent
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
        return sorted({name for folder in folders for name in input_names(folder, suffixes)})

    def find_input(self, name: str) -> Path:
        return self._find(*split_annotation(name), _is_file)

    def find_series(self, name: str) -> Path:
        plain, folder = split_annotation(name)
        place = PurePath(plain)
        if is_series(plain):
            return self._find(str(place.parent), folder, _is_folder) / place.name
        return self._find(plain, folder, _is_folder)

    def _find(self, name: str, folder: Folder, is_there: Callable[[Path], bool]) -> Path:
        root = self.folder(folder).absolute()
        path = contained(root, name)
        if path is None:
            raise MediaError(
                f"{name!r} lies outside the {folder} folder {root}.",
                f"A workflow may only name files inside the {folder} folder: copy the file there, or pass {self.input_option}.",
                path=root,
            )
        if not is_there(path) and folder == "input":
            path = next((there for root in self.shipped_inputs if (there := contained(root, name)) and is_there(there)), path)
        if not is_there(path):
            missing = "" if root.is_dir() else ", which does not exist"
            raise MediaError(
                f"{name!r} is not in the {folder} folder {root}{missing}.",
                f"Copy the file there, or name its folder with {self.input_option}.",
                path=path,
            )
        return path

    def check_output(self, folder: Folder, name: str) -> None:
        _expect_usable(self._output_place(folder, _named(expand_tokens(name))).parent, self.output_option)

    def output_path(self, folder: Folder, prefix: str, suffix: str, *, width: int = 0, height: int = 0) -> Path:
        path = self.output_file(folder, _named(expand_tokens(prefix, width=width, height=height)))
        return path.with_name(f"{path.name}_{next_counter(path.parent, path.name):05}_{suffix}")

    def output_file(self, folder: Folder, name: str) -> Path:
        path = self._output_place(folder, name)
        _expect_usable(path.parent, self.output_option)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"The folder {path.parent} cannot be made: {error.strerror}.",
                f"Choose another with {self.output_option}.",
                path=path.parent,
            ) from error
        return path

    def _output_place(self, folder: Folder, name: str) -> Path:
        root = self.folder(folder).absolute()
        path = contained(root, name)
        if path is None or path == root.resolve():
            raise OutputError(
                f"The file name {name!r} leads outside the {folder} folder {root}.",
                "Use a plain name, or sub/name for a folder inside it.",
                path=root,
            )
        return path

    def model_folders(self) -> tuple[Path, ...]:
        return self.models_dirs

    def share_model(self, model: Any) -> Any:
        return model

    def device(self) -> str:
        return self.device_name

    def backend(self) -> str:
        return self.backend_name

    def input_pixels(self, own: int = MAX_PIXELS) -> int:
        return self.max_pixels or own

    def stop_if_asked(self) -> None:
        return None

    def progress(self, total: int, unit: str) -> AbstractContextManager[Progress]:
        return self.show_progress(total, unit)


def input_names(folder: Path, suffixes: Iterable[str]) -> list[str]:
    """Names of the files directly in ``folder`` that end in one of ``suffixes`` (lower case), sorted."""
    wanted = tuple(suffixes)
    try:
        return sorted(path.name for path in folder.iterdir() if path.name.lower().endswith(wanted) and path.is_file())
    except OSError:  # not there or not readable: a workflow that names a file of it gets told so
        return []
