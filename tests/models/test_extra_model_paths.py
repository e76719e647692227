from pathlib import Path

import pytest
from upscale8k.runtime.errors import ModelError
from upscale8k.runtime.models.extra_model_paths import read_model_folders

# The sections of ComfyUI 0.30.0's extra_model_paths.yaml.example, uncommented.
EXAMPLE = """
comfyui:
     base_path: path/to/comfyui/
     checkpoints: models/checkpoints/
     upscale_models: models/upscale_models/
a1111:
     base_path: /srv/stable-diffusion-webui/
     checkpoints: models/Stable-diffusion
     upscale_models: |
                   models/ESRGAN
                   models/RealESRGAN

                   models/SwinIR
other_ui:
    upscale_models: /mnt/models/up/../upscale
empty:
"""


def folders(tmp_path: Path, text: str) -> list[Path]:
    path = tmp_path / "extra_model_paths.yaml"
    path.write_text(text, encoding="utf-8")
    return read_model_folders(path)


def test_the_example_of_comfyui_gives_comfyuis_folders(tmp_path: Path) -> None:
    assert folders(tmp_path, EXAMPLE) == [
        tmp_path / "path/to/comfyui/models/upscale_models",
        Path("/srv/stable-diffusion-webui/models/ESRGAN"),
        Path("/srv/stable-diffusion-webui/models/RealESRGAN"),
        Path("/srv/stable-diffusion-webui/models/SwinIR"),
        Path("/mnt/models/upscale"),
    ]


def test_the_default_section_comes_first(tmp_path: Path) -> None:
    text = "a: {upscale_models: /a}\nb: {is_default: true, base_path: /b, upscale_models: up}\n"
    assert folders(tmp_path, text) == [Path("/b/up"), Path("/a")]


def test_home_and_environment_variables_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("STORE", "weights")
    assert folders(tmp_path, "a: {base_path: ~/$STORE, upscale_models: up}") == [Path("/home/someone/weights/up")]


@pytest.mark.parametrize("text", ["", "# nothing", "a:", "a: text", "a: {upscale_models: [x]}", "a: {loras: x}"])
def test_a_file_without_upscale_models_gives_no_folders(tmp_path: Path, text: str) -> None:
    assert folders(tmp_path, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "- a\n- b",
        "just text",
        "a: !!python/object/apply:os.getcwd []",
        "a: {base_path: ~no_such_user, upscale_models: x}",
        'a: {base_path: "/a\\0b", upscale_models: x}',
        "a: " + "[" * 3000 + "]" * 3000,
    ],
)
def test_a_broken_or_hostile_file_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelError, match=r"extra_model_paths\.yaml"):
        folders(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.yaml"):
        read_model_folders(tmp_path / "none.yaml")
