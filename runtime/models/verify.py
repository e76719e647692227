"""Whether files are what they claim, and taking in files that somebody downloaded himself."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from ..errors import ModelDamaged, ModelError, ModelNotFound, OutputError, UnsupportedModel
from ..whole import whole
from .catalog import WEIGHT_SUFFIXES, CatalogEntry, catalog, find_entry
from .load import Descriptor, load
from .locate import DEPENDENCY, Located, known
from .provenance import sha256_of

Verdict = Literal["official", "unconfirmed", "dependency", "other-form", "different"]
"""``official``: its hash is the author's. ``unconfirmed``: it has the only hash that is known, which proves little.
``dependency``: as its package shipped it. ``other-form``: a conversion, which no hash can judge. ``different``: none of
these."""


@dataclass(frozen=True)
class Verified:
    """The verdict on the file that a catalog id stands for here."""

    entry: CatalogEntry
    path: Path
    sha256: str
    verdict: Verdict
    what: str
    """The verdict as a sentence, with the next step where one is needed."""

    @property
    def good(self) -> bool:
        return self.verdict != "different"


@dataclass(frozen=True)
class Imported:
    """A file that was taken in. ``entry`` is the known model that its bytes are, None for any other model."""

    path: Path
    entry: CatalogEntry | None
    what: str


def verify(folders: Sequence[Path], progress: Callable[[int], object] | None = None) -> list[Verified]:
    """The verdict on every known model that is here, in the catalog's order; ``progress`` is told the bytes of each piece read.

    Raises ``ModelDamaged`` for a file that cannot be read.
    """
    return [_verified(found.entry, found, progress) for found in known(folders) if found.entry]


def _verified(entry: CatalogEntry, found: Located, progress: Callable[[int], object] | None) -> Verified:
    digest = _hash(found.path, progress)
    verdict = _verdict(entry, found, digest)
    return Verified(entry, found.path, digest, verdict, _sentence(entry, found, verdict))


def _verdict(entry: CatalogEntry, found: Located, digest: str) -> Verdict:
    if digest == entry.sha256:
        return "unconfirmed" if entry.sha256_evidence == "unconfirmed" else "official"
    if found.source == "dependency":
        shipped = _shipped_hash(found.path)
        return "other-form" if shipped is None else "dependency" if digest == shipped else "different"
    return "different" if found.path.name.casefold() == entry.file.casefold() else "other-form"


def _sentence(entry: CatalogEntry, found: Located, verdict: Verdict) -> str:
    if verdict == "different" and found.source == "dependency":
        return f"{found.path} was changed after it was installed. Run: pip install --force-reinstall {DEPENDENCY}"
    return {
        "official": f"{found.path} is the official {entry.file}.",
        "unconfirmed": f"{found.path} has the only known hash of {entry.file}, which no second source confirms.",
        "dependency": f"{found.path} is as {DEPENDENCY} shipped it: the weights of {entry.file} in fp16.",
        "other-form": f"{found.path} is another form of {entry.file}; there is no hash to compare it with.",
        "different": f"{found.path} is not the official {entry.file}. "
        f"Delete or rename it, then run: python -m runtime models pull {entry.id}",
    }[verdict]


def _shipped_hash(path: Path) -> str | None:
    """The sha256 that the package's own record states for a file of it, in hexadecimal."""
    for file in metadata.distribution(DEPENDENCY).files or ():
        if file.name == path.name and file.hash and file.hash.mode == "sha256":
            padded = file.hash.value + "=" * (-len(file.hash.value) % 4)
            return base64.urlsafe_b64decode(padded).hex()
    return None


def import_file(path: Path, folder: Path) -> Imported:
    """Copy a file with weights into a models folder: an official file, known by its hash, under its official name; any other
    single-image super-resolution model under its own name. Nothing is overwritten.

    Raises ``ModelNotFound``, ``ModelDamaged`` or ``UnsupportedModel`` for a file that does not load or holds NaN,
    ``ModelError`` when a different file has the name, ``OutputError`` when the folder cannot be written.
    """
    if not path.is_file():
        raise ModelNotFound(f"{path} is not there.", "Check the name.", path=path)
    digest = _hash(path, None)
    entry = next((entry for entry in catalog().values() if entry.sha256 == digest), None)
    if entry is None:
        _expect_own_name(path)
    descriptor = load(Located(path.name, entry, path, "folder"))
    _expect_numbers(descriptor, path)
    target = folder / (entry.file if entry else path.name)
    _copy(path, target, digest)
    param = path.with_suffix(".param")
    if path.suffix.casefold() == ".bin" and param.is_file():
        _copy(param, target.with_suffix(".param"), _hash(param, None))
    unknown = f"a model that is not in the catalog ({descriptor.architecture.name}, {descriptor.scale}x)"
    what = f"the official file of {entry.title} ({entry.id})" if entry else unknown
    return Imported(target, entry, f"{path.name} is {what}; it is now {target}.")


def _expect_numbers(descriptor: Descriptor, path: Path) -> None:
    """A training run that went wrong leaves NaN, and a model with NaN makes black pictures."""
    weights = descriptor.model.state_dict()
    wrong = next((name for name, one in weights.items() if not bool(one.isfinite().all())), "")
    if wrong:
        raise ModelDamaged(
            f"{path} holds NaN or infinite weights ({wrong}).", "Get another version of it from its author.", path=path
        )


def _expect_own_name(path: Path) -> None:
    if not path.name.casefold().endswith(WEIGHT_SUFFIXES):
        hint = f"Give it one of the endings {', '.join(WEIGHT_SUFFIXES)}."
        raise UnsupportedModel(f"The name of {path} does not end like a file with weights.", hint, path=path)
    claimed = find_entry(path.name)
    if claimed and path.name.casefold() == claimed.file.casefold():
        what = f"{path} has the name of {claimed.title}, but is not its official file."
        hint = f"Rename it if it is a model of its own, or run: python -m runtime models pull {claimed.id}"
        raise ModelDamaged(what, hint, model=claimed.id, path=path)


def _copy(source: Path, target: Path, digest: str) -> None:
    """Copy under a temporary name, check, then rename. The same bytes under that name already are fine."""
    try:
        if target.exists():
            _expect_same(target, digest)
            return
        with whole(target) as part:
            shutil.copyfile(source, part)
            if sha256_of(part) != digest:
                raise ModelDamaged(f"{source} changed while it was copied.", "Run it again.", path=source)
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written: {error.strerror}.", "Choose a folder with room.", path=target
        ) from error


def _expect_same(target: Path, digest: str) -> None:
    if sha256_of(target) != digest:
        raise ModelError(f"{target} exists and is another file.", "Delete or rename it first.", path=target)


def _hash(path: Path, progress: Callable[[int], object] | None) -> str:
    try:
        return sha256_of(path, progress)
    except OSError as error:
        raise ModelDamaged(f"{path} cannot be read: {error.strerror}.", "Check its permissions.", path=path) from error
