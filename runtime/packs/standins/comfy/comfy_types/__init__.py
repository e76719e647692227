"""``comfy.comfy_types``: names for the types on the wires."""

from ....absent import absent_attributes
from .node_typing import IO, CheckLazyMixin, ComfyNodeABC, FileLocator, InputTypeDict

__all__ = ["IO", "CheckLazyMixin", "ComfyNodeABC", "FileLocator", "InputTypeDict"]

__getattr__ = absent_attributes("comfy.comfy_types")
