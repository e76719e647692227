"""Sentences and recommendations follow from numbers that are given."""

import pytest
from upscale8k.runtime.report.comparison import ComparedModel
from upscale8k.runtime.report.findings import USE_CASES, describe_findings, recommend_models
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
        ({"halo": 0.25}, "Edges overshoot by 25% of their contrast"),
        ({"noise": 3.04}, "noisier than in the source by 3.0 steps"),
        ({"noise": -2.0}, "cleaner than in a plain enlargement by 2.0 steps"),
        ({"banding": 0.2}, "20% of the smooth area has become steps"),
        ({"seams": 1.5}, "Tiles differ by 1.50 steps"),
        ({"sharpening": 4.0}, "raised by 4.0 dB: sharpened"),
        ({"sharpening": -5.0}, "lowered by 5.0 dB: smoothed"),
        ({"consistency": 20.0}, "20.0 dB: much was redrawn"),
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


def test_invisible_differences_decide_nothing() -> None:
    fast = change(PLAIN, model=ComparedModel("fast", "Fast"), speed=1.0, noise=-0.70, halo=0.10, drift=1.9, invented=3.7)
    slow = change(PLAIN, model=ComparedModel("slow", "Slow"), speed=0.01, noise=-0.93, halo=0.16, drift=0.3, invented=6.0)
    picks = {one.use_case.name: one.best.model.id for one in recommend_models([fast, slow, BASE]) if one.best}
    assert picks["Animation"] == "fast"
    assert picks["Photography"] == "slow"


def test_numbers_that_could_not_be_measured_are_not_talked_about() -> None:
    said = words(halo=None, noise=None, banding=None, sharpening=None, speed=None, seconds=None, peak_bytes=None)
    assert "None" not in said
    assert "nan" not in said


def test_the_weights_of_every_use_add_up() -> None:
    assert [sum(criterion.weight for criterion in use.criteria) for use in USE_CASES] == pytest.approx([1.0] * len(USE_CASES))


def test_each_use_gets_the_model_that_is_good_at_it() -> None:
    fast = change(PLAIN, model=ComparedModel("fast", "Fast"), speed=100.0, noise=-2.0, drift=1.5, consistency=33.0)
    true = change(PLAIN, model=ComparedModel("true", "True"), speed=0.1, drift=0.2, consistency=45.0, halo=0.0)
    bold = change(PLAIN, model=ComparedModel("bold", "Bold"), speed=0.1, invented=9.0, noise=-4.0, drift=3.0, consistency=25.0)
    picks = {one.use_case.name: one.best.model.id for one in recommend_models([fast, true, bold, BASE]) if one.best}
    assert picks == {"Animation": "fast", "Photography": "true", "Restoration": "bold"}
    for one in recommend_models([fast, true, bold, BASE]):
        assert [score for _, score in one.scores] == sorted((score for _, score in one.scores), reverse=True)
        assert all(0 <= score <= 1 for _, score in one.scores)
        assert "of 3)" in one.reason


def test_without_a_model_nothing_is_recommended_and_with_one_it_is_said() -> None:
    assert [one.best for one in recommend_models([BASE])] == [None] * len(USE_CASES)
    assert {one.reason for one in recommend_models([PLAIN, BASE])} == {"The only model that ran."}
