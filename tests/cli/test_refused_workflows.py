"""A workflow that cannot run gets a sentence that names the node and the next step, exit code 2 and no file."""

from pathlib import Path
from typing import Any

import pytest

from .conftest import NULL, Place, Prompt


def ui_workflow(*nodes: dict[str, Any], links: list[list[Any]] | None = None) -> dict[str, Any]:
    return {"nodes": list(nodes), "links": links or [], "version": 0.4, "last_node_id": 9, "last_link_id": 9}


def ui_node(node_id: int, kind: str, *values: Any, **more: Any) -> dict[str, Any]:
    return {"id": node_id, "type": kind, "mode": 0, "inputs": [], "outputs": [], "widgets_values": list(values), **more}


@pytest.mark.parametrize("command", ["run", "check"])
def test_an_unknown_node_names_the_pack_that_the_workflow_says_it_comes_from(place: Place, command: str) -> None:
    image = {"name": "IMAGE", "type": "IMAGE", "links": [1]}
    workflow = ui_workflow(
        ui_node(1, "LoadImage", "a.png", "image", outputs=[image, {"name": "MASK", "type": "MASK", "links": []}]),
        ui_node(
            7,
            "GlitterUpscale",
            title="Sparkle",
            properties={"cnr_id": "comfyui-glitter"},
            inputs=[{"name": "image", "type": "IMAGE", "link": 1}],
            outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [2]}],
        ),
        ui_node(8, "SaveImage", "result", inputs=[{"name": "images", "type": "IMAGE", "link": 2}]),
        links=[[1, 1, 0, 7, 0, "IMAGE"], [2, 7, 0, 8, 0, "IMAGE"]],
    )
    said = place.refuses(
        place(command, place.save(workflow), *(NULL if command == "run" else ())),
        "workflow.json has 1 problem:",  # the converter and the check both see it; a person reads it once
        'node 7 (GlitterUpscale "Sparkle")',
        "Unknown node class 'GlitterUpscale'",
        "It belongs to the pack comfyui-glitter",
    )
    assert said.count("GlitterUpscale'") == 1


def test_a_class_that_is_almost_one_of_ours_is_suggested(place: Place, prompt: Prompt) -> None:
    prompt["3"]["class_type"] = "TiledUpscaler"
    place.refuses(place.run(prompt), "node 3", "'TiledUpscaler'", "Did you mean 'TiledUpscale'?")


def test_a_missing_link_names_the_input_and_what_it_takes(place: Place, prompt: Prompt) -> None:
    del prompt["3"]["inputs"]["image"]
    place.refuses(
        place.run(prompt), 'node 3 (TiledUpscale "The enlarger"), input image', "missing", "Link it to an output of type IMAGE"
    )


def test_a_link_to_a_node_that_is_not_there(place: Place, prompt: Prompt) -> None:
    prompt["3"]["inputs"]["image"] = ["77", 0]
    place.refuses(place.run(prompt), "node 3", "input image", "linked to node 77, which is not in the workflow")


def test_a_link_to_an_output_that_is_not_there(place: Place, prompt: Prompt) -> None:
    prompt["3"]["inputs"]["image"] = ["1", 5]
    place.refuses(place.run(prompt), "node 3", "input image", "output 5 of node 1, which has 2")


def test_a_link_of_the_wrong_type_names_both_types(place: Place, prompt: Prompt) -> None:
    prompt["3"]["inputs"]["image"] = ["2", 0]
    place.refuses(place.run(prompt), "node 3", "input image", "takes IMAGE", "node 2 gives UPSCALE_MODEL")


def test_a_value_of_the_wrong_type(place: Place, prompt: Prompt) -> None:
    prompt["3"]["inputs"]["tile"] = "wide"
    place.refuses(place.run(prompt), "node 3", "input tile", "'wide' is not an integer")


def test_a_cycle_is_named_by_its_path(place: Place, prompt: Prompt) -> None:
    prompt["5"] = {"class_type": "ImageScaleBy", "inputs": {"image": ["3", 0], "upscale_method": "area", "scale_by": 0.5}}
    prompt["3"]["inputs"]["image"] = ["5", 0]
    place.refuses(place.run(prompt), "3 (TiledUpscale) -> 5 (ImageScaleBy) -> 3 (TiledUpscale)", "Remove one of these links")


@pytest.mark.parametrize(("value", "sentence"), [(5000, "bigger than 512"), (-2, "smaller than -1")])
def test_a_value_out_of_range_names_the_range(place: Place, prompt: Prompt, value: int, sentence: str) -> None:
    prompt["3"]["inputs"]["halo"] = value
    place.refuses(place.run(prompt), "node 3", "input halo", f"{value} is {sentence}", "The range is -1 to 512")


@pytest.mark.parametrize("value", [5000, 31, 1, -1])
def test_a_tile_that_is_none_names_what_is_possible(place: Place, prompt: Prompt, value: int) -> None:
    prompt["3"]["inputs"]["tile"] = value
    place.refuses(place.run(prompt), "node 3", f"A tile of {value} pixels is out of range", "0 (automatic), or 32 to 4096")


def test_a_value_that_is_no_choice_names_the_choices(place: Place, prompt: Prompt) -> None:
    prompt["3"]["inputs"]["precision"] = "fp13"
    place.refuses(place.run(prompt), "node 3", "input precision", "'fp13' is not one of its choices", "'fp16'", "'auto'")


def test_a_size_that_is_none_names_what_is_possible(place: Place, prompt: Prompt) -> None:
    prompt["3"]["inputs"]["target"] = "huge"
    place.refuses(place.run(prompt), "node 3", "'huge' is not a size", "8K", "5120x2880")


def test_every_problem_is_named_at_once(place: Place, prompt: Prompt) -> None:
    prompt["1"]["inputs"]["image"] = "gone.png"
    prompt["2"]["inputs"]["model"] = "gone"
    prompt["3"]["inputs"]["tile"] = 5000
    prompt["4"]["inputs"]["filename_prefix"] = "../gone"
    answer = place.run(prompt)
    place.refuses(answer, "4 problems", "node 1", "node 2", "node 3", "node 4")
    assert answer.err.count("\n  - ") == 4


def test_a_workflow_that_writes_nothing(place: Place, prompt: Prompt) -> None:
    del prompt["4"]
    place.refuses(place.run(prompt), "No node of the workflow writes or shows anything", "SaveImage")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.json", b"", "is empty"),
        ("blank.json", b" \n\n", "is empty"),
        ("half.json", b'{"nodes": [', "is not JSON"),
        ("list.json", b"[1, 2]", "its JSON is a list"),
        ("package.json", b'{"name": "x", "version": "1"}', "not a workflow"),
        ("object.json", b"{}", "it is an empty object"),
        ("deep.json", b"[" * 100_000, "nested too deeply"),
        ("binary.json", b"\x80\x81\x82", "is not text"),
        ("video.mp4", b"\0\0\0\x18ftypmp42", "cannot be read as a video with a workflow"),
    ],
)
def test_a_file_that_is_no_workflow(place: Place, name: str, content: bytes, sentence: str) -> None:
    (place.folder / name).write_bytes(content)
    for command in ("run", "check"):
        place.refuses(place(command, name), name, sentence, "Save the workflow in ComfyUI")


def test_a_image_without_a_workflow(place: Place) -> None:
    place.refuses(place("run", "input/a.png"), "input/a.png", "without a workflow", "Save the workflow in ComfyUI")


def test_a_image_that_breaks_off_before_its_workflow(place: Place) -> None:
    path = Path("input/a.png")
    path.write_bytes(path.read_bytes()[:60])
    place.refuses(place("run", path), "a.png", "damaged image", "it is truncated")


def test_a_workflow_that_is_not_there_or_a_folder(place: Place) -> None:
    place.refuses(place("run", "gone.json"), f"There is no file {place.folder / 'gone.json'}")
    for command in ("run", "check", "convert"):
        place.refuses(place(command, "image_8"), "no shipped workflow image_8. Did you mean image_8k", "workflows list")
    said = place.refuses(place("run", "input"), "input is a folder, not a workflow file", "Name one file inside it")
    assert said.count(".") == 2


@pytest.mark.parametrize(
    ("assignment", "facts"),
    [
        ("3.tile", ["is not an assignment", "NODE.INPUT=VALUE"]),
        ("tile=3", ["is not an assignment", "NODE.INPUT=VALUE"]),
        ("9.tile=3", ["No node", "node 1 (LoadImage)", "node 3 (TiledUpscale"]),
        ("3.sharpness=3", ["node 3 (TiledUpscale", "no input", "target, tile, halo"]),
        ("3.tile=wide", ["must be an integer", "INT"]),
        ("The enlarger.tile=5000", ["node 3", "A tile of 5000 pixels", "32 to 4096"]),
        ("TiledUpscale.precision=fp13", ["node 3", "input precision", "'fp16'"]),
    ],
)
def test_a_wrong_set_names_what_is_possible(place: Place, prompt: Prompt, assignment: str, facts: list[str]) -> None:
    place.refuses(place.run(prompt, "--set", assignment), *facts)


def test_a_set_that_fits_two_nodes_names_both(place: Place, prompt: Prompt) -> None:
    prompt["5"] = {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "again"}}
    answer = place.run(prompt, "--set", "SaveImage.filename_prefix=x")
    place.refuses(answer, "--set SaveImage.filename_prefix=x", "node 4", "node 5", "by its id")
