"""``measure``: numbers of any program's results, for people, for programs, and as a gate in CI."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ..video.helpers import video
from .conftest import Place, Prompt, noise

KEYS = [
    "truth_texture",
    "truth_gmsd",
    "truth_drift",
    "truth_psnr_db",
    "truth_ssim",
    "drift",
    "drift_p95",
    "area_drift",
    "consistency",
    "halo",
    "sharpening",
    "invented",
    "noise",
    "banding",
    "seams",
    "flicker",
]


@pytest.fixture
def pair(place: Place) -> tuple[Path, Path, np.ndarray, np.ndarray]:
    """A photograph of 96x64, and the same two steps lighter."""
    original = np.asarray(Image.open(Path(__file__).parents[2] / "workflows/media/sample.png").convert("RGB"))[64:128, 96:192]
    result = np.clip(original.astype(int) + 2, 0, 255).astype(np.uint8)
    for name, pixels in (("a.png", original), ("b.png", result)):
        Image.fromarray(pixels).save(place.folder / name)
    return place.folder / "a.png", place.folder / "b.png", original, result


def test_the_numbers_are_those_of_other_libraries(place: Place, pair: Any) -> None:
    reference, result, original, changed = pair
    answer = place("measure", reference, result, "--json", "--progress", "none")
    assert (answer.code, answer.err) == (0, "")
    (told,) = json.loads(answer.out)["results"]
    found = told["metrics"]
    assert (list(found), told["reference"], told["result"]) == (KEYS, str(reference), str(result))
    expected = deltaE_ciede2000(rgb2lab(original), rgb2lab(changed))
    assert found["drift"] == pytest.approx(expected.mean(), abs=0.005)
    assert found["truth_drift"] == pytest.approx(expected.mean(), abs=0.005)
    assert found["truth_psnr_db"] == pytest.approx(peak_signal_noise_ratio(original, changed), abs=0.01)
    assert found["truth_ssim"] == pytest.approx(structural_similarity(original, changed, channel_axis=2), abs=0.005)
    assert found["seams"] is None, "no tile was given"


def test_an_enlargement_is_measured_at_the_size_of_its_reference(place: Place, pair: Any) -> None:
    """Every pixel of the original twice in each direction: reduced by area, it is the original."""
    reference, result, original, _ = pair
    Image.fromarray(original.repeat(2, 0).repeat(2, 1)).save(result)
    found = json.loads(place("measure", reference, result, "--json", "--progress", "none").out)["results"][0]["metrics"]
    assert found["drift"] == pytest.approx(0, abs=1e-3)
    assert found["consistency"] > 60
    assert found["truth_psnr_db"] is None
    assert "  drift            0.00 ΔE2000" in place("measure", reference, result, "--progress", "none").out


@pytest.mark.parametrize(
    ("limits", "failures"),
    [
        (["--fail-above", "drift=5"], []),
        (["--fail-above", "drift=0.1", "--fail-above", "halo=9"], ["b.png: Color drift (drift) is 0.5609, above 0.1."]),
        (["--fail-below", "truth_psnr_db=30"], []),
        (["--fail-below", "truth_psnr_db=60", "--fail-above", "drift_p95=0"], ["(drift_p95) is ", "below 60."]),
        (["--fail-above", "seams=1"], ["b.png: Seams (seams) cannot be measured on this pair."]),
    ],
)
def test_a_limit_is_the_exit_code(limits: list[str], failures: list[str], place: Place, pair: Any) -> None:
    answer = place("measure", *pair[:2], *limits, "--progress", "none")
    assert answer.code == (1 if failures else 0), answer.err
    assert len(answer.err.splitlines()) == len(failures)
    for text in failures:
        assert text in answer.err
    assert "drift_p95" in answer.out, "the numbers are printed all the same"


def test_folders_are_paired_by_name(place: Place) -> None:
    for name, pixels in (("a/one.png", 100), ("a/sub/two.png", 100), ("b/one_8k.png", 100), ("b/sub/two.webp", 110)):
        (place.folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), pixels, np.uint8)).save(place.folder / name, lossless=True)
    answer = place("measure", "a", "b", "--json", "--progress", "none", "--fail-above", "drift=1")
    told = json.loads(answer.out)
    assert [Path(one["result"]).name for one in told["results"]] == ["one_8k.png", "two.webp"]
    drifts = [one["metrics"]["drift"] for one in told["results"]]
    grey = deltaE_ciede2000(rgb2lab(np.full((1, 1, 3), 100, np.uint8)), rgb2lab(np.full((1, 1, 3), 110, np.uint8)))
    assert drifts == pytest.approx([0, grey.item()], abs=0.02)
    assert told["mean"]["drift"] == pytest.approx(sum(drifts) / 2)
    assert answer.code == 1
    assert answer.err.startswith("two.webp: Color drift")
    (place.folder / "b/three.png").write_bytes((place.folder / "b/one_8k.png").read_bytes())
    place.refuses(place("measure", "a", "b", "--progress", "none"), "three.png has no reference in a")
    (place.folder / "b/three.png").unlink()
    (place.folder / "b/one_8k.png").unlink()
    place.refuses(place("measure", "a", "b", "--progress", "none"), "one.png has no result", "one_8k.png")


def test_videos_are_measured_frame_by_frame(place: Place) -> None:
    from upscale8k.runtime.progress import SilentProgress
    from upscale8k.runtime.video import VideoWriteSettings, write_video

    for name, count in (("a.mkv", 6), ("b.mkv", 5)):
        write_video(video(count), place.folder / name, VideoWriteSettings("ffv1", "mkv", 8, "4:4:4"), SilentProgress())
    answer = place("measure", "a.mkv", "b.mkv", "--json", "--progress", "none", "--every-nth", "2")
    (told,) = json.loads(answer.out)["results"]
    assert (told["frames"], told["metrics"]["truth_psnr_db"], told["metrics"]["drift"]) == (3, 99.0, 0.0)
    assert "the first 5 frames were compared" in answer.err


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (("a.png", "none.png"), "none.png does not exist"),
        (("a.png", "."), "is a folder"),
        (("a.png", "b.png", "--fail-above", "magic=1"), "'magic' is not a metric. Use one of: truth_texture"),
        (("a.png", "b.png", "--fail-above", "drift"), "'drift' has no number"),
        (("a.png", "b.png", "--fail-above", "seconds=1"), "'seconds' is not a metric"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: tuple[str, ...], fact: str, place: Place, pair: Any) -> None:
    place.refuses(place("measure", *arguments), fact)


# ---------------------------------------------------------------- metric nodes in a workflow


@pytest.fixture
def metrics_prompt(place: Place) -> Prompt:
    place.image("a.png", noise())
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "7": {"class_type": "ColorDriftMetric", "inputs": {"reference": ["1", 0], "upscaled": ["1", 0]}},
        "8": {"class_type": "ArtifactMetric", "inputs": {"reference": ["1", 0], "upscaled": ["1", 0]}},
    }


def test_what_nodes_measure_is_on_stdout_as_json(place: Place, metrics_prompt: Prompt) -> None:
    answer = place.run(metrics_prompt, "--json")
    told = json.loads(answer.out)
    assert told["files"] == []
    assert told["values"]["7"]["de2000"]["mean"] == 0
    assert told["values"]["8"][0]["consistency"]["psnr_db"] > 90
    assert place.run(metrics_prompt).out == ""


def test_what_nodes_measure_is_an_event(place: Place, metrics_prompt: Prompt) -> None:
    answer = place("run", place.save(metrics_prompt), "--progress", "json", "--models-dir", "models")
    events = [json.loads(line) for line in answer.err.splitlines()]
    values = {event["node_id"]: event for event in events if event["event"] == "value"}
    assert set(values) == {"7", "8"}
    assert values["7"]["value"]["verdict"] == "Imperceptible: below 1.0."
    assert values["7"]["node"] == "ColorDriftMetric"
