"""What ``--cache`` goes by on this machine."""

from pathlib import Path

import pytest
from upscale8k.runtime.hardware import CalibrationSubject, Measurement, store_calibration

from .conftest import Place, Prompt


@pytest.fixture(autouse=True)
def nothing_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "own cache"))


def test_another_calibration_makes_the_images_again(place: Place, prompt: Prompt) -> None:
    place.run(prompt, "--cache", "kept")
    assert "3 of 4 nodes came from the cache" in place.run(prompt, "--cache", "kept").err  # a model is not kept
    subject = CalibrationSubject("cpu", "torch", "Compact", 4, "torch", "fp32")
    store_calibration({subject: Measurement(500, 0, 1.0, 0.0, "2026-11-28")})
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
