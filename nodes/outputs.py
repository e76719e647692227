"""Where results are written and how ComfyUI's ``ui`` names them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.paths import expand_tokens

if TYPE_CHECKING:
    from ..runtime.comfyui import FindOutputPath
    from ..runtime.host import Host
    from ..runtime.paths import Folder


def collect_workflow_text(prompt: Any, extra_pnginfo: dict[str, Any] | None) -> dict[str, Any]:
    """Return what a saved file carries so that the canvas and the headless runner can open it as a workflow."""
    return {**({"prompt": prompt} if prompt is not None else {}), **(extra_pnginfo or {})}


def dump_workflow_text(prompt: Any, extra_pnginfo: dict[str, Any] | None) -> dict[str, str]:
    """Return the same with every value as JSON text."""
    return {key: json.dumps(value) for key, value in collect_workflow_text(prompt, extra_pnginfo).items()}


def format_ui_files(host: Host, folder: Folder, paths: Sequence[Path]) -> list[dict[str, str]]:
    """Return files as entries of ComfyUI's ``ui``, relative to their folder."""
    root = host.folder(folder).resolve()
    relative_paths = [path.resolve().relative_to(root) for path in paths]
    return [
        {"filename": path.name, "subfolder": "" if path.parent == Path() else path.parent.as_posix(), "type": folder}
        for path in relative_paths
    ]


def join_folder(folder: str, name: str) -> str:
    """Return the name of a file in a folder below the output folder."""
    folder_path = folder.strip().rstrip("/")
    return f"{folder_path}/{name}" if folder_path else name


def make_numbered_path_finder(host: Host, folder: Folder) -> FindOutputPath:
    """Return a function that names the files of a batch with ComfyUI's counter; it also fills in ``%batch_num%``."""

    def find_path(stem: str, suffix: str, index: int, *, width: int, height: int) -> Path:
        numbered_stem = stem.replace("%batch_num%", str(index))
        return host.output_path(folder, numbered_stem, suffix, width=width, height=height)

    return find_path


def make_exact_path_finder(host: Host) -> FindOutputPath:
    """Return a function that gives the first file exactly its name, and the others of the batch a number after it."""

    def find_path(stem: str, suffix: str, index: int, *, width: int, height: int) -> Path:
        stem = expand_exact_stem(stem, width, height)
        return host.output_file("output", f"{stem}{suffix}" if index == 0 else f"{stem}_{index:05}{suffix}")

    return find_path


def expand_exact_stem(stem: str, width: int, height: int) -> str:
    """Fill in the tokens; a name that is empty becomes ``Upscale8K``."""
    stem = expand_tokens(stem, width=width, height=height)
    return stem if stem and not stem.endswith(("/", "\\")) else f"{stem}Upscale8K"
