"""Real models on photographs that were reduced: which one comes back to the original."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image
from skimage import data
from upscale8k.runtime.cli import main
from upscale8k.runtime.metrics import Degradation, ScoreRunner, parse_scores
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model

FAST, OTHERS = "realesr-animevideov3", ("realesrgan-x4plus", "DAT_light_x4.pth")


@pytest.fixture(scope="module")
def table() -> ModuleType:
    """The script ``model_table.py``."""
    spec = importlib.util.spec_from_file_location("model_table", Path(__file__).parent / "model_table.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["astronaut.png", pytest.param("coffee.png", marks=pytest.mark.full)])
def test_a_model_for_drawings_is_never_recommended_for_a_photograph(name: str, dat_folder: Path, tmp_path: Path) -> None:
    source = Path(data.__file__).parent / name
    arguments = ["compare", f"{source}", "-o", f"{tmp_path}", "--truth", "--models", ",".join((FAST, *OTHERS))]
    options = ["--crop", "centre:192x192", "--backend", "torch", "--precision", "fp32", "--progress", "none"]
    assert main([*arguments, *options, "--models-dir", f"{dat_folder}"]) == 0
    (recommended,) = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["recommendations"]
    assert recommended["model"] in OTHERS
    assert all(recommended["scores"][FAST] < recommended["scores"][other] for other in OTHERS)
    text = (tmp_path / "artifact_analysis.md").read_text(encoding="utf-8")
    for words in (
        "below 1.0 imperceptible, 1.0 to 2.0 barely noticeable, 2.3",
        "**Ringing**",
        "visible from 8%",
        "**Hallucination**",
    ):
        assert words in text, words
    assert "Delta E (ΔE2000)" in text


@pytest.mark.full
@pytest.mark.parametrize("name", [
    "astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg", "retina.jpg",
    "ihc.png", "grass.png", "camera.png", "coins.png",
])  # fmt: skip
def test_on_no_photograph_animevideov3_comes_before_models_for_photographs(
    name: str, dat_folder: Path, table: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranks, learned = restore_photograph(name, dat_folder, table, monkeypatch)
    assert all(ranks[FAST] < ranks[other] for other in OTHERS), (ranks, learned)


@pytest.mark.full
def test_where_animevideov3_comes_first_a_learned_distance_says_so_too(
    dat_folder: Path, table: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grey wall of bricks has hardly any texture: 30.6 dB against 26.8 and 23.4."""
    if "stlpips_pytorch" not in sys.modules and not importlib.util.find_spec("stlpips_pytorch"):
        pytest.skip("ST-LPIPS is not installed: pip install stlpips-pytorch torchsummary ipython")
    ranks, learned = restore_photograph("brick.png", dat_folder, table, monkeypatch)
    assert sorted(ranks, key=lambda one: -ranks[one]) == sorted(learned, key=lambda one: learned[one]) == [FAST, *OTHERS[::-1]]


def restore_photograph(
    name: str, dat_folder: Path, table: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the scores of ``compare --truth`` of the middle 192x192 pixels by model, and ST-LPIPS where it is installed."""
    monkeypatch.setattr(table, "PHOTOGRAPHS", [name])
    ((_, original),) = table.originals(None, 192)
    scores, source = ScoreRunner(parse_scores("st_lpips")), Degradation().reduce(original, table.FACTOR)
    rows = []
    for model in (FAST, *OTHERS):
        restored = table.restore(load_model(find_model(model, (dat_folder,))), source)
        rows.append(table.measure(model, original, restored, scores))
    return table.rank(rows), {row.model.id: row.scores["st_lpips"] for row in rows if "st_lpips" in row.scores}


def test_a_target_that_is_no_factor_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "grey.png")
    arguments = ["compare", f"{tmp_path}/grey.png", "-o", f"{tmp_path}/out", "--truth", "--to", "8k", "--progress", "none"]
    assert main(arguments) == 1
    assert not (tmp_path / "out" / "report.json").exists()
