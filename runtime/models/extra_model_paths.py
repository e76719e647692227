"""Further folders with upscale models, from ComfyUI's ``extra_model_paths.yaml``."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from ..errors import ModelError

KEY = "upscale_models"


def read_model_folders(path: Path) -> list[Path]:
    """Return the folders for upscale models in ``path``, in ComfyUI's order: those of ``is_default`` sections first.

    A section's ``base_path`` may contain ``~`` and environment variables. Relative paths start at the file's folder.

    Raises:
        ModelError: The file cannot be read, has another structure, or PyYAML is not installed.
    """
    folders: list[Path] = []
    sections = _read_sections(path)
    try:
        found = list(_iterate_folders(sections, path.resolve().parent))
    except (RuntimeError, ValueError) as error:  # a user that does not exist; a path with NUL
        raise ModelError(f"{path} names a folder that cannot be: {error}.", "Correct its base_path.", path=path) from error
    for folder, is_default in found:
        if is_default:
            folders.insert(0, folder)
        elif folder not in folders:
            folders.append(folder)
    return list(dict.fromkeys(folders))


def _read_sections(path: Path) -> dict[object, object]:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ModelError(f"Reading {path} needs PyYAML.", "Install it with: pip install pyyaml", path=path) from error
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise ModelError(f"{path} cannot be read: {error}", "Compare it with ComfyUI's example file.", path=path) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ModelError(f"{path} has no sections.", "Compare it with ComfyUI's example file.", path=path)
    return cast("dict[object, object]", content)


def _iterate_folders(sections: dict[object, object], origin: Path) -> Iterator[tuple[Path, bool]]:
    for section in sections.values():
        if not isinstance(section, dict):
            continue
        values = cast("dict[object, object]", section)
        paths = values.get(KEY)
        if not isinstance(paths, str):
            continue
        base = origin / os.path.expandvars(Path(str(values.get("base_path") or "")).expanduser())
        for line in paths.splitlines():
            if line.strip():
                folder = Path(os.path.normpath(base / line.strip()))
                if "\0" in str(folder):
                    raise ValueError("a NUL character in a path")
                yield folder, bool(values.get("is_default", False))
