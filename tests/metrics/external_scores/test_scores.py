"""Scores of other libraries: which can be asked for, what is said when one cannot be had, and what the real ones answer."""

import importlib.util
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.metrics.batch_metrics import measure_artifact_report
from upscale8k.runtime.metrics.external_scores import vmaf
from upscale8k.runtime.metrics.external_scores.score_runner import ScoreRunner
from upscale8k.runtime.metrics.external_scores.score_table import SCORES, parse_scores

from ...told import Told

FFMPEG = importlib.util.find_spec("imageio_ffmpeg") is not None
RNG = np.random.default_rng(4)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """(256, 320, 3) float32."""
    return np.ascontiguousarray(data.coffee()[40:296, 100:420], np.float32) / 255


@pytest.fixture
def pyiqa(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A library of that name that fetches weights the way the real one does, and whose SSIM is the mean of the images."""

    def fetch(url: str, place: str, **_: object) -> None:
        raise AssertionError(f"{url} was asked for")

    def create_metric(name: str, device: torch.device) -> Callable[..., torch.Tensor]:
        assert device.type == "cpu"
        if name == "lpips":
            torch.hub.load_state_dict_from_url("https://example.org/alexnet.pth", model_dir=str(Path("hub")))
        if name == "musiq":
            util.download_url_to_file("https://example.org/musiq.pth", str(Path("hub", "musiq.pth")))
        if name == "niqe":
            raise KeyError("niqe is of another version")
        if name == "dists":
            torch.load("dists.pth", weights_only=False)
        print("Loading pretrained model")
        return lambda *images: torch.stack([one.mean() for one in images]).mean()

    package, utils, util = (types.ModuleType(name) for name in ("pyiqa", "pyiqa.utils", "pyiqa.utils.download_util"))
    package.create_metric, util.download_url_to_file = create_metric, fetch  # type: ignore[attr-defined]
    for module in (package, utils, util):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    yield package
    assert torch.hub.download_url_to_file is fetch
    assert util.download_url_to_file is fetch


def test_words_become_scores_each_once_and_in_order() -> None:
    assert [one.key for one in parse_scores("vmaf, SSIM\nms-ssim,ssim")] == ["ssim", "ms_ssim", "vmaf"]
    assert parse_scores("all") == SCORES
    assert parse_scores(" , ") == ()


def test_a_word_that_is_no_score_is_said() -> None:
    with pytest.raises(WorkflowError, match=r"Unknown score 'ciede2000'.*ssim"):
        parse_scores("ssim, ciede2000")


def test_libraries_that_are_not_installed_are_one_sentence_each(
    photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setitem(sys.modules, "stlpips_pytorch", None)
    found = ScoreRunner(parse_scores("ssim,lpips,vmaf,cambi,st_lpips")).measure_pair(photograph, photograph)
    assert found.values == {}
    assert found.missing == (
        "Not measured: SSIM, LPIPS. The package pyiqa is not installed. Install it with: pip install upscale8k[scores]",
        "Not measured: VMAF, CAMBI. The package imageio-ffmpeg is not installed. Install it with: "
        "pip install upscale8k[scores]",
        "Not measured: ST-LPIPS. The package stlpips_pytorch is not installed. Install it with: "
        "pip install stlpips-pytorch torchsummary ipython (65 MB, weights included)",
    )
    assert found.sentence == " ".join(found.missing)


def test_weights_are_never_fetched_and_the_rest_is_measured(
    pyiqa: types.ModuleType, photograph: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ScoreRunner(parse_scores("ssim,lpips,musiq")).measure_pair(photograph, photograph)
    assert found.values == {"ssim": pytest.approx(float(photograph.mean()), rel=1e-4)}
    (why,) = found.missing
    assert why.startswith("Not measured: LPIPS, MUSIQ. Weights are missing, and nothing is downloaded automatically.")
    assert "pyiqa.create_metric('NAME')" in why
    assert capsys.readouterr() == ("", "")


def test_a_file_of_weights_that_holds_code_is_not_run(
    pyiqa: types.ModuleType, photograph: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": _Code()}, "dists.pth")
    found = ScoreRunner(parse_scores("dists,niqe")).measure_pair(photograph, photograph)
    assert found.values == {}
    assert not Path("ran").exists()
    assert "pyiqa cannot create it" in found.missing[0]
    assert "niqe is of another version" in found.missing[1]


class _Code:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return Path.touch, (Path("ran"),)


def test_a_image_that_is_too_small_for_a_score_is_said(pyiqa: types.ModuleType, photograph: np.ndarray) -> None:
    found = ScoreRunner(parse_scores("ssim,niqe")).measure_pair(photograph[:100], photograph[:100])
    assert list(found.values) == ["ssim"]
    assert found.missing == ("Not measured: NIQE. It needs 192 pixels on the shorter side; the image is compared at 320x100.",)


def test_a_batch_is_scored_image_by_image_at_the_size_of_the_reference(pyiqa: types.ModuleType, photograph: np.ndarray) -> None:
    grey = photograph[:, :, :1]
    larger = np.stack([grey.repeat(2, 0).repeat(2, 1), 1 - grey.repeat(2, 0).repeat(2, 1)])
    progress = Told()
    _, report, _ = measure_artifact_report(
        torch.as_tensor(grey[None]), torch.as_tensor(larger), 0, 0, "ssim", lambda total, unit: progress
    )
    first, second = (entry["scores"]["ssim"] for entry in json.loads(report))
    assert first == pytest.approx(float(grey.mean()), rel=1e-3)
    assert second == pytest.approx(0.5, abs=1e-3)
    assert progress.done == 4, "artifacts and scores of two images"


def test_an_ffmpeg_without_libvmaf_is_said(photograph: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho \"No such filter: 'libvmaf'\" >&2\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(vmaf, "open_library", lambda: vmaf._FfmpegLibrary(str(program)))
    found = ScoreRunner(parse_scores("vmaf")).measure_pair(photograph, photograph)
    assert "It needs an ffmpeg with libvmaf" in found.missing[0]


@pytest.mark.skipif(sys.platform == "win32", reason="the stub is a script for sh")
@pytest.mark.parametrize("log", ["", "{}", "nothing", '{"frames": []}', '{"frames": [{"metrics": {"vmaf": null}}]}', "[1]"])
def test_a_log_that_says_something_else_is_a_sentence(
    log: str, photograph: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{log}' > scores.json\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(vmaf, "open_library", lambda: vmaf._FfmpegLibrary(str(program)))
    found = ScoreRunner(parse_scores("vmaf")).measure_pair(photograph, photograph)
    assert found.values == {}
    assert "libvmaf's log has no vmaf" in found.missing[0]


@pytest.mark.skipif(sys.platform == "win32", reason="the stub is a script for sh")
def test_all_that_libvmaf_computes_of_a_pair_is_one_run(
    photograph: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, runs = tmp_path / "ffmpeg", tmp_path / "runs"
    log = '{"frames": [{"metrics": {"vmaf": 90, "vmaf_neg": 80, "cambi": 1}}]}'
    program.write_text(f"#!/bin/sh\nls | xargs >> '{runs}'\nprintf '%s' '{log}' > scores.json\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(vmaf, "open_library", lambda: vmaf._FfmpegLibrary(str(program)))
    found = ScoreRunner(parse_scores("vmaf,vmaf_neg,cambi")).measure_pair(photograph, photograph)
    assert found.values == {"vmaf": 90, "vmaf_neg": 80, "cambi": 1}
    assert runs.read_text(encoding="utf-8").splitlines() == ["0.rgb 1.rgb", "0.rgb"]


def test_an_ffmpeg_that_cannot_be_started_is_said(
    photograph: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vmaf, "open_library", lambda: vmaf._FfmpegLibrary(str(tmp_path / "gone")))
    (why,) = ScoreRunner(parse_scores("vmaf,cambi")).measure_pair(photograph, photograph).missing
    assert f"VMAF, CAMBI. {tmp_path / 'gone'} cannot be started" in why
    assert "Unset IMAGEIO_FFMPEG_EXE" in why


@pytest.mark.skipif(not FFMPEG, reason="imageio-ffmpeg is not installed")
def test_vmaf_of_a_still_against_itself_is_what_netflix_publishes_and_damage_lowers_it(photograph: np.ndarray) -> None:
    """97.43 for an image without motion: https://github.com/Netflix/vmaf/blob/master/resource/doc/faq.md"""
    scoring = ScoreRunner(parse_scores("vmaf,vmaf_neg"))
    same = scoring.measure_pair(photograph, photograph).values
    assert same == pytest.approx({"vmaf": 97.43, "vmaf_neg": 97.43}, abs=0.05)
    noisy = np.clip(photograph + RNG.normal(0, 0.05, photograph.shape), 0, 1).astype(np.float32)
    sharper = np.clip(photograph + 1.5 * (photograph - cv2.GaussianBlur(photograph, (0, 0), 2)), 0, 1)
    assert scoring.measure_pair(photograph, noisy).values["vmaf"] < 93
    found = scoring.measure_pair(photograph, sharper).values
    assert found["vmaf"] > found["vmaf_neg"] + 1


@pytest.mark.skipif(not FFMPEG, reason="imageio-ffmpeg is not installed")
def test_cambi_sees_bands_of_one_step_that_grain_would_hide() -> None:
    ramp = np.linspace(0.2, 0.35, 640, dtype=np.float32)[None, :, None].repeat(480, 0).repeat(3, 2)
    grain = (ramp + RNG.normal(0, 2 / 255, ramp.shape)).astype(np.float32)
    bands = np.round(ramp * 255) / np.float32(255)
    scoring = ScoreRunner(parse_scores("cambi"))
    hidden, seen = (scoring.measure_pair(ramp[::2, ::2], image).values["cambi"] for image in (grain, bands))
    assert hidden < 0.5
    assert seen > 5
