"""Copy a loaded network without what the host hung on it.

ComfyUI's DynamicVRAM (0.30, on by default on NVIDIA cards) stores C buffers on the network itself: ``model.dynamic_pins`` holds
objects whose destructor frees a raw pointer. A plain ``deepcopy`` copies the pointer, and freeing it twice ends the process.
"""

from collections.abc import Collection, Iterator
from copy import deepcopy
from typing import TypeVar, cast

import torch

CopiedT = TypeVar("CopiedT")
_HOST_PACKAGES = ("comfy", "comfy_aimdo")
_HOST_ATTRIBUTES = ("patcher", "dynamic_pins", "dynamic_vbars", "dynamic_patchers")
_TORCH_REGISTRIES = ("_parameters", "_buffers", "_modules")
"""What belongs to the network, whatever class its tensors and layers have."""
_SEARCH_DEPTH = 4


def copy_without_host_state(source: CopiedT, net: torch.nn.Module) -> CopiedT:
    """Return a deep copy of ``source``, which is ``net`` or a descriptor that holds it; the copy shares no tensor with it.

    Attributes that the host added to ``source`` or to any module of ``net`` are None in the copy.
    """
    return deepcopy(source, {id(value): None for value in _iterate_host_state(source, net)})


def _iterate_host_state(source: object, net: torch.nn.Module) -> Iterator[object]:
    for owner in (source, *net.modules()):
        for name, value in vars(owner).items():
            if name in _TORCH_REGISTRIES or value is None:
                continue
            if name in _HOST_ATTRIBUTES or _holds_host_object(value, _SEARCH_DEPTH):
                yield value


def _holds_host_object(value: object, depth: int) -> bool:
    """Whether ``value`` is an object of the host's packages, or a container with one at most ``depth`` levels down."""
    if type(value).__module__.partition(".")[0] in _HOST_PACKAGES:
        return True
    if depth == 0 or not isinstance(value, dict | list | tuple | set):
        return False
    container = cast("Collection[object]", value)
    members = [*container, *cast("dict[object, object]", value).values()] if isinstance(value, dict) else container
    return any(_holds_host_object(member, depth - 1) for member in members)
