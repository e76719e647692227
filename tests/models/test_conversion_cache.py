from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from upscale8k.runtime.models.ncnn_files.conversion_cache import load_or_convert
from upscale8k.runtime.paths import get_cache_folder

STATE = {"body.0.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3)}


class Converter:
    def __init__(self) -> None:
        self.runs = 0

    def __call__(self) -> dict[str, torch.Tensor]:
        self.runs += 1
        return dict(STATE)


@pytest.fixture
def converter() -> Converter:
    return Converter()


def keep(converter: Converter, sha256: str = "ab" * 32) -> dict[str, torch.Tensor]:
    return load_or_convert(Path("/somewhere/MODEL.bin"), sha256, converter, licence="BSD-3-Clause")


def test_a_source_is_converted_once(converter: Converter) -> None:
    first, second = keep(converter), keep(converter)
    assert converter.runs == 1
    assert torch.equal(first["body.0.weight"], second["body.0.weight"])
    keep(converter, "cd" * 32)
    assert converter.runs == 2


def test_what_is_kept_says_where_it_came_from(converter: Converter, cache_dir: Path) -> None:
    keep(converter)
    (kept,) = cache_dir.rglob("*.safetensors")
    with safe_open(kept, framework="pt") as file:
        assert file.metadata() == {
            "format": "pt",
            "source": "MODEL.bin",
            "source_sha256": "ab" * 32,
            "licence": "BSD-3-Clause",
        }
    assert list(cache_dir.rglob("*.part")) == []


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\xff" * 200])
def test_a_damaged_cache_is_made_anew(converter: Converter, cache_dir: Path, damage: bytes) -> None:
    keep(converter)
    (kept,) = cache_dir.rglob("*.safetensors")
    kept.write_bytes(damage)
    assert torch.equal(keep(converter)["body.0.weight"], STATE["body.0.weight"])
    assert converter.runs == 2
    keep(converter)
    assert converter.runs == 2


def test_a_cache_that_cannot_be_written_is_no_error(converter: Converter, cache_dir: Path) -> None:
    cache_dir.write_text("a file where the folder should be")
    assert torch.equal(keep(converter)["body.0.weight"], STATE["body.0.weight"])
    keep(converter)
    assert converter.runs == 2


def test_the_platforms_cache_folder_is_used_when_none_is_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("UPSCALE8K_CACHE_DIR")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert get_cache_folder() == tmp_path / "upscale8k"
