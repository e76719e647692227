"""``compare`` and ``bench models``: shipped workflows with values set."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Place

FILES = ["artifact_analysis.md", "difference_maps.jpg", "model_comparison_result.jpg", "report.html", "report.json"]
NULL = ("--backend", "null", "--device", "cpu", "--progress", "none")


@pytest.fixture
def photo() -> Path:
    pixels = np.random.default_rng(2).integers(0, 256, (40, 56, 3), np.uint8)
    Image.fromarray(pixels).save("input/a=b [1].png")
    return Path("input/a=b [1].png")


def test_one_command_makes_the_whole_report(place: Place, photo: Path) -> None:
    answer = place("compare", photo, "-o", "out", "--crop", "24x16", "--models", "realesr-animevideov3,swinir-m-x4", *NULL)
    assert (answer.code, answer.new) == (0, [f"out/{name}" for name in FILES])
    assert sorted(Path(line).name for line in answer.out.splitlines()) == FILES
    content = json.loads(Path("out/report.json").read_text(encoding="utf-8"))
    assert content["source"] == photo.name
    assert content["crops"][0]["region"] == {"x": 16, "y": 12, "width": 24, "height": 16}
    assert content["target"] == "4x"
    assert "models pull swinir-m-x4" in Path("out/report.html").read_text(encoding="utf-8")


def test_without_names_the_three_families_are_compared(place: Place, photo: Path) -> None:
    assert place("compare", photo, "-o", "out", "--crop", "16x16,all", "--to", "2x", *NULL).code == 0
    content = json.loads(Path("out/report.json").read_text(encoding="utf-8"))
    assert {one["id"].split("-")[0] for one in content["contenders"] if not one["baseline"]} == {
        "realesr",
        "realesrgan",
        "swinir",
        "bsrgan",
    }
    assert len(content["crops"]) == 2
    assert content["crops"][0]["results"]["bicubic"]["size"] == "32x32"


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (("--crop", "0x0"), ["is empty"]),
        (("--crop", "nose"), ["--crop nose: Unknown crop", "texture"]),
        (("--models", ""), ["No model is named"]),
        (("--models", "realesrgan-x4pluss"), ["--models realesrgan-x4pluss: ", "Did you mean", "realesrgan-x4plus"]),
        (("--to", "model scale"), ["compared at one size"]),
        (("--scores", "ssim,beauty"), ["Unknown score 'beauty'", "vmaf"]),
        (("--crop", "8x8+900+0"), ["outside of the image"]),
    ],
)
def test_what_cannot_be_compared_is_said(place: Place, photo: Path, arguments: tuple[str, str], facts: list[str]) -> None:
    place.refuses(place("compare", photo, "-o", "out", *arguments, *NULL), *facts)


def test_a_image_that_is_not_there_or_none_is_said(place: Place) -> None:
    place.refuses(place("compare", "gone.png", "-o", "out", *NULL), "The image gone.png does not exist")
    Path("input/text.png").write_text("no image")
    place.refuses(place("compare", "input/text.png", "-o", "out", *NULL), "text.png is not an image")


def test_the_benchmark_writes_its_files_and_compares_with_an_earlier_one(place: Place) -> None:
    quick = ("--models", "realesr-animevideov3", "--sizes", "16x16", "--backends", "null", "--runs", 2, "--device", "cpu")
    answer = place("bench", "models", "-o", "one", *quick)
    assert (answer.code, answer.new) == (0, ["one/benchmark.json", "one/benchmark.md", "one/benchmark.png"])
    assert place("bench", "models", "-o", "two", *quick, "--against", "one/benchmark.json").code == 0
    assert "Since benchmark.json" in Path("two/benchmark.md").read_text(encoding="utf-8")
    content = json.loads(Path("two/benchmark.json").read_text(encoding="utf-8"))
    assert content["machine_facts"]["cpu"]["cores"] >= 1
    assert [change["case"]["model"] for change in content["changes"]] == ["realesr-animevideov3"]
    place.refuses(place("bench", "models", "-o", "three", *quick, "--against", "gone.json"), "gone.json")


def test_the_halo_of_a_model_is_measured(place: Place) -> None:
    answer = place("bench", "halo", "realesr-animevideov3", "--json")
    (profile,) = json.loads(answer.out)
    assert (profile["weights"], profile["default"], profile["exact"]) == ("its own", 18, 18)
    errors = {error["halo"]: error["worst_steps"] for error in profile["errors"]}
    assert errors[0] > 10
    assert errors[24] < 1e-3
