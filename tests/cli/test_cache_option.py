"""What ``--cache`` goes by on this machine."""

from pathlib import Path

import pytest
from upscale8k.runtime.cli.cache_option import read_autotune_choices
from upscale8k.runtime.upscale.autotune import cache
from upscale8k.runtime.upscale.autotune.trial import Candidate, TrialResult

from .conftest import Place, Prompt

TORCH, OPENVINO = Candidate("torch", "bf16"), Candidate("openvino", "fp32")
RESULTS = {TORCH: TrialResult(0.6, 55.0), OPENVINO: TrialResult(0.8, 90.0)}


@pytest.fixture(autouse=True)
def nothing_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "own cache"))
    monkeypatch.setattr(cache, "_process_choices", {})


def test_what_auto_settled_on_is_read_where_it_is_written_down() -> None:
    assert read_autotune_choices() == {}
    cache.store("one", TORCH, RESULTS, (TORCH, OPENVINO))
    cache.store("other", OPENVINO, RESULTS, (TORCH, OPENVINO))
    assert read_autotune_choices() == {"one": "torch bf16", "other": "openvino fp32"}


@pytest.mark.parametrize("content", ["", "[]", '{"one": 1}', "\0"])
def test_a_damaged_file_of_it_says_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / "own cache").mkdir()
    (tmp_path / "own cache" / "backends.json").write_text(content)
    assert read_autotune_choices() == {}


def test_another_answer_makes_the_images_again(place: Place, prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store("one", TORCH, RESULTS, (TORCH, OPENVINO))
    place.run(prompt, "--cache", "kept")
    assert "3 of 4 nodes came from the cache" in place.run(prompt, "--cache", "kept").err  # a model is not kept
    (Path(place.folder) / "own cache" / "backends.json").unlink(missing_ok=True)
    monkeypatch.setattr(cache, "_process_choices", {})
    assert "0 of 4 nodes came from the cache" in place.run(prompt, "--cache", "kept").err


def test_another_halo_in_the_catalog_makes_the_images_again(
    place: Place, prompt: Prompt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from upscale8k.runtime.cli import cache_option

    catalog = tmp_path / "own cache" / "catalog.toml"
    catalog.parent.mkdir()
    assert cache_option._OWN_CODE[-1].name == catalog.name
    monkeypatch.setattr(cache_option, "_OWN_CODE", (*cache_option._OWN_CODE[:-1], catalog))
    catalog.write_bytes(b"halo = 8")
    place.run(prompt, "--cache", "kept")
    catalog.write_bytes(b"halo = 9")
    assert "0 of 4 nodes came from the cache" in place.run(prompt, "--cache", "kept").err
