"""Sentences and recommendations follow from numbers that are given."""

import pytest
from upscale8k.runtime.report.comparison import ComparedModel
from upscale8k.runtime.report.findings import describe_findings, recommend_model
from upscale8k.runtime.report.summary import ModelSummary

PLAIN = ModelSummary(
    ComparedModel("plain", "Plain"),
    {
        "drift": 0.5,
        "drift_p95": 1.5,
        "area_drift": 0.4,
        "halo": 0.03,
        "consistency": 41.0,
        "sharpening": 0.0,
        "invented": 2.0,
        "noise": 0.0,
        "banding": 0.0,
        "seams": None,
        "seconds": 2.0,
        "speed": 1.0,
        "peak_bytes": 1000,
    },
)


def change(row: ModelSummary, model: ComparedModel | None = None, **values: float | None) -> ModelSummary:
    """The same row of another model, or with other numbers."""
    return ModelSummary(model or row.model, {**row.values, **values})


BASE = change(PLAIN, model=ComparedModel("bicubic", "Bicubic", baseline=True), invented=1.0, speed=50.0)


def words(**changes: float | None) -> str:
    row = change(PLAIN, **changes)
    return "\n".join(describe_findings(row, [row, BASE]))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"halo": 0.25}, "Ringing: edges overshoot by 25% of their contrast"),
        ({"noise": 3.04}, "noisier than in the source by 3.0 steps"),
        ({"noise": -2.0}, "cleaner than in a plain enlargement by 2.0 steps"),
        ({"banding": 0.2}, "20% of the smooth area has become steps"),
        ({"seams": 1.5}, "Tiles differ by 1.50 steps"),
        ({"sharpening": 4.0}, "raised by 4.0 dB: sharpened"),
        ({"sharpening": -5.0}, "lowered by 5.0 dB: smoothed"),
        ({"consistency": 20.0}, "20.0 dB: much was redrawn (possible hallucination)"),
        ({"consistency": 35.0}, "35.0 dB: small things were redrawn"),
        ({"invented": 8.0}, "8.0 steps, 8.0 times that of the baselines"),
        ({"drift": 3.0}, "Of that only 0.40 is in areas"),
    ],
)
def test_a_number_that_can_be_seen_is_said_and_one_that_cannot_is_not(changes: dict[str, float], sentence: str) -> None:
    assert sentence in words(**changes)
    assert sentence not in words()


def test_an_enlargement_that_softens_noise_as_every_one_does_is_not_praised_for_it() -> None:
    softened = change(BASE, noise=-1.0)
    assert "cleaner" not in "\n".join(describe_findings(softened, [softened]))
    like_it, grainy = change(PLAIN, noise=-0.9), change(PLAIN, noise=-0.2)
    assert "Flat areas" not in "\n".join(describe_findings(like_it, [like_it, softened]))
    assert "noisier than in a plain enlargement by 0.8 steps" in "\n".join(describe_findings(grainy, [grainy, softened]))


def judged(name: str, **truth: float) -> ModelSummary:
    """A row that was measured against originals."""
    known = {"texture": 3.0, "gmsd": 0.1, "drift": 3.0, "psnr_db": 25.0, "ssim": 0.8} | truth
    values = {f"truth_{key}": value for key, value in known.items()}
    return change(PLAIN, model=ComparedModel(name, name.title(), baseline=name == "bicubic"), **values)


def test_only_originals_recommend_a_model() -> None:
    shy, bold = change(PLAIN, consistency=60.0), change(PLAIN, model=ComparedModel("bold", "Bold"), invented=9.0)
    recommended = recommend_model([shy, bold, BASE])
    assert recommended.best is None
    assert "--truth" in recommended.reason
    assert "rewards doing nothing" in recommended.reason


def test_texture_decides_and_blur_with_a_higher_psnr_does_not() -> None:
    soft, crisp = judged("soft", texture=6.0, psnr_db=27.0), judged("crisp", texture=2.0, psnr_db=25.0)
    recommended = recommend_model([soft, crisp, judged("bicubic", psnr_db=28.0)])
    assert recommended.best is crisp
    assert "Texture error 2.00 steps (best of 2)" in recommended.reason
    assert "Bicubic has a higher PSNR, because blur" in recommended.reason
    assert [row.model.id for row, _ in recommended.scores] == ["crisp", "soft"]
    assert all(0 <= score <= 1 for _, score in recommended.scores)


def test_learned_distances_decide_where_they_are_at_hand() -> None:
    near, far = judged("near", texture=4.0), judged("far", texture=3.0)
    rows = [ModelSummary(near.model, near.values, {"lpips": 0.1}), ModelSummary(far.model, far.values, {"lpips": 0.4})]
    assert recommend_model(rows).best is rows[0]


def test_invisible_differences_decide_nothing() -> None:
    first, second = judged("first", texture=3.0, gmsd=0.150), judged("second", texture=3.01, gmsd=0.1)
    assert recommend_model([first, second]).best is second


def test_numbers_that_could_not_be_measured_are_not_talked_about() -> None:
    said = words(halo=None, noise=None, banding=None, sharpening=None, speed=None, seconds=None, peak_bytes=None)
    assert "None" not in said
    assert "nan" not in said


def test_without_a_model_or_with_one_nothing_is_recommended() -> None:
    assert recommend_model([BASE]).reason == "No model could run here, so there is nothing to recommend."
    alone = recommend_model([judged("alone"), judged("bicubic")])
    assert alone.best is None
    assert "at least two" in alone.reason


def test_the_original_is_spoken_of_only_where_there_is_one() -> None:
    row = judged("crisp", texture=2.5)
    assert "Against the original: Delta E (ΔE2000) 3.00, PSNR 25.0 dB, SSIM 0.800" in "\n".join(describe_findings(row, [row]))
    assert "Against the original" not in words()
