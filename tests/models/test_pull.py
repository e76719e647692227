"""A server on this machine plays the author's; what it is asked for and what it does wrong is the test."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
import requests
from requests.adapters import BaseAdapter
from upscale8k.runtime.errors import Cancelled, ModelDamaged, ModelError, OutputError
from upscale8k.runtime.file_lock import OutputLocked, exclusive_lock
from upscale8k.runtime.models.catalog import CatalogEntry, load_catalog
from upscale8k.runtime.models.pull import make_https_session, pull_model
from upscale8k.runtime.progress import SilentProgress

CONTENT = bytes(range(256)) * 12_000  # 3 MB: several pieces


@dataclass
class Server:
    """What the server has and how it misbehaves; ``asked`` are the Range and If-Range headers of each request."""

    content: bytes = CONTENT
    etag: str = '"v1"'
    ranges: bool = True
    lengths: bool = True
    breaks_after: list[int] = field(default_factory=list)
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Server

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        state, wanted, mark = self.state, self.headers.get("Range"), self.headers.get("If-Range")
        state.asked.append((wanted, mark))
        if self.path == "/missing":
            self.send_error(404)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted).group(1)) if wanted else 0
        partial = bool(wanted) and state.ranges and mark in (None, state.etag)
        if partial and start >= len(state.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(state.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = state.content[start:] if partial else state.content
        self.send_response(206 if partial else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
        if state.etag:
            self.send_header("ETag", state.etag)
        if state.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with suppress(ConnectionError):  # of a client that has seen enough
            self.wfile.write(body[: state.breaks_after.pop(0)] if state.breaks_after else body)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    handler = type("BoundHandler", (Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        httpd.daemon_threads = True
        thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{httpd.server_port}/file.pth"
        yield state
        httpd.shutdown()
        thread.join()


@pytest.fixture
def entry(server: Server) -> CatalogEntry:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return replace(load_catalog()["bsrgan-x4"], urls=(server.url,), bytes=len(CONTENT), sha256=digest)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leave_part(models: Path, content: bytes, etag: str | None = '"v1"') -> None:
    models.mkdir()
    (models / "BSRGAN.pth.upscale8k.part").write_bytes(content)
    if etag is not None:
        (models / "BSRGAN.pth.upscale8k.part.etag").write_text(etag)


def test_a_file_is_downloaded_whole_under_its_official_name(
    entry: CatalogEntry, models: Path, plain_http: requests.Session
) -> None:
    steps: list[int] = []
    totals: list[tuple[int, str]] = []

    class Counted(SilentProgress):
        def advance(self, steps_done: int = 1) -> None:
            steps.append(sum(steps[-1:]) + steps_done)

    def open_progress(total: int, unit: str) -> Counted:
        totals.append((total, unit))
        return Counted()

    pulled = pull_model(entry, models, open_progress, session=plain_http)
    assert (pulled.path, pulled.warning) == (models / "BSRGAN.pth", "")
    assert pulled.path.read_bytes() == CONTENT
    assert names(models) == ["BSRGAN.pth"]
    assert totals == [(len(CONTENT), "bytes")]
    assert steps[0] == 0
    assert steps[-1] == len(CONTENT)
    assert steps == sorted(steps)


def test_a_server_that_states_no_length_is_believed_when_the_hash_is_right(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session
) -> None:
    server.lengths = False
    assert pull_model(entry, models, session=plain_http).path.read_bytes() == CONTENT


def test_an_interrupted_download_goes_on_where_it_ended(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session
) -> None:
    leave_part(models, CONTENT[:1_000_000])
    assert pull_model(entry, models, session=plain_http).path.read_bytes() == CONTENT
    assert server.asked == [("bytes=1000000-", '"v1"')]
    assert names(models) == ["BSRGAN.pth"]


def test_a_broken_connection_is_taken_up_again_at_once(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session
) -> None:
    server.breaks_after = [2_000_000]
    assert pull_model(entry, models, session=plain_http).path.read_bytes() == CONTENT
    assert [wanted is not None for wanted, _ in server.asked] == [False, True]


def test_a_file_that_changed_at_the_author_begins_anew(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session
) -> None:
    leave_part(models, b"old" * 100_000, '"v0"')
    assert pull_model(entry, models, session=plain_http).path.read_bytes() == CONTENT
    assert server.asked == [("bytes=300000-", '"v0"')]


def test_a_server_without_ranges_begins_anew(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session
) -> None:
    server.ranges = False
    leave_part(models, CONTENT[:1_000_000])
    assert pull_model(entry, models, session=plain_http).path.read_bytes() == CONTENT


def test_a_part_that_was_complete_is_only_checked(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session
) -> None:
    leave_part(models, CONTENT)
    assert pull_model(entry, models, session=plain_http).path.read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(entry: CatalogEntry, models: Path, plain_http: requests.Session) -> None:
    leave_part(models, CONTENT + b"more")
    assert pull_model(entry, models, session=plain_http).path.read_bytes() == CONTENT


@pytest.mark.parametrize("begin", [0, 1_000_000])
def test_a_wrong_hash_leaves_nothing(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session, begin: int
) -> None:
    server.content = CONTENT[:-1] + b"!"
    leave_part(models, CONTENT[:begin])
    with pytest.raises(ModelDamaged, match=hashlib.sha256(server.content).hexdigest()):
        pull_model(entry, models, session=plain_http)
    assert names(models) == []


@pytest.fixture(params=[True, False], ids=["length stated", "length unknown"])
def wrongly_sized(request: pytest.FixtureRequest, server: Server) -> Server:
    server.lengths = request.param
    return server


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"!", b"<html>not here</html>"], ids=["short", "long", "page"])
def test_a_wrong_size_is_refused(
    entry: CatalogEntry, models: Path, wrongly_sized: Server, plain_http: requests.Session, content: bytes
) -> None:
    wrongly_sized.content = content
    with pytest.raises(ModelError, match=r"BSRGAN\.pth could not be downloaded") as caught:
        pull_model(entry, models, session=plain_http)
    assert "python -m runtime models import BSRGAN.pth" in caught.value.hint
    assert "BSRGAN.pth" not in names(models)


def test_the_addresses_are_tried_in_order(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session
) -> None:
    missing = server.url.replace("/file.pth", "/missing")
    pulled = pull_model(replace(entry, urls=(missing, server.url)), models, session=plain_http)
    assert pulled.path.read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_without_a_network_one_sentence_names_the_host(entry: CatalogEntry, models: Path, plain_http: requests.Session) -> None:
    nowhere = replace(entry, urls=("http://127.0.0.1:9/a.pth", "http://127.0.0.1:9/b.pth"))
    with pytest.raises(ModelError) as caught:
        pull_model(nowhere, models, session=plain_http)
    assert caught.value.what == "BSRGAN.pth could not be downloaded: 127.0.0.1 cannot be reached."
    assert caught.value.exit_code == 1
    assert "models import BSRGAN.pth" in caught.value.hint


def test_when_no_address_works_each_is_named_with_its_reason(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session
) -> None:
    missing, closed_port = server.url.replace("/file.pth", "/missing"), "http://127.0.0.1:1/file.pth"
    with pytest.raises(ModelError, match=r"/missing: 404 .*127\.0\.0\.1 cannot"):
        pull_model(replace(entry, urls=(missing, closed_port)), models, session=plain_http)


def test_plain_http_is_refused_by_default(entry: CatalogEntry, models: Path, server: Server) -> None:
    with pytest.raises(ModelError, match="not HTTPS"):
        pull_model(entry, models)
    assert server.asked == []


class Redirect(BaseAdapter):
    """Answers every request with a redirect to ``target``, as a server with a certificate would."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url, response.request = 302, str(request.url), request
        response.headers["Location"] = self.target
        response._content = b""
        response.raw = None
        return response

    def close(self) -> None:
        """Nothing is open."""


def test_a_redirect_from_https_to_plain_http_is_refused(entry: CatalogEntry, models: Path, server: Server) -> None:
    with make_https_session() as session:
        session.mount("https://", Redirect(server.url))
        with pytest.raises(ModelError, match="not HTTPS"):
            pull_model(replace(entry, urls=("https://author.invalid/file.pth",)), models, session=session)
    assert server.asked == []


def test_a_redirect_to_what_is_no_address_is_a_sentence(entry: CatalogEntry, models: Path) -> None:
    with make_https_session() as session:
        session.mount("https://", Redirect("http://[::1"))
        with pytest.raises(ModelError, match="could not be downloaded"):
            pull_model(replace(entry, urls=("https://author.invalid/file.pth",)), models, session=session)


def test_a_file_that_is_here_already_is_not_downloaded_again(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session
) -> None:
    first = pull_model(entry, models, session=plain_http)
    assert pull_model(entry, models, session=plain_http) == first
    assert len(server.asked) == 1


def test_two_downloads_of_one_model_do_not_share_its_partial_file(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session
) -> None:
    with (
        exclusive_lock(models / "BSRGAN.pth.upscale8k.part.lock", "BSRGAN.pth"),
        pytest.raises(OutputLocked, match=r"Another run is writing BSRGAN\.pth"),
    ):
        pull_model(entry, models, session=plain_http)
    assert server.asked == []
    pull_model(entry, models, session=plain_http)
    assert names(models) == ["BSRGAN.pth"]


def test_another_file_of_that_name_is_not_overwritten(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session
) -> None:
    models.mkdir()
    (models / "BSRGAN.pth").write_bytes(b"precious")
    with pytest.raises(ModelError, match="exists and is not the official file"):
        pull_model(entry, models, session=plain_http)
    assert (models / "BSRGAN.pth").read_bytes() == b"precious"


@pytest.mark.parametrize(("sha256", "says"), [(None, "the only published sha256"), ("0" * 64, "either may be right")])
def test_an_unconfirmed_hash_gives_a_warning_and_no_verdict(
    entry: CatalogEntry, models: Path, plain_http: requests.Session, sha256: str | None, says: str
) -> None:
    unsure = replace(entry, sha256=sha256 or entry.sha256, sha256_evidence="unconfirmed", bytes=None)
    pulled = pull_model(unsure, models, session=plain_http)
    assert pulled.path.read_bytes() == CONTENT
    assert says in pulled.warning
    assert says in pull_model(unsure, models, session=plain_http).warning


def test_cancelling_keeps_what_has_come_for_the_next_time(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session
) -> None:
    class Cancelling(SilentProgress):
        received = 0

        def advance(self, steps: int = 1) -> None:
            self.received += steps
            if self.received > 1_000_000:
                raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        pull_model(entry, models, lambda total, unit: Cancelling(), session=plain_http)
    assert names(models) == ["BSRGAN.pth.upscale8k.part", "BSRGAN.pth.upscale8k.part.etag"]
    pull_model(entry, models, session=plain_http)
    assert server.asked[1][0] is not None
    assert names(models) == ["BSRGAN.pth"]


def test_a_folder_that_cannot_be_made_is_named(entry: CatalogEntry, models: Path, plain_http: requests.Session) -> None:
    models.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="cannot be written"):
        pull_model(entry, models, session=plain_http)


def test_a_full_disk_is_reported_before_any_request(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1_000_000

    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage)
    with pytest.raises(OutputError, match=r"needs 2 MB more, but .* has 0 MB left"):
        pull_model(entry, models, session=plain_http)
    assert server.asked == []


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(
    entry: CatalogEntry, models: Path, plain_http: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=count(0, 10**6).__next__)
    monkeypatch.setattr("upscale8k.runtime.models.pull.time", clock)
    with pytest.raises(ModelError, match="it sends less than 1000 bytes in a second"):
        pull_model(entry, models, session=plain_http)


def test_partial_files_of_other_programs_are_left_alone(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session
) -> None:
    models.mkdir()
    strangers = [f"BSRGAN.pth{ending}" for ending in (".part", ".part.etag", ".part.lock", ".tmp", ".0123456789.part")]
    for name in strangers:
        (models / name).write_text("mine")
    pull_model(entry, models, session=plain_http)
    assert names(models) == sorted(["BSRGAN.pth", *strangers])
    assert {(models / name).read_text() for name in strangers} == {"mine"}
    assert server.asked == [(None, None)]


@pytest.mark.parametrize("is_link", [False, True])
def test_a_partial_file_that_is_not_ours_is_kept(
    entry: CatalogEntry, models: Path, server: Server, plain_http: requests.Session, is_link: bool
) -> None:
    leave_part(models, b"mine", etag='"v1"' if is_link else None)
    if is_link:
        part = models / "BSRGAN.pth.upscale8k.part"
        part.rename(models / "photo.jpg")
        part.symlink_to(models / "photo.jpg")
    with pytest.raises(OutputError, match="is not of this program"):
        pull_model(entry, models, session=plain_http)
    assert (models / "BSRGAN.pth.upscale8k.part").read_bytes() == b"mine"
    assert server.asked == []
