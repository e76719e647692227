"""Paths: those of the pack and its caches, and those that a workflow names.

Paths that a workflow names are resolved with symbolic links followed and must stay inside the folder they are for.
"""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from .errors import OutputError

PACK_ROOT = Path(__file__).resolve().parents[1]
CATALOG_FILE = PACK_ROOT / "models" / "catalog.toml"
REQUIREMENTS_FILE = PACK_ROOT / "requirements.txt"
WORKFLOWS_FOLDER = PACK_ROOT / "workflows"
BLUEPRINTS_FOLDER = WORKFLOWS_FOLDER / "blueprints"
SHIPPED_MEDIA = WORKFLOWS_FOLDER / "media"
SAMPLE_IMAGE = SHIPPED_MEDIA / "sample.png"

Folder = Literal["input", "output", "temp"]
FOLDERS: tuple[Folder, ...] = ("input", "output", "temp")
_FOLDER_ANNOTATION = re.compile(r"\s*\[(input|output|temp)\]$")


def is_checkout() -> bool:
    """Return whether this is a checkout or ComfyUI's copy of it, not what ``pip install`` unpacked."""
    return (PACK_ROOT / "pyproject.toml").is_file()


def read_version() -> str:
    """Return our version: of the checkout, else of the installed package."""
    import tomllib
    from importlib.metadata import version

    if not is_checkout():
        return version("upscale8k")
    return tomllib.loads((PACK_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def get_data_folder() -> Path:
    """Return the platform's folder for this user's data of ``upscale8k`` (honours XDG_DATA_HOME)."""
    import platformdirs

    return Path(platformdirs.user_data_dir("upscale8k", appauthor=False))


def get_cache_folder() -> Path:
    """Return ``UPSCALE8K_CACHE_DIR``, else the platform's cache folder for ``upscale8k`` (honours XDG_CACHE_HOME)."""
    import platformdirs

    from_environment = os.environ.get("UPSCALE8K_CACHE_DIR")
    return Path(from_environment) if from_environment else Path(platformdirs.user_cache_dir("upscale8k", appauthor=False))


def get_default_models_dir() -> Path:
    """Return the default folder of ``models pull``: of the checkout, or of the user after ``pip install``."""
    return Path(
        os.environ.get("UPSCALE8K_MODELS_DIR") or (PACK_ROOT / "models" if is_checkout() else get_data_folder() / "models")
    )


def get_autotune_file() -> Path:
    """Return the file in which ``upscale`` stores how accurate models are in bf16."""
    return get_cache_folder() / "backends.json"


def split_annotation(name: str) -> tuple[str, Folder]:
    """``"x.png [output]"`` -> ``("x.png", "output")``; without an annotation it is a file of the input folder."""
    match = _FOLDER_ANNOTATION.search(name)
    if match is None:
        return name, "input"
    folders: dict[str, Folder] = {folder: folder for folder in FOLDERS}
    return name[: match.start()], folders[match.group(1)]


def resolve_inside(root: Path, name: str) -> Path | None:
    """Return ``root/name`` with links followed, or None when it is outside ``root`` or not a valid path."""
    try:
        root = root.resolve()
        path = (root / name).resolve()
    except (OSError, ValueError, RuntimeError):  # too long, NUL or half a surrogate pair, links in a circle
        return None
    return path if "\0" not in name and path.is_relative_to(root) else None


def list_files(folder: Path, suffixes: Iterable[str]) -> list[str]:
    """Return the sorted names of the files directly in ``folder`` that end in one of ``suffixes`` (lower case).

    A folder that does not exist or cannot be read has none: the error comes when a workflow names a file of it.
    """
    allowed = tuple(suffixes)
    try:
        return sorted(path.name for path in folder.iterdir() if path.name.lower().endswith(allowed) and path.is_file())
    except OSError:
        return []


def check_folder_usable(folder: Path, option: str) -> None:
    """Raise ``OutputError`` if files cannot be created in ``folder``, or the folder itself cannot; create nothing.

    ``option`` is the command line option that names another folder.
    """
    existing = next(candidate for candidate in (folder, *folder.parents) if os.path.lexists(candidate))
    if not existing.is_dir():
        reason = f"{existing} is a file" if existing == folder else f"{existing} is a file, so no folder can be created in it"
    elif not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        reason = f"{existing} is not readable and writable"
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


def add_default_name(prefix: str) -> str:
    """Add a file name to a prefix without one: for ``video/`` ComfyUI's counter never grows, and files are overwritten."""
    return f"{prefix}Upscale8K" if not prefix or prefix.endswith(("/", "\\")) else prefix
