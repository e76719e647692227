"""``convert``: files, folders and stdout; one bad file never stops the rest."""

import json
from pathlib import Path

import pytest

from .conftest import Place, Prompt


@pytest.fixture
def saved(root: Path) -> Path:
    return root / "workflows/image_4x.json"


def test_to_stdout(place: Place, saved: Path) -> None:
    answer = place("convert", saved)
    assert (answer.code, answer.err, answer.new) == (0, "", [])
    prompt = json.loads(answer.out)
    assert {node["class_type"] for node in prompt.values()} == {"LoadImage", "UpscaleModel", "TiledUpscale", "SaveImage"}
    assert prompt["4"]["inputs"]["image"] == ["2", 0]
    assert prompt["4"]["inputs"]["target"] == "model scale"


def test_to_a_file_that_check_and_run_take(place: Place, saved: Path) -> None:
    assert place("convert", saved, "-o", "deep/new.json").new == ["deep/new.json"]
    assert place("check", "deep/new.json").code == 0


def test_to_a_folder_under_the_names_of_the_contract(place: Place, saved: Path) -> None:
    for name in ("a.json", "b.ui.json", "c.api.json"):
        Path(name).write_bytes(saved.read_bytes())
    Path("notes.txt").write_text("no workflow")
    answer = place("convert", ".", "-o", "out")
    assert (answer.code, answer.err, answer.out) == (0, "", "")
    assert answer.new == ["out/a.api.json", "out/b.api.json"]


def test_one_bad_file_does_not_stop_the_rest(place: Place, saved: Path) -> None:
    Path("a.json").write_text("{")
    Path("b.json").write_bytes(saved.read_bytes())
    Path("d.json").write_text(json.dumps({"nodes": [{"id": 3, "type": "Glitter"}], "links": [], "version": 0.4}))
    answer = place("convert", "a.json", "b.json", "gone.json", "d.json", "-o", "out")
    assert answer.code == 2
    assert answer.new == ["out/b.api.json"]
    assert "a.json is not JSON" in answer.err
    assert f"There is no file {place.folder / 'gone.json'}" in answer.err
    assert "d.json has 1 problem:\n  - node 3 (Glitter): Unknown node class 'Glitter'" in answer.err
    assert answer.err.count("Error: ") == 3
    assert "Traceback" not in answer.err


def test_object_info_teaches_nodes_that_are_not_here(place: Place) -> None:
    node = {"id": 3, "type": "Glitter", "inputs": [], "outputs": [], "widgets_values": [7, "blue"]}
    place.save({"nodes": [node], "links": [], "version": 0.4}, "a.json")
    described = {
        "input": {"required": {"grains": ["INT", {"default": 1}], "colour": [["red", "blue"], {}]}},
        "input_order": {"required": ["grains", "colour"]},
        "output": [],
        "output_name": [],
        "display_name": "Glitter all over",
        "name": "Glitter",
    }
    place.save({"Glitter": described}, "object_info.json")
    answer = place("convert", "a.json", "--object-info", "object_info.json")
    assert (answer.code, answer.err) == (0, "")
    assert json.loads(answer.out)["3"] == {
        "class_type": "Glitter",
        "inputs": {"grains": 7, "colour": "blue"},
        "_meta": {"title": "Glitter all over"},
    }


@pytest.mark.parametrize("content", ["{", "[]", '{"SaveImage": 3}', None])
def test_an_object_info_that_is_none(place: Place, saved: Path, content: str | None) -> None:
    if content is not None:
        Path("object_info.json").write_text(content)
    place.refuses(place("convert", saved, "--object-info", "object_info.json"))


def test_nodes_json_is_an_object_info(place: Place, saved: Path) -> None:
    described = json.loads(place("nodes", "--json").out)
    place.save(described, "object_info.json")
    taught = place("convert", saved, "--object-info", "object_info.json")
    assert (taught.code, taught.out) == (0, place("convert", saved).out)


def test_a_prompt_stays_what_it_is(place: Place, prompt: Prompt) -> None:
    assert json.loads(place("convert", place.save(prompt)).out) == prompt


def test_a_workflow_is_never_replaced_by_its_prompt(place: Place, saved: Path) -> None:
    Path("a.json").write_bytes(saved.read_bytes())
    place.refuses(place("convert", "a.json", "-o", "a.json"), "a.json would be replaced by its own result")
    assert Path("a.json").read_bytes() == saved.read_bytes()


def test_two_workflows_of_one_name_are_not_written_over_each_other(place: Place, saved: Path) -> None:
    for name in ("a.json", "a.ui.json"):
        Path(name).write_bytes(saved.read_bytes())
    answer = place("convert", "a.json", "a.ui.json", "-o", "out")
    assert (answer.code, answer.new) == (2, ["out/a.api.json"])
    assert "a.ui.json would replace out/a.api.json, the result of a.json" in answer.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a.json", "b.json"], "2 workflows need an output folder"),
        (["input"], "no workflows (*.json) in input"),
        (["a.json", "-o", "a.json/b"], "cannot be written"),
        (["a.json", "-o", "a.json/b.json"], "cannot be written"),
    ],
)
def test_places_that_do_not_fit(place: Place, saved: Path, arguments: list[str], sentence: str) -> None:
    for name in ("a.json", "b.json"):
        Path(name).write_bytes(saved.read_bytes())
    place.refuses(place("convert", *arguments), sentence)
