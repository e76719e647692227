"""Models of OpenModelDB, a public database of upscaling models: find one by name, and remember what was found beside its file.

Source: ``/api/v1/models.json`` of openmodeldb.info, one object per model, as ``src/lib/schema.ts`` of
OpenModelDB/open-model-database describes it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from ..atomic_write import atomic_write
from ..errors import ModelError, ModelNotFound
from .catalog import RECORD_SUFFIX, CatalogEntry
from .pull import TIMEOUT_SECONDS, make_https_session

if TYPE_CHECKING:
    import requests

DATABASE_PREFIX = "openmodeldb:"
"""What a name of this database begins with."""
DATABASE_URL = "https://openmodeldb.info/api/v1/models.json"
_PAGE = "https://openmodeldb.info/models/"
_MAX_DATABASE_BYTES = 64 << 20
_MAX_TEXT = 200
_TYPES = ("safetensors", "pth")
_DEFAULT_HALO = 64
_NAME = re.compile(r"\w[\w.+-]{0,120}")
_PAGES_OF_FILES = ("www.dropbox.com",)
"""Hosts whose addresses look like files and answer with a page."""


def find_database_entry(name: str, *, session: requests.Session | None = None) -> CatalogEntry:
    """Return the model ``openmodeldb:NAME`` as an entry; its halo is the default until it is measured.

    Raises:
        ModelNotFound: The database has no such model.
        ModelError: The database cannot be read, or no file of this model can be downloaded without a browser.
    """
    with nullcontext(session) if session else make_https_session() as open_session:
        models = _read_database(open_session)
    wanted = name.removeprefix(DATABASE_PREFIX).strip()
    by_folded = {known.casefold(): known for known in models}
    known = by_folded.get(wanted.casefold(), "")
    if not _NAME.fullmatch(known):
        close = difflib.get_close_matches(wanted.casefold(), by_folded)
        names = " or ".join(DATABASE_PREFIX + by_folded[one] for one in close)
        hint = f"Did you mean {names}?" if close else "Find its name on https://openmodeldb.info."
        raise ModelNotFound(f"OpenModelDB has no model {wanted!r}.", hint, model=name)
    try:
        return _make_entry(known, models[known])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"OpenModelDB's record of {known} cannot be read ({error!r})."
        raise ModelError(what, f"See {_PAGE}{known}", model=name) from error


def _read_database(session: requests.Session) -> Mapping[str, Mapping[str, object]]:
    import requests

    try:
        with session.get(DATABASE_URL, stream=True, timeout=TIMEOUT_SECONDS) as response:
            response.raise_for_status()
            content = response.raw.read(_MAX_DATABASE_BYTES + 1, decode_content=True)
        models: object = json.loads(content) if len(content) <= _MAX_DATABASE_BYTES else None
    except (requests.RequestException, OSError, ValueError, RecursionError) as error:
        hint = "Try again later, or download the file by hand and run: python -m runtime models import FILE"
        raise ModelError(f"OpenModelDB could not be read from {DATABASE_URL}: {error}.", hint) from error
    if not isinstance(models, dict):
        raise ModelError(f"{DATABASE_URL} is not a table of models.", "Try again later.")
    return cast("Mapping[str, Mapping[str, object]]", models)


def _make_entry(name: str, model: Mapping[str, object]) -> CatalogEntry:
    resources = cast("Sequence[Mapping[str, object]]", model["resources"])
    usable = [
        (_TYPES.index(str(one["type"])), one, urls)
        for one in resources
        if one["type"] in _TYPES and (urls := [url for url in cast("Sequence[str]", one["urls"]) if is_direct(url)])
    ]
    if not usable:
        pages = [url for one in resources for url in cast("Sequence[str]", one["urls"])]
        what = f"{name} can only be downloaded with a browser, from {_clean(pages[0]) if pages else 'its author'}."
        hint = f"Open {_PAGE}{name}, download it, and run: python -m runtime models import FILE"
        raise ModelError(what, hint, model=DATABASE_PREFIX + name)
    _, resource, urls = min(usable, key=lambda one: one[0])
    sha256, size = str(resource["sha256"]).lower(), resource["size"]
    if not re.fullmatch(r"[0-9a-f]{64}", sha256) or not isinstance(size, int):
        raise ValueError("it has no sha256 or no size")
    authors = model["author"]
    return CatalogEntry(
        id=DATABASE_PREFIX + name,
        title=_clean(model["name"]),
        architecture=_clean(model["architecture"]),
        scale=int(str(model["scale"])),
        licence=_clean(model["license"] or "not stated"),
        author=_clean(", ".join(map(str, cast("list[object]", authors))) if isinstance(authors, list) else authors),
        file=f"{name}.{resource['type']}",
        urls=tuple(urls),
        sha256=sha256,
        sha256_evidence="single-source",
        multiple=1,
        window=1,
        halo=_DEFAULT_HALO,
        half_safe=False,
        bfloat16_safe=False,
        good_for=_clean(", ".join(map(str, cast("Sequence[object]", model["tags"])))),
        bad_for="",
        bytes=size,
    )


def is_direct(url: str) -> bool:
    """Return whether an address is that of a file; others lead to a page on which a person has to click."""
    parts = urlsplit(url)
    is_file = parts.path.casefold().endswith(tuple(f".{one}" for one in _TYPES)) and "/blob/" not in parts.path
    return is_file and parts.scheme in ("https", "http") and parts.hostname not in _PAGES_OF_FILES


def _clean(text: object) -> str:
    return "".join(letter for letter in str(text) if letter.isprintable())[:_MAX_TEXT].strip()


def get_page(entry: CatalogEntry) -> str:
    """Return the address of the model's page."""
    return _PAGE + entry.id.removeprefix(DATABASE_PREFIX)


def write_record(path: Path, entry: CatalogEntry) -> None:
    """Write what is known of the weight file ``path`` beside it. Raises ``OSError``."""
    with atomic_write(path.with_name(path.name + RECORD_SUFFIX)) as temp:
        temp.write_text(json.dumps(asdict(entry), indent=2), encoding="utf-8")
