"""Real models on photographs that were reduced: which one comes back to the original."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from upscale8k.runtime.cli import main


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_a_model_for_drawings_is_never_recommended_for_a_photograph(name: str, tmp_path: Path) -> None:
    Image.fromarray(np.asarray(getattr(data, name)())).save(tmp_path / f"{name}.png")
    models = "realesr-animevideov3,realesrgan-x4plus"
    arguments = ["compare", f"{tmp_path}/{name}.png", "-o", f"{tmp_path}/out", "--truth", "--models", models]
    options = ["--crop", "centre:192x192", "--backend", "torch", "--precision", "fp32", "--progress", "none"]
    assert main([*arguments, *options]) == 0
    (recommended,) = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["recommendations"]
    assert recommended["model"] == "realesrgan-x4plus"


def test_a_target_that_is_no_factor_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "grey.png")
    arguments = ["compare", f"{tmp_path}/grey.png", "-o", f"{tmp_path}/out", "--truth", "--to", "8k", "--progress", "none"]
    assert main(arguments) == 1
    assert not (tmp_path / "out" / "report.json").exists()
