"""ComfyUI's own blueprints whose nodes are all here convert and pass the check; the script runs them, and templates, too."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .peer.tree import tree


@pytest.mark.comfyui
def test_the_blueprints_without_a_diffusion_model_are_checked_without_a_problem() -> None:
    script = Path(__file__).with_name("list_official_workflows.py")
    command = [sys.executable, str(script), "--check", str(tree() / "blueprints")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("stops")] == []
    assert len([line for line in lines if line.startswith("runs")]) == 25


@pytest.mark.full
@pytest.mark.comfyui
def test_the_blueprints_give_the_images_and_frames_of_a_server() -> None:
    """Shaders may differ by one level, as images are cut to 8 bits; the sines of film grain differ between drivers."""
    script = Path(__file__).with_name("list_official_workflows.py")
    command = [sys.executable, str(script), "--comfyui", str(tree()), str(tree() / "blueprints")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=850)
    assert done.returncode == 0, done.stderr[-2000:]
    line = r"^runs  (.+): [1-9]\d* images and frames, mean .+?, largest (\d+)(?:, without .+)?$"
    compared = dict(re.findall(line, done.stdout, re.MULTILINE))
    assert len(compared) >= 20
    assert {name: int(largest) for name, largest in compared.items() if int(largest) > 1 and name != "Film Grain.json"} == {}
