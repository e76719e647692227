import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
from spandrel import MAIN_REGISTRY
from upscale8k.runtime.models.catalog import find_entry, load_catalog
from upscale8k.runtime.models.random_weights import generate_checkpoint

# ARCHITECTURE.md: saved workflows hold these for ever.
IDS = [
    "realesrgan-x4plus",
    "realesrgan-x2plus",
    "realesrgan-x4plus-anime",
    "realesr-animevideov3",
    "realesr-general-x4v3",
    "realesr-general-wdn-x4v3",
    "swinir-m-x4",
    "swinir-l-x4",
    "swinir-classical-x4",
    "swinir-lightweight-x4",
    "bsrgan-x4",
    "bsrgan-x2",
    "bsrnet-x4",
]


ALSO = [
    "realesrnet-x4plus",
    "swinir-m-x2",
    "swinir-classical-x3",
    "swinir-classical-x2",
    "swinir-lightweight-x3",
    "swinir-lightweight-x2",
    "denoise-realplksr-x1",
    "dejpg-realplksr-x1",
    "deh264-realplksr-x1",
    "dehalo-epsilon-x1",
]


def test_the_catalog_has_the_promised_ids_and_their_siblings() -> None:
    assert [name for name in load_catalog() if name not in ALSO] == IDS
    assert set(load_catalog()) == {*IDS, *ALSO}


@pytest.mark.parametrize("entry", load_catalog().values(), ids=lambda entry: entry.id)
def test_every_entry_is_complete_and_of_the_right_form(entry) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert entry.sha256_evidence in ("confirmed", "single-source", "unconfirmed")
    assert entry.urls
    mirror = "https://objectstorage.us-phoenix-1.oraclecloud.com/n/ax6ygfvpvzka/b/open-modeldb-files/"  # OpenModelDB's own
    hosts = ("https://github.com/", mirror) if entry.scale == 1 else ("https://github.com/",)
    assert all(url.startswith(hosts) and url.endswith("/" + entry.file) for url in entry.urls)
    assert entry.licence in ("BSD-3-Clause", "Apache-2.0", *(["CC-BY-4.0", "CC-BY-NC-SA-4.0"] if entry.scale == 1 else []))
    assert entry.bytes is None or 1_000_000 < entry.bytes < 200_000_000
    assert entry.architecture in MAIN_REGISTRY
    assert f"x{entry.scale}" in entry.id or entry.id == "realesr-animevideov3"
    assert entry.halo % entry.window == 0
    assert (entry.exact_halo or 0) % entry.window == 0
    assert 0 < entry.halo <= (entry.exact_halo or entry.halo)
    assert all(text.strip() for text in (entry.title, entry.author, entry.good_for, entry.bad_for))


def test_no_two_entries_share_a_file_or_a_hash() -> None:
    assert len({entry.file.casefold() for entry in load_catalog().values()}) == len(load_catalog())
    assert len({entry.sha256 for entry in load_catalog().values()}) == len(load_catalog())


def test_hashes_that_no_second_source_confirms_say_so() -> None:
    unsure = {entry.id: entry.sha256_evidence for entry in load_catalog().values() if entry.sha256_evidence != "confirmed"}
    assert unsure == {
        "realesrnet-x4plus": "unconfirmed",
        "swinir-classical-x3": "single-source",
        "swinir-classical-x2": "single-source",
        "swinir-lightweight-x3": "single-source",
        "swinir-lightweight-x2": "single-source",
        "bsrgan-x2": "single-source",
        "bsrnet-x4": "unconfirmed",
        "denoise-realplksr-x1": "single-source",
        "dejpg-realplksr-x1": "single-source",
        "deh264-realplksr-x1": "single-source",
        "dehalo-epsilon-x1": "single-source",
    }


@pytest.mark.parametrize("name", ["denoise-realplksr-x1", "dejpg-realplksr-x1", "deh264-realplksr-x1"])
def test_the_published_size_is_that_of_the_network(name: str) -> None:
    entry = load_catalog()[name]
    assert len(safetensors.torch.save(generate_checkpoint(entry))) == entry.bytes


def test_the_page_about_models_lists_every_id_with_its_scale_and_licence(root: Path) -> None:
    page = (root / "models" / "README.md").read_text(encoding="utf-8")
    for entry in load_catalog().values():
        assert re.search(rf"\| `{entry.id}` \| {entry.scale} \| .* \| {entry.licence} \|", page)


@pytest.mark.parametrize(
    "name",
    [
        "realesrgan-x4plus-anime",
        "RealESRGAN_x4plus_anime_6B.pth",
        "RealESRGAN_x4plus_anime_6B.safetensors",
        "RealESRGAN_x4plus_anime_6B",
        "realesrgan_X4PLUS_anime_6b.PTH",
        "ESRGAN/anime/RealESRGAN_x4plus_anime_6B.pth",
        "ESRGAN\\RealESRGAN_x4plus_anime_6B.pth",
    ],
)
def test_a_known_model_is_found_under_every_name_it_goes_by(name: str) -> None:
    entry = find_entry(name)
    assert entry is not None
    assert entry.id == "realesrgan-x4plus-anime"


@pytest.mark.parametrize("name", ["", "4x-UltraSharp.pth", "RealESRGAN_x4plus.onnx", "x4plus", "RealESRGAN_x4plus.pth.part"])
def test_an_unknown_name_is_no_known_model(name: str) -> None:
    assert find_entry(name) is None


@pytest.mark.parametrize("module", ["catalog", "locate", "extra_model_paths", "pull", "listing"])
def test_what_a_command_line_asks_first_imports_nothing_heavy(module: str, root: Path) -> None:
    script = (
        "import importlib, sys; from runtime.bootstrap import load_pack; load_pack();"
        f"importlib.import_module('upscale8k.runtime.models.{module}');"
        "print([name for name in ('torch', 'numpy', 'spandrel', 'safetensors', 'requests', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
