"""``tune``: what it prints, and that the workflow that it writes runs and is the same as the options of ``upscale``."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from upscale8k.runtime.hardware import format_bytes
from upscale8k.runtime.media import Size
from upscale8k.runtime.video import ENCODERS

from .conftest import Place, noise, pixels_of


def test_a_noisy_image_gets_a_workflow_that_runs(place: Place) -> None:
    rows, columns = np.mgrid[:96, :128]
    smooth = np.stack([rows, columns, (rows + columns) // 2], axis=2) + 40.0
    place.image("a.png", (smooth + np.random.default_rng(2).normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8))
    for seed, name in enumerate(("realesr-general-x4v3", "realesr-general-wdn-x4v3")):
        torch.manual_seed(seed)
        save_file(Compact(num_feat=4, num_conv=2).state_dict(), Path("models", f"{name}.safetensors"))
    options = ("--models-dir", "models", "--device", "cpu", "--backend", "torch")
    answer = place("tune", "input/a.png", "-o", "output", "--no-trial", "--to", "2x", *options)
    assert answer.code == 0, answer.err
    assert answer.out.split() == [str(Path("output/a_tuned.json")), str(Path("output/a_tuned.md"))]
    sheet = Path("output/a_tuned.md").read_text()
    assert "- Noise of " in sheet
    assert "The result has 256x192 pixels" in sheet
    assert "UpscaleModel.second_model=realesr-general-wdn-x4v3" in sheet
    assert "Noise of 6" in answer.err or "Noise of 5" in answer.err
    assert "The result has 256x192 pixels" in answer.err
    prompt = json.loads(Path("output/a_tuned.json").read_text())
    model = next(node["inputs"] for node in prompt.values() if node["class_type"] == "UpscaleModel")
    assert model["model"] == "realesr-general-x4v3"
    assert model["second_model"] == "realesr-general-wdn-x4v3"
    folders = ("--input-dir", "input", "--output-dir", "output")
    assert place("run", "output/a_tuned.json", *folders, *options).code == 0
    denoise = str(round(1 - model["second_weight"], 6))
    same = ("upscale", "input/a.png", "-o", "output/same.png", "--to", "2x", "--denoise", denoise, *options)
    assert place(*same).code == 0
    assert np.array_equal(pixels_of("output/a_2x.png"), pixels_of("output/same.png"))


def test_the_prediction_has_size_time_and_bytes() -> None:
    from upscale8k.runtime.cli.tune_source import predict

    plan = SimpleNamespace(final_size=Size(7680, 4320))
    footage: Any = SimpleNamespace(frames=240)
    video: Any = SimpleNamespace(prompt={"1": {"class_type": "VideoOut", "inputs": {"codec": "hevc"}}})
    forecast: Any = SimpleNamespace(plan=plan, seconds=5400.0)
    expected = ENCODERS["hevc"].bits_per_pixel * 7680 * 4320 * 240 / 8
    text = predict(footage, video, forecast)
    assert text == f"The result has 7680x4320 pixels and takes about 1.5 h; its file has about {format_bytes(expected)}."


def test_missing_weights_are_named_and_the_file_is_written(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.image("a.png", noise(64, 64) // 8 + 100)
    monkeypatch.setattr(sys, "argv", ["upscale8k"])
    answer = place("tune", "input/a.png", "-o", "output", "--no-trial", "--models-dir", "models")
    assert answer.code == 0
    assert "with: upscale8k models pull realesr-general-x4v3" in answer.err
    assert "python -m runtime" not in answer.err
    assert Path("output/a_tuned.json").is_file()


def test_a_file_that_is_none_is_refused(place: Place) -> None:
    answer = place("tune", "input/absent.mp4", "-o", "output")
    assert (answer.code, answer.new) == (2, [])
    assert "There is no file" in answer.err
