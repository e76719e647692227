"""``--keep-going``, ``--outputs`` and ``--dry-run``: less than everything, said exactly."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from .conftest import Answer, Place, Prompt, pixels_of


@pytest.fixture
def branches(prompt: Prompt) -> Prompt:
    """The enlarged image (4), its negative (6) and a crop outside of it (8)."""
    prompt["4"]["_meta"] = {"title": "The large one"}
    prompt["5"] = {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}
    prompt["6"] = {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "negative"}}
    return prompt


def is_negative(name: str) -> bool:
    """As ComfyUI's SaveImage writes it: cut to 8 bits, not rounded."""
    difference = pixels_of(name).astype(int) - (255 - pixels_of("input/a.png").astype(int))
    return bool((difference >= -1).all() and (difference <= 0).all())


def results(answer: Answer) -> list[str]:
    return [name for name in answer.new if name.startswith("output/")]


def fail(prompt: Prompt) -> Prompt:
    """Another branch whose node fails while it runs: a file that is no image."""
    Path("input/broken.png").write_text("no image")
    prompt["7"] = {"class_type": "LoadImage", "inputs": {"image": "broken.png"}}
    prompt["8"] = {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": "lost"}}
    return prompt


def test_a_failing_branch_stops_the_run_unless_it_is_to_keep_going(place: Place, branches: Prompt) -> None:
    assert place.run(fail(branches)).code != 0
    shutil.rmtree("output")
    answer = place.run(branches, "--keep-going")
    assert answer.code == 1
    assert sorted(answer.out.splitlines()) == ["output/negative_00001_.png", "output/result_00001_.png"]
    assert "Error: node 7 (LoadImage)" in answer.err
    assert "1 of 3 outputs could not be made: node 8 (SaveImage)" in answer.err
    assert "Traceback" not in answer.err
    assert is_negative("output/negative_00001_.png")


def test_every_failure_is_said(place: Place, branches: Prompt) -> None:
    fail(branches)
    branches["9"] = {"class_type": "LoadImage", "inputs": {"image": "worse.png"}}
    branches["10"] = {"class_type": "SaveImage", "inputs": {"images": ["9", 0], "filename_prefix": "lost too"}}
    Path("input/worse.png").write_bytes(b"\x89PNG\r\n\x1a\nworse")
    answer = place.run(branches, "--keep-going")
    assert answer.code == 1
    assert len(answer.out.splitlines()) == 2
    assert "node 7 (LoadImage)" in answer.err and "node 9 (LoadImage)" in answer.err
    assert "2 of 4 outputs could not be made" in answer.err


def test_what_passes_the_check_runs_and_what_does_not_is_named(place: Place, branches: Prompt) -> None:
    branches["5"]["inputs"]["image"] = ["77", 0]
    branches["9"] = {"class_type": "UnknownNode", "inputs": {"image": ["1", 0]}}
    assert place.run(branches).code == 2
    answer = place.run(branches, "--keep-going")
    assert answer.code == 1
    assert answer.out == "output/result_00001_.png\n"
    assert "linked to node 77" in answer.err
    assert "'UnknownNode'" in answer.err
    assert "Skipped because of that: node 6 (SaveImage)." in answer.err


def test_when_nothing_passes_the_check_it_is_refused(place: Place, prompt: Prompt) -> None:
    prompt["1"]["inputs"]["image"] = "nowhere.png"
    place.refuses(place.run(prompt, "--keep-going"), "'nowhere.png' is not in the input folder")


def test_a_workflow_without_problems_ends_well(place: Place, branches: Prompt) -> None:
    answer = place.run(branches, "--keep-going")
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize("name", ["4", "The large one"])
def test_only_what_an_output_needs_is_run(place: Place, branches: Prompt, name: str) -> None:
    fail(branches)
    branches["5"]["inputs"]["image"] = ["77", 0]  # a problem of another branch
    branches["9"] = {"class_type": "UnknownNode", "inputs": {}}
    answer = place.run(branches, "--outputs", name)
    assert (answer.code, answer.out, answer.err) == (0, "output/result_00001_.png\n", "")


def test_several_outputs_may_be_named_and_a_class_names_the_only_one_of_it(place: Place, branches: Prompt) -> None:
    branches["7"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    answer = place.run(branches, "--outputs", "4", "--outputs", "6", "--outputs", "4")
    assert sorted(answer.out.splitlines()) == ["output/negative_00001_.png", "output/result_00001_.png"]
    assert place.run(branches, "--outputs", "PreviewImage").out == ""


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (
            "unknown",
            ["No node has the id, title or class 'unknown'", 'node 4 (SaveImage "The large one")', "node 6 (SaveImage)"],
        ),
        ("3", ['node 3 (TiledUpscale "The enlarger") is not an output']),
        ("SaveImage", ["fits several nodes: node 4", "node 6", "by its id"]),
        ("9", ["node 9 (UnknownNode) has a class that is not installed"]),
    ],
)
def test_a_name_that_is_no_output_is_refused(place: Place, branches: Prompt, name: str, facts: list[str]) -> None:
    branches["9"] = {"class_type": "UnknownNode", "inputs": {}}
    place.refuses(place.run(branches, "--outputs", name), *facts)


def test_a_dry_run_says_what_would_happen_and_does_nothing(place: Place, branches: Prompt) -> None:
    shutil.rmtree("output")
    answer = place.run(branches, "--dry-run")
    assert (answer.code, answer.err, answer.new) == (0, "", [])
    lines = [line.strip() for line in answer.out.splitlines()]
    assert lines[0].endswith("workflow.json: 6 nodes would run for 2 outputs.")
    order = [line.split("node ")[1].split()[0] for line in lines[1:7]]
    assert sorted(order) == ["1", "2", "3", "4", "5", "6"]
    assert order.index("1") < order.index("3") < order.index("4")
    assert any(line.startswith("file a.png: ") and "input/a.png (" in line for line in lines)
    assert any(line.startswith("model realesr-animevideov3: ") and "not here" not in line for line in lines)
    assert f"node 6 (SaveImage): {place.folder}/output/negative*" in lines
    assert not Path("output").exists()


def test_a_dry_run_is_limited_to_the_outputs_that_are_named(place: Place, branches: Prompt) -> None:
    answer = place.run(branches, "--dry-run", "--outputs", "6")
    assert "workflow.json: 3 nodes would run for 1 output." in answer.out
    assert "TiledUpscale" not in answer.out


def test_a_dry_run_of_what_cannot_run_says_what_is_missing(place: Place, branches: Prompt) -> None:
    branches["2"]["inputs"]["model"] = "bsrgan-x4"
    answer = place.run(branches, "--dry-run")
    assert answer.code == 2
    assert "file a.png: " in answer.out
    assert "model bsrgan-x4: not here" in answer.out
    assert "models pull bsrgan-x4" in answer.err


# ---------------------------------------------------------------------- --cache


def test_a_run_with_a_cache_runs_only_what_changed_and_gives_the_same_images(place: Place, branches: Prompt) -> None:
    plain = place.run(branches).out.splitlines()
    first = place.run(branches, "--cache", "kept")
    assert "0 of 6 nodes came from the cache." in first.err
    second = place.run(branches, "--cache", "kept")
    assert second.out == first.out  # the files are there, so they are not written again
    assert results(second) == []
    branches["4"]["inputs"]["filename_prefix"] = "elsewhere"
    third = place.run(branches, "--cache", "kept")
    assert results(third) == ["output/elsewhere_00001_.png"]
    for name, other in zip(sorted(plain), sorted(first.out.splitlines()), strict=True):
        assert np.array_equal(pixels_of(name), pixels_of(other))
    assert np.array_equal(pixels_of("output/elsewhere_00001_.png"), pixels_of("output/result_00001_.png"))
    dry = place.run(branches, "--cache", "kept", "--dry-run")
    assert "0 nodes would run for 2 outputs" in dry.out
    assert "From the cache, without running:" in dry.out


def test_another_image_under_the_same_name_is_another_result(place: Place, branches: Prompt) -> None:
    place.run(branches, "--cache", "kept")
    before = Path("input/a.png").stat()
    place.image("a.png", 255 - pixels_of("input/a.png"))
    os.utime("input/a.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    answer = place.run(branches, "--cache", "kept")
    assert len(answer.out.splitlines()) == 2
    assert is_negative("output/negative_00002_.png")


def test_another_backend_is_another_result(place: Place, branches: Prompt) -> None:
    place.run(branches, "--cache", "kept")
    names = ("--backend", "torch", "--device", "cpu", "--progress", "none", "--models-dir", "models")
    answer = place("run", place.save(branches), *names, "--cache", "kept")
    assert "output/result_00002_.png" in answer.out
    assert not np.array_equal(pixels_of("output/result_00001_.png"), pixels_of("output/result_00002_.png"))


def test_a_cache_that_cannot_be_used_is_refused(place: Place, prompt: Prompt) -> None:
    Path("kept").write_text("a file")
    said = place.run(prompt, "--cache", "kept")
    assert said.code == 2
    assert "The cache folder kept cannot be used" in said.err
    assert said.out == ""


def test_keep_going_keeps_the_results_of_good_branches(place: Place, branches: Prompt) -> None:
    fail(branches)
    place.run(branches, "--keep-going", "--cache", "kept")
    place.image("broken.png")
    answer = place.run(branches, "--cache", "kept")
    assert answer.code == 0
    assert results(answer) == ["output/lost_00001_.png"]
