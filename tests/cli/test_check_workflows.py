"""``check`` on many files at once: each is fine or has a complete list, and nothing heavy is loaded for it."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from .conftest import Place, Prompt
from .test_refused_workflows import ui_node, ui_workflow

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "conformance"
HEAVY = ("torch", "torchvision", "numpy", "av", "cv2", "spandrel", "OpenImageIO", "PIL", "networkx")


def checked(answer_out: str) -> dict[str, Any]:
    return {Path(one["file"]).name: one for one in json.loads(answer_out)["files"]}


def test_one_bad_file_never_stops_the_rest(place: Place, prompt: Prompt) -> None:
    folder = place.folder / "flows"
    folder.mkdir()
    (folder / "a_broken.json").write_text("{")
    (folder / "b_good.json").write_text(json.dumps(prompt))
    (folder / "c_typo.json").write_text(json.dumps(prompt | {"1": {"class_type": "LoadImages", "inputs": {}}}))
    (folder / "d_good.api.json").write_text(json.dumps(prompt))
    answer = place("check", "flows", folder / "b_good.json", "missing.json", "--models-dir", "models")
    assert answer.code == 2
    assert answer.out.splitlines() == [
        f"flows/{name}: 4 nodes, no problems." for name in ("b_good.json", "d_good.api.json")
    ] + [f"{folder / 'b_good.json'}: 4 nodes, no problems."]
    assert "a_broken.json is not JSON" in answer.err
    assert "c_typo.json has 1 problem:" in answer.err and "Did you mean 'LoadImage'" in answer.err
    assert "There is no file" in answer.err


def test_all_good_is_exit_code_0_and_an_empty_folder_is_a_sentence(place: Place, prompt: Prompt) -> None:
    assert place("check", place.save(prompt), place.save(prompt, "two.json"), "--models-dir", "models").code == 0
    Path("nothing").mkdir()
    place.refuses(place("check", "nothing"), "There are no workflows (*.json) in nothing")


def test_json_says_everything_to_a_program(place: Place, prompt: Prompt) -> None:
    prompt["3"]["inputs"] |= {"halo": 99_999, "upscale_model": ["1", 0]}
    (place.folder / "bad.json").write_text("[]")
    answer = place("check", place.save(prompt), "bad.json", "--json", "--models-dir", "models")
    assert answer.code == 2
    assert json.loads(answer.out)["fine"] is False
    files = checked(answer.out)
    assert files["bad.json"]["error"].startswith("bad.json is not a workflow")
    problems = files["workflow.json"]["problems"]
    assert {(one["kind"], one["node_id"], one["input_name"]) for one in problems} == {
        ("value_bigger_than_max", "3", "halo"),
        ("return_type_mismatch", "3", "upscale_model"),
    }
    assert all(one["what"] and one["title"] == "The enlarger" for one in problems)


def test_media_beside_each_workflow_are_found(place: Place, prompt: Prompt) -> None:
    """Two folders, each with its own media: what one has is not taken for what the other lacks."""
    for name in ("one", "two"):
        (place.folder / name / "media").mkdir(parents=True)
        (place.folder / name / "flow.json").write_text(json.dumps(prompt | {"1": _load("only.png")}))
    (place.folder / "one" / "media" / "only.png").write_bytes(b"x")
    answer = place("check", "one", "two", "--models-dir", "models")
    assert answer.out == "one/flow.json: 4 nodes, no problems.\n"
    assert "'only.png' is not in the input folder" in answer.err


def _load(name: str) -> dict[str, Any]:
    return {"class_type": "LoadImage", "inputs": {"image": name}}


def glitter(level: int) -> dict[str, Any]:
    """A node of a pack that is not here, between two core nodes of which one has a bad value."""
    return ui_workflow(
        ui_node(1, "LoadImage", "nowhere.png", "image", outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [1]}]),
        ui_node(
            7,
            "GlitterSave",
            "stars.safetensors",
            level,
            properties={"aux_id": "someone/glitter", "models": [{"name": "stars.safetensors", "directory": "glitter"}]},
            inputs=[{"name": "image", "type": "IMAGE", "link": 1}],
        ),
        links=[[1, 1, 0, 7, 0, "IMAGE"]],
    )


INFO = {
    "GlitterSave": {
        "input": {
            "required": {
                "image": ["IMAGE", {}],
                "model": [["moon.safetensors", "sun.safetensors"], {}],
                "level": ["INT", {"default": 1, "min": 0, "max": 9}],
            }
        },
        "output": [],
        "output_node": True,
    }
}


def test_everything_that_can_be_checked_is_even_where_the_output_is_unknown(place: Place) -> None:
    said = place.refuses(place("check", place.save(glitter(1))), "has 2 problems")
    assert "It belongs to the pack someone/glitter." in said
    assert "stars.safetensors (glitter)" in said
    assert "'nowhere.png' is not in the input folder" in said


def test_with_object_info_nodes_that_are_not_here_are_checked_by_it(place: Place) -> None:
    info = place.save(INFO, "object_info.json")
    said = place.refuses(place("check", place.save(glitter(50)), "--object-info", info), "has 3 problems")
    assert "'stars.safetensors' is not one of its choices" in said
    assert "50 is bigger than 9" in said
    assert "Unknown node class" not in said
    good = glitter(5)
    good["nodes"][0]["widgets_values"][0] = "a.png"
    good["nodes"][1]["widgets_values"][0] = "sun.safetensors"
    assert place("check", place.save(good), "--object-info", info).code == 0


@pytest.mark.parametrize("content", ["[]", "{", '{"A": 3}', '{"A": {"input": [], "output": []}}', '{"A": {"input": {}}}'])
def test_an_object_info_that_is_none_is_refused(place: Place, prompt: Prompt, content: str) -> None:
    Path("info.json").write_text(content)
    answer = place("check", place.save(prompt), "--object-info", "info.json")
    assert answer.code == 2
    assert "object_info" in answer.err
    assert "Traceback" not in answer.err


# ---------------------------------------------------------------------- the recorded corpus

needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded corpus ../shared/conformance is not here")


def expected_missing(prompt: dict[str, Any], known: set[str]) -> Counter[str]:
    """A prompt of the frontend with nodes that are not installed."""
    return Counter(node["class_type"] for node in prompt.values() if node["class_type"] not in known)


@needs_corpus
def test_every_recorded_workflow_is_fine_or_has_a_complete_list(place: Place, root: Path) -> None:
    """Complete: every node that the frontend sends and that is not here is named, each with its pack if the file says one."""
    from upscale8k import nodes

    answer = place("check", CORPUS / "ui_to_api", "--json")
    by_name = checked(answer.out)
    files = sorted((CORPUS / "ui_to_api").glob("*.ui.json"))
    assert len(files) == 99
    for file in files:
        verdict = by_name[file.name]
        assert verdict["error"] is None
        recorded = json.loads(file.with_name(file.name.replace(".ui.json", ".api.json")).read_text(encoding="utf-8"))
        missing = [one for one in verdict["problems"] if one["kind"] == "missing_node_type"]
        named = Counter(one["class_type"] for one in missing)
        assert expected_missing(recorded, set(nodes.DISPLAY_NAMES)) - named == Counter(), file.name
        assert verdict["fine"] == (not verdict["problems"])
        for one in verdict["problems"]:
            assert one["what"] and (one["node_id"] is None or one["class_type"])


@needs_corpus
def test_a_check_of_many_files_loads_nothing_heavy(root: Path) -> None:
    files = [str(path) for path in sorted((CORPUS / "ui_to_api").glob("*.ui.json"))[::10]]
    script = (
        "import sys; from runtime.bootstrap import load_pack; load_pack();"
        f"from upscale8k.runtime.cli import main; main(['check', *{files!r}]);"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
