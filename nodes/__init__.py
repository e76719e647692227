"""What a workflow may say: declarations in ComfyUI's V1 form, each with one call into the engine.

Reading this catalog imports no torch: a node imports its engine room inside ``run``. A node asks the world only through
its class attribute ``host``, which ``catalog`` fills in; so the same class serves ComfyUI and the command line, twice in one
process if need be. May enter: every engine room; never ``cli`` or ``graph``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import (
    benchmark,
    compare,
    core,
    core_batches,
    core_images,
    core_values,
    core_video,
    engines,
    hardware,
    image,
    measure,
    models,
    video,
)

if TYPE_CHECKING:
    from ..runtime.host import Host

OURS: dict[str, tuple[type, str]] = {
    **models.NODES,
    **image.NODES,
    **video.NODES,
    **hardware.NODES,
    **measure.NODES,
    **engines.NODES,
    **compare.NODES,
    **benchmark.NODES,
}
"""Node id to class and display name. Ids are forever: saved workflows hold them."""

CORE: dict[str, tuple[type, str]] = {
    **core.NODES,
    **core_values.NODES,
    **core_images.NODES,
    **core_batches.NODES,
    **core_video.NODES,
}
"""ComfyUI's built-ins that shared workflows use, for the headless runner only."""

TITLES = {node_id: title for node_id, (_, title) in {**CORE, **OURS}.items()}


def catalog(host: Host, *, with_core: bool = True) -> dict[str, type]:
    """Every node class, bound to a host. Inside ComfyUI the core ids are ComfyUI's own."""
    known = {**CORE, **OURS} if with_core else OURS
    return bound({node_id: cls for node_id, (cls, _) in known.items()}, host)


def bound(classes: dict[str, type], host: Host) -> dict[str, type]:
    """The classes with the host that they ask."""
    return {node_id: type(cls.__name__, (cls,), {"host": host}) for node_id, cls in classes.items()}


def __getattr__(name: str) -> Any:
    """What ComfyUI asks for; only then is there a ComfyUI to answer the nodes."""
    if name == "NODE_CLASS_MAPPINGS":
        from .comfy_host import ComfyHost, offer_blueprints
        from .comfy_nodes import NODES
        from .comfy_routes import register

        host = ComfyHost()
        offer_blueprints()
        register(host)
        return catalog(host, with_core=False) | bound(NODES, host)
    if name == "NODE_DISPLAY_NAME_MAPPINGS":
        return {node_id: TITLES[node_id] for node_id in OURS}
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
