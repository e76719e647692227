"""The questions that ComfyUI and the command line answer differently: folders, models, device, limits, progress.

``LocalHost`` answers them for the command line, ``nodes/comfyui/comfyui_host.py`` with ComfyUI's own functions. All the rest
of the engine is the same for both.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import Any, ClassVar, Protocol

from .atomic_write import find_next_counter, translate_os_errors, write_atomically
from .errors import MediaError, OutputError
from .file_types import is_sequence_pattern
from .paths import (
    SHIPPED_MEDIA,
    Folder,
    add_default_name,
    check_folder_usable,
    expand_tokens,
    list_files,
    resolve_inside,
    split_annotation,
)
from .progress import OpenProgress, Progress, open_silent_progress

MAX_PIXELS = 1_000_000_000
"""The largest image that is decoded by default: 12 GB of float RGB."""


class Host(Protocol):
    """The environment of the nodes: they use nothing else outside the engine."""

    def input_files(self, suffixes: tuple[str, ...]) -> list[str]:
        """Return the sorted names of the files directly in the input folder with one of these suffixes."""
        ...

    def find_input(self, name: str) -> Path:
        """Return the file that a workflow names as ``name.png``, ``sub/name.png`` or ``name.png [output]``.

        Raises ``MediaError`` if it does not exist or is outside its folder.
        """
        ...

    def find_sequence(self, name: str) -> Path:
        """Return the folder of an image sequence that a workflow names, or its pattern: ``shots/frame_%05d.png``.

        Raises ``MediaError`` if the folder does not exist or is outside its root.
        """
        ...

    def folder(self, folder: Folder) -> Path:
        """Return the root of one of the three folders."""
        ...

    def check_output(self, folder: Folder, name: str) -> None:
        """Raise ``OutputError`` if a result of this name or prefix could not be written; create nothing.

        Called before the work begins, so that no user waits an hour for a result that cannot be saved.
        """

    def output_path(self, folder: Folder, prefix: str, suffix: str, *, width: int = 0, height: int = 0) -> Path:
        """Return an unused path: ``prefix`` with its tokens replaced, a counter, and ``suffix``.

        Raises ``OutputError`` if it is outside the folder or the folder cannot be created.
        """
        ...

    def output_file(self, folder: Folder, name: str) -> Path:
        """Return the path of exactly ``name`` in the folder, which may exist.

        Raises ``OutputError`` if it is outside the folder or the folder cannot be created.
        """
        ...

    def model_folders(self) -> tuple[Path, ...]:
        """Return the folders of weights; the first match wins."""
        ...

    def register_model(self, model: Any) -> Any:
        """Prepare a loaded model for other nodes of this host, and return it."""
        ...

    def device(self) -> str:
        """Return the torch device to work on: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ..."""
        ...

    def free_memory(self, device: str, needed_bytes: int) -> None:
        """Free memory of a torch device that other models of this host occupy, until ``needed_bytes`` are free if possible."""

    def get_max_input_pixels(self, node_limit: int = MAX_PIXELS) -> int:
        """Return the largest image, in pixels, that is decoded: the limit of the whole run, else ``node_limit``."""
        ...

    def backend(self) -> str:
        """Return the backend of the whole run, or ``auto``."""
        ...

    def workers(self) -> str:
        """Return who makes the videos of the whole run, as ``--workers``; "" leaves it to each node."""
        ...

    def progress(self, total: int, unit: str) -> AbstractContextManager[Progress]:
        """Open a progress display; an ``OpenProgress``."""
        ...


@dataclass
class LocalHost:
    """The command line as the host: three folders, the models folders, a device and a display.

    A file that is not in ``input_dir`` is searched in ``shipped_inputs``, the media beside a workflow file.
    ``close`` deletes the temporary folder.
    """

    input_option: ClassVar[str] = "--input-dir"
    """The option for another input folder; messages name it."""
    output_option: ClassVar[str] = "--output-dir"

    input_dir: Path = field(default_factory=lambda: Path("input"))
    output_dir: Path = field(default_factory=lambda: Path("output"))
    shipped_inputs: tuple[Path, ...] = ()
    models_dirs: tuple[Path, ...] = ()
    device_name: str = "auto"
    backend_name: str = "auto"
    max_pixels: int | None = None
    workers_name: str = ""
    packs: tuple[Path, ...] = ()
    """Folders of the node packs whose nodes may run."""
    show_progress: OpenProgress = open_silent_progress
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
        # not Path.is_file, which raises for a name that is too long and in a folder that cannot be entered
        return self._find_path(*split_annotation(name), os.path.isfile)

    def find_sequence(self, name: str) -> Path:
        plain_name, folder = split_annotation(name)
        path = PurePath(plain_name)
        if is_sequence_pattern(plain_name):
            return self._find_path(str(path.parent), folder, os.path.isdir) / path.name
        return self._find_path(plain_name, folder, os.path.isdir)

    def _find_path(self, name: str, folder: Folder, exists: Callable[[Path], bool]) -> Path:
        root = self.folder(folder).absolute()
        path = resolve_inside(root, name)
        if path is None:
            raise MediaError(
                f"{name!r} is outside the {folder} folder {root}.",
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
        check_folder_usable(self._resolve_output_path(folder, add_default_name(expand_tokens(name))).parent, self.output_option)

    def output_path(self, folder: Folder, prefix: str, suffix: str, *, width: int = 0, height: int = 0) -> Path:
        path = self.output_file(folder, add_default_name(expand_tokens(prefix, width=width, height=height)))
        return path.with_name(f"{path.name}_{find_next_counter(path.parent, path.name):05}_{suffix}")

    def output_file(self, folder: Folder, name: str) -> Path:
        path = self._resolve_output_path(folder, name)
        check_folder_usable(path.parent, self.output_option)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"The folder {path.parent} cannot be created: {error.strerror}.",
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

    def free_memory(self, device: str, needed_bytes: int) -> None:
        """Free nothing: a model of the command line lives only while it runs."""

    def backend(self) -> str:
        return self.backend_name

    def workers(self) -> str:
        return self.workers_name

    def get_max_input_pixels(self, node_limit: int = MAX_PIXELS) -> int:
        return self.max_pixels or node_limit

    def progress(self, total: int, unit: str) -> AbstractContextManager[Progress]:
        return self.show_progress(total, unit)


def copy_samples(folder: Path) -> list[str]:
    """Copy the images and videos of the shipped workflows that are not in ``folder``; return their names.

    Raises ``OutputError`` if one cannot be written; existing files stay as they are.
    """
    media = sorted(SHIPPED_MEDIA.glob("sample*.*"))
    samples = [path for path in media if not (folder / path.name).exists()]
    for path in samples:
        with translate_os_errors(folder / path.name):
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / path.name, partial(shutil.copyfile, path), exclusive=True)
    return [path.name for path in samples]
