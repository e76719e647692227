"""Shared parts of the comparisons with other programs: sizes, weights for all peers, and a new process for each run."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..errors import Upscale8KError, WorkflowError
from ..media import Size
from ..models import FoundModel


def parse_size(text: str) -> Size:
    """Parse ``1920x1080``; spaces are allowed. Raises ``WorkflowError``."""
    match = re.fullmatch(r"\s*([1-9]\d{0,5})\s*x\s*([1-9]\d{0,5})\s*", text)
    if match is None:
        raise WorkflowError(f"{text!r} is not a size.", "Write WIDTHxHEIGHT, for instance 1920x1080.")
    return Size(int(match.group(1)), int(match.group(2)))


def read_comfyui_version(comfyui: Path) -> str:
    """Return the version of a ComfyUI checkout. Raises ``WorkflowError`` for another folder."""
    try:
        text = (comfyui / "comfyui_version.py").read_text(encoding="utf-8")
    except OSError as error:
        raise WorkflowError(f"{comfyui} is not a ComfyUI checkout.", "Set its folder with --comfyui.", path=comfyui) from error
    found = re.search(r'"([^"]+)"', text)
    return found.group(1) if found else "unknown version"


def write_weights(path: Path, model: FoundModel) -> Path:
    """Write the weights of ``model`` as a file that every peer can read; return ``path``."""
    from safetensors.torch import save_model  # pyright: ignore[reportUnknownVariableType]

    from ..models import load_model

    save_model(load_model(model).model, str(path))
    return path


def write_job(
    folder: Path, peer_name: str, comfyui: Path, weights: Path, threads: int, extra_fields: Mapping[str, Any]
) -> Path:
    """Write the job file of one worker, and create its output folder ``folder/peer_name``."""
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


def run_worker(script: Path, peer_name: str, job: Path, title: str = "") -> Mapping[str, Any]:
    """Run a worker in a new process and return the figures in its last line of output.

    Raises ``Upscale8KError`` with the last line of its errors if it fails; ``title`` is the start of the sentence.
    """
    completed = subprocess.run([sys.executable, str(script), peer_name, str(job)], capture_output=True, text=True, check=False)
    if completed.returncode:
        reason = (completed.stderr.strip().splitlines() or [f"it ended with code {completed.returncode}"])[-1].rstrip(".")
        what = f"{title} did not run: {reason}." if title else f"{reason}."
        raise Upscale8KError(what, "Check that its requirements are installed here.")
    return cast("Mapping[str, Any]", json.loads(completed.stdout.strip().splitlines()[-1]))
