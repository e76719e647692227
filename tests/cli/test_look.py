"""``--denoise``, ``--strength`` and ``--grain``: each end is the pixels of a run without them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact

from .conftest import Place, noise, pixels_of

STRONG, WEAK = "realesr-general-x4v3", "realesr-general-wdn-x4v3"
OPTIONS = ("--to", "4x", "--models-dir", "models", "--device", "cpu", "--backend", "torch", "--progress", "none")


@pytest.fixture
def twins(place: Place) -> Place:
    place.image("a.png", noise(40, 48))
    for seed, name in enumerate((STRONG, WEAK)):
        torch.manual_seed(seed)
        save_file(Compact(num_feat=4, num_conv=3).state_dict(), Path("models", f"{name}.safetensors"))
    return place


def upscale(place: Place, name: str, *more: str) -> np.ndarray:
    answer = place("upscale", "input/a.png", "-o", f"output/{name}.png", *OPTIONS, *more)
    assert answer.code == 0, answer.err
    return pixels_of(f"output/{name}.png")


def test_denoise_at_its_ends_is_each_twin(twins: Place) -> None:
    ends = [upscale(twins, f"d{value}", "--denoise", value) for value in ("1", "0", "0.5")]
    models = [upscale(twins, name, "-m", name) for name in (STRONG, WEAK)]
    assert np.array_equal(ends[0], models[0])
    assert np.array_equal(ends[1], models[1])
    assert not any(np.array_equal(ends[2], other) for other in models)


def test_strength_and_grain_reach_the_node(twins: Place) -> None:
    plain = upscale(twins, "plain", "-m", STRONG)
    assert np.array_equal(upscale(twins, "same", "-m", STRONG, "--strength", "1", "--grain", "0"), plain)
    assert not np.array_equal(upscale(twins, "half", "-m", STRONG, "--strength", "0.5"), plain)
    assert not np.array_equal(upscale(twins, "grain", "-m", STRONG, "--grain", "0.3"), plain)


def test_a_job_file_has_them_for_each_file(twins: Place) -> None:
    Path("jobs.csv").write_text(
        "source,output,denoise,strength\ninput/a.png,output/x.png,1,1\ninput/a.png,output/y.png,0,0.5\n"
    )
    assert twins("upscale", "--jobs", "jobs.csv", *OPTIONS).code == 0
    assert np.array_equal(pixels_of("output/x.png"), upscale(twins, "strong", "-m", STRONG))
    assert np.array_equal(pixels_of("output/y.png"), upscale(twins, "weak", "-m", WEAK, "--strength", "0.5"))


def test_steady_changes_a_video_and_no_image(twins: Place) -> None:
    frames = [noise(40, 48) // 40 + 100 + index % 2 for index in range(3)]
    for index, pixels in enumerate(frames):
        twins.image(f"f{index}.png", pixels.astype(np.uint8))
    assert np.array_equal(upscale(twins, "steady", "-m", STRONG, "--steady", "1"), upscale(twins, "plain", "-m", STRONG))
    options = (*OPTIONS, "-m", STRONG)
    for name, more in (("plain", ()), ("steady", ("--steady", "1"))):
        assert twins("upscale", "input/f%01d.png", "-o", f"output/{name}/f%01d.png", *options, *more).code == 0
    before, after = (
        np.stack([pixels_of(f"output/{name}/f{index}.png").astype(float) for index in range(3)]) for name in ("plain", "steady")
    )
    assert after.std(axis=0).mean() < 0.7 * before.std(axis=0).mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--denoise", "0.5", "-m", "realesrgan-x4plus"), "The model realesrgan-x4plus has no denoise strength."),
        (("--denoise", "1.5"), "denoise is 1.5."),
        (("--denoise", "0.5", "--fast"), "--fast chooses a model"),
        (("--grain", "nan"), "grain is nan."),
    ],
)
def test_a_wrong_share_is_refused(twins: Place, options: tuple[str, ...], message: str) -> None:
    answer = twins("upscale", "input/a.png", "-o", "output/b.png", *OPTIONS, *options)
    assert answer.code == 2
    assert message in answer.err
    assert answer.new == []


def test_a_missing_twin_names_the_download(twins: Place) -> None:
    Path("models", f"{WEAK}.safetensors").unlink()
    answer = twins("upscale", "input/a.png", "-o", "output/b.png", *OPTIONS, "--denoise", "0.5")
    assert answer.code == 2
    assert f"models pull {WEAK}" in answer.err


def test_models_with_commas_run_one_after_another(twins: Place) -> None:
    torch.manual_seed(5)
    save_file(Compact(num_feat=4, num_conv=2, upscale=1).state_dict(), Path("models", "1x-clean.safetensors"))
    chained = upscale(twins, "chain", "-m", f"1x-clean,{STRONG}")
    upscale(twins, "clean", "-m", "1x-clean", "--to", "model scale")
    assert not np.array_equal(chained, upscale(twins, "plain", "-m", STRONG))
    twins.image("b.png", pixels_of("output/clean.png"))
    assert twins("upscale", "input/b.png", "-o", "output/b.png", *OPTIONS, "-m", STRONG).code == 0
    # One image between them is rounded to 8 bits, the chain is not.
    assert np.abs(pixels_of("output/b.png").astype(int) - chained).max() <= 3
    assert not np.array_equal(upscale(twins, "denoised", "-m", f"1x-clean,{STRONG}", "--denoise", "0.5"), chained)
    assert not np.array_equal(upscale(twins, "tta", "-m", f"1x-clean,{STRONG}", "--tta"), chained)


def test_a_missing_model_of_a_chain_is_named(twins: Place) -> None:
    answer = twins("upscale", "input/a.png", "-o", "output/b.png", *OPTIONS, "-m", f"1x-absent,{STRONG}")
    assert answer.code == 2
    assert "No weights for the model '1x-absent' were found" in answer.err


def test_a_workflow_with_two_model_nodes_gives_the_pixels_of_the_command(twins: Place) -> None:
    torch.manual_seed(6)
    save_file(Compact(num_feat=4, num_conv=2, upscale=1).state_dict(), Path("models", "1x-clean.safetensors"))
    upscale_inputs = {"image": ["1", 0], "upscale_model": ["3", 0], "target": "4x"}
    prompt = {
        "1": {"class_type": "ImageIn", "inputs": {"image": "a.png"}},
        "2": {"class_type": "UpscaleModel", "inputs": {"model": "1x-clean.safetensors"}},
        "3": {"class_type": "UpscaleModel", "inputs": {"model": STRONG, "restore_model": ["2", 0], "ensemble": True}},
        "4": {"class_type": "TiledUpscale", "inputs": {**upscale_inputs, "strength": 0.8, "grain": 0.3}},
        "5": {"class_type": "ImageOut", "inputs": {"images": ["4", 0], "filename": "wired.png", "if_exists": "replace"}},
    }
    Path("chain.json").write_text(json.dumps(prompt))
    folders = ("--input-dir", "input", "--output-dir", "output", "--models-dir", "models")
    answer = twins("run", "chain.json", *folders, "--device", "cpu", "--backend", "torch", "--progress", "none")
    assert answer.code == 0, answer.err
    typed = upscale(twins, "typed", "-m", f"1x-clean,{STRONG}", "--tta", "--strength", "0.8", "--grain", "0.3")
    assert np.array_equal(pixels_of("output/wired.png"), typed)
