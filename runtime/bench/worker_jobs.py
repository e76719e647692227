"""What every comparison with ComfyUI needs: its version, weights that both read, and a fresh process for each run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import Upscale8KError, WorkflowError
from ..models.locate import FoundModel


def parse_size(size: str) -> tuple[int, int]:
    """``1920x1080`` as numbers. Raises ``WorkflowError``."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size)
    if match is None:
        raise WorkflowError(f"{size!r} is no size.", "Write WIDTHxHEIGHT, for instance 1920x1080.")
    return int(match.group(1)), int(match.group(2))


def read_comfyui_version(comfyui: Path) -> str:
    """Of a checkout. Raises ``WorkflowError`` when it is none."""
    try:
        text = (comfyui / "comfyui_version.py").read_text(encoding="utf-8")
    except OSError as error:
        raise WorkflowError(f"{comfyui} is no ComfyUI checkout.", "Give its folder with --comfyui.", path=comfyui) from error
    found = re.search(r'"([^"]+)"', text)
    return found.group(1) if found else "unknown version"


def write_weights(path: Path, model: FoundModel) -> Path:
    """The model in a file that every peer reads."""
    from safetensors.torch import save_model  # pyright: ignore[reportUnknownVariableType]

    from ..models.load import load_model

    save_model(load_model(model).model, str(path))
    return path


def write_job(
    folder: Path, peer_name: str, comfyui: Path, weights: Path, threads: int, extra_fields: Mapping[str, Any]
) -> Path:
    """What a child is told, as a file; its results go to a folder called ``who``."""
    output = folder / peer_name
    output.mkdir(exist_ok=True)
    job: dict[str, Any] = {
        "comfyui": str(comfyui.resolve()),
        "weights": str(weights),
        "input_dir": str(folder),
        "output_dir": str(output),
        "threads": threads,
        **extra_fields,
    }
    path = folder / f"{peer_name}.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    return path


def run_worker(script: Path, peer_name: str, title: str, job: Path) -> dict[str, float]:
    """The figures that a child prints last. Raises ``Upscale8KError`` with its own last words when it fails."""
    completed = subprocess.run([sys.executable, str(script), peer_name, str(job)], capture_output=True, text=True, check=False)
    if completed.returncode:
        reason = (completed.stderr.strip().splitlines() or [f"it ended with code {completed.returncode}"])[-1]
        raise Upscale8KError(f"{title} did not run: {reason.rstrip('.')}.", "Are its requirements installed here?")
    return json.loads(completed.stdout.strip().splitlines()[-1])
