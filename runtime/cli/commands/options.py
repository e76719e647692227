"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from ...distributed import SHARE_HELP, WORKERS_HELP
from ...errors import WorkflowError
from ...upscale import describe_backend_choices
from ..display import DISPLAY_MODES, DisplayMode

Workflow = Annotated[Path, typer.Argument(help="Workflow of the canvas, API prompt, or an image or video that contains one.")]
SetValues = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NODE.INPUT=VALUE",
        help="Change an input. NODE is an id, title or class. May be repeated.",
    ),
]
InputDir = Annotated[Path | None, typer.Option("--input-dir", help="Folder of input files (default: ./input).")]
OutputDir = Annotated[Path | None, typer.Option("--output-dir", help="Folder for results (default: ./output).")]
ModelsDir = Annotated[
    list[Path] | None,
    typer.Option(
        "--models-dir", help="Folder of weights; may be repeated (default: UPSCALE8K_MODELS_DIR or the pack's models folder)."
    ),
]
ExtraPaths = Annotated[
    Path | None,
    typer.Option("--extra-model-paths", help="YAML file with further folders of weights, in ComfyUI's format (default: none)."),
]
Tile = Annotated[int, typer.Option("--tile", min=0, help="Side of a tile in source pixels; 0 is automatic.")]
Device = Annotated[str, typer.Option("--device", help="Device for the models: auto, cpu, cuda, cuda:N, mps or xpu.")]
BackendName = Annotated[str, typer.Option("--backend", help=f"{describe_backend_choices()}.")]
ProgressMode = Annotated[
    str,
    typer.Option("--progress", help=f"How to show progress: {', '.join(DISPLAY_MODES)}."),
]
Packs = Annotated[
    list[Path] | None,
    typer.Option(
        "--nodes",
        metavar="PACK",
        help="Folder of a ComfyUI node pack. `run` runs it with your rights; other commands let it change nothing. May be "
        "repeated.",
    ),
]
ObjectInfo = Annotated[
    Path | None,
    typer.Option("--object-info", metavar="FILE", help="ComfyUI's /object_info, for nodes that are not installed."),
]
Outputs = Annotated[
    list[str] | None,
    typer.Option(
        "--outputs", metavar="NODE", help="Run only the nodes that this output needs: an id, title or class. May be repeated."
    ),
]
KeepGoing = Annotated[
    bool,
    typer.Option("--keep-going", help="Run all that does not depend on failed or invalid nodes; then exit code 1."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List what would run, be read and be written; run nothing.")]
CacheDir = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Folder for results of nodes; only changed nodes run again."),
]
CacheLimit = Annotated[
    float, typer.Option("--cache-limit", metavar="GB", min=0.001, help="Largest size of --cache in GB; at least 0.001.")
]
Download = Annotated[bool, typer.Option("--download", help="Download missing models that the workflow names.")]
MaxPixels = Annotated[
    int | None, typer.Option("--max-pixels", min=1, help="Largest image to decode, in pixels (default: 1000000000).")
]
Workers = Annotated[
    str,
    typer.Option(
        "--workers",
        help=f"Who makes a video, a large image or many files: {WORKERS_HELP} (default: this process). The files are the same.",
    ),
]
Share = Annotated[str, typer.Option("--share", metavar="FOLDER", help=SHARE_HELP)]
Traceback = Annotated[bool, typer.Option("--traceback", help="Print the Python traceback of an error.")]


def parse_display_mode(text: str) -> DisplayMode:
    """Return the value of ``--progress``. Raises ``WorkflowError`` for an unknown one."""
    for display_mode in DISPLAY_MODES:
        if display_mode == text:
            return display_mode
    raise WorkflowError(f"Unknown --progress {text!r}.", f"Use one of: {', '.join(DISPLAY_MODES)}.")
