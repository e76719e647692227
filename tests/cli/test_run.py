"""``run`` and ``check``: what comes out, where it goes, and that a result is a workflow again."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import NULL, Place, Prompt, noise, pixels_of

HEAVY = ("torch", "torchvision", "numpy", "av", "cv2", "spandrel", "OpenImageIO", "PIL", "networkx")


def enlarged(pixels: np.ndarray, times: int) -> np.ndarray:
    """What the backend that repeats pixels must give."""
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def test_stdout_has_the_paths_of_the_results_and_nothing_else(
    place: Place, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("temp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place.folder / "temp"))
    prompt["5"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "sub/copy"}}
    prompt["6"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    answer = place.run(prompt)
    assert (answer.code, answer.err) == (0, "")
    assert sorted(answer.out.splitlines()) == ["output/result_00001_.png", "output/sub/copy_00001_.png"]
    assert [name for name in answer.new if name != "workflow.json"] == sorted(answer.out.splitlines())
    assert np.array_equal(pixels_of("output/sub/copy_00001_.png"), pixels_of("input/a.png"))
    assert list(Path("temp").glob("upscale8k-*")) == []  # what PreviewImage wrote


def test_a_4x_model_and_a_target_of_4x_repeat_every_pixel_sixteen_times(place: Place, prompt: Prompt) -> None:
    (result,) = place.run(prompt, "--set", "3.target=4x").out.splitlines()
    assert np.array_equal(pixels_of(result), enlarged(pixels_of("input/a.png"), 4))


def test_a_second_run_counts_on(place: Place, prompt: Prompt) -> None:
    names = [place.run(prompt).out.strip() for _ in range(3)]
    assert names == [f"output/result_0000{number}_.png" for number in (1, 2, 3)]


def test_a_saved_image_is_a_workflow_that_gives_the_same_pixels(place: Place, root: Path) -> None:
    (first,) = place("run", root / "workflows/image_4x.json", *NULL).out.splitlines()
    with Image.open(first) as image:
        assert set(image.text) == {"prompt", "workflow"}
        assert json.loads(image.text["workflow"]) == json.loads((root / "workflows/image_4x.json").read_text())
    (second,) = place("run", first, *NULL).out.splitlines()
    assert second != first
    assert np.array_equal(pixels_of(first), pixels_of(second))
    assert np.array_equal(pixels_of(first), enlarged(pixels_of(root / "workflows/media/sample.png"), 4))


def test_a_image_carries_what_set_made_of_the_workflow(place: Place, root: Path) -> None:
    """The canvas prefers ``workflow`` to ``prompt``; the one that did not make this image is left out."""
    place.image()
    answer = place("run", root / "workflows/image_4x.json", *NULL, "--set", "LoadImage.image=a.png")
    first = answer.out.strip()
    with Image.open(first) as image:
        assert set(image.text) == {"prompt"}
    again = place("run", first, *NULL).out.strip()
    assert np.array_equal(pixels_of(again), enlarged(pixels_of("input/a.png"), 4))


def test_set_names_a_node_by_id_title_or_class(place: Place, prompt: Prompt) -> None:
    for name in ("3", "The enlarger", "TiledUpscale"):
        result = place.run(prompt, "--set", f"{name}.target=40x30").out.strip()
        assert pixels_of(result).shape == (30, 40, 3)


def test_a_workflow_runs_from_another_folder_with_folders_of_its_own(place: Place, prompt: Prompt, root: Path) -> None:
    """A fresh process in the checkout; every folder is named."""
    workflow = place.save(prompt)
    folders = [f"--{name}-dir={place.folder / name}" for name in ("input", "output", "models")]
    command = [sys.executable, "-m", "runtime", "run", str(workflow), *folders, "--backend", "null", "--progress", "json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{place.folder}/output/result_00001_.png\n"
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert {line["event"] for line in said} == {"node", "progress"}
    assert pixels_of(place.folder / "output/result_00001_.png").shape == (24, 32, 3)


def test_media_beside_a_workflow_are_found(place: Place, prompt: Prompt) -> None:
    Path("elsewhere/media").mkdir(parents=True)
    Path("input/a.png").rename("elsewhere/media/a.png")
    path = place.save(prompt, "elsewhere/workflow.json")
    assert place("run", path, *NULL).code == 0


def test_a_batch_becomes_one_file_for_each_image(place: Place) -> None:
    place.image("b.png", noise()[::-1].copy())
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {"class_type": "LoadImage", "inputs": {"image": "b.png"}},
        "3": {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": ["2", 0]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "n%batch_num%"}},
    }
    assert place.run(prompt).out.splitlines() == ["output/n0_00001_.png", "output/n1_00001_.png"]
    assert np.array_equal(pixels_of("output/n1_00001_.png"), pixels_of("input/b.png"))


def test_a_failure_inside_a_node_is_exit_code_1_and_named(
    place: Place, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    from upscale8k.nodes.builtin.image import LoadImage

    def fails(self: object, image: str) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(LoadImage, "load_image", fails)
    answer = place.run(prompt)
    assert answer.code == 1
    assert answer.err == "Error: node 1 (LoadImage): ZeroDivisionError: by nought. Run again with --traceback to see where.\n"
    assert "in fails" in place.run(prompt, "--traceback").err


def test_check_says_how_many_nodes_it_looked_at(place: Place, prompt: Prompt) -> None:
    answer = place("check", place.save(prompt))
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == f"{place.folder / 'workflow.json'}: 4 nodes, no problems.\n"


def test_every_shipped_workflow_passes_the_check_without_torch(root: Path) -> None:
    """So do help and the catalog: one fresh process for all of them, since what is imported once stays."""
    shipped = sorted(str(path) for path in (root / "workflows").glob("*.json"))
    script = (
        "import sys; from runtime.bootstrap import load_pack; load_pack(); from upscale8k.runtime.cli import main\n"
        f"codes = [main(['check', path]) for path in {shipped!r}]\n"
        "codes += [main(['--help']), main(['nodes', '--json']), main(['models', 'list', '--json'])]\n"
        f"print('seen', codes, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == f"seen {[0] * (len(shipped) + 3)} []"
    assert len(shipped) >= 3
