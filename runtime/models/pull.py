"""Download a known model on request: HTTPS only, resumed, checked by size and hash.

The file appears under its final name only when it is complete.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..atomic_write import publish_file, translate_os_errors
from ..checksum import compute_sha256
from ..errors import ModelDamaged, ModelError, OutputError
from ..file_lock import exclusive_lock
from ..progress import OpenProgress, Progress, open_silent_progress
from .catalog import CatalogEntry

_CHUNK_BYTES = 1 << 20

if TYPE_CHECKING:
    import requests

TIMEOUT_SECONDS = (15, 60)
"""To connect, and between two chunks."""
MIN_BYTES_PER_SECOND = 1000
"""A download that is slower on average after its first minute is ended."""
ATTEMPTS = 3
"""For each URL; a broken connection is resumed."""
MAX_BYTES_OF_UNKNOWN_SIZE = 2 << 30
"""Most bytes to accept from a server if the catalog has no size."""


@dataclass(frozen=True)
class DownloadedModel:
    """The file under its final name. ``warning`` is a sentence if its hash is not confirmed, else empty."""

    path: Path
    warning: str = ""


def make_https_session() -> requests.Session:
    """Return a session that supports HTTPS only: it also rejects redirects to plain HTTP."""
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    session.adapters.clear()
    session.mount("https://", HTTPAdapter(max_retries=2))
    return session


def pull_model(
    entry: CatalogEntry,
    folder: Path,
    open_progress: OpenProgress = open_silent_progress,
    *,
    session: requests.Session | None = None,
) -> DownloadedModel:
    """Download ``entry`` into ``folder`` under its official name; its URLs are tried in order.

    An existing file with the correct hash does not change. ``open_progress`` is called for each attempt; what its ``advance``
    raises (``Cancelled``) ends the download, and the ``.upscale8k.part`` file stays for the next call to continue.
    ``session`` replaces the HTTPS-only session.

    Raises:
        ModelDamaged: The download is not the official file; it was deleted.
        ModelError: No URL works, or another file has this name.
        OutputError: The folder cannot be written.
    """
    target = folder / entry.file
    if target.exists():
        return _check_existing(entry, target)
    partial_file = _PartialFile(target.with_name(f"{target.name}.upscale8k.part"))
    lock_path = folder / f"{partial_file.path.name}.lock"
    with translate_os_errors(target, "Choose a folder with free space for it."), exclusive_lock(lock_path, target.name):
        if target.exists():  # another download finished before this one had the lock
            return _check_existing(entry, target)
        partial_file.check_owner()
        _check_disk_space(entry, folder, shutil.disk_usage(folder).free, partial_file.size)
        with nullcontext(session) if session else make_https_session() as open_session:
            _download_from_any(entry, partial_file, open_progress, open_session)
        warning = _check_download(entry, partial_file)
        publish_file(partial_file.path, target, exclusive=True)
        partial_file.delete()
    return DownloadedModel(target, warning)


class _PartialFile:
    """The bytes received so far, and the server's ETag of the file they belong to, which shows that the file is ours.

    Unlike the temporary files of ``atomic_write`` it has a fixed name and stays after an error, so that the next download
    continues from it; a lock keeps two downloads from sharing it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._etag_path = path.with_name(f"{path.name}.etag")

    def check_owner(self) -> None:
        if self.path.is_symlink() or (self.size and not self._etag_path.exists()):
            hint = "Rename it, and pull again."
            raise OutputError(f"{self.path} is not of this program.", hint, path=self.path)

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def etag(self) -> str:
        return self._etag_path.read_text(encoding="latin-1") if self._etag_path.exists() else ""

    def begin(self, etag: str) -> None:
        self.path.unlink(missing_ok=True)  # a link must not be written through
        self.path.write_bytes(b"")
        self._etag_path.write_text(etag, encoding="latin-1")

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self._etag_path.unlink(missing_ok=True)


def _download_from_any(
    entry: CatalogEntry, partial_file: _PartialFile, open_progress: OpenProgress, session: requests.Session
) -> None:
    import requests

    failures: list[str] = []
    for url in entry.urls:
        for _ in range(ATTEMPTS):
            before = partial_file.size
            try:
                return _download_from_url(entry, url, partial_file, open_progress, session)
            except requests.exceptions.InvalidSchema as error:
                failures.append(f"{url} leads to an address that is not HTTPS ({error})")
                break
            except (requests.RequestException, _UrlRejected, ValueError) as error:  # ValueError: a redirect to no address
                is_offline = type(error) is requests.ConnectionError and not partial_file.size
                failures.append(f"{urlsplit(url).hostname} cannot be reached" if is_offline else f"{url}: {error}")
                if partial_file.size == before:  # no progress: an immediate retry would not help
                    break
    reasons = "; ".join(dict.fromkeys(failures))
    hint = f"Try again later, or download {entry.urls[0]} by hand and run: python -m runtime models import {entry.file}"
    error = ModelError(f"{entry.file} could not be downloaded: {reasons}.", hint, model=entry.id)
    error.exit_code = 1  # the command was valid, and may succeed later
    raise error


class _UrlRejected(Exception):
    """This URL does not have the file; the next one may have it."""


def _download_from_url(
    entry: CatalogEntry, url: str, partial_file: _PartialFile, open_progress: OpenProgress, session: requests.Session
) -> None:
    headers = {"Accept-Encoding": "identity"}
    if partial_file.size:
        headers["Range"] = f"bytes={partial_file.size}-"
        if partial_file.etag:
            headers["If-Range"] = partial_file.etag
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _check_complete(response, entry, partial_file)
        response.raise_for_status()
        received = partial_file.size if _is_resumed(response, partial_file.size) else 0
        total = _compute_total(entry, response, partial_file, received)
        if not received:
            partial_file.begin(_get_strong_etag(response))
        with open_progress(total or 0, "bytes") as progress:
            progress.advance(received)
            _append_body(response, partial_file, progress, total)
    return None


def _is_resumed(response: requests.Response, size: int) -> bool:
    """Return whether the server continues at byte ``size``; a server without ranges sends the whole file again."""
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return False
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if start is None or int(start.group(1)) != size:
        raise _UrlRejected("the server sent another part than the requested one")
    return True


def _get_strong_etag(response: requests.Response) -> str:
    etag = response.headers.get("ETag", "")
    return "" if etag.startswith("W/") else etag


def _compute_total(entry: CatalogEntry, response: requests.Response, partial_file: _PartialFile, received: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    total = received + int(length) if length.isdecimal() else None
    if total is not None and entry.bytes not in (None, total):
        if received:  # the earlier bytes are not of the official file either
            partial_file.delete()
        raise _UrlRejected(f"it offers {total} bytes, but the official file has {entry.bytes}")
    return total if total is not None else entry.bytes


def _append_body(response: requests.Response, partial_file: _PartialFile, progress: Progress, total: int | None) -> None:
    limit = total or MAX_BYTES_OF_UNKNOWN_SIZE
    size = partial_file.size
    with partial_file.path.open("ab") as file:
        for chunk in _iterate_chunks(response):
            size += len(chunk)
            if size > limit:
                break
            file.write(chunk)
            progress.advance(len(chunk))
    if size > limit:
        partial_file.delete()
        raise _UrlRejected(f"it sends more than the expected {limit} bytes")
    if total is not None and size < total:
        raise _UrlRejected(f"it ended after {size} of {total} bytes")


def _iterate_chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield bytes as soon as they arrive. Raises ``_UrlRejected`` for a server that sends almost nothing."""
    import requests
    from urllib3.exceptions import HTTPError

    read: Callable[[int], bytes] = getattr(response.raw, "read1", response.raw.read)
    begin, received = time.monotonic(), 0
    try:
        while chunk := read(_CHUNK_BYTES):
            received += len(chunk)
            seconds = time.monotonic() - begin
            if seconds > TIMEOUT_SECONDS[1] and received < MIN_BYTES_PER_SECOND * seconds:
                raise _UrlRejected(f"it sends less than {MIN_BYTES_PER_SECOND} bytes in a second")
            yield chunk
    except HTTPError as error:
        raise requests.ConnectionError(error) from error


def _check_complete(response: requests.Response, entry: CatalogEntry, partial_file: _PartialFile) -> None:
    """Handle a server that has no bytes after the received ones: the file is complete, or another one."""
    stated = response.headers.get("Content-Range", "").removeprefix("bytes */")
    total = entry.bytes or (int(stated) if stated.isdecimal() else None)
    if total != partial_file.size:
        partial_file.delete()
        raise _UrlRejected("the bytes of the earlier download are not part of this file")


def _check_download(entry: CatalogEntry, partial_file: _PartialFile) -> str:
    """Return the warning about the hash, or delete the download and raise ``ModelDamaged`` if it is not the official file."""
    digest = compute_sha256(partial_file.path)
    if digest != entry.sha256 and entry.sha256_evidence != "unconfirmed":
        partial_file.delete()
        what = f"The download of {entry.file} is not the official file: its sha256 is {digest}, not {entry.sha256}."
        raise ModelDamaged(what, "It was deleted. Try again, or from another network.", model=entry.id)
    return _make_hash_warning(entry, digest)


def _make_hash_warning(entry: CatalogEntry, digest: str) -> str:
    if entry.sha256_evidence != "unconfirmed":
        return ""
    if digest == entry.sha256:
        return f"{entry.file} has the only published sha256, but no second source confirms it."
    return (
        f"{entry.file} has the sha256 {digest}, not the published {entry.sha256}, which no second source confirms; either may "
        f"be right."
    )


def _check_existing(entry: CatalogEntry, target: Path) -> DownloadedModel:
    digest = compute_sha256(target)
    if digest != entry.sha256 and entry.sha256_evidence != "unconfirmed":
        what = f"{target} exists and is not the official file."
        raise ModelError(what, "Delete or rename it, then pull again.", model=entry.id, path=target)
    return DownloadedModel(target, _make_hash_warning(entry, digest))


def _check_disk_space(entry: CatalogEntry, folder: Path, free: int, received: int) -> None:
    needed = (entry.bytes or 0) - received
    if needed > free:
        what = f"{entry.file} needs {needed >> 20} MB more, but {folder} has {free >> 20} MB left."
        raise OutputError(what, "Free disk space, or choose another folder with --models-dir.", path=folder)
