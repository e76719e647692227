"""Options that several commands share: their names, their words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...errors import WorkflowError
from ...upscale.backends.base import describe_backend_choices
from ..display import DISPLAY_MODES, DisplayMode

Workflow = Annotated[
    Path, typer.Argument(help="A workflow saved from the canvas, an API prompt, or a picture that carries one.")
]
SetValues = Annotated[
    list[str] | None, typer.Option("--set", metavar="NODE.INPUT=VALUE", help="Change a value; NODE is an id, title or class.")
]
InputDir = Annotated[Path | None, typer.Option("--input-dir", help="Where input files lie (default: ./input).")]
OutputDir = Annotated[Path | None, typer.Option("--output-dir", help="Where results go (default: ./output).")]
ModelsDir = Annotated[list[Path] | None, typer.Option("--models-dir", help="Where weights lie; may be given more than once.")]
ExtraPaths = Annotated[Path | None, typer.Option("--extra-model-paths", help="ComfyUI's extra_model_paths.yaml.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N, mps or xpu.")]
BackendName = Annotated[str, typer.Option("--backend", help=f"{describe_backend_choices()}.")]
ProgressMode = Annotated[str, typer.Option("--progress", help=" | ".join(DISPLAY_MODES))]
Packs = Annotated[
    list[Path] | None,
    typer.Option("--nodes", metavar="PACK", help="A ComfyUI node pack to use; it runs with your rights. May be repeated."),
]
ObjectInfo = Annotated[
    Path | None, typer.Option("--object-info", metavar="FILE", help="ComfyUI's /object_info, for nodes that are not here.")
]
Outputs = Annotated[
    list[str] | None,
    typer.Option("--outputs", metavar="NODE", help="Run only what this output needs: an id, title or class. May be repeated."),
]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Finish what does not depend on a node that fails or is wrong; exit code 1 then.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would run, be read and be written; run nothing.")]
CacheDir = Annotated[
    Path | None, typer.Option("--cache", metavar="DIR", help="Keep results there, and run only what has changed since.")
]
CacheLimit = Annotated[float, typer.Option("--cache-limit", metavar="GB", min=0.001, help="Most that --cache may hold.")]
Download = Annotated[bool, typer.Option("--download", help="Pull models that the workflow names and that are not here.")]
MaxPixels = Annotated[
    int | None, typer.Option("--max-pixels", min=1, help="Largest picture that is decoded (default: 1000000000).")
]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")]


def parse_display_mode(text: str) -> DisplayMode:
    """The way to show progress that ``--progress`` names. Raises ``WorkflowError``."""
    for display_mode in DISPLAY_MODES:
        if display_mode == text:
            return display_mode
    raise WorkflowError(f"{text!r} is no way to show progress.", f"Use one of: {', '.join(DISPLAY_MODES)}.")
