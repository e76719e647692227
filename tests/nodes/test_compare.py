"""Comparison Report, Comparison Sheet and Benchmark, run as a workflow runs them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from upscale8k.nodes import get_node_classes
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.models.locate import resolve_model_names, split_names

FILES = ["model_comparison_result.jpg", "difference_maps.jpg", "artifact_analysis.md", "report.html", "report.json"]


@pytest.fixture(scope="module")
def photograph() -> torch.Tensor:
    return torch.from_numpy(data.coffee()[60:124, 100:180].astype(np.float32) / 255)[None]


def report(host: LocalHost, image: torch.Tensor, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run it; what it gives and the record that it wrote."""
    settings = {"models": "realesr-animevideov3, swinir-m-x4", "crop": "48x40", "target": "4x", "folder": "", **changes}
    node = get_node_classes(host)["ComparisonReport"]
    asked = {name: settings[name] for name in ("models", "crop", "target", "folder")}
    assert node.VALIDATE_INPUTS(**asked) is True
    given = node().run(image, **settings)
    place = host.output_dir / settings["folder"] / "report.json"
    return given, json.loads(place.read_text(encoding="utf-8"))


def test_every_file_of_the_report_is_there_and_the_canvas_shows_the_sheet(host: LocalHost, photograph: torch.Tensor) -> None:
    given, content = report(host, photograph, folder="sub/compared")
    assert [item["filename"] for item in given["ui"]["series"]] == FILES
    assert {item["subfolder"] for item in given["ui"]["series"]} == {"sub/compared"}
    assert [item["filename"] for item in given["ui"]["images"]] == FILES[:1]
    sheet, analysis = given["result"]
    with Image.open(host.output_dir / "sub/compared" / FILES[0]) as image:
        assert tuple(sheet.shape) == (1, image.height, image.width, 3)
    assert analysis == (host.output_dir / "sub/compared/artifact_analysis.md").read_text(encoding="utf-8")
    assert content["crops"][0]["region"] == {"x": 16, "y": 12, "width": 48, "height": 40}
    assert content["crops"][0]["results"]["realesr-animevideov3"]["size"] == "192x160"


def test_the_model_in_the_report_is_the_one_of_tiled_upscale(
    host: LocalHost, photograph: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a second path: the numbers are those of Tiled Upscale's own result, and the host frees memory for the tile too."""
    from upscale8k.runtime.bench import model_comparison
    from upscale8k.runtime.metrics.drift import measure_drift

    resolve, asked = model_comparison.resolve_settings, list[Any]()
    monkeypatch.setattr(model_comparison, "resolve_settings", lambda *given: asked.append(given[2]) or resolve(*given))
    _, content = report(host, photograph, crop="all")
    nodes = get_node_classes(host)
    (model,) = nodes["UpscaleModel"]().run("realesr-animevideov3")
    (result,) = nodes["TiledUpscale"]().run(photograph, model, "4x")
    expected = measure_drift(photograph[0].numpy(), result[0].numpy()).de2000.mean
    assert content["contenders"][0]["summary"]["drift"] == pytest.approx(expected, abs=1e-9)
    assert asked[0] == host.free_memory


def test_a_missing_model_is_a_row_that_says_how_to_get_it(host: LocalHost, photograph: torch.Tensor) -> None:
    _, content = report(host, photograph, backend="null")
    rows = {one["id"]: one for one in content["contenders"]}
    assert rows["swinir-m-x4"]["problem"] == "Its weights are not here. Download them with: models pull swinir-m-x4"
    assert rows["swinir-m-x4"]["summary"] is None
    assert set(rows) == {"realesr-animevideov3", "swinir-m-x4", "bicubic", "lanczos"}
    assert str(host.output_dir) not in json.dumps(content["contenders"])


def test_a_report_without_any_weights_still_has_the_base_lines(host: LocalHost, photograph: torch.Tensor) -> None:
    _, content = report(host, photograph, models="bsrgan-x4")
    assert [one["model"] for one in content["recommendations"]] == [None]
    assert set(content["crops"][0]["results"]) == {"bicubic", "lanczos"}


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_alpha_are_compared_as_colors(host: LocalHost, channels: int) -> None:
    image = torch.rand(1, 24, 24, channels, generator=torch.Generator().manual_seed(1))
    _, content = report(host, image, models="realesr-animevideov3", backend="null", crop="all")
    assert content["crops"][0]["results"]["realesr-animevideov3"]["drift"]["de2000"]["maximum"] < 0.01  # pixels are repeated
    assert "dry run" in content["notes"][0]
    assert any("Transparency" in note for note in content["notes"]) == (channels == 4)


def test_every_image_of_a_batch_is_compared(host: LocalHost, photograph: torch.Tensor) -> None:
    _, content = report(host, photograph.repeat(2, 1, 1, 1), models="realesr-animevideov3", backend="null")
    assert [crop["name"] for crop in content["crops"]] == ["image 1, centre 48x40", "image 2, centre 48x40"]


def test_a_image_smaller_than_the_crop_is_taken_whole_and_says_so(host: LocalHost, photograph: torch.Tensor) -> None:
    _, content = report(host, photograph, models="realesr-animevideov3", backend="null", crop="centre")
    assert content["crops"][0]["region"] == {"x": 0, "y": 0, "width": 80, "height": 64}
    assert "smaller than the requested crop" in content["crops"][0]["note"]
    assert "smaller than the requested crop" in (host.output_dir / "report.html").read_text(encoding="utf-8")


def test_nan_is_refused_with_a_sentence(host: LocalHost) -> None:
    with pytest.raises(WorkflowError, match="NaN"):
        report(host, torch.full((1, 20, 20, 3), float("nan")))
    assert not list(host.output_dir.iterdir())


def test_the_name_of_the_source_is_the_heading(host: LocalHost) -> None:
    name = "a <b> & c.png"
    Image.fromarray(data.coffee()[60:90, 100:130]).save(host.input_dir / name)
    nodes = get_node_classes(host)
    image, source = nodes["ImageIn"]().run(name)
    _, content = report(host, image, source=source, backend="null", models="realesr-animevideov3")
    assert content["source"] == name
    assert "<h1>a &lt;b&gt; &amp; c.png</h1>" in (host.output_dir / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": ""}, "No model is named"),
        ({"models": "realesr-animevideo"}, "Did you mean"),
        ({"models": "../x.pth"}, "not the name of a file inside a models folder"),
        ({"crop": "0x0"}, "is empty"),
        ({"target": "model scale"}, "compared at one size"),
        ({"target": "tall"}, "is not a size to upscale to"),
        ({"folder": "../out"}, "outside the output folder"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_runs(host: LocalHost, changes: dict[str, str], words: str) -> None:
    settings = {"models": "realesr-animevideov3", "crop": "centre", "target": "4x", "folder": "x", **changes}
    assert words in get_node_classes(host)["ComparisonReport"].VALIDATE_INPUTS(**settings)


def test_weights_that_were_pulled_make_another_report(host: LocalHost, tmp_path: Path) -> None:
    node = get_node_classes(host)["ComparisonReport"]
    before = node.IS_CHANGED("swinir-m-x4")
    assert node.IS_CHANGED("swinir-m-x4") == before
    host.models_dirs = (tmp_path / "weights",)
    host.models_dirs[0].mkdir()
    (host.models_dirs[0] / "003_realSR_BSRGAN_DFO_s64w8_SwinIR-M_x4_GAN.pth").write_bytes(b"x")
    assert node.IS_CHANGED("swinir-m-x4") != before


def test_what_comes_over_a_wire_is_not_judged_before_it_is_there(host: LocalHost) -> None:
    nodes = get_node_classes(host)
    assert nodes["ComparisonReport"].VALIDATE_INPUTS(models=None, crop=None, target=None, folder=None) is True
    assert nodes["Benchmark"].VALIDATE_INPUTS(models=None, sizes=None, folder=None, earlier=None) is True
    assert nodes["ComparisonReport"].IS_CHANGED(None) == "[]"


def test_lists_of_names_are_read_as_people_write_them(host: LocalHost) -> None:
    assert split_names(" a, b\nc ,, a") == ["a", "b", "c"]
    assert resolve_model_names("all", ()) == ["realesrgan-x4plus", "realesrgan-x4plus-anime", "realesr-animevideov3"]


# The sheet.


def test_images_of_any_size_stand_side_by_side(host: LocalHost, photograph: torch.Tensor) -> None:
    two, three = (torch.nn.functional.interpolate(photograph.movedim(-1, 1), scale_factor=by).movedim(1, -1) for by in (2, 3))
    (sheet,) = get_node_classes(host)["ComparisonSheet"]().run(photograph, two, "Twice, ", "all", image_2=three, image_5=two)
    assert sheet.shape[2] == 4 * 480 + 5 * 20
    assert sheet.shape[3] == 3
    assert 0 <= float(sheet.min()) < float(sheet.max()) <= 1


def test_a_image_of_something_else_is_named(host: LocalHost, photograph: torch.Tensor) -> None:
    with pytest.raises(WorkflowError, match=r"Odd .* has other proportions"):
        get_node_classes(host)["ComparisonSheet"]().run(photograph, photograph[:, :20], "Odd", "all")


# The benchmark.


def benchmark(host: LocalHost, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    settings = {"models": "realesr-animevideov3", "sizes": "24x16", "folder": "", "warmups": 1, "repeats": 2, **changes}
    given = get_node_classes(host)["Benchmark"]().run(**settings)
    return given, json.loads((host.output_dir / "benchmark.json").read_text(encoding="utf-8"))


def test_every_combination_is_timed_as_often_as_was_asked(host: LocalHost) -> None:
    given, content = benchmark(host, sizes="24x16, 32x32", tiles="0, 32", backends="torch, null", precisions="fp32")
    cases = [(row["case"]["size"], row["case"]["tile"], row["case"]["backend"]) for row in content["rows"]]
    assert sorted(cases) == sorted(
        (size, tile, by) for size in ("24x16", "32x32") for tile in (0, 32) for by in ("torch", "null")
    )
    for row in content["rows"]:
        assert len(row["seconds"]) == len(row["model_seconds"]) == 2
        assert all(inside <= whole for inside, whole in zip(row["model_seconds"], row["seconds"], strict=True))
        width, height = map(int, row["case"]["size"].split("x"))
        assert row["megapixels"] == pytest.approx(16 * width * height / 1e6)
    assert [item["filename"] for item in given["ui"]["series"]] == ["benchmark.json", "benchmark.md", "benchmark.png"]
    assert content["machine"] in given["result"][1].replace("\\", "")


def test_weights_that_are_not_here_are_generated_and_it_is_said(host: LocalHost) -> None:
    given, content = benchmark(host, models="swinir-lightweight-x4", repeats=1, warmups=0)
    assert content["rows"][0]["generated"] is True
    assert content["rows"][0]["problem"] == ""
    assert "were generated" in given["result"][1]


def test_what_cannot_run_is_a_row_and_the_rest_goes_on(host: LocalHost) -> None:
    given, content = benchmark(
        host, models="swinir-lightweight-x4, realesr-animevideov3", precisions="fp16", backends="torch, null"
    )
    problems = {(row["case"]["model"], row["case"]["backend"]): row["problem"] for row in content["rows"]}
    assert "overflows in fp16" in problems["swinir-lightweight-x4", "torch"]
    assert not problems["realesr-animevideov3", "null"]
    assert "## Not measured" in given["result"][1]


def test_a_run_that_became_slower_is_flagged_on_the_same_machine_only(host: LocalHost) -> None:
    _, content = benchmark(host)
    content["rows"][0]["seconds"] = [1e-6, 2e-6]
    (host.input_dir / "before.json").write_text(json.dumps(content), encoding="utf-8")
    given, after = benchmark(host, earlier="before.json")
    assert [change["regression"] for change in after["changes"]] == [True]
    assert "**1 regression**" in given["result"][1]
    content["rows"][0]["seconds"] = [1e6, 1e6]
    (host.input_dir / "before.json").write_text(json.dumps(content), encoding="utf-8")
    assert [change["regression"] for change in benchmark(host, earlier="before.json")[1]["changes"]] == [False]
    content["rows"][0]["seconds"], content["machine"] = [1e-6, 2e-6], "another one"
    (host.input_dir / "before.json").write_text(json.dumps(content), encoding="utf-8")
    given, after = benchmark(host, earlier="before.json")
    assert [change["regression"] for change in after["changes"]] == [False]
    assert "another machine" in given["result"][1]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": "x"}', '{"format": "upscale8k-benchmark-1", "rows": 3}'])
def test_a_file_that_is_no_benchmark_is_named(host: LocalHost, text: str) -> None:
    (host.input_dir / "before.json").write_text(text, encoding="utf-8")
    with pytest.raises(WorkflowError, match=r"before\.json is not a benchmark"):
        benchmark(host, earlier="before.json")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"precisions": "fp8"}, "Unknown precision 'fp8'"),
        ({"backends": "magic"}, "Unknown backend 'magic'"),
        ({"tiles": "wide"}, "Invalid tiles"),
        ({"earlier": "gone.json"}, "is not in the input folder"),
        ({"models": "nonsense"}, "nonsense"),
        ({"folder": "/etc"}, "outside the output folder"),
    ],
)
def test_what_cannot_be_timed_is_said_before_anything_runs(host: LocalHost, changes: dict[str, str], words: str) -> None:
    settings = {"models": "realesr-animevideov3", "sizes": "24x16", "folder": "x", **changes}
    assert words in str(get_node_classes(host)["Benchmark"].VALIDATE_INPUTS(**settings))


@pytest.mark.parametrize("size", ["big", "0x5", "99999x99999"])
def test_a_size_that_is_none_is_said(host: LocalHost, size: str) -> None:
    with pytest.raises(WorkflowError, match=r"is not a size|too large for a benchmark"):
        benchmark(host, sizes=size)
