"""Check weight files against their official hashes, and import files that the user downloaded."""

import base64
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Literal

from ..atomic_write import translate_os_errors, write_atomically
from ..checksum import compute_sha256
from ..errors import ModelDamaged, ModelError, ModelNotFound, UnsupportedModel
from ..file_types import WEIGHT_SUFFIXES
from .catalog import CatalogEntry, find_entry, load_catalog
from .load import Descriptor, load_model
from .locate import DEPENDENCY, FoundModel, list_available_models, list_catalog_models
from .openmodeldb import DATABASE_PREFIX

Verdict = Literal["official", "unconfirmed", "dependency", "other-form", "different"]
"""``official``: it has the author's hash. ``unconfirmed``: it has the only known hash, which no second source confirms.
``dependency``: as its package shipped it. ``other-form``: a conversion, for which there is no hash. ``different``: none of
these."""


@dataclass(frozen=True)
class VerifiedModel:
    """The verdict on the file of a catalog id."""

    entry: CatalogEntry
    path: Path
    sha256: str
    verdict: Verdict
    what: str
    """The verdict as a sentence, with the next step if one is needed."""

    @property
    def is_good(self) -> bool:
        return self.verdict != "different"


@dataclass(frozen=True)
class ImportedModel:
    """An imported file. ``entry`` is the known model with the same bytes, None for any other model."""

    path: Path
    entry: CatalogEntry | None
    what: str


def verify_models(folders: Sequence[Path], progress: Callable[[int], object] | None = None) -> list[VerifiedModel]:
    """Check every known model that is present, in catalog order, then those of OpenModelDB.

    ``progress`` receives the bytes of each chunk read. Raises ``ModelDamaged`` for a file that cannot be read.
    """
    others = [one for one in list_available_models(folders) if one.entry and one.entry.id.startswith(DATABASE_PREFIX)]
    known = [*list_catalog_models(folders), *others]
    return [_verify_file(found.entry, found, progress) for found in known if found.entry]


def _verify_file(entry: CatalogEntry, found: FoundModel, progress: Callable[[int], object] | None) -> VerifiedModel:
    digest = _compute_hash(found.path, progress)
    verdict = _determine_verdict(entry, found, digest)
    return VerifiedModel(entry, found.path, digest, verdict, _describe_verdict(entry, found, verdict))


def _determine_verdict(entry: CatalogEntry, found: FoundModel, digest: str) -> Verdict:
    if digest == entry.sha256:
        return "unconfirmed" if entry.sha256_evidence == "unconfirmed" else "official"
    if found.source == "dependency":
        shipped_hash = _read_shipped_hash(found.path)
        return "other-form" if shipped_hash is None else "dependency" if digest == shipped_hash else "different"
    return "different" if found.path.name.casefold() == entry.file.casefold() else "other-form"


def _describe_verdict(entry: CatalogEntry, found: FoundModel, verdict: Verdict) -> str:
    if verdict == "different" and found.source == "dependency":
        return f"{found.path} was changed after it was installed. Run: pip install --force-reinstall {DEPENDENCY}"
    return {
        "official": f"{found.path} is the official {entry.file}.",
        "unconfirmed": f"{found.path} has the only known hash of {entry.file}, which no second source confirms.",
        "dependency": f"{found.path} is as {DEPENDENCY} shipped it: the weights of {entry.file} in fp16.",
        "other-form": f"{found.path} is a conversion of {entry.file}; there is no hash to compare it with.",
        "different": f"{found.path} is not the official {entry.file}. "
        f"Delete or rename it, then run: python -m runtime models pull {entry.id}",
    }[verdict]


def _read_shipped_hash(path: Path) -> str | None:
    """Return the sha256 of a file in the package's own record, in hexadecimal; None if it has none."""
    for file in metadata.distribution(DEPENDENCY).files or ():
        if file.name == path.name and file.hash and file.hash.mode == "sha256":
            padded = file.hash.value + "=" * (-len(file.hash.value) % 4)
            return base64.urlsafe_b64decode(padded).hex()
    return None


def import_file(path: Path, folder: Path) -> ImportedModel:
    """Copy a weight file into a models folder; nothing is overwritten.

    An official file, recognised by its hash, gets its official name; any other super-resolution model keeps its own name.

    Raises:
        ModelNotFound, ModelDamaged, UnsupportedModel: The file does not load, or contains NaN.
        ModelError: A different file has this name.
        OutputError: The folder cannot be written.
    """
    if not path.is_file():
        raise ModelNotFound(f"{path} does not exist.", "Check the name.", path=path)
    digest = _compute_hash(path, None)
    entry = next((entry for entry in load_catalog().values() if entry.sha256 == digest), None)
    if entry is None:
        _check_file_name(path)
    descriptor = load_model(FoundModel(path.name, entry, path, "folder"))
    _check_finite(descriptor, path)
    target = folder / (entry.file if entry else path.name)
    _copy_checked(path, target, digest)
    param = path.with_suffix(".param")
    if path.suffix.casefold() == ".bin" and param.is_file():
        _copy_checked(param, target.with_suffix(".param"), _compute_hash(param, None))
    unknown = f"a model that is not in the catalog ({descriptor.architecture.name}, {descriptor.scale}x)"
    what = f"the official file of {entry.title} ({entry.id})" if entry else unknown
    return ImportedModel(target, entry, f"{path.name} is {what}; it is now {target}.")


def _check_finite(descriptor: Descriptor, path: Path) -> None:
    """Raise ``ModelDamaged`` for NaN: a failed training run leaves it, and such a model outputs black images."""
    weights = descriptor.model.state_dict()
    bad_tensor = next((name for name, tensor in weights.items() if not bool(tensor.isfinite().all())), "")
    if bad_tensor:
        raise ModelDamaged(
            f"{path} contains NaN or infinite weights ({bad_tensor}).", "Get another version of it from its author.", path=path
        )


def _check_file_name(path: Path) -> None:
    if not path.name.casefold().endswith(WEIGHT_SUFFIXES):
        hint = f"Rename it with one of the suffixes {', '.join(WEIGHT_SUFFIXES)}."
        raise UnsupportedModel(f"{path} does not have the suffix of a weight file.", hint, path=path)
    claimed_entry = find_entry(path.name)
    if claimed_entry and path.name.casefold() == claimed_entry.file.casefold():
        what = f"{path} has the name of {claimed_entry.title}, but is not its official file."
        hint = f"Rename it if it is a model of its own, or run: python -m runtime models pull {claimed_entry.id}"
        raise ModelDamaged(what, hint, model=claimed_entry.id, path=path)


def _copy_checked(source: Path, target: Path, digest: str) -> None:
    """Copy atomically and check the copy. An existing target with the same bytes is accepted."""
    with translate_os_errors(target, "Choose a folder with free space."):
        if target.exists():
            _check_same_content(target, digest)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, partial(_copy_with_hash, source, digest), exclusive=True)


def _copy_with_hash(source: Path, digest: str, copy: Path) -> None:
    shutil.copyfile(source, copy)
    if compute_sha256(copy) != digest:
        raise ModelDamaged(f"{source} changed while it was copied.", "Run it again.", path=source)


def _check_same_content(target: Path, digest: str) -> None:
    if compute_sha256(target) != digest:
        raise ModelError(f"{target} exists and is another file.", "Delete or rename it first.", path=target)


def _compute_hash(path: Path, progress: Callable[[int], object] | None) -> str:
    try:
        return compute_sha256(path, progress)
    except OSError as error:
        raise ModelDamaged(f"{path} cannot be read: {error.strerror}.", "Check its permissions.", path=path) from error
