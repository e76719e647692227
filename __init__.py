"""ComfyUI's entry point to Upscale8K, and the functions for Python programs. Importing this file runs nothing.

ComfyUI reads the mappings by name. Outside ComfyUI use ``python -m runtime`` from a checkout, ``upscale8k`` after
``pip install``, or ``from upscale8k import upscale, compare, measure, models, run_workflow``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .runtime.api import Callbacks as Callbacks
    from .runtime.api import compare as compare
    from .runtime.api import measure as measure
    from .runtime.api import models as models
    from .runtime.api import run_workflow as run_workflow
    from .runtime.api import upscale as upscale

    __version__: str

WEB_DIRECTORY = "./nodes/web"
"""The folder that ComfyUI serves: scripts for the canvas, and the help page of each node under docs/."""

if "__path__" in globals():  # pytest loads this file as a module in a checkout whose name has a hyphen
    __path__.append(f"{__path__[0]}/runtime/entry")  # for python -m upscale8k
_ANSWERED_BY_NODES = ("NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS")
_API = ("Callbacks", "compare", "measure", "models", "run_workflow", "upscale")


def __getattr__(name: str) -> object:
    if name == "__version__":
        from .runtime.paths import read_version

        return read_version()
    if name in _API:
        from .runtime import api

        return getattr(api, name)
    if name not in _ANSWERED_BY_NODES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from . import nodes

        return getattr(nodes, name)
    except AttributeError as error:
        # ComfyUI asks with hasattr(), which would swallow this and skip the pack in silence.
        raise ImportError(f"{__name__}.nodes did not import: {error}") from error
