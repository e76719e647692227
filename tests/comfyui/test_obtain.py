"""What is said when ComfyUI, or what it needs, is not there. Nothing here is downloaded or installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from .peer.tree import missing_requirements, problem


def stamp(folder: Path, version: str) -> Path:
    (folder / "main.py").touch()
    (folder / "comfyui_version.py").write_text(f'# generated\n__version__ = "{version}"\n')
    return folder


def test_requirements_that_are_not_met_are_found_by_name_and_by_version(tmp_path: Path) -> None:
    lines = [
        "# what it needs",
        "",
        "pytest>=1 # here",
        "pytest>=999",
        "upscale8k-has-no-such-thing",
        "nothing; python_version<'3'",
    ]
    (tmp_path / "requirements.txt").write_text("\n".join(lines))
    assert missing_requirements(tmp_path) == ["pytest>=999", "upscale8k-has-no-such-thing"]


@pytest.mark.parametrize(("version", "said"), [(None, "is not in"), ("0.3.1", "holds ComfyUI 0.3.1;")])
def test_a_folder_that_is_not_this_comfyui_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, said: str
) -> None:
    if version:
        stamp(tmp_path, version)
    monkeypatch.setenv("UPSCALE8K_COMFYUI", str(tmp_path))
    reason = problem()
    assert reason
    assert said in reason
    assert reason.endswith("python tests/comfyui/obtain.py")
    script = root / "tests" / "comfyui" / "obtain.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr
    assert "UPSCALE8K_COMFYUI" in done.stderr


def test_a_missing_requirement_is_a_reason_not_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (stamp(tmp_path, "0.30.0") / "requirements.txt").write_text("upscale8k-has-no-such-thing\n")
    monkeypatch.setenv("UPSCALE8K_COMFYUI", str(tmp_path))
    assert "upscale8k-has-no-such-thing" in (problem() or "")
