from pathlib import Path

import pytest
from upscale8k.runtime.errors import ModelNotFound
from upscale8k.runtime.models import locate as locate_module
from upscale8k.runtime.models.catalog import load_catalog
from upscale8k.runtime.models.locate import find_model, list_available_models, list_selector_names

from .conftest import DEPENDENCY_IDS


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return folder(tmp_path / "first")


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return folder(tmp_path / "second")


@pytest.fixture
def no_dependency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate_module, "DEPENDENCY", "a-package-that-is-not-installed")


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def weights(folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def test_the_first_folder_with_the_file_wins(first: Path, second: Path) -> None:
    expected = weights(first, "mine.pth")
    weights(second, "mine.pth")
    found = find_model("mine.pth", [first, second])
    assert (found.path, found.source, found.entry) == (expected, "folder", None)


def test_a_name_may_lead_into_a_sub_folder_with_either_slash(first: Path) -> None:
    expected = weights(first, "anime/4x/mine.safetensors")
    assert find_model("anime/4x/mine.safetensors", [first]).path == expected
    assert find_model("anime\\4x\\mine.safetensors", [first]).path == expected


def test_a_file_is_found_without_its_folder_and_without_its_ending(first: Path) -> None:
    expected = weights(first, "sub/4x-UltraSharp.pth")
    assert find_model("4x-UltraSharp.pth", [first]).path == expected
    assert find_model("sub/4x-UltraSharp", [first]).path == expected


def test_two_files_of_one_name_in_sub_folders_are_not_guessed_between(first: Path) -> None:
    weights(first, "a/mine.pth")
    weights(first, "b/mine.pth")
    with pytest.raises(ModelNotFound, match=r"Did you mean .*a/mine\.pth"):
        find_model("mine.pth", [first])


@pytest.mark.parametrize("there", ["RealESRGAN_x4plus.pth", "RealESRGAN_x4plus.safetensors", "esrgan/RealESRGAN_x4plus.pth"])
@pytest.mark.parametrize("asked", ["realesrgan-x4plus", "RealESRGAN_x4plus.pth", "other/RealESRGAN_x4plus.safetensors"])
def test_a_known_model_is_found_under_whichever_name_its_file_has(first: Path, there: str, asked: str) -> None:
    expected = weights(first, there)
    found = find_model(asked, [first])
    assert (found.path, found.source, found.name) == (expected, "folder", asked)
    assert found.entry is load_catalog()["realesrgan-x4plus"]


def test_the_exact_file_comes_before_another_form_of_the_model(first: Path) -> None:
    weights(first, "RealESRGAN_x4plus.pth")
    expected = weights(first, "RealESRGAN_x4plus.safetensors")
    assert find_model("RealESRGAN_x4plus.safetensors", [first]).path == expected


@pytest.mark.parametrize("model", DEPENDENCY_IDS)
def test_weights_that_came_as_a_dependency_are_found_when_no_folder_has_them(model: str, first: Path) -> None:
    found = find_model(model, [first])
    assert found.source == "dependency"
    assert found.path.is_file()
    assert found.path.with_suffix(".param").is_file()
    assert found.entry is load_catalog()[model]


def test_a_file_in_a_folder_comes_before_the_dependency(first: Path) -> None:
    expected = weights(first, "realesr-animevideov3.pth")
    assert find_model("realesr-animevideov3", [first]).path == expected


def test_the_hint_for_a_known_model_is_the_line_that_gets_it(first: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        find_model("BSRGANx2.safetensors", [first])
    assert caught.value.hint.endswith("python -m runtime models pull bsrgan-x2")
    assert str(first) in caught.value.what


def test_the_hint_without_the_dependency_is_the_pull_line_too(first: Path, no_dependency: None) -> None:
    with pytest.raises(ModelNotFound, match=r"python -m runtime models pull realesr-animevideov3$"):
        find_model("realesr-animevideov3", [first])


def test_the_hint_for_a_misspelt_name_is_what_comes_close(first: Path) -> None:
    weights(first, "4x-UltraSharp.pth")
    with pytest.raises(ModelNotFound, match=r"Did you mean 4x-UltraSharp\.pth"):
        find_model("4x-ultrasharb.pth", [first])


def test_the_error_is_also_the_one_that_python_knows(first: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_model("nothing-like-it.pth", [first, first / "missing"])


@pytest.mark.parametrize(
    "name", ["../secret.pth", "sub/../../secret.pth", "..\\secret.pth", "C:\\secret.pth", "x\0.pth", "", "."]
)
def test_a_name_never_leads_out_of_its_folder(first: Path, name: str) -> None:
    weights(first.parent, "secret.pth")
    with pytest.raises(ModelNotFound):
        find_model(name, [first])


def test_an_absolute_name_is_refused(first: Path) -> None:
    outside = weights(first.parent, "secret.pth")
    with pytest.raises(ModelNotFound):
        find_model(str(outside), [first])


def test_links_to_weights_kept_elsewhere_are_followed_and_rings_of_links_end(first: Path, second: Path) -> None:
    weights(second, "mine.pth")
    (first / "store").symlink_to(second, target_is_directory=True)
    (second / "back").symlink_to(first, target_is_directory=True)
    assert find_model("store/mine.pth", [first]).path.is_file()
    assert [found.name for found in list_available_models([first]) if found.source == "folder"] == ["store/mine.pth"]


def test_a_selector_offers_usable_ids_first_and_then_every_file(first: Path, second: Path) -> None:
    weights(first, "BSRGAN.pth")
    weights(second, "sub/mine.safetensors")
    weights(second, "notes.txt")
    weights(second, ".hidden.pth")
    assert list_selector_names([first, second]) == [
        "realesrgan-x4plus",
        "realesrgan-x4plus-anime",
        "realesr-animevideov3",
        "bsrgan-x4",
        "BSRGAN.pth",
        "sub/mine.safetensors",
    ]


def test_every_name_that_a_selector_offers_can_be_located(first: Path, second: Path) -> None:
    for place, name in ((first, "BSRGAN.pth"), (second, "BSRGAN.pth"), (second, "a/mine.pth"), (second, "b/mine.pth")):
        weights(place, name)
    found = list_available_models([first, second])
    assert {"BSRGAN.pth", "a/mine.pth", "b/mine.pth"} <= {offered.name for offered in found}
    for offered in found:
        assert find_model(offered.name, [first, second]).path == offered.path


def test_without_folders_and_dependency_nothing_is_offered(no_dependency: None) -> None:
    assert list_selector_names([]) == []
