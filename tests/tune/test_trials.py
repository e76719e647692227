"""Trials choose by the truth: a network of random weights loses to a real one, and an equal candidate changes nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage import data
from spandrel.architectures.Compact import Compact
from upscale8k.runtime.metrics import Degradation, Fidelity
from upscale8k.runtime.progress import open_silent_progress
from upscale8k.runtime.tune.advice import Advice, Reason, list_widget_values
from upscale8k.runtime.tune.footage import examine_image, examine_video
from upscale8k.runtime.tune.trials import (
    TrialSettings,
    compute_gain,
    cut_steadied,
    cut_truths,
    improve_advice,
    list_denoise,
    list_restorers,
)

from .test_held_out_clips import pan, write, write_image

MEASURED = Fidelity(psnr_db=30, ssim=0.9, gmsd=0.1, texture=2, drift=1)


@pytest.mark.parametrize(
    ("change", "gain"),
    [
        ({}, 0),
        ({"texture": 1.5}, 0.5),  # half a step is one notable difference of the texture error, whose weight is 0.5
        ({"gmsd": 0.09}, 0.2),
        ({"drift": 0.7}, 0.2),
        ({"psnr_db": 31}, 0.1),
        ({"psnr_db": 29, "texture": 2.5}, -0.6),
    ],
)
def test_a_gain_is_in_notable_differences(change: dict[str, float], gain: float) -> None:
    assert compute_gain(MEASURED, replace(MEASURED, **change)) == pytest.approx(gain)


def test_the_model_that_restores_the_truth_is_chosen(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(Compact(num_feat=4, num_conv=2).state_dict(), tmp_path / "realesr-general-x4v3.safetensors")
    pixels = data.astronaut()[80:112, 208:240].astype(np.float32) / 255
    footage = replace(examine_image(pixels), noise=0.0)
    settings = TrialSettings([tmp_path], "cpu", "torch")
    given = Advice("realesr-general-x4v3", ())
    improved, trials = improve_advice(given, footage, pixels, tmp_path, settings, open_silent_progress)
    assert [trial.name for trial in trials] == [
        "as examined",
        "realesrgan-x4plus",
        "realesrgan-x4plus-anime",
        "strength 0.8",
        "strength 0.6",
    ]
    assert improved.model.startswith("realesrgan-x4plus")
    (chosen,) = [trial for trial in trials if trial.is_chosen]
    assert chosen.advice == improved
    assert chosen.gain >= 1


def test_an_image_that_is_too_small_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="15x40 pixels are too few for trials"):
        cut_truths(np.zeros((40, 15, 3), np.float32), 0)


def test_the_truth_of_a_noisy_source_has_little_noise() -> None:
    rng = np.random.default_rng(1)
    noisy = (0.5 + rng.normal(0, 8 / 255, (1100, 1100, 3))).astype(np.float32)
    truths = cut_truths(noisy, 8.0)
    assert len(truths) == 1
    assert all(truth.std() * 255 < 1.5 for truth in truths)


def test_candidates_fit_what_was_found(tmp_path: Path) -> None:
    footage = examine_image(np.zeros((64, 64, 3), np.float32))
    noisy = Advice("realesr-general-x4v3", (Reason("noise", ""), Reason("blocks", "")), denoise=0.5)
    assert list_restorers(noisy, footage, [tmp_path]) == []
    for name in ("1xDeNoise_realplksr_otf.safetensors", "1xDeJPG_realplksr_otf.safetensors", "1xDeH264_realplksr.safetensors"):
        (tmp_path / name).write_bytes(b"weights")
    found = [advice.restore for _, advice in list_restorers(noisy, footage, [tmp_path])]
    assert found == ["dejpg-realplksr-x1", "denoise-realplksr-x1"]
    of_video = list_restorers(noisy, replace(footage, is_video=True), [tmp_path])
    assert [advice.restore for _, advice in of_video] == ["deh264-realplksr-x1", "denoise-realplksr-x1"]
    assert [advice.denoise for _, advice in list_denoise(noisy, footage, [])] == [0.0, 0.25, 0.75, 1.0]


def test_a_steadied_run_is_closer_to_its_truth(tmp_path: Path) -> None:
    path = write(tmp_path / "still.mp4", pan(data.coffee(), 24, step=0), 24)
    footage = examine_video(path)
    damage = Degradation(noise=8)
    errors: list[float] = []
    for strength in (0.0, 1.0):
        truth, steadied = cut_steadied(path, footage, damage, strength)
        errors.append(float(np.square(steadied - Degradation().reduce(truth, 4)).mean()))
    assert errors[1] < errors[0] / 2


def test_the_values_of_widgets_follow_from_a_file(tmp_path: Path) -> None:
    noisy = data.coffee() + np.random.default_rng(7).normal(0, 6, data.coffee().shape)
    image = write_image(tmp_path / "noisy.png", noisy)
    values, reasons = list_widget_values(image, 10**9, [tmp_path])
    assert values == {"UpscaleModel": {}, "TiledUpscale": {"strength": 1.0}}
    assert "models pull realesr-general-x4v3" in reasons[-1]
    for name in ("realesr-general-x4v3.pth", "realesr-general-wdn-x4v3.pth"):
        (tmp_path / name).write_bytes(b"weights")
    values, reasons = list_widget_values(image, 10**9, [tmp_path])
    assert values["UpscaleModel"]["model"] == "realesr-general-x4v3"
    assert values["UpscaleModel"]["second_model"] == "realesr-general-wdn-x4v3"
    assert 0.3 <= 1 - values["UpscaleModel"]["second_weight"] <= 1
    assert any(reason.startswith("Noise of ") for reason in reasons)
    video = write(tmp_path / "borders.mp4", pan(data.rocket(), 24, bars=20, noise=7), 24)
    values, _ = list_widget_values(video, 10**9, [tmp_path])
    assert values["TiledUpscaleVideo"] == {"strength": 1.0, "steady": 1.0, "skip_borders": True}
    assert values["VideoIn"] == {}
