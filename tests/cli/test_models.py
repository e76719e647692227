"""``models`` and ``nodes``: tables for people and JSON for programs. No test asks the network for anything."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from spandrel.architectures.Compact import Compact

from .conftest import Place


def test_the_table_says_what_is_here_and_what_can_be_pulled(place: Place) -> None:
    answer = place("models", "list", "--models-dir", "models")
    assert (answer.code, answer.err) == (0, "")
    lines = {line.split()[0]: line for line in answer.out.splitlines() if line.strip()}
    assert "BSD-3-Clause" in lines["realesr-animevideov3"]
    assert "yes (shipped)" in lines["realesr-animevideov3"]
    assert "models pull" in lines["swinir-l-x4"]
    assert place("models").out.split()[:6] == ["Model", "Scale", "Size", "Licence", "Here", "Good"]


@pytest.mark.parametrize("width", [80, 119, 120, 200])
def test_the_table_fits_the_screen_and_cuts_nothing_off(place: Place, width: int) -> None:
    from rich.console import Console
    from upscale8k.runtime.cli.manage_models import build_model_tables

    console = Console(width=width, file=io.StringIO())
    for table in build_model_tables((Path("models"),), console.width):
        console.print(table)
    shown = console.file.getvalue()
    assert max(len(line) for line in shown.splitlines()) <= width
    assert "…" not in shown
    for row in json.loads(place("models", "list", "--json", "--models-dir", "models").out):
        assert row["id"] in shown
        assert set(row["good_for"].split()) <= set(shown.split())


def test_files_of_ones_own_are_listed_by_name(place: Place) -> None:
    torch.save(Compact(num_feat=4, num_conv=2).state_dict(), "models/mine.pth")
    Path("models/old [bold].pth").write_bytes(b"")
    assert "old [bold].pth " in place("models", "list", "--models-dir", "models").out
    rows = {row["id"]: row for row in json.loads(place("models", "list", "--json", "--models-dir", "models").out)}
    assert rows["realesrgan-x4plus"]["state"] == "dependency"
    assert rows["realesrgan-x4plus"]["scale"] == 4
    assert rows["bsrgan-x2"] | {"state": "pull", "path": None, "scale": 2} == rows["bsrgan-x2"]
    assert rows["mine.pth"]["path"] == str(place.folder / "models/mine.pth")
    assert rows["mine.pth"]["bytes"] == Path("models/mine.pth").stat().st_size


def test_verify_passes_what_the_dependency_shipped(place: Place) -> None:
    answer = place("models", "verify", "--models-dir", "models")
    assert (answer.code, answer.err) == (0, "")
    assert len(answer.out.splitlines()) == 3


def test_verify_finds_a_file_that_is_not_what_its_name_says(place: Place) -> None:
    Path("models/RealESRGAN_x4plus.pth").write_bytes(b"something else")
    answer = place("models", "verify", "--models-dir", "models")
    assert answer.code == 2
    (line,) = [line for line in answer.out.splitlines() if "RealESRGAN_x4plus.pth" in line]
    assert "not" in line


def test_import_takes_a_model_in_and_it_can_be_used(place: Place) -> None:
    torch.save(Compact(num_feat=4, num_conv=2, upscale=2).state_dict(), "mine.pth")
    answer = place("models", "import", "mine.pth", "--models-dir", "models")
    assert (answer.code, answer.out) == (0, "models/mine.pth\n")
    assert "a model that is not in the catalog" in answer.err
    done = place(
        "upscale", "input/a.png", "-o", "output", "-m", "mine.pth", "--to", "2x", "--progress", "none", "--models-dir", "models"
    )
    assert (done.code, done.out) == (0, "output/a.png\n")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("page.pth", b"<!DOCTYPE html><p>Not found", "is a web page"),
        ("cut.safetensors", b"\x10\0\0\0\0\0\0\0{", "neither a safetensors file"),
        ("notes.txt", b"dear diary", "does not have the suffix of a weight file"),
        ("RealESRGAN_x4plus.pth", b"dear diary", "is not its official file"),
    ],
)
def test_import_looks_at_what_it_takes_in(place: Place, name: str, content: bytes, sentence: str) -> None:
    Path(name).write_bytes(content)
    place.refuses(place("models", "import", name, "--models-dir", "models"), name, sentence)
    assert list(Path("models").iterdir()) == []


def test_import_of_what_is_not_there(place: Place) -> None:
    place.refuses(place("models", "import", "gone.pth", "--models-dir", "models"), "gone.pth")


def test_an_unknown_name_cannot_be_pulled(place: Place) -> None:
    place.refuses(
        place("models", "pull", "esrgan-100", "--models-dir", "models"), "'esrgan-100'", "realesrgan-x4plus", "bsrnet-x4"
    )


def test_pull_reports_its_progress_and_prints_where_the_file_is(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The download itself is tested in tests/models/test_pull.py against a server."""
    from upscale8k.runtime.models import pull as pull_module

    def pull(entry: object, folder: Path, open_progress: Any) -> object:
        with open_progress(1000, "bytes") as progress:
            progress.advance(0)
            progress.advance(1000)
        return SimpleNamespace(path=folder / "x.pth", warning="No source confirms it.")

    monkeypatch.setattr(pull_module, "pull_model", pull)
    answer = place("models", "pull", "bsrgan-x4", "bsrgan-x2", "--models-dir", "models", "--progress", "json")
    assert (answer.code, answer.out) == (0, "models/x.pth\nmodels/x.pth\n")
    said = [json.loads(line) for line in answer.err.splitlines()]
    assert [(line["done"], line["unit"]) for line in said if line["event"] == "progress"] == [(0, "bytes"), (1000, "bytes")] * 2
    assert {line["text"] for line in said if line["event"] == "message"} == {"No source confirms it."}


def test_nothing_is_downloaded_without_a_request(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from upscale8k.runtime.cli import manage_models

    requested: list[str] = []

    def fetch(name: str, folder: Path, display: object) -> None:
        requested.append(name)
        torch.save(Compact(num_feat=4, num_conv=2).state_dict(), folder / "RealESRGAN_x2plus.pth")

    monkeypatch.setattr(manage_models, "download_model", fetch)
    line = ("upscale", "input/a.png", "-o", "output", "-m", "realesrgan-x2plus", "--backend", "null", "--models-dir", "models")
    place.refuses(place(*line), "python -m runtime models pull realesrgan-x2plus")
    assert requested == []
    answer = place(*line, "--download", "--to", "4x", "--progress", "none")
    assert (answer.code, requested) == (0, ["realesrgan-x2plus"])
    assert "realesrgan-x2plus is missing; downloading it because of --download" in answer.err


def test_nodes_json_is_in_the_shape_of_object_info(place: Place) -> None:
    answer = place("nodes", "--json")
    described = json.loads(answer.out)
    assert {"UpscaleModel", "TiledUpscale", "ImageIn", "ImageOut", "LoadImage", "SaveImage"} <= set(described)
    keys = {
        "input",
        "input_order",
        "output",
        "output_is_list",
        "output_name",
        "name",
        "display_name",
        "description",
        "category",
    }
    for name, node in described.items():
        assert keys | {"output_node", "python_module"} <= set(node), name
        assert node["name"] == name
        assert {part: list(inputs) for part, inputs in node["input"].items()} == node["input_order"]
        assert len(node["output"]) == len(node["output_name"]) == len(node["output_is_list"])
    assert described["SaveImage"]["output_node"] is True
    assert described["TiledUpscale"]["input"]["required"]["image"][0] == "IMAGE"


def test_nodes_for_people(place: Place) -> None:
    answer = place("nodes")
    assert answer.code == 0
    assert any(line.startswith("TiledUpscale ") and "8K/image" in line for line in answer.out.splitlines())
