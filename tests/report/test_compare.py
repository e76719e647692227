from collections.abc import Callable

import cv2
import numpy as np
import pytest
from upscale8k.runtime.errors import Cancelled, WorkflowError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.report.comparison import ComparedModel, ModelComparison
from upscale8k.runtime.report.model_runs import compare_images, compare_models, convert_to_rgb, cut_crops, enlarge_with_baseline
from upscale8k.runtime.report.summary import COLUMNS, summarize_models

from ..told import Told
from .conftest import tinted, upscale


def test_every_model_and_baseline_gets_the_same_crop(make: Callable[..., ModelComparison]) -> None:
    comparison = make()
    assert [one.id for one in comparison.completed] == ["red", "plain", "bicubic", "lanczos"]
    assert [one.id for one in comparison.failed] == ["gone"]
    (case,) = comparison.crops
    assert {result.image.shape for result in case.results.values()} == {(80, 96, 3)}
    np.testing.assert_array_equal(case.results["plain"].image, case.results["lanczos"].image)
    np.testing.assert_array_equal(case.results["red"].image, tinted(case.source))


def test_results_wait_in_files_and_not_in_memory(make: Callable[..., ModelComparison]) -> None:
    (case,) = make().crops
    assert {type(result.image) for result in case.results.values()} == {np.memmap}


def test_an_image_without_a_pixel_is_refused() -> None:
    with pytest.raises(WorkflowError, match="empty: 32x0 pixels"):
        convert_to_rgb(np.empty((0, 32, 3), np.float32))


def test_the_numbers_tell_the_tint(make: Callable[..., ModelComparison]) -> None:
    rows = {row.model.id: row for row in summarize_models(make())}
    assert rows["red"].values["area_drift"] > 1.0
    assert rows["lanczos"].values["area_drift"] < 0.2
    assert rows["plain"].values["drift"] == rows["lanczos"].values["drift"]
    assert rows["red"].values["consistency"] < rows["plain"].values["consistency"]
    assert rows["red"].values["speed"] == pytest.approx(80 * 96 / 1e6 / 0.5)
    assert rows["plain"].values["seconds"] == 5.0
    assert rows["plain"].values["peak_bytes"] == 1_000_000
    assert rows["bicubic"].values["peak_bytes"] is None


def test_a_model_that_fails_is_a_row_with_its_sentence_and_the_rest_goes_on(photograph: np.ndarray) -> None:
    crops = cut_crops([photograph], "32x32+0+0, 32x32+64+64")
    bar = Told()
    models = [ComparedModel("full", "Full"), ComparedModel("red", "Red")]
    compared, cases = compare_models(crops, [Size(64, 64)] * 2, models, upscale, bar)
    assert "does not fit" in compared[0].problem
    assert "smaller tile" in compared[0].problem
    assert [sorted(case.results) for case in cases] == [["bicubic", "lanczos", "red"]] * 2
    assert any("left out" in said for said in bar.sentences)


def test_a_person_who_stops_it_is_obeyed(photograph: np.ndarray) -> None:
    class Impatient(Told):
        def advance(self, steps: int = 1) -> None:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        compare_models(cut_crops([photograph], "32x32"), [Size(64, 64)], [ComparedModel("red", "Red")], upscale, Impatient())


def test_images_of_a_batch_are_numbered(photograph: np.ndarray) -> None:
    names = [crop.name for crop, _ in cut_crops([photograph, photograph], "32x32")]
    assert names == ["image 1, centre 32x32", "image 2, centre 32x32"]


@pytest.mark.parametrize(("channels", "note"), [(1, ""), (2, "Transparency"), (3, ""), (4, "Transparency")])
def test_any_image_becomes_colors(channels: int, note: str) -> None:
    pixels, said = convert_to_rgb(np.random.default_rng(1).random((4, 5, channels), dtype=np.float32))
    assert pixels.shape == (4, 5, 3)
    assert note in said
    assert bool(said) == bool(note)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nonsense_is_refused(bad: float) -> None:
    with pytest.raises(WorkflowError, match="NaN or infinite"):
        convert_to_rgb(np.full((4, 4, 3), bad, np.float32))
    with pytest.raises(WorkflowError, match="5 channels"):
        convert_to_rgb(np.zeros((4, 4, 5), np.float32))


def test_bicubic_is_the_cubic_of_another_library(photograph: np.ndarray) -> None:
    """Inside, where borders play no part. Pillow's cubic has a = -0.5 as Keys recommends; OpenCV's -0.75 is not far from it."""
    ours = enlarge_with_baseline(photograph[:50, :60], Size(240, 200), "bicubic")
    other = np.clip(cv2.resize(photograph[:50, :60], (240, 200), interpolation=cv2.INTER_CUBIC), 0, 1)
    assert np.abs(ours - other)[20:-20, 20:-20].max() < 0.05
    linear = np.linspace(0, 1, 64, dtype=np.float32)[None, :, None].repeat(16, 0).repeat(3, 2)
    ramp = enlarge_with_baseline(linear, Size(256, 64), "bicubic")[32, 16:-16, 0]
    np.testing.assert_allclose(np.diff(ramp), 1 / 63 / 4, atol=1e-5)  # a cubic keeps a ramp straight


def test_images_from_anywhere_are_cut_at_the_same_place(photograph: np.ndarray) -> None:
    sizes = {"twice": Size(600, 400), "three times": Size(900, 600)}
    images = [(name, enlarge_with_baseline(photograph, size, "lanczos")) for name, size in sizes.items()]
    comparison = compare_images(photograph, images, "60x40+100+50", "today")
    (case,) = comparison.crops
    np.testing.assert_array_equal(case.results["1"].image, images[0][1][100:180, 200:320])
    np.testing.assert_array_equal(case.results["2"].image, images[1][1][150:270, 300:480])


def test_an_image_of_other_proportions_is_named(photograph: np.ndarray) -> None:
    with pytest.raises(WorkflowError, match=r"odd one \(400x400\) has other proportions than the source \(300x200\)"):
        compare_images(photograph, [("odd one", np.zeros((400, 400, 3), np.float32))], "all", "today")


def test_the_best_of_a_column_is_marked_among_models_only(make: Callable[..., ModelComparison]) -> None:
    rows = summarize_models(make())
    best = {column.key: [row.model.id for row in rows if column.is_best(row, rows)] for column in COLUMNS}
    assert best["area_drift"] == ["plain"]
    assert best["speed"] == ["red"]
    assert best["peak_bytes"] == ["red", "plain"]
    assert best["invented"] == []
