"""The catalog of nodes: declarations in ComfyUI's V1 form, each with one call into the engine.

Reading the catalog imports no torch: the face of a package of the engine loads what is used when ``run`` uses it. A node
reaches files, devices and progress only through its class attribute ``host``, which ``bind_to_host`` sets, so one class serves
ComfyUI and the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import compare, hardware, image, metrics, models, video
from .builtin import image as builtin_image
from .builtin import image_extras, loop_nodes, masks, networks, values, workflow_tools
from .builtin import video as builtin_video
from .declare import list_nodes

if TYPE_CHECKING:
    from ..runtime.host import Host

OWN_NODES = list_nodes(models, image, video, hardware, metrics, compare)
"""Node id to class. Ids are forever: saved workflows hold them."""

BUILTIN_NODES = list_nodes(builtin_image, values, image_extras, builtin_video, workflow_tools, masks, loop_nodes, networks)
"""ComfyUI's built-in nodes that shared workflows use, for the headless runner only."""

DISPLAY_NAMES = {node_id: cls.title for node_id, cls in {**BUILTIN_NODES, **OWN_NODES}.items()}


def get_node_classes(host: Host, *, with_builtin: bool = True) -> dict[str, type]:
    """Return every node class bound to ``host``; without the built-in ids, which inside ComfyUI are ComfyUI's own."""
    return bind_to_host({**BUILTIN_NODES, **OWN_NODES} if with_builtin else OWN_NODES, host)


def bind_to_host(classes: Mapping[str, type], host: Host) -> dict[str, type]:
    """Return subclasses whose attribute ``host`` is ``host``."""
    return {node_id: type(cls.__name__, (cls,), {"host": host}) for node_id, cls in classes.items()}


def __getattr__(name: str) -> Any:
    """Provide ComfyUI's mappings lazily: they exist only inside ComfyUI."""
    if name == "NODE_CLASS_MAPPINGS":
        from .comfyui.comfyui_host import ComfyHost, register_blueprints
        from .comfyui.previews import NODES
        from .comfyui.routes import register_routes

        host = ComfyHost()
        register_blueprints()
        register_routes(host)
        return get_node_classes(host, with_builtin=False) | bind_to_host(NODES, host)
    if name == "NODE_DISPLAY_NAME_MAPPINGS":
        return {node_id: DISPLAY_NAMES[node_id] for node_id in OWN_NODES}
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
