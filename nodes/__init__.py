"""What a workflow may say: declarations in ComfyUI's V1 form, each with one call into the engine.

Reading this catalog imports no torch: a node imports its engine room inside ``run``. A node asks the world only through
its class attribute ``host``, which ``catalog`` fills in; so the same class serves ComfyUI and the command line, twice in one
process if need be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import benchmark, compare, hardware, image, metrics, models, trt_build, video
from .builtin import batch, image_extras, values
from .builtin import image as builtin_image
from .builtin import video as builtin_video

if TYPE_CHECKING:
    from ..runtime.host import Host

OWN_NODES: dict[str, tuple[type, str]] = {
    **models.NODES,
    **image.NODES,
    **video.NODES,
    **hardware.NODES,
    **metrics.NODES,
    **trt_build.NODES,
    **compare.NODES,
    **benchmark.NODES,
}
"""Node id to class and display name. Ids are forever: saved workflows hold them."""

BUILTIN_NODES: dict[str, tuple[type, str]] = {
    **builtin_image.NODES,
    **values.NODES,
    **image_extras.NODES,
    **batch.NODES,
    **builtin_video.NODES,
}
"""ComfyUI's built-ins that shared workflows use, for the headless runner only."""

DISPLAY_NAMES = {node_id: title for node_id, (_, title) in {**BUILTIN_NODES, **OWN_NODES}.items()}


def get_node_classes(host: Host, *, with_builtin: bool = True) -> dict[str, type]:
    """Every node class, bound to a host. Inside ComfyUI the core ids are ComfyUI's own."""
    nodes = {**BUILTIN_NODES, **OWN_NODES} if with_builtin else OWN_NODES
    return bind_to_host({node_id: cls for node_id, (cls, _) in nodes.items()}, host)


def bind_to_host(classes: dict[str, type], host: Host) -> dict[str, type]:
    """The classes with the host that they ask."""
    return {node_id: type(cls.__name__, (cls,), {"host": host}) for node_id, cls in classes.items()}


def __getattr__(name: str) -> Any:
    """What ComfyUI asks for; only then is there a ComfyUI to answer the nodes."""
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
