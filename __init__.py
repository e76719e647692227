"""ComfyUI's entry point to Upscale8K. Importing this file runs nothing; ComfyUI reads the mappings by name.

Outside ComfyUI use ``python -m runtime`` from a checkout, or ``upscale8k`` after ``pip install``.
"""

from __future__ import annotations

WEB_DIRECTORY = "./nodes/web"
"""The folder that ComfyUI serves: scripts for the canvas, and the help page of each node under docs/."""

_ANSWERED_BY_NODES = ("NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS")


def __getattr__(name: str) -> object:
    if name not in _ANSWERED_BY_NODES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from . import nodes

        return getattr(nodes, name)
    except AttributeError as error:
        # ComfyUI asks with hasattr(), which would swallow this and skip the pack in silence.
        raise ImportError(f"{__name__}.nodes did not import: {error}") from error
