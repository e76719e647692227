"""A server on this machine plays openmodeldb.info and the authors' hosts; records have the database's own keys and values."""

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
import safetensors.torch
import torch
from spandrel.architectures.SPAN import SPAN
from upscale8k.runtime.errors import ModelDamaged, ModelError, ModelNotFound
from upscale8k.runtime.models import openmodeldb as module
from upscale8k.runtime.models.catalog import read_record
from upscale8k.runtime.models.listing import list_models
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.models.openmodeldb import find_database_entry, is_direct
from upscale8k.runtime.models.pull import pull_model
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.models.verify import verify_models

# As the database has it, without its description and images.
DEHALO = {
    "name": "Dehalo_v1_Compact",
    "author": "zarxrax",
    "license": "WTFPL",
    "tags": ["anime", "dehalo", "restoration"],
    "date": "2023-11-01",
    "architecture": "compact",
    "size": ["64nf", "16nc"],
    "scale": 1,
    "inputChannels": 3,
    "outputChannels": 3,
    "resources": [
        {
            "platform": "pytorch",
            "type": "pth",
            "size": 4796829,
            "sha256": "938f79b53c3f7665584b32c57f0e9e793a8838c34d17c5fb1ba2b2197b4ae1d4",
            "urls": ["https://mega.nz/file/lBFnHI7K#OGDMb8foOEDsNhXYoIuQIg5N6-2F9-gS9FA0G6lKcc8"],
        }
    ],
    "pretrainedModelG": "1x-Compact-Pretrain",
}
NAME = "2x-Small-SPAN"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


class Site:
    """The files of the server, and the database as it will be sent."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        torch.manual_seed(2)
        weights = safetensors.torch.save(SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2).state_dict())
        (folder / "weights.safetensors").write_bytes(weights)
        self.resource = {
            "platform": "pytorch",
            "type": "safetensors",
            "size": len(weights),
            "sha256": hashlib.sha256(weights).hexdigest(),
            "urls": ["https://drive.google.com/file/d/1qeoE/view", f"{url}/weights.safetensors"],
        }
        onnx = {**self.resource, "platform": "onnx", "type": "onnx"}
        small = {**DEHALO, "name": "Small", "author": ["a", "b"], "license": "CC-BY-4.0", "architecture": "span", "scale": 2}
        self.models: dict[str, Any] = {"1x-Dehalo-v1-Compact": DEHALO, NAME: {**small, "resources": [onnx, self.resource]}}
        self.publish()

    def publish(self) -> None:
        (self.folder / "models.json").write_text(json.dumps(self.models))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(module, "DATABASE_URL", f"{url}/models.json")
        yield Site(folder, url)
        server.shutdown()
        thread.join()


def pull_on_the_command_line(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    from upscale8k.runtime.cli.display import open_display
    from upscale8k.runtime.cli.manage_models import download_model
    from upscale8k.runtime.models import pull

    def make_session() -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        return session

    monkeypatch.setattr(module, "make_https_session", make_session)
    monkeypatch.setattr(pull, "make_https_session", make_session)
    display, messages = open_display("none"), []
    monkeypatch.setattr(display, "show_message", messages.append)
    return download_model(name, folder, display), messages


def test_a_model_is_pulled_with_its_licence_and_its_measured_halo(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, (about, halo) = pull_on_the_command_line("openmodeldb:2X-small-span", tmp_path / "models", monkeypatch)
    assert path == tmp_path / "models" / f"{NAME}.safetensors"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == site.resource["sha256"]
    assert about.startswith("Small of a, b, ")
    assert about.endswith(f"licence CC-BY-4.0: https://openmodeldb.info/models/{NAME}")
    record = read_record(path)
    assert record is not None
    assert f"SPAN, 2x, with a halo of {record.halo} pixels: measured" in halo
    assert record.halo < 64  # the default of an unknown network; this one has 21 convolutions of 3x3
    found = find_model(NAME, [path.parent])
    model = UpscaleModel.from_descriptor(load_model(found))
    assert (model.halo, model.provenance.licence) == (record.halo, "CC-BY-4.0")
    (row,) = [row for row in list_models([path.parent]) if row.path == path]
    assert (row.id, row.scale, row.licence, row.good_for) == (path.name, 2, "CC-BY-4.0", "anime, dehalo, restoration")
    assert [one.verdict for one in verify_models([path.parent]) if one.path == path] == ["official"]
    path.write_bytes(path.read_bytes()[:-4] + b"1234")
    assert [one.verdict for one in verify_models([path.parent]) if one.path == path] == ["different"]


def test_another_file_than_the_database_names_is_deleted(site: Site, plain_http: requests.Session, tmp_path: Path) -> None:
    site.resource["sha256"] = "0" * 64
    site.publish()
    with pytest.raises(ModelDamaged, match="is not the official file"):
        pull_model(find_database_entry(NAME, session=plain_http), tmp_path / "models", session=plain_http)
    assert not [path for path in (tmp_path / "models").iterdir() if path.suffix in (".safetensors", ".part")]


def test_a_model_that_needs_a_browser_names_its_page(site: Site, plain_http: requests.Session) -> None:
    with pytest.raises(ModelError, match=r"only be downloaded with a browser, from https://mega\.nz/file/lBFnHI7K") as caught:
        find_database_entry("openmodeldb:1x-Dehalo-v1-Compact", session=plain_http)
    assert "Open https://openmodeldb.info/models/1x-Dehalo-v1-Compact, download it, and run" in caught.value.hint


def test_an_unknown_name_is_met_with_similar_ones(site: Site, plain_http: requests.Session) -> None:
    with pytest.raises(ModelNotFound, match="has no model '1x-Dehalo-v2-Compact'") as caught:
        find_database_entry("openmodeldb:1x-Dehalo-v2-Compact", session=plain_http)
    assert caught.value.hint == "Did you mean openmodeldb:1x-Dehalo-v1-Compact?"


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        ("https://github.com/Phhofm/models/releases/download/1xDeH264_realplksr/1xDeH264_realplksr.pth", True),
        ("https://huggingface.co/Kim2091/UltraSharpV2/resolve/main/4x-UltraSharpV2.safetensors?download=true", True),
        ("https://github.com/someone/models/blob/main/4x.pth", False),
        ("https://drive.google.com/file/d/1qeoE-AymPBcuzItnjNsRrPLOw0chJN0F", False),
        ("https://www.mediafire.com/file/xuzy50qsayrkpxq/NES_Composite.pth/file", False),
        ("file:///etc/4x.pth", False),
    ],
)
def test_only_addresses_of_files_are_followed(url: str, direct: bool) -> None:
    assert is_direct(url) == direct


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"[" * 100_000, b"\xff\xfe"])
def test_a_database_that_is_none_is_a_sentence(site: Site, plain_http: requests.Session, content: bytes) -> None:
    (site.folder / "models.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"models\.json"):
        find_database_entry(NAME, session=plain_http)


@pytest.mark.parametrize(
    "change",
    [
        {"resources": None},
        {"resources": [None]},
        {"resources": [{"type": "pth"}]},
        {"resources": [{"type": "pth", "urls": ["https://x.org/a.pth"], "size": 1, "sha256": "short"}]},
        {"resources": [{"type": "pth", "urls": [5], "size": 1, "sha256": "0" * 64}]},
        {"scale": "two"},
        {"tags": 5},
    ],
)
def test_a_record_that_is_none_is_a_sentence(site: Site, plain_http: requests.Session, change: dict[str, Any]) -> None:
    site.models[NAME] |= change
    site.publish()
    with pytest.raises(ModelError, match=f"{NAME} (cannot be read|can only be)"):
        find_database_entry(NAME, session=plain_http)


@pytest.mark.parametrize("name", ["../../outside", "a/b", "", "a\x00b", ".hidden"])
def test_a_name_stays_inside_the_folder(site: Site, plain_http: requests.Session, name: str) -> None:
    site.models[name] = site.models[NAME]
    site.publish()
    with pytest.raises(ModelNotFound):
        find_database_entry(name, session=plain_http)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"[" * 5000, b'{"id": 5}', b"\xff"])
def test_a_damaged_record_beside_a_file_is_ignored(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "4x.pth"
    path.with_name("4x.pth.openmodeldb.json").write_bytes(content)
    path.write_bytes(b"1234567")
    assert read_record(path) is None
    assert find_model("4x", [tmp_path]).entry is None
