"""The explicit download of a known model: HTTPS only, resumed, checked by size and hash.

It stands under its final name only when it is whole.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelDamaged, ModelError, OutputError
from .catalog import CatalogEntry
from .provenance import CHUNK, sha256_of

if TYPE_CHECKING:
    import requests

Progress = Callable[[int, int | None], object]
"""Told the bytes that are there and, where it is known, their total. What it raises (``Cancelled``) ends the download; what
is there stays as ``.part`` and the next pull goes on from it."""

TIMEOUT_SECONDS = (15, 60)
"""To connect, and between two pieces."""
ATTEMPTS = 3
"""For each address; a broken connection goes on where it ended."""
LARGEST = 2 << 30
"""Bytes that are taken from a server at most when the catalog states no size."""


@dataclass(frozen=True)
class Pulled:
    """The file under its final name. ``warning`` is a sentence when its hash proves little, else empty."""

    path: Path
    warning: str = ""


def https_session() -> requests.Session:
    """A session that knows no other way than HTTPS: it refuses plain HTTP also as the target of a redirect."""
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    session.adapters.clear()
    session.mount("https://", HTTPAdapter(max_retries=2))
    return session


def pull(
    entry: CatalogEntry, folder: Path, progress: Progress | None = None, *, session: requests.Session | None = None
) -> Pulled:
    """Download ``entry`` into ``folder`` under its official name; its addresses are tried in order.

    A file that is there already and has the right hash is left as it is. ``session`` replaces the HTTPS-only one.

    Raises ``ModelDamaged`` when what came is not the official file (it is deleted), ``ModelError`` when no address works or
    another file has the name, ``OutputError`` when the folder cannot be written.
    """
    target = folder / entry.file
    if target.exists():
        return _expect_official(entry, target)
    part = _Part(target.with_name(f"{target.name}.part"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise _unwritable(target, error) from error
    _expect_room(entry, folder, free, part.size)
    try:
        with nullcontext(session) if session else https_session() as opened:
            _fetch(entry, part, progress or _silent, opened)
        warning = _check(entry, part)
        part.path.replace(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    return Pulled(target, warning)


class _Part:
    """What has come so far, and the server's mark (ETag) of the file it belongs to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mark = path.with_name(f"{path.name}.etag")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def mark(self) -> str:
        return self._mark.read_text(encoding="latin-1") if self._mark.exists() else ""

    def begin(self, mark: str) -> None:
        self.path.write_bytes(b"")
        self._mark.write_text(mark, encoding="latin-1")

    def finish(self) -> None:
        self._mark.unlink(missing_ok=True)

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self.finish()


def _fetch(entry: CatalogEntry, part: _Part, progress: Progress, session: requests.Session) -> None:
    import requests

    failures: list[str] = []
    for url in entry.urls:
        for _ in range(ATTEMPTS):
            before = part.size
            try:
                return _download(entry, url, part, progress, session)
            except requests.exceptions.InvalidSchema as error:
                failures.append(f"{url} leads to an address that is not HTTPS ({error})")
                break
            except (requests.RequestException, _Refused) as error:
                failures.append(f"{url}: {error}")
                if part.size == before:  # nothing new came, so nothing is gained by asking again at once
                    break
    reasons = "; ".join(dict.fromkeys(failures))
    hint = f"Try again later, or download {entry.urls[0]} by hand and run: python -m runtime models import {entry.file}"
    raise ModelError(f"{entry.file} could not be downloaded: {reasons}.", hint, model=entry.id)


class _Refused(Exception):
    """This address does not give the file; the next may."""


def _download(entry: CatalogEntry, url: str, part: _Part, progress: Progress, session: requests.Session) -> None:
    headers = {"Accept-Encoding": "identity"}
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
        if part.mark:
            headers["If-Range"] = part.mark
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _expect_complete(response, entry, part)
        response.raise_for_status()
        here = part.size if _continues(response, part.size) else 0
        total = _total(entry, response, part, here)
        if not here:
            part.begin(_strong_mark(response))
        progress(here, total)
        _append(response, part, progress, total)
    return None


def _continues(response: requests.Response, size: int) -> bool:
    """Whether the server sends the rest from byte ``size`` on; one without ranges sends everything again."""
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return False
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if start is None or int(start.group(1)) != size:
        raise _Refused("the server sent another part than the one it was asked for")
    return True


def _strong_mark(response: requests.Response) -> str:
    mark = response.headers.get("ETag", "")
    return "" if mark.startswith("W/") else mark


def _total(entry: CatalogEntry, response: requests.Response, part: _Part, here: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    total = here + int(length) if length.isdecimal() else None
    if total is not None and entry.bytes not in (None, total):
        if here:  # then what came before is not of the official file either
            part.delete()
        raise _Refused(f"it offers {total} bytes, but the official file has {entry.bytes}")
    return total if total is not None else entry.bytes


def _append(response: requests.Response, part: _Part, progress: Progress, total: int | None) -> None:
    limit = total or LARGEST
    size = part.size
    with part.path.open("ab") as file:
        for piece in response.iter_content(CHUNK):
            size += len(piece)
            if size > limit:
                break
            file.write(piece)
            progress(size, total)
    if size > limit:
        part.delete()
        raise _Refused(f"it sends more than the {limit} bytes it may")
    if total is not None and size < total:
        raise _Refused(f"it ended after {size} of {total} bytes")


def _expect_complete(response: requests.Response, entry: CatalogEntry, part: _Part) -> None:
    """The server has nothing after what is here: that is all of the file, or no part of it."""
    stated = response.headers.get("Content-Range", "").removeprefix("bytes */")
    total = entry.bytes or (int(stated) if stated.isdecimal() else None)
    if total != part.size:
        part.delete()
        raise _Refused("what was there from before is no part of this file")


def _check(entry: CatalogEntry, part: _Part) -> str:
    """The warning to give; raises, and deletes what came, when it is not the official file."""
    digest = sha256_of(part.path)
    if digest != entry.sha256 and entry.sha256_evidence != "unconfirmed":
        part.delete()
        what = f"What came for {entry.file} is not the official file: its sha256 is {digest}, not {entry.sha256}."
        raise ModelDamaged(what, "It was deleted. Try again, or from another network.", model=entry.id)
    part.finish()
    return _warning(entry, digest)


def _warning(entry: CatalogEntry, digest: str) -> str:
    if entry.sha256_evidence != "unconfirmed":
        return ""
    if digest == entry.sha256:
        return f"{entry.file} has the only sha256 that is stated for it, but no second source confirms that one."
    return (
        f"{entry.file} has the sha256 {digest}, not the {entry.sha256} that is stated for it; no second source confirms that "
        f"one, so either may be right."
    )


def _expect_official(entry: CatalogEntry, target: Path) -> Pulled:
    digest = sha256_of(target)
    if digest != entry.sha256 and entry.sha256_evidence != "unconfirmed":
        what = f"{target} exists and is not the official file."
        raise ModelError(what, "Delete or rename it, then pull again.", model=entry.id, path=target)
    return Pulled(target, _warning(entry, digest))


def _expect_room(entry: CatalogEntry, folder: Path, free: int, here: int) -> None:
    needed = (entry.bytes or 0) - here
    if needed > free:
        what = f"{entry.file} needs {needed >> 20} MB more, but {folder} has {free >> 20} MB left."
        raise OutputError(what, "Make room, or choose another folder with --models-dir.", path=folder)


def _unwritable(target: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{target} cannot be written: {error.strerror or error}.", "Choose a folder with room for it.", path=target
    )


def _silent(here: int, total: int | None) -> None:
    return None
