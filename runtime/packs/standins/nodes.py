"""``nodes``: the node classes that a pack may look up, call or derive from."""

from __future__ import annotations

from typing import Any

from ..absent import Absent, plain
from ..current import current

MAX_RESOLUTION = 16384
EXTENSION_WEB_DIRS: dict[str, str] = {}
LOADED_MODULE_DIRS: dict[str, str] = {}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}


def __getattr__(name: str) -> Any:
    if name == "NODE_CLASS_MAPPINGS":
        return current().catalog
    found = current().core.get(plain("nodes", name))
    return found if found is not None else Absent(f"nodes.{name}")


def interrupt_processing(value: bool = True) -> None:
    """Stops the run at once: nodes run one after the other in the thread of whoever asks."""
    if value:
        from .comfy.model_management import InterruptProcessingException

        raise InterruptProcessingException


def before_node_execution() -> None:
    """Where ComfyUI looks for an interrupt; here Ctrl-C arrives by itself."""
