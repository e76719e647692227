import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from upscale8k.runtime.errors import ModelDamaged, ModelError, ModelNotFound, OutputError, UnsupportedModel
from upscale8k.runtime.models import catalog as catalog_module
from upscale8k.runtime.models import locate as locate_module
from upscale8k.runtime.models import verify as verify_module
from upscale8k.runtime.models.catalog import load_catalog
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.models.verify import import_file, verify_models

from .conftest import DEPENDENCY_IDS

State = dict[str, torch.Tensor]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def download(tmp_path: Path, compact_state: State) -> Path:
    """A file that loads, as a browser would have left it."""
    path = tmp_path / "download (1).pth"
    torch.save({"params": compact_state}, path)
    return path


@pytest.fixture
def official(download: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``download``, made the official file of bsrgan-x4 by writing its hash into the catalog."""
    digest = hashlib.sha256(download.read_bytes()).hexdigest()
    changed = {**load_catalog(), "bsrgan-x4": replace(load_catalog()["bsrgan-x4"], sha256=digest)}
    for module in (verify_module, catalog_module, locate_module):
        monkeypatch.setattr(module, "load_catalog", lambda: changed)
    catalog_module._index_by_name.cache_clear()
    monkeypatch.setattr(
        catalog_module, "_index_by_name", lambda: {catalog_module._normalize_name(e.file): e for e in changed.values()}
    )
    return download


def test_weights_that_came_as_a_dependency_are_as_their_package_shipped_them() -> None:
    counted: list[int] = []
    results = verify_models([], counted.append)
    assert [result.entry.id for result in results] == DEPENDENCY_IDS
    assert all(result.verdict == "dependency" and result.is_good for result in results)
    assert sum(counted) == sum(result.path.stat().st_size for result in results)
    # sha256sum of REALESRGAN_X4PLUS_UP4X.bin in the 1.0.1 wheel.
    assert results[0].sha256 == "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf"


@pytest.mark.parametrize(("recorded", "verdict"), [("0" * 64, "different"), (None, "other-form")])
def test_a_dependency_is_compared_with_the_record_of_its_package(
    monkeypatch: pytest.MonkeyPatch, recorded: str | None, verdict: str
) -> None:
    monkeypatch.setattr(verify_module, "_read_shipped_hash", lambda path: recorded)
    assert {result.verdict for result in verify_models([])} == {verdict}


def test_an_official_file_is_known_by_its_hash(models: Path, official: Path) -> None:
    (models / "BSRGAN.pth").write_bytes(official.read_bytes())
    (result,) = [result for result in verify_models([models]) if result.entry.id == "bsrgan-x4"]
    assert (result.verdict, result.is_good, result.path) == ("official", True, models / "BSRGAN.pth")


def test_a_changed_file_is_named_with_the_line_that_mends_it(models: Path) -> None:
    (models / "BSRGAN.pth").write_bytes(b"half a download")
    (result,) = [result for result in verify_models([models]) if result.entry.id == "bsrgan-x4"]
    assert (result.verdict, result.is_good) == ("different", False)
    assert str(models / "BSRGAN.pth") in result.what
    assert result.what.endswith("python -m runtime models pull bsrgan-x4")


def test_a_converted_file_is_not_judged_by_the_hash_of_the_official_one(models: Path) -> None:
    (models / "BSRGAN.safetensors").write_bytes(b"another form")
    (result,) = [result for result in verify_models([models]) if result.entry.id == "bsrgan-x4"]
    assert (result.verdict, result.is_good) == ("other-form", True)


def test_a_file_that_cannot_be_read_is_named(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (models / "BSRGAN.pth").write_bytes(b"x")

    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(verify_module, "compute_sha256", refuse)
    with pytest.raises(ModelDamaged, match="Permission denied"):
        verify_models([models])


# Taking in files.


def test_an_official_file_gets_its_official_name(models: Path, official: Path) -> None:
    imported = import_file(official, models)
    assert imported.path == models / "BSRGAN.pth"
    assert imported.entry is not None
    assert imported.entry.id == "bsrgan-x4"
    assert "the official file of BSRGAN x4 (bsrgan-x4)" in imported.what
    assert imported.path.read_bytes() == official.read_bytes()
    assert official.exists()
    assert [path.name for path in models.iterdir()] == ["BSRGAN.pth"]


def test_any_other_model_keeps_its_name_and_can_be_located(models: Path, download: Path) -> None:
    imported = import_file(download, models)
    assert (imported.path, imported.entry) == (models / download.name, None)
    assert "not in the catalog (RealESRGAN Compact, 2x)" in imported.what
    assert find_model(download.name, [models]).path == imported.path


def test_an_ncnn_model_is_taken_in_with_both_files(models: Path, tmp_path: Path) -> None:
    source = find_model("realesr-animevideov3", []).path
    for suffix in (".bin", ".param"):
        (tmp_path / f"video{suffix}").write_bytes(source.with_suffix(suffix).read_bytes())
    import_file(tmp_path / "video.bin", models)
    assert sorted(path.name for path in models.iterdir()) == ["video.bin", "video.param"]


def test_the_folder_is_made_when_it_is_not_there(tmp_path: Path, download: Path) -> None:
    assert import_file(download, tmp_path / "new" / "models").path.is_file()


def test_the_same_file_twice_is_fine(models: Path, download: Path) -> None:
    assert import_file(download, models) == import_file(download, models)


def test_a_file_that_is_in_the_folder_already_stays(models: Path, download: Path) -> None:
    moved = download.rename(models / "mine.pth")
    assert import_file(moved, models).path == moved
    assert moved.is_file()


def test_another_file_of_that_name_is_not_overwritten(models: Path, download: Path) -> None:
    (models / download.name).write_bytes(b"precious")
    with pytest.raises(ModelError, match="exists and is another file"):
        import_file(download, models)
    assert (models / download.name).read_bytes() == b"precious"


@pytest.mark.parametrize("content", [b"", b"<html>", b"text"])
def test_a_file_that_does_not_load_is_refused(models: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(ModelDamaged, match=r"model\.pth"):
        import_file(path, models)
    assert list(models.iterdir()) == []


@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(number: float, models: Path, tmp_path: Path, compact_state: State) -> None:
    name, last = list(compact_state.items())[-1]
    torch.save({**compact_state, name: last.clone().fill_(number)}, tmp_path / "spoiled.pth")
    with pytest.raises(ModelDamaged, match=f"spoiled.pth contains NaN or infinite weights \\({name}\\)"):
        import_file(tmp_path / "spoiled.pth", models)
    assert list(models.iterdir()) == []


def test_a_file_that_is_no_upscale_model_is_refused(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    save_file({"lora.alpha": torch.ones(1)}, path)
    with pytest.raises(UnsupportedModel, match=r"lora\.alpha"):
        import_file(path, models)
    assert list(models.iterdir()) == []


def test_a_file_that_only_has_an_official_name_is_refused(models: Path, download: Path) -> None:
    path = download.rename(download.with_name("RealESRGAN_x4plus.pth"))
    with pytest.raises(ModelDamaged, match="has the name of Real-ESRGAN x4plus, but is not its official file"):
        import_file(path, models)
    assert list(models.iterdir()) == []


def test_a_file_without_an_ending_for_weights_is_refused(models: Path, download: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"\.safetensors"):
        import_file(download.rename(download.with_suffix(".dat")), models)


def test_a_missing_file_is_named(models: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"gone\.pth"):
        import_file(tmp_path / "gone.pth", models)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, download: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="cannot be written"):
        import_file(download, tmp_path / "models")


def test_a_full_disk_leaves_nothing_behind(models: Path, download: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_a_copy(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", half_a_copy)
    with pytest.raises(OutputError, match="the disk is full"):
        import_file(download, models)
    assert list(models.iterdir()) == []
