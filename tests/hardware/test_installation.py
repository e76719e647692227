"""Installations that are broken in the ways people report."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from upscale8k.runtime.hardware import installation
from upscale8k.runtime.hardware.installation import (
    IMPORT_CHECK,
    Finding,
    check_conflicts,
    check_gpus,
    check_imports,
    check_python,
    check_requirements,
    check_torchvision_version,
    parse_import_report,
    parse_version,
)

from .conftest import gpu, machine

Installed = Callable[[dict[str, str]], None]


@pytest.fixture
def have(monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Have these packages installed and no others."""
    return lambda packages: monkeypatch.setattr(installation, "get_installed_version", packages.get)


def problems(findings: object) -> list[str]:
    return [str(finding) for finding in findings if finding.level == "problem"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("torch", "torchvision", "requirements", "problem"),
    [
        ("2.13.0+cpu", "0.28.0+cpu", ["numpy", "torch==2.13.0", "pillow!=8.3.*,>=5.3.0"], ""),
        ("2.15.0", "0.29.2", ["numpy", "torch (>=2.14.0)"], ""),
        ("2.13.0", "0.29.2", ["torch>=2.14.0"], "torchvision 0.29.2 needs torch>=2.14.0, and torch 2.13.0 is installed."),
        ("2.12.1", "0.28.0", ["torch==2.13.0; python_version >= '3'"], "needs torch==2.13.0"),
        ("2.16.0", "0.29.2", ["torch>=2.14,<2.16"], "needs torch<2.16"),
        ("2.12.1", "0.28.0", ["torchaudio==2.13.0", "scipy; extra == 'torch'"], ""),
        ("2.12.1", "0.28.0", [], ""),
        ("2.13.0+cu126", "0.28.0+cpu", [], "were built for different hardware"),
    ],
)
def test_torchvision_says_itself_which_torch_it_needs(
    torch: str, torchvision: str, requirements: list[str], problem: str
) -> None:
    found = check_torchvision_version(torch, torchvision, requirements)
    assert found.level == ("problem" if problem else "ok")
    assert problem in found.what


def test_missing_and_old_packages_are_named(have: Installed, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# a comment\ntorch>=2.4\nspandrel>=0.4.1\nrich>=13.7\nopencv-python-headless>=4.10\n")
    have({"torch": "2.3.1+cu121", "rich": "13.10.0"})
    assert problems(check_requirements(file)) == [
        'torch 2.3.1+cu121 is too old: 2.4 or newer is required. Update it with: pip install "torch>=2.4"',
        'The package spandrel is not installed. Install it with: pip install "spandrel>=0.4.1"',
    ], "cv2 is here by another name, and 13.10 is newer than 13.7"


def test_everything_that_is_required_is_understood() -> None:
    """Every line of the real file is one that the check can read."""
    lines = [
        line for line in installation.REQUIREMENTS_FILE.read_text().splitlines() if line.strip() and not line.startswith("#")
    ]
    (good,) = check_requirements()
    assert str(good) == f"All {len(lines)} required packages are installed."


def test_packages_that_overwrite_each_other_are_named(have: Installed) -> None:
    have({"opencv-python": "5", "opencv-python-headless": "5", "onnxruntime": "1", "pynvml": "13"})
    said = [str(finding) for finding in check_conflicts()]
    assert len(said) == 2
    assert "opencv-python and opencv-python-headless" in said[0]
    assert "pip uninstall pynvml" in said[1]


@pytest.mark.parametrize(("version", "level"), [((3, 10), "problem"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "problem")])
def test_the_python_is_one_that_it_is_made_for(version: tuple[int, int], level: str) -> None:
    assert [finding.level for finding in check_python(version)] == [level]


def test_a_torch_newer_than_the_driver_is_said() -> None:
    (problem,) = problems(check_gpus(machine(gpu(), build="CUDA 13.0", driver="535.1", cuda="12.2")))
    assert "supports at most CUDA 12.2. Update the NVIDIA driver" in problem
    assert problems(check_gpus(machine(gpu(), build="CUDA 12.8", driver="535.1", cuda="12.2"))) == [], (
        "minor versions are compatible"
    )


def test_notes_of_the_machine_are_problems() -> None:
    assert problems(check_gpus(machine(notes=("The driver sleeps; wake it.",)))) == ["The driver sleeps; wake it."]


def test_the_real_libraries_are_imported() -> None:
    findings = list(check_imports(machine(), {"ffv1": "FFV1", "no_such_encoder": "Nothing"}))
    assert problems(findings) == []
    assert [one.what for one in findings if one.level == "note"] == ["This build of PyAV cannot write Nothing."]
    for name in ("torch", "torchvision", "spandrel", "av", "cv2", "OpenImageIO"):
        assert name in str(findings[-1])


def test_the_import_check_does_not_import_files_next_to_it() -> None:
    """Files called gpu.py and settings.py are next to it; no library may import them as ``settings``."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import runpy, sys; runpy.run_path({str(IMPORT_CHECK)!r}); print(sys.path)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(IMPORT_CHECK.parent) not in done.stdout


def test_a_library_that_crashes_is_named(tmp_path: Path) -> None:
    script = tmp_path / "import_check.py"
    script.write_text('import os\nprint(\'{"trying": "numpy"}\', flush=True)\nos.abort()\n')
    (problem,) = problems(check_imports(machine(), {}, script))
    assert "Importing numpy crashed Python" in problem


def test_what_an_import_check_prints_becomes_sentences() -> None:
    lines = [
        '{"trying": "torch"}',
        "a library's own chatter",
        '{"ok": "torch", "version": "2.13.0"}',
        '{"trying": "torchvision"}',
        '{"failed": "torchvision", "error": "RuntimeError: operator torchvision::nms does not exist\\nmore"}',
        '{"trying": "av"}',
        '{"ok": "av", "version": "18.1.0", "missing": ["HEVC"]}',
        '{"trying": "nvenc"}',
        '{"failed": "nvenc", "error": "PermissionError: Cannot load libcuda.so.1"}',
    ]
    found = list(parse_import_report(lines, 0))
    assert [finding.level for finding in found] == ["problem", "note", "problem", "ok"]
    assert "(RuntimeError: operator torchvision::nms does not exist). Install the torchvision that belongs" in str(found[0])
    assert "cannot write HEVC" in str(found[1])
    assert "set hardware of Video Out to none" in str(found[2])
    assert str(found[3]) == "Imported and tested: torch 2.13.0, av 18.1.0."


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2.13.0+cu130", (2, 13, 0)), ("1.0.20240820", (1, 0, 20240820)), ("dev", ()), ("4.10rc1", (4, 10))],
)
def test_versions_are_numbers(version: str, expected: tuple[int, ...]) -> None:
    assert parse_version(version) == expected


def test_a_finding_is_a_sentence_and_the_next_step() -> None:
    assert str(Finding("note", "This.", "Do that.")) == "This. Do that."
