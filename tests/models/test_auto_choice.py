"""Which model auto means, and what is said where it is missing."""

from pathlib import Path

import pytest
from upscale8k.runtime.errors import ModelNotFound
from upscale8k.runtime.models import auto_choice
from upscale8k.runtime.models.auto_choice import ImageKind, choose_model


@pytest.mark.parametrize(
    ("kind", "mode", "is_animation", "name"),
    [
        ("photograph", "auto", False, "realesrgan-x4plus"),
        ("photograph", "auto", True, "realesrgan-x4plus"),
        ("text", "auto", False, "realesrgan-x4plus"),
        ("drawing", "auto", False, "realesrgan-x4plus-anime"),
        ("drawing", "auto", True, "realesr-animevideov3"),
        ("drawing", "auto fast", False, "realesr-animevideov3"),
        ("photograph", "auto fast", False, "realesr-animevideov3"),
    ],
)
def test_each_kind_has_its_model(tmp_path: Path, kind: ImageKind, mode: str, is_animation: bool, name: str) -> None:
    assert choose_model(kind, mode, [tmp_path], is_animation=is_animation).name == name


def test_a_better_model_that_is_missing_is_named_with_its_command(tmp_path: Path) -> None:
    choice = choose_model("photograph", "auto fast", [tmp_path])
    assert "models pull realesr-general-x4v3" in choice.advice
    (tmp_path / "realesr-general-x4v3.pth").write_bytes(b"weights")
    assert choose_model("photograph", "auto fast", [tmp_path]).name == "realesr-general-x4v3"


def test_without_x4plus_a_photograph_gets_no_other_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from upscale8k.runtime.models import locate

    monkeypatch.setattr(locate, "find_dependency_weights", lambda entry: None)
    (tmp_path / "realesr-animevideov3.pth").write_bytes(b"weights")
    with pytest.raises(ModelNotFound, match="models pull realesrgan-x4plus"):
        auto_choice.choose_model("photograph", "auto", [tmp_path])
